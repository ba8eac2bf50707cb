package pki

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"os"

	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
	certutil "k8s.io/client-go/util/cert"
	"k8s.io/client-go/util/keyutil"
	kubeconfigutil "k8s.io/kubernetes/cmd/kubeadm/app/util/kubeconfig"
	"k8s.io/kubernetes/cmd/kubeadm/app/util/pkiutil"

	"kubesolo.io/os/payload/internal/durable"
)

const (
	clusterName = "kubesolo"
	adminName   = "kubernetes-admin"
	// Server is the API server's address in kubeconfigs: right on the node whatever its addresses are.
	Server = "https://127.0.0.1:6443"
)

// ensureComponentKubeconfig writes a kubeconfig that names the certificate's files, so that the client
// reads them again when they are renewed.
func (p *PKI) ensureComponentKubeconfig(component string) error {
	kubeconfig := kubeconfigutil.CreateBasic(Server, clusterName, component, nil)
	kubeconfig.Clusters[clusterName].CertificateAuthority = p.File("ca.crt")
	kubeconfig.AuthInfos[component] = &clientcmdapi.AuthInfo{
		ClientCertificate: p.File(component + ".crt"), ClientKey: p.File(component + ".key"),
	}
	text, err := clientcmd.Write(*kubeconfig)
	if err != nil {
		return err
	}
	path := p.Kubeconfig(component)
	if old, err := os.ReadFile(path); err == nil && bytes.Equal(old, text) {
		return nil
	}
	return writeFile(path, text, 0o600)
}

// ensureAdminKubeconfig writes the administrator's kubeconfig, complete in itself, so that it can be taken
// away from the node.
func (p *PKI) ensureAdminKubeconfig(ca *authority) (bool, error) {
	path := p.AdminKubeconfig()
	config := certutil.Config{
		CommonName: adminName, Organization: []string{"system:masters"},
		Usages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	if p.goodKubeconfig(path, config, ca) {
		return false, os.Chmod(path, 0o600)
	}
	cert, key, err := p.issue(config, ca)
	if err != nil {
		return false, err
	}
	keyPEM, err := keyutil.MarshalPrivateKeyToPEM(key)
	if err != nil {
		return false, err
	}
	kubeconfig := kubeconfigutil.CreateWithCerts(
		Server, clusterName, adminName, pkiutil.EncodeCertPEM(ca.cert), keyPEM, pkiutil.EncodeCertPEM(cert))
	text, err := clientcmd.Write(*kubeconfig)
	if err != nil {
		return false, err
	}
	return true, writeFile(path, text, 0o600)
}

func (p *PKI) goodKubeconfig(path string, want certutil.Config, ca *authority) bool {
	kubeconfig, err := clientcmd.LoadFromFile(path)
	if err != nil {
		return false
	}
	cluster, user := kubeconfig.Clusters[clusterName], kubeconfig.AuthInfos[want.CommonName]
	if cluster == nil || user == nil || len(user.ClientKeyData) == 0 ||
		!bytes.Equal(cluster.CertificateAuthorityData, pkiutil.EncodeCertPEM(ca.cert)) {
		return false
	}
	certs, err := certutil.ParseCertsPEM(user.ClientCertificateData)
	return err == nil && p.good(certs[0], want, ca)
}

// writePair writes key, then certificate: a certificate without its key is never left behind.
func (p *PKI) writePair(name string, cert *x509.Certificate, key crypto.Signer) error {
	if err := p.writeKey(name, key); err != nil {
		return err
	}
	return writeFile(p.File(name+".crt"), pkiutil.EncodeCertPEM(cert), 0o644)
}

func (p *PKI) writeKey(name string, key crypto.Signer) error {
	text, err := keyutil.MarshalPrivateKeyToPEM(key)
	if err != nil {
		return err
	}
	return writeFile(p.File(name+".key"), text, 0o600)
}

// writeFile replaces a file as a whole and lasting: after a power cut there is the old or the new one.
func writeFile(path string, data []byte, mode os.FileMode) error {
	return durable.WriteFile(path, data, mode)
}
