package components

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"os"
	"path/filepath"
	"slices"

	containerd "github.com/containerd/containerd/v2/client"
	"github.com/containerd/containerd/v2/cmd/containerd/server"
	srvconfig "github.com/containerd/containerd/v2/cmd/containerd/server/config"
	"github.com/containerd/containerd/v2/core/mount"
	"github.com/containerd/containerd/v2/plugins"
	"github.com/containerd/containerd/v2/version"
	"github.com/containerd/plugin"
	"github.com/containerd/plugin/registry"

	"kubesolo.io/os/payload/images"
	"kubesolo.io/os/payload/internal/journal"
	"kubesolo.io/os/payload/internal/registries"
)

const (
	// ContainerdRoot is where containerd keeps what lasts.
	ContainerdRoot  = "/var/lib/containerd"
	containerdState = "/run/containerd"
	// ContainerdSocket is containerd's address, also for crictl and the like.
	ContainerdSocket = containerdState + "/containerd.sock"
	// containerdExtra is the operator's own containerd configuration, merged over ours.
	containerdExtra = "/etc/kubesolo/containerd-config.toml"
	networkConfig   = "/etc/cni/net.d/10-kubesolo.conflist"
)

// Containerd starts containerd and returns when it answers on its socket. client calls its services directly:
// an image that goes through the socket is framed and copied twice more. stop closes its databases; running
// containers and their shims stay, and are found again through the state folder at the next start.
func Containerd(ctx context.Context, c *Config) (client *containerd.Client, stop func(), err error) {
	if err := writeNetworkConfig(c.Networks.Pods.String()); err != nil {
		return nil, nil, err
	}
	known, err := registries.Write(filepath.Join(c.RunDir, "cloud-init", "registries"), filepath.Join(c.RunDir, "registries"))
	if err != nil { // what is in the node or in archives runs all the same
		journal.Warn("registries", "%v", err)
	}
	path := filepath.Join(c.RunDir, "containerd.toml")
	if err := os.WriteFile(path, []byte(containerdConfig(images.Reference("pause"), known)), 0o600); err != nil {
		return nil, nil, err
	}
	config := &srvconfig.Config{Version: version.ConfigVersion, Root: ContainerdRoot, State: containerdState}
	registerClient(&client)
	registerDiffer()
	registered := func() iter.Seq[plugin.Registration] {
		return slices.Values(registry.Graph(func(*plugin.Registration) bool { return false }))
	}
	if err := srvconfig.LoadConfigWithPlugins(ctx, path, registered, config); err != nil {
		return nil, nil, err
	}
	if err := server.CreateTopLevelDirectories(config); err != nil {
		return nil, nil, err
	}
	if err := mount.SetTempMountLocation(filepath.Join(config.Root, "tmpmounts")); err != nil {
		return nil, nil, err
	}
	if _, err := mount.CleanupTempMounts(0); err != nil {
		return nil, nil, fmt.Errorf("temporary mounts: %w", err)
	}
	daemon, err := server.New(ctx, config)
	if err != nil {
		return nil, nil, err
	}
	if err := daemon.Start(ctx); err != nil {
		return nil, nil, err
	}
	daemon.Wait()
	if client == nil {
		return nil, nil, errors.New("containerd did not start the payload's client")
	}
	return client, daemon.Stop, nil
}

// registerClient has containerd make a client of its own services when it starts.
func registerClient(client **containerd.Client) {
	registry.Register(&plugin.Registration{
		Type: plugins.InternalPlugin,
		ID:   "kubesolo",
		Requires: []plugin.Type{
			plugins.EventPlugin, plugins.LeasePlugin, plugins.SandboxStorePlugin, plugins.TransferPlugin,
			plugins.MountManagerPlugin, plugins.ServicePlugin,
		},
		InitFn: func(ic *plugin.InitContext) (made any, err error) {
			*client, err = containerd.New("", containerd.WithInMemoryServices(ic))
			return *client, err
		},
	})
}
