package manifests_test

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/client-go/kubernetes/scheme"

	"kubesolo.io/os/payload/images"
	"kubesolo.io/os/payload/internal/localpath"
	"kubesolo.io/os/payload/manifests"
)

// objects reads the objects strictly: a field that the API does not know is an error. Kinds that the client does not
// know are left out.
func objects(t *testing.T, text []byte) map[string]runtime.Object {
	t.Helper()
	found := map[string]runtime.Object{}
	for documents := yaml.NewYAMLReader(bufio.NewReader(bytes.NewReader(text))); ; {
		document, err := documents.Read()
		if errors.Is(err, io.EOF) {
			return found
		}
		if err != nil {
			t.Fatal(err)
		}
		object, kind, err := scheme.Codecs.UniversalDeserializer().Decode(document, nil, nil)
		switch {
		case runtime.IsNotRegisteredError(err):
		case err != nil:
			t.Fatal(err)
		default:
			found[kind.Kind] = object
		}
	}
}

func TestClusterDNSUsesThePreloadedImageAndTheClustersAddresses(t *testing.T) {
	found := objects(t, manifests.CoreDNS("172.21.0.10", "172.20.0.1"))
	container := found["Deployment"].(*appsv1.Deployment).Spec.Template.Spec.Containers[0]
	if container.Image != images.Reference("coredns") || container.ImagePullPolicy != corev1.PullNever {
		t.Errorf("image %s, pull policy %s", container.Image, container.ImagePullPolicy)
	}
	if api := container.Env[0]; api.Name != "KUBERNETES_SERVICE_HOST" || api.Value != "172.20.0.1" {
		t.Errorf("the API server is asked at %v", api)
	}
	if service := found["Service"].(*corev1.Service); service.Spec.ClusterIP != "172.21.0.10" {
		t.Errorf("Service address %s", service.Spec.ClusterIP)
	}
}

func TestTheDefaultClassIsThatOfTheProvisioner(t *testing.T) {
	class := objects(t, manifests.LocalPath)["StorageClass"].(*storagev1.StorageClass)
	if class.Provisioner != localpath.Provisioner || class.Annotations["storageclass.kubernetes.io/is-default-class"] != "true" {
		t.Errorf("%+v", class)
	}
}

func TestPortainersKeyIsInItsSecretAlone(t *testing.T) {
	edge := manifests.Edge{ID: `id"with: signs`, Key: `k3y #{}"'\`, Async: true}
	text := manifests.Portainer(edge)
	found := objects(t, text)
	if key := string(found["Secret"].(*corev1.Secret).Data["edge.key"]); key != edge.Key {
		t.Errorf("key %q", key)
	}
	if data := found["ConfigMap"].(*corev1.ConfigMap).Data; data["EDGE_ID"] != edge.ID || data["EDGE_ASYNC"] != "1" {
		t.Errorf("%v", data)
	}
	if bytes.Contains(text, []byte(edge.Key)) || strings.Contains(string(text), "${") {
		t.Error("the key in clear, or a place without a value")
	}
	other := manifests.Portainer(manifests.Edge{ID: edge.ID, Key: "other", Async: true})
	if pod := objects(t, other)["Deployment"].(*appsv1.Deployment).Spec.Template; pod.Annotations["kubesolo.io/credentials"] ==
		found["Deployment"].(*appsv1.Deployment).Spec.Template.Annotations["kubesolo.io/credentials"] {
		t.Error("another key is not another pod")
	}
}

func TestPortainerNeedsBothIDAndKey(t *testing.T) {
	for _, edge := range []manifests.Edge{{}, {ID: "i"}, {Key: "k"}} {
		if text := manifests.Portainer(edge); text != nil {
			t.Errorf("%v: %s", edge, text)
		}
	}
}
