package components

import (
	"strconv"

	genericapiserver "k8s.io/apiserver/pkg/server"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/rest"
	"k8s.io/kubernetes/pkg/cluster/ports"

	"kubesolo.io/os/payload/internal/usage"
)

// serveUsage has Kubernetes' own server serve metrics.k8s.io too, which asks kubelet as the API server does for logs.
func serveUsage(c *Config, server *genericapiserver.GenericAPIServer, known informers.SharedInformerFactory) error {
	return usage.Install(server, known, usage.Kubelet{
		Address: c.NodeIP,
		Port:    strconv.Itoa(ports.KubeletPort),
		TLS: rest.TLSClientConfig{
			CAFile:   c.PKI.File("ca.crt"),
			CertFile: c.PKI.File("apiserver-kubelet-client.crt"),
			KeyFile:  c.PKI.File("apiserver-kubelet-client.key"),
		},
	})
}
