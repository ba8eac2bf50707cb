package addons

import (
	"bytes"
	"context"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic/fake"

	"kubesolo.io/os/payload/images"
	"kubesolo.io/os/payload/manifests"
)

var configMaps = schema.GroupVersionResource{Version: "v1", Resource: "configmaps"}

func corefile(t *testing.T, client *fake.FakeDynamicClient) *unstructured.Unstructured {
	t.Helper()
	object, err := client.Resource(configMaps).Namespace("kube-system").Get(context.Background(), "coredns", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return object
}

var coreDNS = manifests.CoreDNS("10.43.0.10", "10.42.0.1")

func apply2(t *testing.T, client *fake.FakeDynamicClient, text []byte) {
	t.Helper()
	if err := Apply(context.Background(), client, text); err != nil {
		t.Fatal(err)
	}
}

func TestObjectsAreMadeKeptAndReplacedWhenTheManifestChanges(t *testing.T) {
	client := fake.NewSimpleDynamicClient(runtime.NewScheme())
	apply2(t, client, coreDNS)
	edited := corefile(t, client)
	if err := unstructured.SetNestedField(edited.Object, "mine", "data", "Corefile"); err != nil {
		t.Fatal(err)
	}
	if _, err := client.Resource(configMaps).Namespace("kube-system").Update(context.Background(), edited, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	apply2(t, client, coreDNS)
	if data, _, _ := unstructured.NestedString(corefile(t, client).Object, "data", "Corefile"); data != "mine" {
		t.Errorf("an operator's edit was overwritten with %q", data)
	}
	apply2(t, client, bytes.ReplaceAll(coreDNS, []byte("cache 30"), []byte("cache 60")))
	if data, _, _ := unstructured.NestedString(corefile(t, client).Object, "data", "Corefile"); data == "mine" {
		t.Error("a new release's manifest was not applied")
	}
}

func TestClusterDNSUsesThePreloadedImageAndTheClustersAddresses(t *testing.T) {
	objects, err := decode(manifests.CoreDNS("172.21.0.10", "172.20.0.1"))
	if err != nil {
		t.Fatal(err)
	}
	for _, object := range objects {
		switch object.GetKind() {
		case "Deployment":
			deployment := &appsv1.Deployment{}
			if err := runtime.DefaultUnstructuredConverter.FromUnstructured(object.Object, deployment); err != nil {
				t.Fatal(err)
			}
			container := deployment.Spec.Template.Spec.Containers[0]
			if container.Image != images.Reference("coredns") || container.ImagePullPolicy != "Never" {
				t.Errorf("image %s, pull policy %s", container.Image, container.ImagePullPolicy)
			}
			if api := container.Env[0]; api.Name != "KUBERNETES_SERVICE_HOST" || api.Value != "172.20.0.1" {
				t.Errorf("the API server is asked at %v", api)
			}
		case "Service":
			if address, _, _ := unstructured.NestedString(object.Object, "spec", "clusterIP"); address != "172.21.0.10" {
				t.Errorf("Service address %s", address)
			}
		}
	}
}
