package netpolicy

import (
	"net/netip"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"sigs.k8s.io/knftables"
	"sigs.k8s.io/yaml"
)

// nine is a world of three namespaces with three pods each, the same for tests with and without a kernel.
func nine(policies ...string) *World {
	world := &World{Namespaces: map[string]labels.Set{}, Networks: []netip.Prefix{
		netip.MustParsePrefix("10.42.0.0/16"), netip.MustParsePrefix("fd42::/64"),
	}}
	for n, namespace := range []string{"red", "green", "blue"} {
		world.Namespaces[namespace] = labels.Set{"ns": namespace}
		for p, pod := range []string{"a", "b", "c"} {
			// The name stands for a number that differs.
			web := int32(80)
			if pod == "b" {
				web = 81
			}
			world.Pods = append(world.Pods, Pod{
				Namespace: namespace, Name: pod, Labels: labels.Set{"pod": pod}, Addresses: addressesOf(n, p),
				Ports: []NamedPort{{"web", corev1.ProtocolTCP, web}},
			})
		}
	}
	for _, text := range policies {
		world.Policies = append(world.Policies, policy(text))
	}
	return world
}

func addressesOf(namespace, pod int) []netip.Addr {
	host := byte(16*(namespace+1) + pod + 1)
	six := netip.MustParseAddr("fd42::").As16()
	six[15] = host
	return []netip.Addr{netip.AddrFrom4([4]byte{10, 42, 0, host}), netip.AddrFrom16(six)}
}

// policy reads "namespace/name: spec".
func policy(text string) *networkingv1.NetworkPolicy {
	head, spec, _ := strings.Cut(text, ":")
	namespace, name, _ := strings.Cut(strings.TrimSpace(head), "/")
	p := &networkingv1.NetworkPolicy{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}}
	if err := yaml.UnmarshalStrict([]byte(spec), &p.Spec); err != nil {
		panic(err)
	}
	return p
}

func rulesOf(t *testing.T, chain string, policies ...string) string {
	t.Helper()
	found := Compile(nine(policies...)).Chains[chain]
	if found == nil {
		t.Fatalf("there is no chain %s", chain)
	}
	return strings.Join(found.Rules, "\n")
}

func TestRulesOfAPolicy(t *testing.T) {
	for name, c := range map[string]struct{ spec, chain, wanted string }{
		"deny all":  {"red/p: {podSelector: {}}", "ingress-red/p", ""},
		"allow all": {"red/p: {podSelector: {}, ingress: [{}]}", "ingress-red/p", "accept"},
		"numbers, ranges and protocols": {
			"red/p: {podSelector: {}, ingress: [{ports: [{port: 80}, {port: 85, endPort: 90}, {port: 81}, {protocol: UDP, port: 53}, {protocol: SCTP}]}]}",
			"ingress-red/p",
			"ct protocol sctp accept\nct protocol tcp ct reply proto-src { 80-81, 85-90 } accept\nct protocol udp ct reply proto-src { 53 } accept",
		},
		"a name": {
			"red/p: {podSelector: {}, ingress: [{ports: [{port: web}]}]}", "ingress-red/p",
			"ct protocol tcp ct reply ip saddr . ct reply proto-src @port-tcp-web-4 accept\n" +
				"ct protocol tcp ct reply ip6 saddr . ct reply proto-src @port-tcp-web-6 accept",
		},
		"a block without parts": {
			"red/p: {podSelector: {}, policyTypes: [Egress], egress: [{to: [{ipBlock: {cidr: 10.0.0.0/8, except: [10.0.0.0/16, 10.42.0.17/32]}}]}]}", "egress-red/p",
			"ct reply ip saddr { 10.1.0.0-10.42.0.16, 10.42.0.18-10.255.255.255 } accept",
		},
		"a block that is all exception": {
			"red/p: {podSelector: {}, ingress: [{from: [{ipBlock: {cidr: 10.0.0.0/8, except: [10.0.0.0/8]}}]}]}", "ingress-red/p", "",
		},
		"a block with an exception that can not be read": {
			"red/p: {podSelector: {}, ingress: [{from: [{ipBlock: {cidr: 10.0.0.0/8, except: [10.0.0.0]}}]}]}", "ingress-red/p", "",
		},
		"a block of the other family and a name": {
			"red/p: {podSelector: {}, ingress: [{from: [{ipBlock: {cidr: 'fd42::/64'}}], ports: [{port: web}]}]}", "ingress-red/p",
			"ct original ip6 saddr { fd42::-fd42::ffff:ffff:ffff:ffff } ct protocol tcp ct reply ip6 saddr . ct reply proto-src @port-tcp-web-6 accept",
		},
	} {
		if got := rulesOf(t, c.chain, c.spec); got != c.wanted {
			t.Errorf("%s:\n%s\nwanted\n%s", name, got, c.wanted)
		}
	}
}

func elementsOf(set *Set) string { return strings.Join(sorted(set.Elements), " ") }

func TestPeersAreSetsThatPoliciesShare(t *testing.T) {
	peer := "{podSelector: {}, ingress: [{from: [{podSelector: {matchLabels: {pod: a}}, namespaceSelector: {matchExpressions: [{key: ns, operator: In, values: [green, blue]}]}}]}]}"
	rules := Compile(nine("red/p: "+peer, "green/q: "+peer))
	var names []string
	for name := range rules.Sets {
		if strings.HasPrefix(name, "pods-") && strings.HasSuffix(name, "-4") {
			names = append(names, name)
		}
	}
	if len(names) != 1 {
		t.Fatalf("sets: %v", names)
	}
	if got := elementsOf(rules.Sets[names[0]]); got != "10.42.0.33 10.42.0.49" {
		t.Errorf("elements: %s", got)
	}
}

func TestOnlySelectedPodsAreIsolatedAndOnlyInTheDirection(t *testing.T) {
	rules := Compile(nine("red/p: {podSelector: {matchLabels: {pod: a}}}"))
	in, out := rules.Sets["ingress-pods-4"].Elements, rules.Sets["egress-pods-4"].Elements
	if !strings.HasPrefix(in["10.42.0.17"], "goto ingress-of-") || in["10.42.0.18"] != "accept" || out["10.42.0.17"] != "accept" {
		t.Errorf("verdicts: %v, %v", in, out)
	}
}

func TestATypeThatIsNotWrittenFollowsFromTheRules(t *testing.T) {
	rules := Compile(nine("red/p: {podSelector: {matchLabels: {pod: a}}, egress: [{}]}"))
	for _, d := range []direction{ingress, egress} {
		if verdict := rules.Sets[d.verdicts(ipv4)].Elements["10.42.0.17"]; !strings.HasPrefix(verdict, "goto ") {
			t.Errorf("%s: %s", d.name, verdict)
		}
	}
}

// changed returns the transaction from one world to another.
func changed(has, wanted *World) string {
	tx := knftables.NewFake(knftables.InetFamily, Table).NewTransaction()
	addChanges(tx, Compile(has), Compile(wanted))
	return tx.String()
}

func TestANewPodIsAFewElements(t *testing.T) {
	text := "red/p: {podSelector: {}, ingress: [{from: [{podSelector: {matchLabels: {pod: a}}}]}]}"
	has, wanted := nine(text), nine(text)
	has.Pods = has.Pods[1:]
	got := changed(has, wanted)
	// Per family: its verdicts in two directions, its place among the peers, and itself.
	if n := strings.Count(got, "\n"); n != 8 || strings.Count(got, "add element") != 8 {
		t.Errorf("%d lines:\n%s", n, got)
	}
}

func TestNothingChangesWhenNothingChanges(t *testing.T) {
	text := "red/p: {podSelector: {}, ingress: [{from: [{podSelector: {matchLabels: {pod: a}}}]}]}"
	if got := changed(nine(text), nine(text)); got != "" {
		t.Errorf("changes:\n%s", got)
	}
}

func TestAChangeTouchesItsOwnPolicyAlone(t *testing.T) {
	other := "green/q: {podSelector: {}, ingress: [{ports: [{port: 80}]}]}"
	got := changed(
		nine(other, "red/p: {podSelector: {}, ingress: [{ports: [{port: 80}]}]}"),
		nine(other, "red/p: {podSelector: {}, ingress: [{ports: [{port: 81}]}]}"))
	wanted := "flush chain inet kubesolo-netpolicy ingress-red/p\n" +
		"add rule inet kubesolo-netpolicy ingress-red/p ct protocol tcp ct reply proto-src { 81 } accept\n"
	if got != wanted {
		t.Errorf("changes:\n%s", got)
	}
}

func TestPodsWithoutAnAddressOfTheirOwnAreNotKnown(t *testing.T) {
	ip := []corev1.PodIP{{IP: "10.42.0.5"}}
	for name, pod := range map[string]*corev1.Pod{
		"on the node's network": {Spec: corev1.PodSpec{HostNetwork: true}, Status: corev1.PodStatus{PodIPs: ip}},
		"ended":                 {Status: corev1.PodStatus{Phase: corev1.PodSucceeded, PodIPs: ip}},
		"without address":       {},
	} {
		if _, ok := NewPod(pod, nil); ok {
			t.Errorf("%s: known", name)
		}
	}
	if pod, ok := NewPod(&corev1.Pod{Status: corev1.PodStatus{PodIPs: ip}}, nil); !ok || len(pod.Addresses) != 1 {
		t.Errorf("an ordinary pod: %v, %v", pod, ok)
	}
}

func TestNamesOfPortsMeanWhatEachPodSays(t *testing.T) {
	rules := Compile(nine("red/p: {podSelector: {}, ingress: [{ports: [{port: web}]}]}"))
	got := elementsOf(rules.Sets["port-tcp-web-4"])
	if !strings.Contains(got, "10.42.0.17 . 80") || !strings.Contains(got, "10.42.0.18 . 81") {
		t.Errorf("elements: %s", got)
	}
}

func TestTheLongestNamesFit(t *testing.T) {
	long := policy("red/p: {podSelector: {}}")
	long.Name = strings.Repeat("n", 253)
	world := nine()
	world.Policies = append(world.Policies, long)
	for name := range Compile(world).Chains {
		if len(name) > 255 {
			t.Errorf("%d characters: %s", len(name), name)
		}
	}
}
