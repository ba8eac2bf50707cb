package netpolicy

import (
	"net/netip"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// services is what kube-proxy would do: two Services, and packets of a pod to itself get the node's address.
const services = `
table ip services {
	chain prerouting {
		type nat hook prerouting priority dstnat
		ip daddr 10.43.0.1 tcp dport 8080 dnat to 10.42.0.17:80
		ip daddr 10.43.0.2 tcp dport 8080 dnat to 10.42.0.33:80
	}
	chain postrouting {
		type nat hook postrouting priority srcnat
		ip saddr 10.42.0.17 ip daddr 10.42.0.17 masquerade
	}
}
`

// Policies are asked about the pod behind the Service and its port; and nothing keeps a pod from itself.
func TestServicesAreTranslatedBeforePoliciesAreAsked(t *testing.T) {
	if !enterLab(t) {
		return
	}
	world := nine()
	l, e := build(t, world), enforcer(t)
	translate := exec.Command("nft", "-f", "-")
	translate.Stdin = strings.NewReader(services)
	must(t, translate.Run())
	client := &world.Pods[0]
	serve(t, l.pods[client], 80)
	serve(t, l.pods[&world.Pods[3]], 80)
	for _, c := range []struct {
		policies      string
		itself, other bool
	}{
		{"red/p: {podSelector: {}, policyTypes: [Ingress, Egress]}", true, false},
		{"red/p: {podSelector: {}, policyTypes: [Egress], egress: [{to: [{ipBlock: {cidr: 10.43.0.0/16}}]}]}", true, false},
		{"red/p: {podSelector: {}, policyTypes: [Egress], egress: [{ports: [{port: 8080}]}]}", true, false},
		{"red/p: {podSelector: {}, policyTypes: [Egress], egress: [{to: [{ipBlock: {cidr: 10.42.0.33/32}}], ports: [{port: 80}]}]}", true, true},
		{"green/p: {podSelector: {}, ingress: [{from: [{ipBlock: {cidr: 10.42.0.17/32}}], ports: [{port: 80}]}]}", true, true},
	} {
		world.Policies = nine(c.policies).Policies
		apply(t, e, world)
		for address, wanted := range map[string]bool{"10.43.0.1": c.itself, "10.43.0.2": c.other} {
			connection, err := dial(t, l.pods[client], netip.MustParseAddr(address), 8080, time.Second)
			if (err == nil) != wanted {
				t.Errorf("%s: %s: allowed %v, but %v", c.policies, address, wanted, err)
			}
			if err == nil {
				connection.Close()
			}
		}
	}
}
