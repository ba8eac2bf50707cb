package health

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/fake"
)

func content(words string) Check { return func(context.Context) string { return words } }

func TestTheFirstThatIsNotContentIsWritten(t *testing.T) {
	file := filepath.Join(t.TempDir(), "health")
	for want, checks := range map[string][]Check{
		"ok":    {content(""), content("")},
		"first": {content(""), content("first"), content("second")},
	} {
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() { defer close(ended); Keep(ctx, file, checks...) }()
		deadline := time.Now().Add(time.Minute)
		for {
			text, _ := os.ReadFile(file)
			if strings.HasSuffix(string(text), " "+want+"\n") {
				break
			}
			if time.Now().After(deadline) {
				t.Fatalf("%q, want %q", text, want)
			}
			time.Sleep(10 * time.Millisecond)
		}
		cancel()
		<-ended
	}
}

func TestANodeThatIsNotReadySaysWhy(t *testing.T) {
	node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n"}}
	node.Status.NodeInfo.BootID = ThisBoot()
	node.Status.Conditions = []corev1.NodeCondition{
		{Type: corev1.NodeReady, Status: corev1.ConditionFalse, Message: "no network"},
	}
	client := fake.NewClientset(node)
	if got := Node(client, "n")(t.Context()); got != "the node is not Ready: no network" {
		t.Error(got)
	}
	if got := Node(client, "other")(t.Context()); got != "the API server does not know the node" {
		t.Error(got)
	}
}

func TestWhatANodeSaidInAnotherBootDoesNotCount(t *testing.T) {
	node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n"}}
	if got := NotReady(node, ThisBoot()); got != "kubelet has said nothing since the machine was started" {
		t.Errorf("a node that was made just now: %q", got)
	}
	node.Status.NodeInfo.BootID = ThisBoot()
	if got := NotReady(node, ThisBoot()); got != "kubelet has not said so" {
		t.Errorf("a node without conditions: %q", got)
	}
	node.Status.Conditions = []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionTrue}}
	if got := NotReady(node, ThisBoot()); got != "" {
		t.Errorf("a node that is Ready: %q", got)
	}
	node.Status.NodeInfo.BootID = "another"
	client := fake.NewClientset(node)
	wanted := "the node is not Ready: kubelet has said nothing since the machine was started"
	if got := Node(client, "n")(t.Context()); got != wanted {
		t.Errorf("Ready in another boot: %q", got)
	}
}

func TestANameServerThatIsNotThereIsNamed(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if got := DNS("127.0.0.1:1", "kubernetes.default.svc.cluster.local.")(ctx); got != "cluster DNS does not answer" {
		t.Error(got)
	}
}
