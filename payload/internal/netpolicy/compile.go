package netpolicy

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strings"

	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
)

const (
	// longestName is how long names may be; nft's own limit is 255.
	longestName = 200
	// longestComment is nft's own limit.
	longestComment = 127
)

// compiler turns a world into rules.
type compiler struct {
	world *World
	out   *Ruleset
	pods  map[string][]*Pod // by namespace
}

// Compile returns the rules that enforce the policies of the world.
func Compile(world *World) *Ruleset {
	c := &compiler{world, newRuleset(), map[string][]*Pod{}}
	for i := range world.Pods {
		pod := &world.Pods[i]
		c.pods[pod.Namespace] = append(c.pods[pod.Namespace], pod)
	}
	for _, d := range []direction{egress, ingress} {
		d.addTo(c.out, world.Networks)
		c.isolate(d)
	}
	return c.out
}

// isolate gives each pod its verdict in one direction.
func (c *compiler) isolate(d direction) {
	chains := map[*Pod][]string{}
	for _, policy := range c.world.Policies {
		if !d.selects(&policy.Spec) {
			continue
		}
		selector, err := metav1.LabelSelectorAsSelector(&policy.Spec.PodSelector)
		if err != nil {
			continue
		}
		chain := ""
		for _, pod := range c.pods[policy.Namespace] {
			if !selector.Matches(pod.Labels) {
				continue
			}
			// A policy that selects nothing has no rules.
			if chain == "" {
				chain = c.policyChain(d, policy)
			}
			chains[pod] = append(chains[pod], chain)
		}
	}
	for i := range c.world.Pods {
		pod := &c.world.Pods[i]
		verdict := "accept"
		if selected := chains[pod]; len(selected) > 0 {
			verdict = "goto " + c.groupChain(d, selected)
			c.reachesItself(pod)
		}
		for _, address := range pod.Addresses {
			f := familyOf(address)
			c.out.verdicts(d.verdicts(f), f.kind, "").Elements[address.String()] = verdict
		}
	}
}

// policyChain makes the chain that accepts what one policy allows in one direction.
func (c *compiler) policyChain(d direction, policy *networkingv1.NetworkPolicy) string {
	name := shortened(d.name + "-" + policy.Namespace + "/" + policy.Name)
	chain := &Chain{}
	for _, r := range d.rules(&policy.Spec) {
		ports := c.portMatches(r.ports)
		for _, peer := range c.peerMatches(d, policy.Namespace, r.peers) {
			for _, port := range ports {
				if both, ok := peer.and(port); ok {
					chain.Rules = append(chain.Rules, both.text+"accept")
				}
			}
		}
	}
	c.out.Chains[name] = chain
	return name
}

// groupChain makes the chain of all pods that the same policies select: what none of them allows is dropped.
func (c *compiler) groupChain(d direction, policies []string) string {
	slices.Sort(policies)
	name := d.name + "-of-" + digest(policies...)
	if c.out.Chains[name] != nil {
		return name
	}
	chain := &Chain{}
	for _, policy := range policies {
		chain.Rules = append(chain.Rules, "jump "+policy)
	}
	for _, f := range families {
		c.itself(f)
		chain.Rules = append(chain.Rules, f.end(client)+" . "+f.end(server)+" @"+itselfName(f)+" accept")
	}
	chain.Rules = append(chain.Rules, "counter drop")
	c.out.Chains[name] = chain
	return name
}

// No pod can be cut off from itself; over a Service such a packet leaves it.
func (c *compiler) reachesItself(pod *Pod) {
	for _, address := range pod.Addresses {
		c.itself(familyOf(address)).Elements[address.String()+" . "+address.String()] = ""
	}
}

func (c *compiler) itself(f family) *Set {
	return c.out.set(itselfName(f), f.kind+" . "+f.kind, "pods and themselves")
}

func itselfName(f family) string { return "itself-" + f.number }

// podSets makes the sets of the addresses of a peer's pods and returns their name without the family's number.
// Peers that select the same share them.
func (c *compiler) podSets(namespace string, peer *networkingv1.NetworkPolicyPeer) (name string, ok bool) {
	everyPod, everywhere := labels.Everything(), labels.Everything()
	var err error
	if peer.PodSelector != nil {
		if everyPod, err = metav1.LabelSelectorAsSelector(peer.PodSelector); err != nil {
			return "", false
		}
	}
	where := "namespace " + namespace
	if peer.NamespaceSelector != nil {
		if everywhere, err = metav1.LabelSelectorAsSelector(peer.NamespaceSelector); err != nil {
			return "", false
		}
		where = "namespaces (" + everywhere.String() + ")"
	}
	what := where + ", pods (" + everyPod.String() + ")"
	name = "pods-" + digest(what) + "-"
	if c.out.Sets[name+ipv4.number] != nil {
		return name, true
	}
	for _, f := range families {
		c.out.set(name+f.number, f.kind, what[:min(len(what), longestComment)])
	}
	if peer.NamespaceSelector == nil {
		c.fill(name, namespace, everyPod)
		return name, true
	}
	for _, candidate := range sorted(c.world.Namespaces) {
		if everywhere.Matches(c.world.Namespaces[candidate]) {
			c.fill(name, candidate, everyPod)
		}
	}
	return name, true
}

func (c *compiler) fill(name, namespace string, selector labels.Selector) {
	for _, pod := range c.pods[namespace] {
		if selector.Matches(pod.Labels) {
			for _, address := range pod.Addresses {
				c.out.Sets[name+familyOf(address).number].Elements[address.String()] = ""
			}
		}
	}
}

// namedPorts makes the set of all addresses and ports that have this name.
func (c *compiler) namedPorts(f family, protocol, port string) string {
	name := "port-" + protocol + "-" + port + "-" + f.number
	if c.out.Sets[name] != nil {
		return name
	}
	set := c.out.set(name, f.kind+" . inet_service", "")
	for i := range c.world.Pods {
		pod := &c.world.Pods[i]
		for _, known := range pod.Ports {
			if known.Name != port || protocolWord(known.Protocol) != protocol {
				continue
			}
			for _, address := range pod.Addresses {
				if familyOf(address) == f {
					set.Elements[address.String()+" . "+portSpan{known.Number, known.Number}.String()] = ""
				}
			}
		}
	}
	return name
}

func shortened(name string) string {
	if len(name) <= longestName {
		return name
	}
	return name[:longestName-17] + "-" + digest(name)
}

// digest is short for a list of names.
func digest(names ...string) string {
	sum := sha256.Sum256([]byte(strings.Join(names, "\n")))
	return hex.EncodeToString(sum[:8])
}
