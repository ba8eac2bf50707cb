package components

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/containerd/platforms"

	"kubesolo.io/os/payload/internal/durable"
	"kubesolo.io/os/payload/internal/journal"
	"kubesolo.io/os/payload/internal/registries"
)

// containerdConfig is containerd's configuration (version 3 of containerd's config format, documented in
// its docs/cri/config.md). A container whose shim does not answer in time when containerd starts again is killed; at
// that time everything else starts as well, and a slow machine needs more than the 5 and 2 seconds of the default.
func containerdConfig(pause string, known registries.Settings) string {
	imports := ""
	if _, err := os.Stat(containerdExtra); err == nil {
		imports = fmt.Sprintf("imports = [%q]\n", containerdExtra)
	}
	return imports + fmt.Sprintf(`version = 4
root = %q
state = %q
oom_score = -999
disabled_plugins = [
  "io.containerd.nri.v1.nri", "io.containerd.snapshotter.v1.blockfile", "io.containerd.snapshotter.v1.erofs",
  "io.containerd.differ.v1.erofs", "io.containerd.mount-handler.v1.erofs", "io.containerd.snapshotter.v1.native",
  "io.containerd.image-verifier.v1.bindir", "io.containerd.tracing.processor.v1.otlp",
  "io.containerd.internal.v1.tracing", "io.containerd.monitor.container.v1.restart",
  "io.containerd.internal.v1.restart", "io.containerd.internal.v1.opt", "io.containerd.monitor.task.v1.cgroups",
]

[timeouts]
"io.containerd.timeout.shim.load" = "1m"
"io.containerd.timeout.shim.cleanup" = "30s"
"io.containerd.timeout.task.state" = "30s"

[plugins."io.containerd.server.v1.grpc"]
address = %q
[plugins."io.containerd.server.v1.ttrpc"]
address = %q

[plugins."io.containerd.cri.v1.images"]
snapshotter = "overlayfs"
%s[plugins."io.containerd.cri.v1.images".pinned_images]
sandbox = %q

[plugins."io.containerd.service.v1.diff-service"]
sync_fs = true
[[plugins."io.containerd.transfer.v1.local".unpack_config]]
platform = %q
snapshotter = "overlayfs"
differ = %q

[plugins."io.containerd.cri.v1.runtime".containerd]
default_runtime_name = "crun"
[plugins."io.containerd.cri.v1.runtime".containerd.runtimes.crun]
runtime_type = "io.containerd.runc.v2"
[plugins."io.containerd.cri.v1.runtime".containerd.runtimes.crun.options]
BinaryName = "/usr/bin/crun"
SystemdCgroup = false
[plugins."io.containerd.cri.v1.runtime".cni]
bin_dirs = ["/opt/cni/bin", "/usr/libexec/cni"]
conf_dir = %q
use_internal_loopback = true
%s`, ContainerdRoot, containerdState, ContainerdSocket, ContainerdSocket+".ttrpc", known.Lines, pause,
		platforms.DefaultString(), lastingDiffer, filepath.Dir(networkConfig), known.Tables)
}

// networkConflist is the pods' network (CNI specification 1.0.0): a bridge with NAT, host ports.
func networkConflist(pods string) string {
	return `{
  "cniVersion": "1.0.0",
  "name": "kubesolo",
  "plugins": [
    {
      "type": "bridge",
      "bridge": "cni0",
      "isGateway": true,
      "ipMasq": true,
      "ipMasqBackend": "nftables",
      "hairpinMode": true,
      "ipam": {
        "type": "host-local",
        "ranges": [[{"subnet": "` + pods + `"}]],
        "routes": [{"dst": "0.0.0.0/0"}],
        "dataDir": "/run/cni"
      }
    },
    {"type": "portmap", "backend": "nftables", "capabilities": {"portMappings": true}, "snat": true}
  ]
}
`
}

// TakenAddresses is the folder with a file for each address that a pod has, of the plugin host-local: its dataDir and
// the network's name.
const TakenAddresses = "/run/cni/kubesolo"

// ForeignNetwork says whether an operator has put a configuration of the pods' network in place of ours.
func ForeignNetwork() bool {
	entries, _ := os.ReadDir(filepath.Dir(networkConfig))
	return slices.ContainsFunc(entries, func(e os.DirEntry) bool {
		known := slices.Contains([]string{".conf", ".conflist", ".json"}, filepath.Ext(e.Name()))
		return known && e.Name() != filepath.Base(networkConfig)
	})
}

// APIForPods is an address at which pods reach the API server without kube-proxy and for as long as they run: their
// router, which stays when the node's address changes. An operator's own pod network has routers that nobody knows
// here; then it is the node's address, and whoever uses it has to be made again when that changes.
func APIForPods(c *Config) string {
	if ForeignNetwork() {
		return c.NodeIP.String()
	}
	return c.Networks.Gateway().String()
}

// writeNetworkConfig writes the pods' network unless an operator has put a configuration there.
func writeNetworkConfig(pods string) error {
	if ForeignNetwork() {
		return nil
	}
	dir := filepath.Dir(networkConfig)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	return keepNetworkConfig(networkConfig, withMTU(networkConflist(pods), longestPacket))
}

// keepNetworkConfig writes the file when it is not as it should be. Where a full disk keeps it from that, an old
// one that is whole does.
func keepNetworkConfig(path, content string) error {
	err := durable.Ensure(path, []byte(content), 0o644)
	if old, reading := os.ReadFile(path); durable.IsFull(err) && reading == nil && json.Valid(old) {
		journal.Warn("cni", "%v; the old one stays", err)
		return nil
	}
	return err
}
