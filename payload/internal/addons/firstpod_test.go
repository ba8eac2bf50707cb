package addons

import (
	"context"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/fake"
	deploymentutil "k8s.io/kubernetes/pkg/controller/deployment/util"
)

var first = FirstPod{Namespace: "kube-system", Deployment: "coredns", Node: "edge", RootCA: []byte("pem")}

func dnsDeployment(change func(*appsv1.Deployment)) *appsv1.Deployment {
	one, app := int32(1), map[string]string{"k8s-app": "kube-dns"}
	deployment := &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Name: first.Deployment, Namespace: first.Namespace, UID: "1", Generation: 1},
		Spec: appsv1.DeploymentSpec{
			Replicas: &one,
			Selector: &metav1.LabelSelector{MatchLabels: app},
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: app},
				Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "coredns", Image: "coredns"}}},
			},
		},
	}
	change(deployment)
	return deployment
}

func made(t *testing.T, client kubernetes.Interface) ([]appsv1.ReplicaSet, []corev1.Pod) {
	t.Helper()
	sets, err := client.AppsV1().ReplicaSets(first.Namespace).List(context.Background(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	pods, err := client.CoreV1().Pods(first.Namespace).List(context.Background(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return sets.Items, pods.Items
}

func TestTheFirstPodIsWhatTheControllersWouldMake(t *testing.T) {
	deployment := dnsDeployment(func(*appsv1.Deployment) {})
	client := fake.NewClientset(deployment)
	for range 2 { // the second finds what the first has made
		if err := first.Create(context.Background(), client); err != nil {
			t.Fatal(err)
		}
	}
	sets, pods := made(t, client)
	if len(sets) != 1 || len(pods) != 1 {
		t.Fatalf("%d sets, %d pods", len(sets), len(pods))
	}
	set, pod := sets[0], pods[0]
	if found := deploymentutil.FindNewReplicaSet(deployment, []*appsv1.ReplicaSet{&set}); found == nil {
		t.Error("the Deployment controller would not take the ReplicaSet for its own")
	}
	if !metav1.IsControlledBy(&set, deployment) || !metav1.IsControlledBy(&pod, &set) {
		t.Errorf("owners: %v, %v", set.OwnerReferences, pod.OwnerReferences)
	}
	selector, err := metav1.LabelSelectorAsSelector(set.Spec.Selector)
	if err != nil || !selector.Matches(labels.Set(pod.Labels)) {
		t.Errorf("%v does not select %v (%v)", set.Spec.Selector, pod.Labels, err)
	}
	if pod.Spec.NodeName != first.Node || !strings.HasPrefix(pod.GenerateName, set.Name+"-") {
		t.Errorf("node %q, name %q", pod.Spec.NodeName, pod.GenerateName)
	}
	ca, err := client.CoreV1().ConfigMaps(first.Namespace).Get(context.Background(), "kube-root-ca.crt", metav1.GetOptions{})
	if err != nil || ca.Data["ca.crt"] != "pem" || len(ca.Annotations) != 1 {
		t.Errorf("%v, %v", ca, err)
	}
}

func TestADeploymentThatIsNotNewIsLeftToItsControllers(t *testing.T) {
	two, none := int32(2), int32(0)
	for name, change := range map[string]func(*appsv1.Deployment){
		"seen":       func(d *appsv1.Deployment) { d.Status.ObservedGeneration = 1 },
		"scaled up":  func(d *appsv1.Deployment) { d.Spec.Replicas = &two },
		"scaled off": func(d *appsv1.Deployment) { d.Spec.Replicas = &none },
		"deleted":    func(d *appsv1.Deployment) { d.Name = "other" },
	} {
		client := fake.NewClientset(dnsDeployment(change))
		if err := first.Create(context.Background(), client); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if sets, pods := made(t, client); len(sets)+len(pods) != 0 {
			t.Errorf("%s: %v, %v", name, sets, pods)
		}
	}
}
