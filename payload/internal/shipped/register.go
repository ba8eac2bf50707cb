package shipped

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	containerd "github.com/containerd/containerd/v2/client"
	"github.com/containerd/containerd/v2/core/content"
	"github.com/containerd/containerd/v2/core/images"
	"github.com/containerd/containerd/v2/core/leases"
	"github.com/containerd/containerd/v2/core/snapshots"
	"github.com/containerd/containerd/v2/pkg/namespaces"
	"github.com/containerd/errdefs"
	digest "github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"kubesolo.io/os/payload/internal/durable"
)

const (
	// Namespace is where CRI keeps everything.
	Namespace   = "k8s.io"
	snapshotter = "overlayfs"
	// linkLabel is a label of a snapshot whose files are a link: the link's path.
	linkLabel = "kubesolo.io/link"
	lease     = "kubesolo-shipped"
)

// labels make an image visible to kubelet and keep kubelet's image collection off it.
var labels = map[string]string{"io.cri-containerd.image": "managed", "io.cri-containerd.pinned": "pinned"}

// store is what containerd keeps of images.
type store struct {
	content   content.Store
	snapshots snapshots.Snapshotter
	images    images.Store
	leases    leases.Manager
}

// Register makes images known to containerd, as if they had been pulled and unpacked, and forgets other versions of
// them, whose files have gone with the system that had them. What is known already costs a look. Whatever a power cut
// leaves is mended by the next call: the link is on the disk before the snapshot's record, that before the image's.
func Register(ctx context.Context, client *containerd.Client, shipped []Image) error {
	return register(namespaces.WithNamespace(ctx, Namespace), store{
		client.ContentStore(), client.SnapshotService(snapshotter), client.ImageService(), client.LeasesService(),
	}, shipped)
}

func register(ctx context.Context, s store, shipped []Image) error {
	var problems []error
	for _, image := range shipped {
		if err := s.ensure(ctx, image); err != nil {
			problems = append(problems, fmt.Errorf("image %s: %w", image.Name, err))
		}
	}
	return errors.Join(append(problems, s.forgetOthers(ctx, shipped))...)
}

// ensure makes one image known.
func (s store) ensure(ctx context.Context, image Image) error {
	known, err := s.images.Get(ctx, image.Name)
	if err == nil && known.Target.Digest == image.Manifest.Digest {
		if err := s.ensureLink(ctx, image); !errdefs.IsNotFound(err) {
			return err
		}
	}
	// Nothing is collected before the image's record holds it.
	if _, err := s.leases.Create(ctx, leases.WithID(lease)); err != nil && !errdefs.IsAlreadyExists(err) {
		return err
	}
	defer func() { _ = s.leases.Delete(context.WithoutCancel(ctx), leases.Lease{ID: lease}) }()
	ctx = leases.WithLease(ctx, lease)
	if err := s.ensureLink(ctx, image); errdefs.IsNotFound(err) {
		err = s.link(ctx, image)
		if err != nil {
			return err
		}
	} else if err != nil {
		return err
	}
	if err := s.write(ctx, image); err != nil {
		return err
	}
	record := images.Image{Name: image.Name, Target: image.Manifest, Labels: labels}
	_, err = s.images.Create(ctx, record)
	if errdefs.IsAlreadyExists(err) {
		_, err = s.images.Update(ctx, record, "target", "labels")
	}
	return err
}

// link makes the snapshot: the empty folder that the snapshotter makes gives way to a link.
func (s store) link(ctx context.Context, image Image) error {
	key := lease + "-" + image.Layer.Encoded()
	if err := s.snapshots.Remove(ctx, key); err != nil && !errdefs.IsNotFound(err) { // of an earlier, interrupted call
		return err
	}
	mounts, err := s.snapshots.Prepare(ctx, key, "")
	if err != nil {
		return err
	}
	if len(mounts) != 1 || mounts[0].Type != "bind" {
		return fmt.Errorf("the snapshotter has no folder for it, but %v", mounts)
	}
	path := mounts[0].Source
	if err := place(path, image.Files); err != nil {
		return err
	}
	return s.snapshots.Commit(ctx, image.Layer.String(), key, snapshots.WithLabels(map[string]string{linkLabel: path}))
}

// ensureLink mends the link of a snapshot that has one. The error is ErrNotFound without a snapshot.
func (s store) ensureLink(ctx context.Context, image Image) error {
	info, err := s.snapshots.Stat(ctx, image.Layer.String())
	if err != nil {
		return err
	}
	path := info.Labels[linkLabel]
	if path == "" { // unpacked, by a system that had it as an archive
		return nil
	}
	if target, err := os.Readlink(path); err == nil && target == image.Files {
		return nil
	}
	return place(path, image.Files)
}

// place puts a link where an empty folder, another link or nothing is; when it returns nil, the link lasts.
func place(path, target string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	if err := os.Symlink(target, path); err != nil {
		return err
	}
	return durable.SyncDir(filepath.Dir(path))
}

// write stores manifest and configuration, with the labels that keep what they mean from being collected.
func (s store) write(ctx context.Context, image Image) error {
	for _, blob := range []struct {
		descriptor ocispec.Descriptor
		text       []byte
		label      string
		value      string
	}{
		{image.Config, image.config, "containerd.io/gc.ref.snapshot." + snapshotter, image.Layer.String()},
		{image.Manifest, image.manifest, "containerd.io/gc.ref.content.config", image.Config.Digest.String()},
	} {
		held := map[string]string{blob.label: blob.value}
		ref := lease + "-" + blob.descriptor.Digest.Encoded()
		err := content.WriteBlob(ctx, s.content, ref, bytes.NewReader(blob.text), blob.descriptor, content.WithLabels(held))
		if err != nil {
			return err
		}
		info := content.Info{Digest: blob.descriptor.Digest, Labels: held}
		if _, err := s.content.Update(ctx, info, "labels."+blob.label); err != nil {
			return err
		}
	}
	return nil
}

// forgetOthers removes the records of other versions: under their names, and under the digests that CRI adds.
func (s store) forgetOthers(ctx context.Context, shipped []Image) error {
	known, err := s.images.List(ctx)
	if err != nil {
		return err
	}
	current, repositories := map[digest.Digest]bool{}, map[string]bool{}
	for _, image := range shipped {
		current[image.Manifest.Digest] = true
		repositories[repository(image.Name)] = true
	}
	others := map[digest.Digest]bool{}
	for _, image := range known {
		if repositories[repository(image.Name)] && !current[image.Target.Digest] {
			others[image.Target.Digest] = true
		}
	}
	var problems []error
	for _, image := range known {
		if others[image.Target.Digest] {
			problems = append(problems, s.images.Delete(ctx, image.Name))
		}
	}
	return errors.Join(problems...)
}

// repository is an image's name without tag or digest.
func repository(name string) string {
	name, _, _ = strings.Cut(name, "@")
	if colon := strings.LastIndexByte(name, ':'); colon > strings.LastIndexByte(name, '/') {
		name = name[:colon]
	}
	return name
}
