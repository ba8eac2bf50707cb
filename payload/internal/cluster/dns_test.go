package cluster

import (
	"net"
	"net/netip"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/fake"
)

func dnsPod(ready corev1.ConditionStatus) *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "coredns", Namespace: "kube-system", Labels: map[string]string{"k8s-app": "kube-dns"}},
		Status: corev1.PodStatus{
			Phase:      corev1.PodRunning,
			PodIP:      "127.0.0.1",
			Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: ready}},
		},
	}
}

// nameServer answers every question for an address with one.
func nameServer(t *testing.T) netip.AddrPort {
	t.Helper()
	socket, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { socket.Close() })
	go func() {
		buffer := make([]byte, 512)
		for {
			n, from, err := socket.ReadFrom(buffer)
			if err != nil {
				return
			}
			message := dnsmessage.Message{}
			if message.Unpack(buffer[:n]) != nil {
				return
			}
			name := message.Questions[0].Name
			message.Response, message.Additionals = true, nil
			message.Answers = []dnsmessage.Resource{{
				Header: dnsmessage.ResourceHeader{Name: name, Type: dnsmessage.TypeA, Class: dnsmessage.ClassINET},
				Body:   &dnsmessage.AResource{A: [4]byte{10, 43, 0, 1}},
			}}
			packed, _ := message.Pack()
			_, _ = socket.WriteTo(packed, from)
		}
	}()
	return netip.MustParseAddrPort(socket.LocalAddr().String())
}

func TestClusterDNSRunsOnlyWhenItsPodIsReady(t *testing.T) {
	for _, ready := range []corev1.ConditionStatus{corev1.ConditionFalse, corev1.ConditionTrue} {
		ask := dnsServes(fake.NewClientset(dnsPod(ready)), nameServer(t).Port())
		if yes, err := ask(t.Context()); yes != (ready == corev1.ConditionTrue) {
			t.Errorf("Running and Ready %s: %v, %v", ready, yes, err)
		}
	}
}

// After a reboot the API has the pod's status of the last boot.
func TestAPodThatIsReadyOnPaperButDoesNotAnswerIsNotEnough(t *testing.T) {
	socket, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Close()
	ask := dnsServes(fake.NewClientset(dnsPod(corev1.ConditionTrue)), netip.MustParseAddrPort(socket.LocalAddr().String()).Port())
	started := time.Now()
	if yes, err := ask(t.Context()); yes || err == nil {
		t.Errorf("got %v, %v", yes, err)
	}
	if took := time.Since(started); took > 10*dnsTimeout {
		t.Errorf("it took %v to know", took)
	}
}
