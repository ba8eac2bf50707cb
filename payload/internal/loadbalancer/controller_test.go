package loadbalancer

import (
	"context"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/fake"
)

const deadline = time.Minute

func eventually(t *testing.T, what string, happened func() bool) {
	t.Helper()
	for end := time.Now().Add(deadline); !happened(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not within %v: %s", deadline, what)
		}
	}
}

// ingress is what a Service has.
func ingress(t *testing.T, client *fake.Clientset, name string) string {
	t.Helper()
	s, err := client.CoreV1().Services("ns").Get(context.Background(), name, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if len(s.Status.LoadBalancer.Ingress) == 0 {
		return ""
	}
	return s.Status.LoadBalancer.Ingress[0].IP
}

func run(t *testing.T, client *fake.Clientset) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { defer close(ended); _ = (&Controller{Client: client, Address: address}).Run(ctx) }()
	t.Cleanup(func() { cancel(); <-ended })
}

func TestServicesGetTheAddressAndConflictsAreSaid(t *testing.T) {
	old := service("moved", 9, 8081)
	old.Status.LoadBalancer.Ingress = []corev1.LoadBalancerIngress{{IP: "192.0.2.1"}}
	client := fake.NewClientset(service("first", 2, 8080), service("second", 1, 8080), old)
	run(t, client)
	eventually(t, "the first one has it", func() bool { return ingress(t, client, "first") == address.String() })
	eventually(t, "the address of an earlier start is replaced", func() bool { return ingress(t, client, "moved") == address.String() })
	eventually(t, "an event", func() bool {
		found, err := client.CoreV1().Events("ns").List(context.Background(), metav1.ListOptions{})
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range found.Items {
			if e.Reason == "LoadBalancerRefused" && e.InvolvedObject.Name == "second" {
				return true
			}
		}
		return false
	})
	if got := ingress(t, client, "second"); got != "" {
		t.Errorf("both have the port: %s", got)
	}
	if err := client.CoreV1().Services("ns").Delete(context.Background(), "first", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the second one has it", func() bool { return ingress(t, client, "second") == address.String() })
}

func TestOnlyItsOwnAddressesAreTakenBack(t *testing.T) {
	mine, foreign := with(service("mine", 0, 80), has), with(service("foreign", 0, 81), has)
	mine.ManagedFields = []metav1.ManagedFieldsEntry{{Manager: manager, Subresource: "status"}}
	foreign.ManagedFields = []metav1.ManagedFieldsEntry{{Manager: "metallb", Subresource: "status"}}
	client := fake.NewClientset(mine, foreign)
	if err := Release(context.Background(), client); err != nil {
		t.Fatal(err)
	}
	if got := ingress(t, client, "mine"); got != "" {
		t.Errorf("still there: %s", got)
	}
	if got := ingress(t, client, "foreign"); got == "" {
		t.Error("another load balancer's address was taken")
	}
}
