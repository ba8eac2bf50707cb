package components

import (
	"context"
	"fmt"
	"iter"
	"os"
	"path/filepath"
	"slices"

	"github.com/containerd/containerd/v2/cmd/containerd/server"
	srvconfig "github.com/containerd/containerd/v2/cmd/containerd/server/config"
	"github.com/containerd/containerd/v2/core/mount"
	"github.com/containerd/containerd/v2/version"
	"github.com/containerd/plugin"
	"github.com/containerd/plugin/registry"

	"kubesolo.io/os/payload/images"
)

const (
	containerdRoot  = "/var/lib/containerd"
	containerdState = "/run/containerd"
	// ContainerdSocket is containerd's address, also for crictl and the like.
	ContainerdSocket = containerdState + "/containerd.sock"
	// containerdExtra is the operator's own containerd configuration, merged over ours.
	containerdExtra = "/etc/kubesolo/containerd-config.toml"
	networkConfig   = "/etc/cni/net.d/10-kubesolo.conflist"
)

// Containerd starts containerd and returns when it answers on its socket. stop closes its databases; running
// containers and their shims stay, and are found again through the state folder at the next start.
func Containerd(ctx context.Context, c *Config) (stop func(), err error) {
	if err := writeNetworkConfig(); err != nil {
		return nil, err
	}
	path := filepath.Join(c.RunDir, "containerd.toml")
	if err := os.WriteFile(path, []byte(containerdConfig(images.Reference("pause"))), 0o600); err != nil {
		return nil, err
	}
	config := &srvconfig.Config{Version: version.ConfigVersion, Root: containerdRoot, State: containerdState}
	plugins := func() iter.Seq[plugin.Registration] {
		return slices.Values(registry.Graph(func(*plugin.Registration) bool { return false }))
	}
	if err := srvconfig.LoadConfigWithPlugins(ctx, path, plugins, config); err != nil {
		return nil, err
	}
	if err := server.CreateTopLevelDirectories(config); err != nil {
		return nil, err
	}
	if err := mount.SetTempMountLocation(filepath.Join(config.Root, "tmpmounts")); err != nil {
		return nil, err
	}
	if _, err := mount.CleanupTempMounts(0); err != nil {
		return nil, fmt.Errorf("temporary mounts: %w", err)
	}
	daemon, err := server.New(ctx, config)
	if err != nil {
		return nil, err
	}
	if err := daemon.Start(ctx); err != nil {
		return nil, err
	}
	daemon.Wait()
	return daemon.Stop, nil
}
