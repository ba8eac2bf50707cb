package netpolicy

import (
	"fmt"
	"net/netip"

	networkingv1 "k8s.io/api/networking/v1"
)

// direction is one of the two that a pod can be isolated in. Each has a chain at the forward hook, so that
// "accept" in one leaves the connection to the other.
type direction struct {
	name     string // of its chain
	priority string
	pod      string // the selected pod's end of a connection, as nft(8) has it: CT EXPRESSIONS, "ip" for the family
	peer     string // the other end
	packet   string // the selected pod's end of a packet that belongs to no connection
	of       networkingv1.PolicyType
}

const (
	client = "ct original %s saddr"
	server = "ct reply %s saddr"
)

// Before the chains of kube-proxy at this hook (priority 0), which may accept.
var (
	egress  = direction{"egress", "-2", client, server, "%s saddr", networkingv1.PolicyTypeEgress}
	ingress = direction{"ingress", "-1", server, client, "%s daddr", networkingv1.PolicyTypeIngress}
)

// family is IPv4 or IPv6 as nft has it.
type family struct{ number, word, kind string }

var (
	ipv4     = family{"4", "ip", "ipv4_addr"}
	ipv6     = family{"6", "ip6", "ipv6_addr"}
	families = []family{ipv4, ipv6}
)

func familyOf(address netip.Addr) family {
	if address.Is4() {
		return ipv4
	}
	return ipv6
}

// end is one end of a connection in this family.
func (f family) end(format string) string { return fmt.Sprintf(format, f.word) }

// verdicts returns the name of the map from pods' addresses to verdicts.
func (d direction) verdicts(f family) string { return d.name + "-pods-" + f.number }

// addTo makes the chain at the hook. A pod that no policy selects is accepted by its verdict; one that is not
// known has none, and may be anything.
func (d direction) addTo(r *Ruleset, networks []netip.Prefix) {
	chain := &Chain{Priority: d.priority}
	for _, f := range families {
		r.verdicts(d.verdicts(f), f.kind, "")
		chain.Rules = append(chain.Rules,
			f.end(d.pod)+" vmap @"+d.verdicts(f),
			// The connection table has nothing about these: only a rule that allows everything can match.
			"ct state invalid "+f.end(d.packet)+" vmap @"+d.verdicts(f))
	}
	for _, network := range networks {
		chain.Rules = append(chain.Rules, familyOf(network.Addr()).end(d.pod)+" "+network.Masked().String()+" counter drop")
	}
	r.Chains[d.name] = chain
}

// selects says whether a policy isolates in this direction.
func (d direction) selects(spec *networkingv1.NetworkPolicySpec) bool {
	for _, of := range spec.PolicyTypes {
		if of == d.of {
			return true
		}
	}
	return len(spec.PolicyTypes) == 0 && (d.of == networkingv1.PolicyTypeIngress || len(spec.Egress) > 0)
}

// rule is a rule of a policy, for both directions.
type rule struct {
	peers []networkingv1.NetworkPolicyPeer
	ports []networkingv1.NetworkPolicyPort
}

func (d direction) rules(spec *networkingv1.NetworkPolicySpec) []rule {
	var all []rule
	if d.of == networkingv1.PolicyTypeIngress {
		for _, r := range spec.Ingress {
			all = append(all, rule{r.From, r.Ports})
		}
		return all
	}
	for _, r := range spec.Egress {
		all = append(all, rule{r.To, r.Ports})
	}
	return all
}
