package components

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	certutil "k8s.io/client-go/util/cert"
	apioptions "k8s.io/kubernetes/cmd/kube-apiserver/app/options"

	"kubesolo.io/os/payload/internal/journal"
	"kubesolo.io/os/payload/internal/networks"
	"kubesolo.io/os/payload/internal/options"
	"kubesolo.io/os/payload/internal/pki"
)

const patience = 2 * time.Minute

func freePort(t *testing.T) int {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	return listener.Addr().(*net.TCPAddr).Port
}

// The API server refuses a loopback address as the one that it advertises; nothing connects to this one.
func testConfig(t *testing.T) *Config {
	t.Helper()
	dir := t.TempDir()
	c := &Config{
		Options: &options.Options{Path: dir}, NodeName: "edge", NodeIP: net.ParseIP("192.0.2.1"), Networks: networks.Default(),
		PKI: pki.New(filepath.Join(dir, "pki")), RunDir: dir, APIPort: freePort(t),
	}
	names := pki.Names{Node: "edge", API: certutil.AltNames{DNSNames: []string{"localhost"}, IPs: []net.IP{net.IPv4(127, 0, 0, 1)}}}
	if _, err := c.PKI.Ensure(names); err != nil {
		t.Fatal(err)
	}
	return c
}

// TestOldRevisionsExpire: with an interval of zero the API server would keep its snapshots for ever, and nobody would
// have kine compact.
func TestOldRevisionsExpire(t *testing.T) {
	run := apioptions.NewServerRunOptions()
	if err := parse("kube-apiserver", run.Flags(), apiServerArguments(testConfig(t))); err != nil {
		t.Fatal(err)
	}
	if interval := run.Etcd.StorageConfig.CompactionInterval; interval != 5*time.Minute {
		t.Errorf("compacted every %v", interval)
	}
}

func administrator(t *testing.T, c *Config) *http.Client {
	t.Helper()
	pair, err := tls.LoadX509KeyPair(c.PKI.File("kube-proxy.crt"), c.PKI.File("kube-proxy.key"))
	if err != nil {
		t.Fatal(err)
	}
	return client(t, c, pair)
}

func client(t *testing.T, c *Config, pairs ...tls.Certificate) *http.Client {
	t.Helper()
	text, err := os.ReadFile(c.PKI.File("ca.crt"))
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(text)
	return &http.Client{
		Timeout:   time.Minute,
		Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, Certificates: pairs}},
	}
}

func get(t *testing.T, client *http.Client, c *Config, path string) (int, string) {
	t.Helper()
	return ask(t, client, c, http.MethodGet, path, "")
}

func post(t *testing.T, client *http.Client, c *Config, path, object string) (int, string) {
	t.Helper()
	return ask(t, client, c, http.MethodPost, path, object)
}

func ask(t *testing.T, client *http.Client, c *Config, method, path, body string) (int, string) {
	t.Helper()
	return exchange(t, client, c, method, path, "application/json", body)
}

func exchange(t *testing.T, client *http.Client, c *Config, method, path, kind, body string) (int, string) {
	t.Helper()
	address := fmt.Sprintf("https://127.0.0.1:%d%s", c.APIPort, path)
	request, err := http.NewRequestWithContext(t.Context(), method, address, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", kind)
	answer, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer.StatusCode, string(text)
}

const (
	policy = `{"kind": "MutatingAdmissionPolicy", "apiVersion": "admissionregistration.k8s.io/v1",
"metadata": {"name": "mark"}, "spec": {"failurePolicy": "Fail", "reinvocationPolicy": "Never",
"matchConstraints": {"resourceRules": [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"],
"resources": ["configmaps"]}]}, "mutations": [{"patchType": "ApplyConfiguration", "applyConfiguration":
{"expression": "Object{data: {'marked': 'yes'}}"}}]}}`
	binding = `{"kind": "MutatingAdmissionPolicyBinding", "apiVersion": "admissionregistration.k8s.io/v1",
"metadata": {"name": "mark"}, "spec": {"policyName": "mark"}}`
	configMap = `{"kind": "ConfigMap", "apiVersion": "v1", "metadata": {"name": "thing"}, "data": {"own": "data"}}`
)

// mutate has the API server change objects by a policy, for which it needs its own description.
func mutate(t *testing.T, client *http.Client, c *Config) {
	t.Helper()
	for resource, object := range map[string]string{"mutatingadmissionpolicies": policy, "mutatingadmissionpolicybindings": binding} {
		if status, text := post(t, client, c, "/apis/admissionregistration.k8s.io/v1/"+resource, object); status != http.StatusCreated {
			t.Fatalf("%s: status %d: %s", resource, status, text)
		}
	}
	for deadline := time.Now().Add(patience); ; time.Sleep(100 * time.Millisecond) {
		status, text := post(t, client, c, "/api/v1/namespaces/default/configmaps?dryRun=All", configMap)
		if status != http.StatusCreated || time.Now().After(deadline) {
			t.Fatalf("a policy: status %d: %s", status, text)
		}
		if strings.Contains(text, `"marked":"yes"`) && strings.Contains(text, `"own":"data"`) {
			return
		}
	}
}

func TestAPIServerBecomesReadyAndStops(t *testing.T) {
	journal.QuietLibraries(false)
	c := testConfig(t)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	closed, err := Kine(ctx, c)
	if err != nil {
		t.Fatal(err)
	}
	serving, stop := context.WithCancel(ctx)
	defer stop()
	database, settled, listening, roles := make(chan struct{}), make(chan struct{}), make(chan struct{}), make(chan struct{})
	configured, ended := make(chan struct{}), make(chan error, 1)
	close(database)
	go func() {
		ended <- APIServer(serving, c, Events{
			database, settled, func() { close(configured) }, func() { close(listening) }, func() { close(roles) },
		})
	}()
	select {
	case <-listening:
	case err := <-ended:
		t.Fatal(err)
	case <-time.After(patience):
		t.Fatal("the API server does not listen")
	}
	admin := administrator(t, c)
	if status, _ := get(t, admin, c, "/readyz"); status == http.StatusOK {
		t.Error("ready without the default roles")
	}
	close(settled)
	for deadline := time.Now().Add(patience); ; {
		if status, _ := get(t, admin, c, "/readyz"); status == http.StatusOK {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("the API server is not ready")
		}
		time.Sleep(100 * time.Millisecond)
	}
	mutate(t, admin, c)
	bringAddons(t, admin, c)
	for path, want := range map[string]string{
		"/apis/rbac.authorization.k8s.io/v1/clusterroles/cluster-admin": `"rules"`,
		"/api/v1/nodes": `"NodeList"`, "/apis": `"apps/v1"`, "/openapi/v2": `/apis/apps/v1/namespaces/{namespace}/deployments`,
		"/openapi/v3": `"apis/apps/v1"`, "/openapi/v3/apis/apps/v1": `io.k8s.api.apps.v1.Deployment`,
		"/openapi/v3/apis/apiextensions.k8s.io/v1": `CustomResourceDefinition`,
		"/openapi/v3/apis/metrics.k8s.io/v1beta1":  `PodMetrics`, "/apis/metrics.k8s.io/v1beta1": `"NodeMetrics"`,
		"/apis/metrics.k8s.io/v1beta1/namespaces/default/pods": `"PodMetricsList"`,
	} {
		if got, text := get(t, admin, c, path); got != http.StatusOK || !strings.Contains(text, want) {
			t.Errorf("%s: status %d, and %s is not in %.200s", path, got, want, text)
		}
	}
	for _, path := range []string{"/api/v1/nodes", "/metrics", "/version"} {
		if got, _ := get(t, client(t, c), c, path); got != http.StatusUnauthorized {
			t.Errorf("without a certificate, %s: status %d", path, got)
		}
	}
	stop()
	select {
	case err := <-ended:
		if err != nil {
			t.Errorf("after a wanted stop: %v", err)
		}
	case <-time.After(20 * time.Second):
		t.Error("the API server does not stop")
	}
	cancel()
	closed()
}
