package components

import (
	"context"
	"fmt"

	"github.com/containerd/containerd/v2/core/diff"
	"github.com/containerd/containerd/v2/core/mount"
	"github.com/containerd/containerd/v2/plugins"
	"github.com/containerd/plugin"
	"github.com/containerd/plugin/registry"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// plainDiffer is containerd's own, lastingDiffer the same with layers that are on the disk before they are recorded.
const (
	plainDiffer   = "walking"
	lastingDiffer = "kubesolo-lasting"
)

// registerDiffer adds the differ for images that kubelet pulls. containerd's diff service has an option for this
// (sync_fs), its transfer service, by which images are pulled, has none in this version.
func registerDiffer() {
	registry.Register(&plugin.Registration{
		Type:     plugins.DiffPlugin,
		ID:       lastingDiffer,
		Requires: []plugin.Type{plugins.MetadataPlugin, plugins.MountManagerPlugin},
		InitFn: func(ic *plugin.InitContext) (any, error) {
			plain, found := registration(plugins.DiffPlugin, plainDiffer)
			if !found {
				return nil, fmt.Errorf("containerd has no differ %q", plainDiffer)
			}
			made, err := plain.InitFn(ic)
			if err != nil {
				return nil, err
			}
			full, ok := made.(differ)
			if !ok {
				return nil, fmt.Errorf("containerd's differ %T can not apply layers", made)
			}
			return lasting{full}, nil
		},
	})
}

// registration finds a plugin of containerd's.
func registration(kind plugin.Type, id string) (found plugin.Registration, is bool) {
	for _, one := range registry.Graph(func(*plugin.Registration) bool { return false }) {
		if one.Type == kind && one.ID == id {
			return one, true
		}
	}
	return plugin.Registration{}, false
}

type differ interface {
	diff.Comparer
	diff.Applier
}

// lasting flushes what it unpacks: a layer's record is durable as soon as it is made, and after a power cut names
// files that must be whole.
type lasting struct{ differ }

// Apply implements diff.Applier.
func (l lasting) Apply(ctx context.Context, layer ocispec.Descriptor, mounts []mount.Mount, options ...diff.ApplyOpt) (ocispec.Descriptor, error) {
	return l.differ.Apply(ctx, layer, mounts, append(options, diff.WithSyncFs(true))...)
}
