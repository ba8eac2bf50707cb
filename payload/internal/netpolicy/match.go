package netpolicy

import (
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// match is the start of an nft rule. An empty family number matches both.
type match struct {
	family string
	text   string
}

// and returns the match of both, ok false when their families exclude each other.
func (m match) and(other match) (both match, ok bool) {
	if m.family != "" && other.family != "" && m.family != other.family {
		return match{}, false
	}
	return match{m.family + cut(other.family, m.family), m.text + other.text}, true
}

// cut is text, unless it is there already.
func cut(text, there string) string {
	if there != "" {
		return ""
	}
	return text
}

// peerMatches returns one match for each way in which a connection's other end can be one of the peers.
func (c *compiler) peerMatches(d direction, namespace string, peers []networkingv1.NetworkPolicyPeer) []match {
	if len(peers) == 0 {
		return []match{{}}
	}
	var all []match
	for i := range peers {
		peer := &peers[i]
		if peer.IPBlock != nil {
			all = append(all, c.blockMatches(d, peer.IPBlock)...)
			continue
		}
		name, ok := c.podSets(namespace, peer)
		if !ok {
			continue
		}
		for _, f := range families {
			all = append(all, match{f.number, f.end(d.peer) + " @" + name + f.number + " "})
		}
	}
	return all
}

func (c *compiler) blockMatches(d direction, block *networkingv1.IPBlock) []match {
	spans, is6, err := blockSpans(block)
	if err != nil || len(spans) == 0 {
		return nil
	}
	f := ipv4
	if is6 {
		f = ipv6
	}
	return []match{{f.number, f.end(d.peer) + " " + anyOf(spans) + " "}}
}

// portMatches returns one match for each way in which a connection's port can be one of the ports.
func (c *compiler) portMatches(ports []networkingv1.NetworkPolicyPort) []match {
	if len(ports) == 0 {
		return []match{{}}
	}
	var all []match
	numbers := map[string][]portSpan{}
	for i := range ports {
		port, protocol := &ports[i], protocolWord(protocolOf(ports[i].Protocol))
		switch {
		case protocol == "":
		case port.Port == nil:
			all = append(all, match{"", "ct protocol " + protocol + " "})
		case port.Port.Type == intstr.String:
			all = append(all, c.namedMatches(protocol, port.Port.StrVal)...)
		default:
			s := portSpan{port.Port.IntVal, port.Port.IntVal}
			if port.EndPort != nil {
				s.last = max(s.first, *port.EndPort)
			}
			numbers[protocol] = append(numbers[protocol], s)
		}
	}
	for _, protocol := range sorted(numbers) {
		all = append(all, match{"", "ct protocol " + protocol + " ct reply proto-src " + anyOf(mergePorts(numbers[protocol])) + " "})
	}
	return all
}

// namedMatches matches a port by its name: what number that is, each pod says for itself.
func (c *compiler) namedMatches(protocol, name string) []match {
	var all []match
	for _, f := range families {
		set := c.namedPorts(f, protocol, name)
		all = append(all, match{f.number, "ct protocol " + protocol + " " + f.end(server) + " . ct reply proto-src @" + set + " "})
	}
	return all
}

// protocolWord is a protocol as nft calls it, "" for what it can not be.
func protocolWord(protocol corev1.Protocol) string {
	switch protocol {
	case corev1.ProtocolTCP:
		return "tcp"
	case corev1.ProtocolUDP:
		return "udp"
	case corev1.ProtocolSCTP:
		return "sctp"
	}
	return ""
}
