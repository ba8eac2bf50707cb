// Package loadbalancer gives Services of type LoadBalancer the node's address. kube-proxy does the rest.
package loadbalancer

import (
	"cmp"
	"fmt"
	"maps"
	"net/netip"
	"slices"

	corev1 "k8s.io/api/core/v1"
)

// Class is the loadBalancerClass of Services that want this and no other load balancer; those without a class get it
// too.
const Class = "kubesolo.io/node"

// verdict is what a Service gets: the node's address, or the reason why not.
type verdict struct {
	service *corev1.Service
	refused string
}

// assign decides for all Services at once. Each port of the node goes to one Service: to the one that has it already,
// else to the oldest. busy are the ports of programs on the node: whoever has the address already keeps it when one
// of them starts later.
func assign(services []*corev1.Service, address netip.Addr, busy map[port]bool) []verdict {
	owners := maps.Clone(reserved)
	for _, s := range services {
		for _, p := range s.Spec.Ports {
			if p.NodePort != 0 {
				owners[port{p.Protocol, p.NodePort}] = "a NodePort of Service " + name(s)
			}
		}
	}
	var mine []*corev1.Service
	for _, s := range services {
		if ours(s) {
			mine = append(mine, s)
		}
	}
	slices.SortFunc(mine, func(a, b *corev1.Service) int {
		return cmp.Or(
			-cmp.Compare(len(a.Status.LoadBalancer.Ingress), len(b.Status.LoadBalancer.Ingress)),
			a.CreationTimestamp.Compare(b.CreationTimestamp.Time),
			cmp.Compare(name(a), name(b)),
		)
	})
	verdicts := make([]verdict, 0, len(mine))
	for _, s := range mine {
		refused := reason(s, address, owners, busy)
		if refused == "" {
			for _, p := range s.Spec.Ports {
				owners[port{p.Protocol, p.Port}] = "Service " + name(s)
			}
		}
		verdicts = append(verdicts, verdict{s, refused})
	}
	return verdicts
}

// ours says whether a Service asks for this load balancer.
func ours(s *corev1.Service) bool {
	return s.Spec.Type == corev1.ServiceTypeLoadBalancer && s.DeletionTimestamp == nil &&
		(s.Spec.LoadBalancerClass == nil || *s.Spec.LoadBalancerClass == Class)
}

// reason says why a Service can not have the address, "" if it can.
func reason(s *corev1.Service, address netip.Addr, owners map[port]string, busy map[port]bool) string {
	if wanted := s.Spec.LoadBalancerIP; wanted != "" && wanted != address.String() {
		return fmt.Sprintf("the node has the address %s, not %s", address, wanted)
	}
	if families := s.Spec.IPFamilies; len(families) > 0 && !slices.Contains(families, family(address)) {
		return fmt.Sprintf("the node's address is %s, of another family than the Service's", address)
	}
	isNew := len(s.Status.LoadBalancer.Ingress) == 0
	for _, p := range s.Spec.Ports {
		wanted := port{p.Protocol, p.Port}
		if owner := owners[wanted]; owner != "" {
			return fmt.Sprintf("port %s of the node is taken by %s", wanted, owner)
		}
		if isNew && busy[wanted] {
			return fmt.Sprintf("port %s of the node is taken by a program that runs there", wanted)
		}
	}
	return ""
}

func family(address netip.Addr) corev1.IPFamily {
	if address.Is4() {
		return corev1.IPv4Protocol
	}
	return corev1.IPv6Protocol
}

func name(s *corev1.Service) string { return s.Namespace + "/" + s.Name }
