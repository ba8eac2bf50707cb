// Package components starts the parts of a Kubernetes node inside this process, each in a file of its own.
package components

import (
	"net"
	"path/filepath"

	"kubesolo.io/os/payload/internal/milestones"
	"kubesolo.io/os/payload/internal/networks"
	"kubesolo.io/os/payload/internal/options"
	"kubesolo.io/os/payload/internal/pki"
)

// APIPort is where the API server listens.
const APIPort = 6443

// ClusterDomain is the domain of the cluster's names (fixed: operators and manifests rely on it).
const ClusterDomain = "cluster.local"

// Config is what the components are started with.
type Config struct {
	Options    *options.Options
	NodeName   string
	NodeIP     net.IP
	Networks   networks.Networks
	PKI        *pki.PKI
	RunDir     string // sockets and generated configuration; gone after a reboot
	APIPort    int
	Milestones *milestones.Recorder
}

// KineSocket is where the API server finds its database.
func (c *Config) KineSocket() string { return filepath.Join(c.RunDir, "kine.sock") }

func (c *Config) database() string { return filepath.Join(c.Options.Path, "db", "state.db") }
