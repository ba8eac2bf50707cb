package pki

import (
	"crypto/x509"
	"net"
	"slices"

	certutil "k8s.io/client-go/util/cert"
)

// leaf is a certificate kept as <name>.crt and <name>.key.
type leaf struct {
	name, issuer string
	config       certutil.Config
}

// components are the clients of the API server that have a kubeconfig naming their certificate's files.
var components = []string{"kube-controller-manager", "kube-scheduler", "kube-proxy", "kubelet-client"}

// leaves lists the certificates. The controllers, the scheduler and the proxy are masters: the roles that
// would suffice exist only after the API server's RBAC hook, seconds after it serves, and the process that
// they run in holds the authority's key anyway.
func leaves(names Names) []leaf {
	server := []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	masters := []string{"system:masters"}
	client := []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	return []leaf{
		{"apiserver", "ca", certutil.Config{CommonName: "kube-apiserver", AltNames: names.API, Usages: server}},
		{"kubelet", "ca", certutil.Config{CommonName: "system:node:" + names.Node, Usages: server,
			Organization: []string{"system:nodes"}, AltNames: names.API}},
		{"apiserver-kubelet-client", "ca", certutil.Config{CommonName: "kube-apiserver-kubelet-client", Usages: client,
			Organization: masters}},
		{"kube-controller-manager", "ca", certutil.Config{CommonName: "system:kube-controller-manager", Usages: client,
			Organization: masters}},
		{"kube-scheduler", "ca", certutil.Config{CommonName: "system:kube-scheduler", Usages: client, Organization: masters}},
		{"kube-proxy", "ca", certutil.Config{CommonName: "system:kube-proxy", Usages: client, Organization: masters}},
		{"kubelet-client", "ca", certutil.Config{CommonName: "system:node:" + names.Node, Usages: client,
			Organization: []string{"system:nodes"}}},
		{"front-proxy-client", "front-proxy-ca", certutil.Config{CommonName: "front-proxy-client", Usages: client}},
	}
}

func sameNames(cert *x509.Certificate, want certutil.AltNames) bool {
	return sameStrings(cert.DNSNames, want.DNSNames) && sameStrings(texts(cert.IPAddresses), texts(want.IPs))
}

func sameStrings(a, b []string) bool {
	unique := func(list []string) []string {
		return slices.Compact(slices.Sorted(slices.Values(list)))
	}
	return slices.Equal(unique(a), unique(b))
}

func (n Names) equal(other Names) bool {
	return n.Node == other.Node && sameStrings(n.API.DNSNames, other.API.DNSNames) &&
		sameStrings(texts(n.API.IPs), texts(other.API.IPs))
}

func texts(ips []net.IP) []string {
	var all []string
	for _, ip := range ips {
		all = append(all, ip.String())
	}
	return all
}
