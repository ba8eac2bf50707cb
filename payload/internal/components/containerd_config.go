package components

import (
	"fmt"
	"os"
	"path/filepath"
)

// containerdConfig is containerd's configuration (version 3 of containerd's config format, documented in
// its docs/cri/config.md).
func containerdConfig(pause string) string {
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

[plugins."io.containerd.server.v1.grpc"]
address = %q
[plugins."io.containerd.server.v1.ttrpc"]
address = %q

[plugins."io.containerd.cri.v1.images"]
snapshotter = "overlayfs"
[plugins."io.containerd.cri.v1.images".pinned_images]
sandbox = %q

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
`, containerdRoot, containerdState, ContainerdSocket, ContainerdSocket+".ttrpc", pause, filepath.Dir(networkConfig))
}

// networkConflist is the pods' network (CNI specification 1.0.0): a bridge with NAT, host ports.
const networkConflist = `{
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
        "ranges": [[{"subnet": "` + PodCIDR + `"}]],
        "routes": [{"dst": "0.0.0.0/0"}],
        "dataDir": "/run/cni"
      }
    },
    {"type": "portmap", "backend": "nftables", "capabilities": {"portMappings": true}, "snat": true}
  ]
}
`

// writeNetworkConfig writes the pods' network unless an operator has put a configuration there.
func writeNetworkConfig() error {
	dir := filepath.Dir(networkConfig)
	entries, err := os.ReadDir(dir)
	if err != nil && !os.IsNotExist(err) {
		return err
	}
	for _, entry := range entries {
		if filepath.Join(dir, entry.Name()) != networkConfig {
			return nil
		}
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	return os.WriteFile(networkConfig, []byte(networkConflist), 0o644)
}
