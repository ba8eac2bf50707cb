// Package components starts the parts of a Kubernetes node inside this process, each in a file of its own.
package components

import (
	"net"
	"path/filepath"

	"kubesolo.io/os/payload/internal/milestones"
	"kubesolo.io/os/payload/internal/options"
	"kubesolo.io/os/payload/internal/pki"
)

// APIPort is where the API server listens.
const APIPort = 6443

// Networks of the cluster (fixed: operators and manifests rely on them).
const (
	PodCIDR       = "10.42.0.0/16"
	ServiceCIDR   = "10.43.0.0/16"
	APIServiceIP  = "10.43.0.1"
	DNSServiceIP  = "10.43.0.10"
	ClusterDomain = "cluster.local"
)

// Config is what the components are started with.
type Config struct {
	Options    *options.Options
	NodeName   string
	NodeIP     net.IP
	PKI        *pki.PKI
	RunDir     string // sockets and generated configuration; gone after a reboot
	APIPort    int
	Milestones *milestones.Recorder
}

// KineSocket is where the API server finds its database.
func (c *Config) KineSocket() string { return filepath.Join(c.RunDir, "kine.sock") }

func (c *Config) database() string { return filepath.Join(c.Options.Path, "db", "state.db") }
