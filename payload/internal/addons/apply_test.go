package addons

import (
	"bytes"
	"context"
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/managedfields"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/dynamic/fake"
	"k8s.io/client-go/kubernetes/scheme"
	clienttesting "k8s.io/client-go/testing"

	"kubesolo.io/os/payload/manifests"
)

// api is an API server as far as server-side apply goes: it keeps account of who owns which field.
func api(t *testing.T) dynamic.Interface {
	t.Helper()
	kinds := runtime.NewScheme()
	for kind := range scheme.Scheme.AllKnownTypes() {
		if strings.HasSuffix(kind.Kind, "List") {
			kinds.AddKnownTypeWithName(kind, &unstructured.UnstructuredList{})
		} else {
			kinds.AddKnownTypeWithName(kind, &unstructured.Unstructured{})
		}
	}
	client := fake.NewSimpleDynamicClient(kinds)
	tracker := clienttesting.NewFieldManagedObjectTracker(
		kinds, unstructured.UnstructuredJSONScheme, managedfields.NewDeducedTypeConverter(),
	)
	client.PrependReactor("*", "*", clienttesting.ObjectReaction(tracker))
	return client
}

var (
	coreDNS  = Addon{"coredns", manifests.CoreDNS("10.43.0.10", "10.42.0.1")}
	storage  = Addon{"local-storage", manifests.LocalPath}
	corefile = identity{"v1", "ConfigMap", "kube-system", "coredns"}
)

func bring2(t *testing.T, client dynamic.Interface, addons ...Addon) {
	t.Helper()
	if err := Apply(context.Background(), client, addons...); err != nil {
		t.Fatal(err)
	}
}

func get(t *testing.T, client dynamic.Interface, what identity) *unstructured.Unstructured {
	t.Helper()
	object, err := what.resource(client).Get(context.Background(), what.name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		t.Fatal(err)
	}
	return object
}

// edit is what kubectl edit does.
func edit(t *testing.T, client dynamic.Interface, what identity, value string, field ...string) {
	t.Helper()
	object := get(t, client, what)
	if err := unstructured.SetNestedField(object.Object, value, field...); err != nil {
		t.Fatal(err)
	}
	options := metav1.UpdateOptions{FieldManager: "kubectl-edit"}
	if _, err := what.resource(client).Update(context.Background(), object, options); err != nil {
		t.Fatal(err)
	}
}

func text(t *testing.T, client dynamic.Interface, what identity, field ...string) string {
	t.Helper()
	found, _, err := unstructured.NestedString(get(t, client, what).Object, field...)
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// later is the same add-on of a later release.
func later(addon Addon, old, new string) Addon {
	return Addon{addon.Name, bytes.ReplaceAll(addon.Text, []byte(old), []byte(new))}
}

func TestAnOperatorsChangeStaysAlsoAfterAnUpgrade(t *testing.T) {
	client := api(t)
	bring2(t, client, coreDNS)
	edit(t, client, corefile, "mine", "data", "Corefile")
	bring2(t, client, coreDNS)
	if got := text(t, client, corefile, "data", "Corefile"); got != "mine" {
		t.Errorf("after a restart: %q", got)
	}
	bring2(t, client, later(coreDNS, "cache 30", "cache 60"))
	if got := text(t, client, corefile, "data", "Corefile"); got != "mine" {
		t.Errorf("after an upgrade: %q", got)
	}
}

func TestAnUpgradeChangesWhatNobodyHas(t *testing.T) {
	client := api(t)
	bring2(t, client, coreDNS)
	edit(t, client, corefile, "yes", "metadata", "annotations", "mine")
	bring2(t, client, later(coreDNS, "cache 30", "cache 60"))
	if got := text(t, client, corefile, "data", "Corefile"); !bytes.Contains([]byte(got), []byte("cache 60")) {
		t.Errorf("after an upgrade: %q", got)
	}
	if got := text(t, client, corefile, "metadata", "annotations", "mine"); got != "yes" {
		t.Errorf("the operator's annotation: %q", got)
	}
}

func TestAnObjectOfAnEarlierReleaseIsTakenOver(t *testing.T) {
	client := api(t)
	objects, err := decode(coreDNS.Text)
	if err != nil {
		t.Fatal(err)
	}
	for _, object := range objects { // as it was made before there was a record
		options := metav1.CreateOptions{FieldManager: manager}
		if _, err := of(object).resource(client).Create(context.Background(), object, options); err != nil {
			t.Fatal(err)
		}
	}
	bring2(t, client, later(coreDNS, "cache 30", "cache 60"))
	if got := text(t, client, corefile, "data", "Corefile"); !bytes.Contains([]byte(got), []byte("cache 60")) {
		t.Errorf("after an upgrade: %q", got)
	}
}

func TestWhatWasDeletedStaysSoUntilTheAddonIsSwitchedOffAndOn(t *testing.T) {
	client := api(t)
	bring2(t, client, coreDNS)
	if err := corefile.resource(client).Delete(context.Background(), corefile.name, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	bring2(t, client, coreDNS)
	bring2(t, client, later(coreDNS, "cache 30", "cache 60"))
	if get(t, client, corefile) != nil {
		t.Error("it was made again")
	}
	bring2(t, client, Addon{Name: "coredns"})
	bring2(t, client, coreDNS)
	if get(t, client, corefile) == nil {
		t.Error("it was not made again")
	}
}

func TestAnAddonThatIsSwitchedOffTakesItsObjectsAndNoOthers(t *testing.T) {
	client := api(t)
	class := identity{"storage.k8s.io/v1", "StorageClass", "", "local-path"}
	portainer := Addon{"portainer", manifests.Portainer(manifests.Edge{ID: "i", Key: "k"})}
	bring2(t, client, coreDNS, storage, portainer)
	bring2(t, client, coreDNS, Addon{Name: "local-storage"}, Addon{Name: "portainer"})
	if get(t, client, class) != nil || get(t, client, corefile) == nil {
		t.Errorf("class %v, Corefile %v", get(t, client, class), get(t, client, corefile))
	}
	secret := identity{"v1", "Secret", "portainer", "portainer-agent-edge-key"}
	if namespace := (identity{"v1", "Namespace", "", "portainer"}); get(t, client, namespace) == nil || get(t, client, secret) != nil {
		t.Error("the namespace must stay, as others' objects may be in it, and the secret must not")
	}
}

func TestWhatALaterReleaseDoesNotHaveIsRemoved(t *testing.T) {
	client := api(t)
	bring2(t, client, coreDNS)
	documents := bytes.Split(coreDNS.Text, []byte("\n---\n"))
	var rest [][]byte
	for _, document := range documents {
		if !bytes.Contains(document, []byte("kind: ConfigMap")) {
			rest = append(rest, document)
		}
	}
	bring2(t, client, Addon{"coredns", bytes.Join(rest, []byte("\n---\n"))})
	if get(t, client, corefile) != nil {
		t.Error("the ConfigMap is still there")
	}
}

func TestAnObjectThatWasThereBeforeIsNotOurs(t *testing.T) {
	client := api(t)
	class := identity{"storage.k8s.io/v1", "StorageClass", "", "local-path"}
	theirs := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": class.apiVersion, "kind": class.kind, "provisioner": "example.com/x",
		"metadata": map[string]any{"name": class.name},
	}}
	if _, err := class.resource(client).Create(context.Background(), theirs, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	bring2(t, client, storage)
	bring2(t, client, Addon{Name: "local-storage"})
	if got := text(t, client, class, "provisioner"); got != "example.com/x" {
		t.Errorf("provisioner %q", got)
	}
}
