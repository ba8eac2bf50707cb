package cluster

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/fake"
)

func report(t *testing.T, problems *string) *fake.Clientset {
	t.Helper()
	dir := t.TempDir()
	if problems != nil {
		if err := os.MkdirAll(filepath.Join(dir, "cloud-init"), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "cloud-init", "problems"), []byte(*problems), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	client := fake.NewClientset(&corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n"}})
	if err := reportConfiguration(context.Background(), client, "n", dir); err != nil {
		t.Fatal(err)
	}
	return client
}

func TestProblemsBecomeAConditionAndAnEvent(t *testing.T) {
	text := "cloud-init.yaml:3:1: network: is wrong\n" + strings.Repeat("x", 2000)
	client := report(t, &text)
	node, err := client.CoreV1().Nodes().Get(context.Background(), "n", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	got := node.Status.Conditions
	if len(got) != 1 || got[0].Type != ConfigurationProblem || got[0].Status != corev1.ConditionTrue ||
		!strings.HasPrefix(got[0].Message, "cloud-init.yaml:3:1") || len(got[0].Message) > longestMessage {
		t.Errorf("conditions: %v", got)
	}
	events, err := client.CoreV1().Events("default").List(context.Background(), metav1.ListOptions{})
	if err != nil || len(events.Items) != 1 || events.Items[0].Reason != "ConfigurationProblem" {
		t.Errorf("events: %v, %v", events, err)
	}
}

func TestAGoodFileIsNoEvent(t *testing.T) {
	text := ""
	client := report(t, &text)
	node, _ := client.CoreV1().Nodes().Get(context.Background(), "n", metav1.GetOptions{})
	if got := node.Status.Conditions; len(got) != 1 || got[0].Status != corev1.ConditionFalse {
		t.Errorf("conditions: %v", got)
	}
	events, _ := client.CoreV1().Events("default").List(context.Background(), metav1.ListOptions{})
	if len(events.Items) != 0 {
		t.Errorf("events: %v", events.Items)
	}
}

func TestWithoutAFileNothingIsSaid(t *testing.T) {
	node, _ := report(t, nil).CoreV1().Nodes().Get(context.Background(), "n", metav1.GetOptions{})
	if len(node.Status.Conditions) != 0 {
		t.Errorf("conditions: %v", node.Status.Conditions)
	}
}
