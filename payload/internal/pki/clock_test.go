package pki

import (
	"bytes"
	"context"
	"crypto/x509"
	"os"
	"strings"
	"testing"
	"time"

	"k8s.io/client-go/tools/clientcmd"
	certutil "k8s.io/client-go/util/cert"
	"k8s.io/kubernetes/cmd/kubeadm/app/util/pkiutil"
)

const year = 365 * 24 * time.Hour

// at makes a PKI whose clock stands still.
func at(t *testing.T, dir string, now time.Time) *PKI {
	t.Helper()
	p := New(dir)
	p.now = func() time.Time { return now }
	return p
}

// verify checks a chain as a client does whose clock says `now` and whose kubeconfig has this authority.
func verify(t *testing.T, what string, leaf, authority *x509.Certificate, now time.Time) {
	t.Helper()
	roots := x509.NewCertPool()
	roots.AddCert(authority)
	_, err := leaf.Verify(x509.VerifyOptions{
		Roots: roots, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny},
	})
	if err != nil {
		t.Errorf("%s: %v", what, err)
	}
}

// kubeconfig returns the authority and the certificate that the administrator's kubeconfig holds.
func kubeconfig(t *testing.T, p *PKI) (authority, user *x509.Certificate) {
	t.Helper()
	config, err := clientcmd.LoadFromFile(p.AdminKubeconfig())
	if err != nil {
		t.Fatal(err)
	}
	parse := func(text []byte) *x509.Certificate {
		certs, err := certutil.ParseCertsPEM(text)
		if err != nil {
			t.Fatal(err)
		}
		return certs[0]
	}
	return parse(config.Clusters[clusterName].CertificateAuthorityData), parse(config.AuthInfos[adminName].ClientCertificateData)
}

func TestEverythingIsValidAfterAClockThatWasWrong(t *testing.T) {
	right := time.Now()
	for name, wrong := range map[string]time.Duration{"ahead": 9 * year, "far ahead": 60 * year, "behind": -56 * year, "expired": -3 * year} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			ensure(t, at(t, dir, right.Add(wrong)), names)
			p := at(t, dir, right)
			ensure(t, p, names)
			for _, leaf := range leaves(names) {
				verify(t, leaf.name, certificate(t, p, leaf.name), certificate(t, p, leaf.issuer), right)
			}
			authority, user := kubeconfig(t, p)
			verify(t, "kubeconfig", user, authority, right)
		})
	}
}

func TestAKubeconfigFromBeforeTheClockWasSetBackStaysGood(t *testing.T) {
	right, dir := time.Now(), t.TempDir()
	early := at(t, dir, right.Add(9*year))
	ensure(t, early, names)
	authority, user := kubeconfig(t, early)
	p := at(t, dir, right)
	ensure(t, p, names)
	verify(t, "the server, by the old kubeconfig's authority", certificate(t, p, "apiserver"), authority, right)
	verify(t, "the old kubeconfig's user, by the server's authority", user, certificate(t, p, "ca"), right)
}

// ahead makes the authority that a node without a bound on its certificates' beginning had made.
func ahead(t *testing.T, p *PKI, begin time.Time) *x509.Certificate {
	t.Helper()
	key, err := pkiutil.TryLoadKeyFromDisk(p.dir, "ca")
	if err != nil {
		t.Fatal(err)
	}
	cert, err := pkiutil.NewSelfSignedCACert(&pkiutil.CertConfig{
		Config: certutil.Config{CommonName: "kubesolo-ca", NotBefore: begin}, NotAfter: begin.Add(caLife),
	}, key)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(p.File("ca.crt"), pkiutil.EncodeCertPEM(cert), 0o644); err != nil {
		t.Fatal(err)
	}
	return cert
}

func TestAnAuthorityThatIsNotValidYetIsHealedWithItsKey(t *testing.T) {
	p := New(t.TempDir())
	ensure(t, p, names)
	old, leaf := ahead(t, p, time.Now().Add(5*year)), certificate(t, p, "apiserver")
	if written := strings.Join(ensure(t, p, names), " "); !strings.Contains(written, "ca") {
		t.Errorf("wrote %v", written)
	}
	healed := certificate(t, p, "ca")
	if !bytes.Equal(healed.RawSubject, old.RawSubject) || !bytes.Equal(healed.RawSubjectPublicKeyInfo, old.RawSubjectPublicKeyInfo) {
		t.Error("another key or subject")
	}
	verify(t, "a leaf of before", leaf, healed, time.Now())
}

// keepFor runs Keep with a clock that was set by `step` and returns why the process has to start again.
func keepFor(t *testing.T, p *PKI, step time.Duration) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	p.now = func() time.Time { return p.made.Add(step) }
	p.uptime = func() time.Duration { return 0 }
	looks := 0
	var reason error
	p.keep(ctx, time.Millisecond, func() Names {
		if looks++; looks > 3 {
			cancel()
		}
		return names
	}, Events{
		Renewed: func([]string) {}, Failed: func(err error) { t.Error(err) },
		Outdated: func(why error) { reason = why },
	})
	return reason
}

func TestAClockThatWasSetFarStartsTheProcessAgain(t *testing.T) {
	for step, want := range map[time.Duration]string{
		-7 * year: "set back", -time.Hour: "set back", year: "set forward",
		-time.Minute: "", 0: "", time.Hour: "", 24 * time.Hour: "",
	} {
		p := New(t.TempDir())
		ensure(t, p, names)
		reason := keepFor(t, p, step)
		if want == "" && reason != nil || want != "" && (reason == nil || !strings.Contains(reason.Error(), want)) {
			t.Errorf("%v: %v", step, reason)
		}
	}
}
