package netpolicy

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/vishvananda/netns"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/labels"
)

var ports = []int32{80, 81}

// truths are policies under which every client is tried against every server.
var truths = []struct {
	name     string
	policies []string
}{
	{"no policy", nil},
	{"deny all ingress of one namespace", []string{"red/deny: {podSelector: {}}"}},
	{"deny all egress of one namespace", []string{"red/deny: {podSelector: {}, policyTypes: [Egress]}"}},
	{"deny everything everywhere", []string{
		"red/deny: {podSelector: {}, policyTypes: [Ingress, Egress]}", "green/deny: {podSelector: {}, policyTypes: [Ingress, Egress]}",
		"blue/deny: {podSelector: {}, policyTypes: [Ingress, Egress]}",
	}},
	{"from pods of the namespace", []string{"red/p: {podSelector: {matchLabels: {pod: a}}, ingress: [{from: [{podSelector: {matchLabels: {pod: b}}}]}]}"}},
	{"from namespaces", []string{"red/p: {podSelector: {}, ingress: [{from: [{namespaceSelector: {matchLabels: {ns: green}}}]}]}"}},
	{"from pods of namespaces, or those of others", []string{
		"red/p: {podSelector: {}, ingress: [{from: [{namespaceSelector: {matchLabels: {ns: green}}, podSelector: {matchLabels: {pod: b}}}, {namespaceSelector: {matchLabels: {ns: blue}}}]}]}",
	}},
	{"to pods of namespaces at a port", []string{
		"red/p: {podSelector: {matchLabels: {pod: a}}, policyTypes: [Egress], egress: [{to: [{namespaceSelector: {}, podSelector: {matchLabels: {pod: b}}}], ports: [{port: 80}]}]}",
	}},
	{"a port by its name, in both directions", []string{
		"red/in: {podSelector: {}, ingress: [{ports: [{port: web}]}]}",
		"green/out: {podSelector: {}, policyTypes: [Egress], egress: [{ports: [{port: web}]}]}",
	}},
	{"a range of ports", []string{"red/p: {podSelector: {}, ingress: [{ports: [{port: 81, endPort: 90}]}]}"}},
	{"another protocol", []string{"red/p: {podSelector: {}, ingress: [{ports: [{protocol: UDP, port: 80}]}]}"}},
	{"from a block less a part, IPv4", []string{
		"red/p: {podSelector: {}, ingress: [{from: [{ipBlock: {cidr: 10.42.0.0/16, except: [10.42.0.32/28]}}]}]}",
	}},
	{"from outside, both families", []string{
		"red/p: {podSelector: {}, ingress: [{from: [{ipBlock: {cidr: 192.0.2.0/24}}, {ipBlock: {cidr: 'fd99::/64'}}]}]}",
	}},
	{"to everything but a part", []string{
		"red/p: {podSelector: {}, policyTypes: [Egress], egress: [{to: [{ipBlock: {cidr: 0.0.0.0/0, except: [10.42.0.48/28]}}, {ipBlock: {cidr: '::/0', except: ['fd42::30/124']}}]}]}",
	}},
	{"policies add up", []string{
		"red/deny: {podSelector: {}}", "red/b: {podSelector: {matchLabels: {pod: b}}, ingress: [{from: [{namespaceSelector: {matchLabels: {ns: blue}}}]}]}",
		"red/port: {podSelector: {}, ingress: [{ports: [{port: 81}]}]}",
	}},
	{"both ends must agree", []string{
		"red/out: {podSelector: {}, policyTypes: [Egress], egress: [{to: [{namespaceSelector: {matchLabels: {ns: green}}}]}]}",
		"green/in: {podSelector: {matchLabels: {pod: a}}, ingress: [{from: [{podSelector: {}}]}]}",
	}},
}

func enforcer(t *testing.T) *Enforcer {
	t.Helper()
	nft, err := Open()
	must(t, err)
	return NewEnforcer(nft)
}

func apply(t *testing.T, e *Enforcer, world *World) (int, time.Duration) {
	t.Helper()
	started := time.Now()
	operations, err := e.Apply(context.Background(), Compile(world))
	must(t, err)
	return operations, time.Since(started)
}

// try has every client ask every server at once, and compares with what is allowed.
func (l *lab) try(t *testing.T, world *World) (tried int) {
	t.Helper()
	var all sync.WaitGroup
	for _, a := range l.attempts(world) {
		tried++
		wanted, place := allowed(world, a), l.outside
		if a.from != nil {
			place = l.pods[a.from]
		}
		all.Go(func() { l.check(t, a, place, wanted) })
	}
	all.Wait()
	return tried
}

func (l *lab) check(t *testing.T, a attempt, place netns.NsHandle, wanted bool) {
	patience := 400 * time.Millisecond
	if wanted {
		patience = 10 * time.Second
	}
	connection, err := dial(t, place, a.address, a.port, patience)
	if err == nil {
		connection.Close()
	}
	if (err == nil) != wanted {
		t.Errorf("from %s to %s, %s port %d: allowed %v, but %v", name(a.from), name(a.to), a.address, a.port, wanted, err)
	}
}

func (l *lab) attempts(world *World) []attempt {
	var all []attempt
	clients := []*Pod{nil}
	for i := range world.Pods {
		clients = append(clients, &world.Pods[i])
	}
	for _, from := range clients {
		for i := range world.Pods {
			for f, address := range world.Pods[i].Addresses {
				for _, port := range ports {
					a := attempt{from, &world.Pods[i], outsideAddresses[f], address, corev1.ProtocolTCP, port}
					if from != nil {
						a.fromAddress = from.Addresses[f]
					}
					all = append(all, a)
				}
			}
		}
	}
	return all
}

func name(pod *Pod) string {
	if pod == nil {
		return "outside"
	}
	return pod.Namespace + "/" + pod.Name
}

// The rules change from truth to truth, as on a node: what is left of the one before would show.
func TestTheKernelDoesWhatKubernetesSays(t *testing.T) {
	if !enterLab(t) {
		return
	}
	world := nine()
	l, e := build(t, world), enforcer(t)
	for _, place := range l.pods {
		for _, port := range ports {
			serve(t, place, port)
		}
	}
	total := 0
	for _, truth := range truths {
		world.Policies = nine(truth.policies...).Policies
		operations, took := apply(t, e, world)
		tried := l.try(t, world)
		total += tried
		t.Logf("%s: %d connections, %d operations in %v", truth.name, tried, operations, took.Round(time.Millisecond))
	}
	t.Logf("%d connections", total)
}

var asked int

// answers says whether a connection carries what is sent, and back, within a second. Answers to what was asked before
// may come first.
func answers(connection net.Conn) bool {
	asked++
	question := fmt.Sprintf("<%d>", asked)
	_ = connection.SetDeadline(time.Now().Add(time.Second))
	if _, err := connection.Write([]byte(question)); err != nil {
		return false
	}
	answer, buffer := "", make([]byte, 64)
	for !strings.Contains(answer, question) {
		n, err := connection.Read(buffer)
		if err != nil {
			return false
		}
		answer += string(buffer[:n])
	}
	return true
}

func TestAnOpenConnectionIsCutAndGoesOn(t *testing.T) {
	if !enterLab(t) {
		return
	}
	world := nine()
	l, e := build(t, world), enforcer(t)
	from, to := &world.Pods[3], &world.Pods[0]
	serve(t, l.pods[to], 80)
	apply(t, e, world)
	for f := range families {
		connection, err := dial(t, l.pods[from], to.Addresses[f], 80, 5*time.Second)
		must(t, err)
		if !answers(connection) {
			t.Fatal("nothing passes without a policy")
		}
		for _, text := range []string{"red/in: {podSelector: {}}", "green/out: {podSelector: {}, policyTypes: [Egress]}"} {
			world.Policies = nine(text).Policies
			apply(t, e, world)
			if answers(connection) {
				t.Errorf("%s: the connection goes on", text)
			}
			world.Policies = nil
			apply(t, e, world)
			if !answersSoon(connection) {
				t.Errorf("%s: the connection does not go on when it is gone", text)
			}
		}
	}
}

// answersSoon waits for what was sent in vain: TCP sends it again, after longer and longer.
func answersSoon(connection net.Conn) bool {
	for range 10 {
		if answers(connection) {
			return true
		}
	}
	return false
}

func TestAPodThatIsNotKnownYetIsCutOff(t *testing.T) {
	if !enterLab(t) {
		return
	}
	world := nine("red/p: {podSelector: {}}")
	l, e := build(t, world), enforcer(t)
	serve(t, l.pods[&world.Pods[3]], 80)
	known := *world
	known.Pods = world.Pods[:8]
	place, to := l.pods[&world.Pods[8]], world.Pods[3].Addresses[0]
	apply(t, e, &known)
	if connection, err := dial(t, place, to, 80, time.Second); err == nil {
		connection.Close()
		t.Error("it reaches another one")
	}
	apply(t, e, world)
	connection, err := dial(t, place, to, 80, 5*time.Second)
	must(t, err)
	connection.Close()
}

// many is a world of n pods and n policies, each of which selects a pod and has another one as its peer.
func many(n int) *World {
	world := &World{Namespaces: map[string]labels.Set{}, Networks: []netip.Prefix{netip.MustParsePrefix("10.42.0.0/16")}}
	for i := range n {
		namespace := fmt.Sprintf("ns%d", i%10)
		world.Namespaces[namespace] = labels.Set{"ns": namespace}
		world.Pods = append(world.Pods, Pod{
			Namespace: namespace, Name: fmt.Sprint(i), Labels: labels.Set{"app": fmt.Sprint(i), "all": "yes"},
			Addresses: []netip.Addr{netip.AddrFrom4([4]byte{10, 42, byte(1 + i/200), byte(1 + i%200)})},
		})
		world.Policies = append(world.Policies, policy(fmt.Sprintf(
			"%s/p%d: {podSelector: {matchLabels: {app: '%d'}}, policyTypes: [Ingress, Egress], "+
				"ingress: [{from: [{podSelector: {matchLabels: {app: '%d'}}}], ports: [{port: 80}]}], "+
				"egress: [{to: [{namespaceSelector: {}, podSelector: {matchLabels: {all: 'yes'}}}]}]}",
			namespace, i, i, (i+10)%n)))
	}
	return world
}

func TestFiveHundredPoliciesChangeWithinASecond(t *testing.T) {
	if !enterLab(t) {
		return
	}
	world, e := many(500), enforcer(t)
	operations, took := apply(t, e, world)
	t.Logf("all of it: %d operations, %v", operations, took)
	fewer := *world
	fewer.Pods = world.Pods[:499]
	changed := *world
	changed.Policies = append([]*networkingv1.NetworkPolicy{policy("ns0/p0: {podSelector: {matchLabels: {app: '0'}}}")}, world.Policies[1:]...)
	for _, next := range []struct {
		what  string
		world *World
	}{{"one pod less", &fewer}, {"it comes back", world}, {"one policy changed", &changed}} {
		operations, took := apply(t, e, next.world)
		t.Logf("%s: %d operations, %v", next.what, operations, took)
		if took > time.Second {
			t.Errorf("%s: %v", next.what, took)
		}
	}
}
