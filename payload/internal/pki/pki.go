// Package pki keeps the cluster's certificates: made once, renewed before they expire, re-issued when
// what they must say changes. Layout and names follow kubeadm's.
package pki

import (
	"crypto"
	"crypto/x509"
	"fmt"
	"os"
	"path/filepath"
	"time"

	certutil "k8s.io/client-go/util/cert"
	kubeadmapi "k8s.io/kubernetes/cmd/kubeadm/app/apis/kubeadm"
	"k8s.io/kubernetes/cmd/kubeadm/app/util/pkiutil"
)

const (
	algorithm = kubeadmapi.EncryptionAlgorithmECDSAP256
	// backdate is for clients whose clock is behind the node's.
	backdate = 24 * time.Hour
	caLife   = 10 * 365 * 24 * time.Hour
	leafLife = 365 * 24 * time.Hour
	// caRenewBefore is longer than a leaf lives: no leaf outlives its authority's certificate.
	caRenewBefore = 2 * 365 * 24 * time.Hour
	// RenewBefore is the remaining life at which a certificate is replaced.
	RenewBefore = 90 * 24 * time.Hour
)

var authorities = []string{"ca", "front-proxy-ca"}

// earliest is where certificates begin, however far ahead the clock is when they are made: one that is set
// back later must not make them invalid, here or in a kubeconfig that was taken away. It is before the build
// of every image that has this code, and no node's clock is before that.
var earliest = time.Date(2026, time.January, 1, 0, 0, 0, 0, time.UTC)

// PKI is the folder with the cluster's authorities, certificates, keys and kubeconfigs.
type PKI struct {
	dir string
	now func() time.Time
	// made is what the clock said when the process began, uptime how long that was ago, whatever the clock did.
	made   time.Time
	uptime func() time.Duration
}

// New returns the PKI kept in dir.
func New(dir string) *PKI {
	made := time.Now()
	return &PKI{dir: dir, now: time.Now, made: made, uptime: func() time.Duration { return time.Since(made) }}
}

// File returns the path of a file of the PKI.
func (p *PKI) File(elements ...string) string {
	return filepath.Join(append([]string{p.dir}, elements...)...)
}

// AdminKubeconfig is the path of the administrator's kubeconfig.
func (p *PKI) AdminKubeconfig() string { return p.File("admin", "admin.kubeconfig") }

// Kubeconfig is the path of a component's kubeconfig.
func (p *PKI) Kubeconfig(component string) string { return p.File(component + ".kubeconfig") }

// Names is what the issued certificates depend on.
type Names struct {
	Node string
	// API is what clients may call the API server: its serving certificate's alternative names.
	API certutil.AltNames
}

// authority is a certificate authority with its key.
type authority struct {
	cert *x509.Certificate
	key  crypto.Signer
}

// Ensure makes everything that is missing, about to expire or no longer right, and returns the names
// of the certificates that it wrote. Components read them again by themselves.
func (p *PKI) Ensure(names Names) ([]string, error) {
	if err := os.MkdirAll(p.dir, 0o700); err != nil {
		return nil, err
	}
	var written []string
	cas := map[string]*authority{}
	for _, name := range authorities {
		ca, fresh, err := p.ensureAuthority(name)
		if err != nil {
			return nil, fmt.Errorf("certificate authority %s: %w", name, err)
		}
		if fresh {
			written = append(written, name)
		}
		cas[name] = ca
	}
	if err := p.ensureServiceAccountKey(); err != nil {
		return nil, fmt.Errorf("service account key: %w", err)
	}
	for _, leaf := range leaves(names) {
		fresh, err := p.ensureLeaf(leaf, cas[leaf.issuer])
		if err != nil {
			return nil, fmt.Errorf("certificate %s: %w", leaf.name, err)
		}
		if fresh {
			written = append(written, leaf.name)
		}
	}
	for _, component := range components {
		if err := p.ensureComponentKubeconfig(component); err != nil {
			return nil, fmt.Errorf("kubeconfig of %s: %w", component, err)
		}
	}
	fresh, err := p.ensureAdminKubeconfig(cas["ca"])
	if err != nil {
		return nil, fmt.Errorf("kubeconfig of the administrator: %w", err)
	}
	if fresh {
		written = append(written, "admin.kubeconfig")
	}
	return written, nil
}

// ensureAuthority loads an authority or makes it. The key stays for ever; a certificate that is missing
// (power cut at first boot), in its last years or not valid yet (made by a clock that was ahead) is signed
// anew with it, so that old leaves stay valid. That is among the names of what was written: who has read the
// old one must read it again.
func (p *PKI) ensureAuthority(name string) (*authority, bool, error) {
	cert, certErr := pkiutil.TryLoadCertFromDisk(p.dir, name)
	key, err := pkiutil.TryLoadKeyFromDisk(p.dir, name)
	if err != nil {
		if pkiutil.CertOrKeyExist(p.dir, name) {
			return nil, false, fmt.Errorf("%w (restore it from a backup, or remove the folder %s to start anew)", err, p.dir)
		}
		if key, err = pkiutil.GeneratePrivateKey(algorithm); err != nil {
			return nil, false, err
		}
		if err := p.writeKey(name, key); err != nil {
			return nil, false, err
		}
	}
	if certErr == nil && p.lives(cert, caRenewBefore) && matches(cert, key) {
		return &authority{cert, key}, false, nil
	}
	cert, err = pkiutil.NewSelfSignedCACert(&pkiutil.CertConfig{
		Config:   certutil.Config{CommonName: "kubesolo-" + name, NotBefore: p.begin()},
		NotAfter: p.now().Add(caLife),
	}, key)
	if err != nil {
		return nil, false, err
	}
	return &authority{cert, key}, true, writeFile(p.File(name+".crt"), pkiutil.EncodeCertPEM(cert), 0o644)
}

// ensureServiceAccountKey makes the key pair that signs and checks service account tokens.
func (p *PKI) ensureServiceAccountKey() error {
	if _, err := os.Stat(p.File("sa.key")); err == nil {
		if _, err := os.Stat(p.File("sa.pub")); err == nil {
			return nil
		}
	}
	key, err := pkiutil.TryLoadKeyFromDisk(p.dir, "sa")
	if err != nil {
		if key, err = pkiutil.GeneratePrivateKey(algorithm); err != nil {
			return err
		}
		if err := p.writeKey("sa", key); err != nil {
			return err
		}
	}
	public, err := pkiutil.EncodePublicKeyPEM(key.Public())
	if err != nil {
		return err
	}
	return writeFile(p.File("sa.pub"), public, 0o600)
}

func (p *PKI) ensureLeaf(leaf leaf, ca *authority) (bool, error) {
	cert, key, err := pkiutil.TryLoadCertAndKeyFromDisk(p.dir, leaf.name)
	if err == nil && matches(cert, key) && p.good(cert, leaf.config, ca) {
		return false, nil
	}
	if cert, key, err = p.issue(leaf.config, ca); err != nil {
		return false, err
	}
	return true, p.writePair(leaf.name, cert, key)
}

func (p *PKI) issue(config certutil.Config, ca *authority) (*x509.Certificate, crypto.Signer, error) {
	config.NotBefore = p.begin()
	return pkiutil.NewCertAndKey(ca.cert, ca.key, &pkiutil.CertConfig{
		Config: config, NotAfter: p.now().Add(leafLife), EncryptionAlgorithm: algorithm,
	})
}

// begin is where a certificate that is made now begins.
func (p *PKI) begin() time.Time {
	if now := p.now(); now.Before(earliest) {
		return now.Add(-backdate)
	}
	return earliest
}

// lives says whether a certificate is valid now and for longer than `remaining`.
func (p *PKI) lives(cert *x509.Certificate, remaining time.Duration) bool {
	return p.now().After(cert.NotBefore) && p.now().Add(remaining).Before(cert.NotAfter)
}

// good says whether a certificate lives long enough, comes from the authority and says what is wanted.
func (p *PKI) good(cert *x509.Certificate, want certutil.Config, ca *authority) bool {
	return p.lives(cert, RenewBefore) &&
		cert.CheckSignatureFrom(ca.cert) == nil &&
		cert.Subject.CommonName == want.CommonName &&
		sameStrings(cert.Subject.Organization, want.Organization) &&
		sameNames(cert, want.AltNames)
}

// matches says whether certificate and key belong together: a power cut may leave a new key beside an
// old certificate.
func matches(cert *x509.Certificate, key crypto.Signer) bool {
	public, ok := cert.PublicKey.(interface{ Equal(crypto.PublicKey) bool })
	return ok && public.Equal(key.Public())
}
