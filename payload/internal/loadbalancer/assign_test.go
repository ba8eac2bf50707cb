package loadbalancer

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

var address = netip.MustParseAddr("192.0.2.7")

// service is one of type LoadBalancer; age in minutes.
func service(name string, age int, ports ...int32) *corev1.Service {
	s := &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: "ns", Name: name,
			CreationTimestamp: metav1.NewTime(time.Unix(1e9, 0).Add(-time.Duration(age) * time.Minute)),
		},
		Spec: corev1.ServiceSpec{Type: corev1.ServiceTypeLoadBalancer, IPFamilies: []corev1.IPFamily{corev1.IPv4Protocol}},
	}
	for _, number := range ports {
		s.Spec.Ports = append(s.Spec.Ports, corev1.ServicePort{Port: number, Protocol: corev1.ProtocolTCP})
	}
	return s
}

func with(s *corev1.Service, change func(*corev1.Service)) *corev1.Service {
	change(s)
	return s
}

func has(s *corev1.Service) {
	s.Status.LoadBalancer.Ingress = []corev1.LoadBalancerIngress{{IP: address.String()}}
}

func TestEveryPortGoesToOneService(t *testing.T) {
	class := func(name string) func(*corev1.Service) {
		return func(s *corev1.Service) { s.Spec.LoadBalancerClass = &name }
	}
	for name, c := range map[string]struct {
		services []*corev1.Service
		busy     map[port]bool
		want     map[string]string // by the Service's name: "" or part of the reason
	}{
		"alone":                     {[]*corev1.Service{service("a", 0, 80, 443)}, nil, map[string]string{"a": ""}},
		"the older one":             {[]*corev1.Service{service("b", 0, 80), service("a", 1, 80)}, nil, map[string]string{"a": "", "b": "ns/a"}},
		"whoever has it":            {[]*corev1.Service{with(service("b", 0, 80), has), service("a", 1, 80)}, nil, map[string]string{"a": "ns/b", "b": ""}},
		"all ports or none":         {[]*corev1.Service{service("a", 1, 80), service("b", 0, 443, 80)}, nil, map[string]string{"a": "", "b": "80/TCP"}},
		"a refused one has none":    {[]*corev1.Service{service("a", 2, 80), service("b", 1, 80, 443), service("c", 0, 443)}, nil, map[string]string{"a": "", "b": "80/TCP", "c": ""}},
		"the API's port":            {[]*corev1.Service{service("a", 0, 6443)}, nil, map[string]string{"a": "API server"}},
		"kubelet's port":            {[]*corev1.Service{with(service("a", 0, 10250), has)}, nil, map[string]string{"a": "kubelet"}},
		"a program's port":          {[]*corev1.Service{service("a", 0, 22)}, map[port]bool{{"TCP", 22}: true}, map[string]string{"a": "a program"}},
		"another protocol":          {[]*corev1.Service{service("a", 0, 53)}, map[port]bool{{"UDP", 53}: true}, map[string]string{"a": ""}},
		"a program that came later": {[]*corev1.Service{with(service("a", 0, 22), has)}, map[port]bool{{"TCP", 22}: true}, map[string]string{"a": ""}},
		"a NodePort": {[]*corev1.Service{service("a", 0, 30080), with(service("n", 0, 80), func(s *corev1.Service) {
			s.Spec.Type, s.Spec.Ports[0].NodePort = corev1.ServiceTypeNodePort, 30080
		})}, nil, map[string]string{"a": "NodePort of Service ns/n"}},
		"our class":       {[]*corev1.Service{with(service("a", 0, 80), class(Class))}, nil, map[string]string{"a": ""}},
		"another class":   {[]*corev1.Service{with(service("a", 9, 80), class("example.com/x")), service("b", 0, 80)}, nil, map[string]string{"b": ""}},
		"another address": {[]*corev1.Service{with(service("a", 0, 80), func(s *corev1.Service) { s.Spec.LoadBalancerIP = "192.0.2.8" })}, nil, map[string]string{"a": "192.0.2.8"}},
		"IPv6":            {[]*corev1.Service{with(service("a", 0, 80), func(s *corev1.Service) { s.Spec.IPFamilies = []corev1.IPFamily{corev1.IPv6Protocol} })}, nil, map[string]string{"a": "family"}},
		"on its way out":  {[]*corev1.Service{with(service("a", 9, 80), func(s *corev1.Service) { s.DeletionTimestamp = &metav1.Time{} }), service("b", 0, 80)}, nil, map[string]string{"b": ""}},
	} {
		got := map[string]string{}
		for _, v := range assign(c.services, address, c.busy) {
			got[v.service.Name] = v.refused
		}
		if len(got) != len(c.want) {
			t.Errorf("%s: decided about %v", name, got)
		}
		for service, want := range c.want {
			if (want == "") != (got[service] == "") || !strings.Contains(got[service], want) {
				t.Errorf("%s: %s: %q, want %q", name, service, got[service], want)
			}
		}
	}
}
