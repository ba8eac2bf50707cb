package netpolicy

import (
	"net/netip"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// attempt is a connection that somebody asks for. A pod is nil for who is outside the cluster.
type attempt struct {
	from, to             *Pod
	fromAddress, address netip.Addr
	protocol             corev1.Protocol
	port                 int32
}

// allowed says what Kubernetes' documentation says about an attempt, in its own order and words; nothing here is
// shared with the compiler.
func allowed(world *World, a attempt) bool {
	if a.from == a.to {
		return true
	}
	return passes(world, a, networkingv1.PolicyTypeEgress) && passes(world, a, networkingv1.PolicyTypeIngress)
}

func passes(world *World, a attempt, of networkingv1.PolicyType) bool {
	self, peer, peerAddress := a.to, a.from, a.fromAddress
	if of == networkingv1.PolicyTypeEgress {
		self, peer, peerAddress = a.from, a.to, a.address
	}
	if self == nil {
		return true
	}
	isolated := false
	for _, p := range world.Policies {
		if p.Namespace != self.Namespace || !fits(&p.Spec.PodSelector, self.Labels) || !isOf(&p.Spec, of) {
			continue
		}
		isolated = true
		if of == networkingv1.PolicyTypeIngress {
			for _, r := range p.Spec.Ingress {
				if isPeer(world, p.Namespace, r.From, peer, peerAddress) && isPort(r.Ports, a) {
					return true
				}
			}
			continue
		}
		for _, r := range p.Spec.Egress {
			if isPeer(world, p.Namespace, r.To, peer, peerAddress) && isPort(r.Ports, a) {
				return true
			}
		}
	}
	return !isolated
}

func isOf(spec *networkingv1.NetworkPolicySpec, of networkingv1.PolicyType) bool {
	for _, written := range spec.PolicyTypes {
		if written == of {
			return true
		}
	}
	return len(spec.PolicyTypes) == 0 && (of == networkingv1.PolicyTypeIngress || spec.Egress != nil)
}

func isPeer(world *World, namespace string, peers []networkingv1.NetworkPolicyPeer, pod *Pod, address netip.Addr) bool {
	for _, p := range peers {
		switch {
		case p.IPBlock != nil:
			inside := netip.MustParsePrefix(p.IPBlock.CIDR).Contains(address)
			for _, except := range p.IPBlock.Except {
				inside = inside && !netip.MustParsePrefix(except).Contains(address)
			}
			if inside {
				return true
			}
		case pod == nil:
		case p.NamespaceSelector == nil:
			if pod.Namespace == namespace && fits(p.PodSelector, pod.Labels) {
				return true
			}
		default:
			if fits(p.NamespaceSelector, world.Namespaces[pod.Namespace]) && (p.PodSelector == nil || fits(p.PodSelector, pod.Labels)) {
				return true
			}
		}
	}
	return len(peers) == 0
}

func isPort(ports []networkingv1.NetworkPolicyPort, a attempt) bool {
	for _, p := range ports {
		protocol := corev1.ProtocolTCP
		if p.Protocol != nil {
			protocol = *p.Protocol
		}
		if protocol != a.protocol {
			continue
		}
		switch {
		case p.Port == nil:
			return true
		case p.Port.Type == intstr.String:
			for _, named := range a.to.Ports {
				if named.Name == p.Port.StrVal && named.Protocol == protocol && named.Number == a.port {
					return true
				}
			}
		case p.EndPort != nil:
			if p.Port.IntVal <= a.port && a.port <= *p.EndPort {
				return true
			}
		case p.Port.IntVal == a.port:
			return true
		}
	}
	return len(ports) == 0
}

func fits(selector *metav1.LabelSelector, set labels.Set) bool {
	s, err := metav1.LabelSelectorAsSelector(selector)
	return err == nil && s.Matches(set)
}
