package components

import (
	"bytes"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"

	"kubesolo.io/os/payload/internal/addons"
	"kubesolo.io/os/payload/manifests"
)

// bringAddons has a real API server take all add-ons, a change of an operator's, and a later release. It returns when the
// API of the figures is served.
func bringAddons(t *testing.T, admin *http.Client, c *Config) {
	t.Helper()
	client, err := dynamic.NewForConfig(&rest.Config{
		Host: fmt.Sprintf("https://127.0.0.1:%d", c.APIPort),
		TLSClientConfig: rest.TLSClientConfig{
			CAFile: c.PKI.File("ca.crt"), CertFile: c.PKI.File("kube-proxy.crt"), KeyFile: c.PKI.File("kube-proxy.key"),
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	dns := addons.Addon{Name: "coredns", Text: manifests.CoreDNS("10.43.0.10", "10.42.0.1")}
	apply := func(wanted ...addons.Addon) {
		t.Helper()
		if err := addons.Apply(t.Context(), client, wanted...); err != nil {
			t.Fatal(err)
		}
	}
	apply(dns, addons.Addon{Name: "local-storage", Text: manifests.LocalPath}, addons.Addon{Name: "metrics", Text: manifests.Metrics},
		addons.Addon{Name: "portainer", Text: manifests.Portainer(manifests.Edge{ID: "i", Key: "k"})})
	const deployment = "/apis/apps/v1/namespaces/kube-system/deployments/coredns"
	change := `{"spec": {"replicas": 2, "template": {"spec": {"containers": [{"name": "coredns", "image": "example.com/mine"}]}}}}`
	if status, text := patch(t, admin, c, deployment, change); status != http.StatusOK {
		t.Fatalf("a change: status %d: %s", status, text)
	}
	later := addons.Addon{Name: "coredns", Text: bytes.ReplaceAll(dns.Text, []byte("priorityClassName:"), []byte("hostname: later\n      priorityClassName:"))}
	apply(later, addons.Addon{Name: "portainer"})
	_, text := get(t, admin, c, deployment)
	for _, want := range []string{`"replicas":2`, `"image":"example.com/mine"`, `"hostname":"later"`} {
		if !strings.Contains(text, want) {
			t.Errorf("after an upgrade, %s is not in %s", want, text)
		}
	}
	if status, _ := get(t, admin, c, "/api/v1/namespaces/portainer/secrets/portainer-agent-edge-key"); status != http.StatusNotFound {
		t.Errorf("the secret of an agent that is switched off: status %d", status)
	}
	for deadline := time.Now().Add(patience); ; time.Sleep(100 * time.Millisecond) {
		if status, text := get(t, admin, c, "/apis/metrics.k8s.io/v1beta1"); status == http.StatusOK {
			return
		} else if time.Now().After(deadline) {
			t.Fatalf("metrics.k8s.io: status %d: %s", status, text)
		}
	}
}

func patch(t *testing.T, client *http.Client, c *Config, path, body string) (int, string) {
	t.Helper()
	return exchange(t, client, c, http.MethodPatch, path, "application/strategic-merge-patch+json", body)
}
