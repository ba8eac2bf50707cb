package addons

import (
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/fake"
	"k8s.io/kubernetes/pkg/controller"
)

const kubeSystem = metav1.NamespaceSystem

func deployment() *appsv1.Deployment {
	labels := map[string]string{"k8s-app": "kube-dns"}
	return &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Name: "coredns", Namespace: kubeSystem},
		Spec: appsv1.DeploymentSpec{
			Selector: &metav1.LabelSelector{MatchLabels: labels},
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: labels},
				Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "coredns", Image: "kubesolo.io/coredns:1"}}},
			},
		},
	}
}

func pods(t *testing.T, client *fake.Clientset) []corev1.Pod {
	t.Helper()
	found, err := client.CoreV1().Pods(kubeSystem).List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return found.Items
}

func TestTheFirstPodIsTheOneThatTheReplicaSetWouldMake(t *testing.T) {
	wanted := deployment()
	hash := controller.ComputeHash(&wanted.Spec.Template, nil)
	client := fake.NewClientset(wanted)
	for range 2 { // the second time there is one
		if runs, err := StartFirst(t.Context(), client, kubeSystem, "coredns", "node-1", []byte("CA")); err != nil || !runs {
			t.Fatal(runs, err)
		}
	}
	found := pods(t, client)
	if len(found) != 1 {
		t.Fatalf("%d pods", len(found))
	}
	pod := found[0]
	if pod.Labels["pod-template-hash"] != hash || pod.Labels["k8s-app"] != "kube-dns" || pod.Spec.NodeName != "node-1" {
		t.Errorf("labels %v on %s, hash %s", pod.Labels, pod.Spec.NodeName, hash)
	}
	if !strings.HasPrefix(pod.GenerateName, "coredns-"+hash+"-") {
		t.Error(pod.GenerateName)
	}
	authority, err := client.CoreV1().ConfigMaps(kubeSystem).Get(t.Context(), "kube-root-ca.crt", metav1.GetOptions{})
	if err != nil || authority.Data["ca.crt"] != "CA" {
		t.Error(authority, err)
	}
}

func TestWhatTheControllersHaveSeenIsTheirs(t *testing.T) {
	seen := deployment()
	seen.Status.ObservedGeneration = 1
	old := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{ // of the version before an update
		Name: "coredns-1", Namespace: kubeSystem, Labels: map[string]string{"k8s-app": "kube-dns", "pod-template-hash": "old"},
	}}
	client := fake.NewClientset(seen, old)
	if runs, err := StartFirst(t.Context(), client, kubeSystem, "coredns", "node-1", nil); err != nil || runs {
		t.Fatal(runs, err)
	}
	if found := pods(t, client); len(found) != 1 {
		t.Errorf("there are %v", found)
	}
}

func TestAnOrphanGoesAndAnAdoptedPodStays(t *testing.T) {
	is := true
	adopted := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{
		Name: "coredns-1", Namespace: kubeSystem, Labels: map[string]string{"k8s-app": "kube-dns"},
		OwnerReferences: []metav1.OwnerReference{{Kind: "ReplicaSet", Name: "coredns", Controller: &is}},
	}}
	orphan := adopted.DeepCopy()
	orphan.Name, orphan.OwnerReferences = "coredns-2", nil
	client := fake.NewClientset(deployment(), adopted, orphan)
	if err := DropOrphan(t.Context(), client, kubeSystem, "coredns", time.Second); err != nil {
		t.Fatal(err)
	}
	if found := pods(t, client); len(found) != 1 || found[0].Name != adopted.Name {
		t.Errorf("left: %v", found)
	}
}
