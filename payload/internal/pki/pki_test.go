package pki

import (
	"context"
	"crypto/x509"
	"net"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"k8s.io/client-go/tools/clientcmd"
	certutil "k8s.io/client-go/util/cert"
	"k8s.io/kubernetes/cmd/kubeadm/app/util/pkiutil"
)

var names = Names{Node: "edge-1", API: certutil.AltNames{
	DNSNames: []string{"edge-1", "localhost"}, IPs: []net.IP{net.ParseIP("127.0.0.1"), net.ParseIP("10.43.0.1")},
}}

func ensure(t *testing.T, p *PKI, names Names) []string {
	t.Helper()
	written, err := p.Ensure(names)
	if err != nil {
		t.Fatal(err)
	}
	return written
}

func snapshot(t *testing.T, dir string) map[string]string {
	t.Helper()
	files := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, entry os.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		files[path] = string(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func certificate(t *testing.T, p *PKI, name string) *x509.Certificate {
	t.Helper()
	cert, _, err := pkiutil.TryLoadCertAndKeyFromDisk(p.dir, name)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

func TestMadeOnceAndKept(t *testing.T) {
	p := New(filepath.Join(t.TempDir(), "pki"))
	if written := ensure(t, p, names); !slices.Contains(written, "apiserver") {
		t.Errorf("first start wrote %v", written)
	}
	before := snapshot(t, p.dir)
	if written := ensure(t, p, names); len(written) != 0 {
		t.Errorf("second start wrote %v", written)
	}
	for path, text := range snapshot(t, p.dir) {
		if before[path] != text {
			t.Errorf("%s changed", path)
		}
	}
}

func TestServingCertificateIsTrustedForItsNames(t *testing.T) {
	p := New(t.TempDir())
	ensure(t, p, names)
	roots := x509.NewCertPool()
	roots.AddCert(certificate(t, p, "ca"))
	for _, host := range []string{"edge-1", "127.0.0.1", "10.43.0.1"} {
		if _, err := certificate(t, p, "apiserver").Verify(x509.VerifyOptions{Roots: roots, DNSName: host}); err != nil {
			t.Errorf("%s: %v", host, err)
		}
	}
}

func TestSecretsAreForTheOwnerOnly(t *testing.T) {
	p := New(filepath.Join(t.TempDir(), "pki"))
	ensure(t, p, names)
	for path := range snapshot(t, p.dir) {
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if filepath.Ext(path) != ".crt" && info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %o", path, info.Mode().Perm())
		}
	}
}

func TestNewNamesReissueOnlyServingCertificates(t *testing.T) {
	p := New(t.TempDir())
	ensure(t, p, names)
	more := names
	more.API.DNSNames = append(slices.Clone(names.API.DNSNames), "edge-1.local")
	if written := ensure(t, p, more); !slices.Equal(written, []string{"apiserver", "kubelet"}) {
		t.Errorf("wrote %v", written)
	}
	if err := certificate(t, p, "apiserver").VerifyHostname("edge-1.local"); err != nil {
		t.Error(err)
	}
}

func TestLeavesAreRenewedBeforeTheyExpire(t *testing.T) {
	p := New(t.TempDir())
	ensure(t, p, names)
	authority := certificate(t, p, "ca")
	later := time.Now().Add(leafLife - RenewBefore + time.Hour)
	p.now = func() time.Time { return later }
	if written := ensure(t, p, names); len(written) != len(leaves(names))+1 {
		t.Errorf("wrote %v", written)
	}
	if !certificate(t, p, "apiserver").NotAfter.After(later.Add(RenewBefore)) {
		t.Error("the serving certificate still expires soon")
	}
	if !certificate(t, p, "ca").Equal(authority) {
		t.Error("the authority changed")
	}
}

func TestAuthorityIsSignedAnewWithTheSameKey(t *testing.T) {
	p := New(t.TempDir())
	ensure(t, p, names)
	old := certificate(t, p, "apiserver")
	p.now = func() time.Time { return time.Now().Add(caLife - caRenewBefore + time.Hour) }
	ensure(t, p, names)
	if err := old.CheckSignatureFrom(certificate(t, p, "ca")); err != nil {
		t.Errorf("a leaf of the old authority: %v", err)
	}
	config, err := clientcmd.LoadFromFile(p.AdminKubeconfig())
	if err != nil {
		t.Fatal(err)
	}
	want := pkiutil.EncodeCertPEM(certificate(t, p, "ca"))
	if string(config.Clusters[clusterName].CertificateAuthorityData) != string(want) {
		t.Error("the administrator's kubeconfig has the old authority")
	}
}

func TestAPowerCutBetweenKeyAndCertificateHeals(t *testing.T) {
	p := New(t.TempDir())
	ensure(t, p, names)
	other := New(t.TempDir())
	ensure(t, other, names)
	for _, name := range []string{"apiserver.key", "kube-proxy.key"} {
		text, err := os.ReadFile(other.File(name))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(p.File(name), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"ca.crt", "front-proxy-client.crt", "sa.pub", "kube-scheduler.key"} {
		if err := os.Remove(p.File(name)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(p.AdminKubeconfig(), []byte("torn"), 0o600); err != nil {
		t.Fatal(err)
	}
	ensure(t, p, names)
	for _, leaf := range leaves(names) {
		cert, key, err := pkiutil.TryLoadCertAndKeyFromDisk(p.dir, leaf.name)
		if err != nil || !matches(cert, key) {
			t.Errorf("%s: %v", leaf.name, err)
		}
	}
}

func TestALostAuthorityKeyIsNotReplaced(t *testing.T) {
	p := New(t.TempDir())
	ensure(t, p, names)
	if err := os.Remove(p.File("ca.key")); err != nil {
		t.Fatal(err)
	}
	if _, err := p.Ensure(names); err == nil {
		t.Error("a new authority was made behind the cluster's back")
	}
}

func TestKeepFollowsNames(t *testing.T) {
	p := New(t.TempDir())
	ensure(t, p, names)
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	calls := 0
	current := func() Names {
		calls++
		if calls == 1 {
			return names
		}
		changed := names
		changed.API.IPs = append(slices.Clone(names.API.IPs), net.ParseIP("192.0.2.7"))
		return changed
	}
	var got []string
	p.keep(ctx, time.Millisecond, current, Events{
		Renewed:  func(written []string) { got = written; cancel() },
		Failed:   func(err error) { t.Error(err) },
		Outdated: func(reason error) { t.Error(reason) },
	})
	if !slices.Contains(got, "apiserver") {
		t.Errorf("wrote %v", got)
	}
}
