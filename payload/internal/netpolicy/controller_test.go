package netpolicy

import (
	"context"
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/fake"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
	"sigs.k8s.io/knftables"
)

var testNetworks = []netip.Prefix{netip.MustParsePrefix("10.42.0.0/16")}

// eventually waits for what a goroutine brings about.
func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !is(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("never: %s", what)
		}
	}
}

func livingPod() *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "a", Namespace: "red", UID: "uid-a"},
		Status:     corev1.PodStatus{Phase: corev1.PodRunning, PodIPs: []corev1.PodIP{{IP: "10.42.0.5"}}},
	}
}

func run(t *testing.T, c *Controller) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- c.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

func TestTheTableComesWithTheFirstPolicyAndGoesWithTheLast(t *testing.T) {
	nft, folder := knftables.NewFake(knftables.InetFamily, Table), t.TempDir()
	client := fake.NewClientset(livingPod(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "red"}})
	run(t, &Controller{
		Client: client, Networks: testNetworks, Folder: folder,
		Open: func() (knftables.Interface, error) { return nft, nil },
	})
	_, err := client.NetworkingV1().NetworkPolicies("red").Create(t.Context(), policy("red/p: {podSelector: {}}"), metav1.CreateOptions{})
	must(t, err)
	eventually(t, "the pod is isolated", func() bool { return strings.Contains(nft.Dump(), "10.42.0.5 : goto ingress-of-") })
	if !marked(folder) {
		t.Error("nobody remembers that there are policies")
	}
	must(t, client.NetworkingV1().NetworkPolicies("red").Delete(t.Context(), "p", metav1.DeleteOptions{}))
	eventually(t, "the table is gone", func() bool { return nft.Dump() == "" && !marked(folder) })
}

func TestWithoutAPolicyNothingIsAskedForButPolicies(t *testing.T) {
	client := fake.NewClientset(livingPod())
	run(t, &Controller{
		Client: client, Networks: testNetworks, Folder: t.TempDir(),
		Open: func() (knftables.Interface, error) { return nil, errors.New("nft is run") },
	})
	eventually(t, "policies are watched", func() bool { return len(client.Actions()) >= 1 })
	time.Sleep(100 * time.Millisecond)
	for _, action := range client.Actions() {
		if action.GetResource().Resource != "networkpolicies" {
			t.Errorf("%s %s", action.GetVerb(), action.GetResource().Resource)
		}
	}
}

func TestAfterARebootPodsAreCutOffWhenThereWerePolicies(t *testing.T) {
	nft, folder := knftables.NewFake(knftables.InetFamily, Table), t.TempDir()
	open := func() (knftables.Interface, error) { return nft, nil }
	must(t, Guard(t.Context(), folder, testNetworks, open))
	if nft.Dump() != "" {
		t.Errorf("without policies:\n%s", nft.Dump())
	}
	must(t, mark(folder, true))
	must(t, Guard(t.Context(), folder, testNetworks, open))
	if !strings.Contains(nft.Dump(), "ct original ip saddr 10.42.0.0/16 counter drop") {
		t.Errorf("with policies:\n%s", nft.Dump())
	}
}

func TestATableOfTheProgramsLastStartStays(t *testing.T) {
	nft, folder := knftables.NewFake(knftables.InetFamily, Table), t.TempDir()
	must(t, mark(folder, true))
	_, err := NewEnforcer(nft).Apply(t.Context(), Compile(nine("red/p: {podSelector: {}}")))
	must(t, err)
	before := nft.Dump()
	must(t, Guard(t.Context(), folder, testNetworks, func() (knftables.Interface, error) { return nft, nil }))
	if nft.Dump() != before {
		t.Errorf("now:\n%s", nft.Dump())
	}
}

// Somebody may have changed the table: what can not be changed is replaced.
func TestATableThatIsNotAsItWasIsReplaced(t *testing.T) {
	nft := knftables.NewFake(knftables.InetFamily, Table)
	e := NewEnforcer(nft)
	_, err := e.Apply(t.Context(), Compile(nine("red/p: {podSelector: {}}")))
	must(t, err)
	must(t, NewEnforcer(nft).Remove(t.Context()))
	wanted := Compile(nine("red/q: {podSelector: {}}"))
	_, err = e.Apply(t.Context(), wanted)
	must(t, err)
	if !strings.Contains(nft.Dump(), "ingress-red/q") {
		t.Errorf("now:\n%s", nft.Dump())
	}
}

type sandboxes map[string]*runtimeapi.PodSandboxStatus

func (s sandboxes) PodSandboxStatus(_ context.Context, id string, _ bool) (*runtimeapi.PodSandboxStatusResponse, error) {
	if s[id] == nil {
		return nil, errors.New("not found")
	}
	return &runtimeapi.PodSandboxStatusResponse{Status: s[id]}, nil
}

func TestAnAddressIsKnownWhenThePluginTakesIt(t *testing.T) {
	folder := t.TempDir()
	early := &Early{Folder: folder, Connect: func(context.Context) (Sandboxes, error) {
		return sandboxes{"sandbox": {
			Metadata: &runtimeapi.PodSandboxMetadata{Uid: "uid"}, Network: &runtimeapi.PodSandboxNetworkStatus{Ip: "10.42.0.7"},
		}}, nil
	}}
	changes := make(chan struct{}, 10)
	go early.Follow(t.Context(), func() { changes <- struct{}{} })
	file := filepath.Join(folder, "10.42.0.7")
	must(t, os.WriteFile(file, []byte("sandbox\r\neth0"), 0o644))
	eventually(t, "known", func() bool { return len(early.Addresses("uid")) == 1 })
	must(t, os.Remove(file))
	eventually(t, "forgotten", func() bool { return len(early.Addresses("uid")) == 0 })
	// A file that is made while the folder is being read may be learnt twice.
	eventually(t, "both are said", func() bool { return len(changes) >= 2 })
}
