// Package netpolicy enforces the cluster's NetworkPolicies (networking.k8s.io/v1) with nftables: a table of its own,
// compiled from what the API knows and changed by the difference to what the kernel has.
//
// A connection is judged by the addresses and the port that the connection table has for it, not by those of the
// packet: they are the client's and, Services being translated before, those of the pod that serves. All packets of
// a connection, replies and errors included, so get the same verdict, and a verdict that changes counts from the
// next packet on, for connections that are open as well.
package netpolicy

import (
	"net/netip"
	"slices"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/labels"
)

// World is what the rules follow from.
type World struct {
	Namespaces map[string]labels.Set // labels of each namespace, by its name
	Pods       []Pod
	Policies   []*networkingv1.NetworkPolicy
	// Networks are those that pods get their addresses from: an address in one that no pod of Pods has is cut off,
	// as its pod is yet to be known.
	Networks []netip.Prefix
}

// Pod is what policies know a pod by.
type Pod struct {
	Namespace, Name string
	Labels          labels.Set
	Addresses       []netip.Addr
	Ports           []NamedPort
}

// NamedPort is a port of a container that policies may call by its name.
type NamedPort struct {
	Name     string
	Protocol corev1.Protocol
	Number   int32
}

// NewPod returns a pod as policies know it; early are its addresses if they are known from elsewhere than the API,
// which may not have them yet, or those of a sandbox that has died. ok is false for pods that have no address of their
// own: on the node's network, before they have one, and when they have ended, as it may be another one's by then.
func NewPod(pod *corev1.Pod, early []netip.Addr) (known Pod, ok bool) {
	ended := pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed
	if pod.Spec.HostNetwork || ended {
		return Pod{}, false
	}
	known = Pod{Namespace: pod.Namespace, Name: pod.Name, Labels: pod.Labels, Ports: namedPorts(pod)}
	if known.Addresses = early; len(early) > 0 {
		return known, true
	}
	for _, reported := range pod.Status.PodIPs {
		if address, err := netip.ParseAddr(reported.IP); err == nil {
			known.Addresses = append(known.Addresses, address.Unmap())
		}
	}
	return known, len(known.Addresses) > 0
}

func namedPorts(pod *corev1.Pod) []NamedPort {
	var all []NamedPort
	for _, container := range slices.Concat(pod.Spec.InitContainers, pod.Spec.Containers) {
		for _, port := range container.Ports {
			if port.Name != "" {
				all = append(all, NamedPort{port.Name, protocolOf(&port.Protocol), port.ContainerPort})
			}
		}
	}
	return all
}

// protocolOf returns TCP for what does not say.
func protocolOf(protocol *corev1.Protocol) corev1.Protocol {
	if protocol == nil || *protocol == "" {
		return corev1.ProtocolTCP
	}
	return *protocol
}
