package airgap

import (
	"archive/tar"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"
	"syscall"

	containerd "github.com/containerd/containerd/v2/client"
	"github.com/containerd/containerd/v2/core/content"
	"github.com/containerd/containerd/v2/core/images"
	imagearchive "github.com/containerd/containerd/v2/core/images/archive"
	"github.com/containerd/containerd/v2/core/leases"
	"github.com/containerd/errdefs"
	"github.com/containerd/platforms"
	"github.com/distribution/reference"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"kubesolo.io/os/payload/internal/durable"
)

const snapshotter = "overlayfs"

// labels make an image visible to kubelet and keep kubelet's image collection off it.
var labels = map[string]string{"io.cri-containerd.image": "managed", "io.cri-containerd.pinned": "pinned"}

// imported imports an archive and returns the names of its images. The lease is of this archive: what an interrupted
// import has brought stays, and the next one does not write or unpack it again. The images are recorded when all is
// unpacked and on the disk.
func imported(ctx context.Context, client *containerd.Client, lease string, stream io.Reader, keep map[string]bool) ([]string, error) {
	held := leases.Lease{ID: lease}
	if _, err := client.LeasesService().Create(ctx, leases.WithID(lease)); err != nil && !errdefs.IsAlreadyExists(err) {
		return nil, err
	}
	names, err := unpackAll(leases.WithLease(ctx, lease), client, stream, keep)
	if ctx.Err() == nil { // else it goes on after the next start
		err = errors.Join(err, client.LeasesService().Delete(ctx, held))
	}
	return names, err
}

func unpackAll(ctx context.Context, client *containerd.Client, stream io.Reader, keep map[string]bool) ([]string, error) {
	selected := filtered(stream, keep)
	index, err := imagearchive.ImportIndex(ctx, client.ContentStore(), selected)
	if err = errors.Join(err, selected.Close()); err != nil {
		return nil, importError(err)
	}
	targets, err := named(ctx, client.ContentStore(), index)
	if err != nil {
		return nil, err
	}
	var names []string
	for name, target := range targets {
		if err := label(ctx, client.ContentStore(), target); err != nil {
			return names, importError(err)
		}
		image := images.Image{Name: name, Target: target, Labels: labels}
		if err := containerd.NewImage(client, image).Unpack(ctx, snapshotter); err != nil {
			return names, importError(fmt.Errorf("%s: %w", name, err))
		}
		_, err := client.ImageService().Create(ctx, image)
		if errdefs.IsAlreadyExists(err) {
			_, err = client.ImageService().Update(ctx, image, "target", "labels")
		}
		if err != nil {
			return names, err
		}
		names = append(names, name)
	}
	return names, nil
}

// importError tells what the archive is to blame for: all that neither the system nor the end of the node is.
func importError(err error) error {
	var system syscall.Errno
	ours := errors.Is(err, context.Canceled) || errors.As(err, &system) || errors.Is(err, errDamaged)
	if ours || durable.IsFull(err) || strings.Contains(err.Error(), syscall.ENOSPC.Error()) {
		return err
	}
	return damaged("%w", err)
}

// filtered is the archive without the members that are not wanted. When it is closed, nothing reads the stream.
func filtered(stream io.Reader, keep map[string]bool) io.ReadCloser {
	if keep == nil {
		return io.NopCloser(stream)
	}
	reader, writer := io.Pipe()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		writer.CloseWithError(pick(tar.NewReader(stream), tar.NewWriter(writer), keep))
	}()
	return closer{reader, func() error {
		err := reader.Close()
		<-ended
		return err
	}}
}

func pick(from *tar.Reader, to *tar.Writer, keep map[string]bool) error {
	for {
		header, err := from.Next()
		if errors.Is(err, io.EOF) {
			return to.Close()
		}
		if err != nil {
			return readError(err)
		}
		if !keep[path.Clean(header.Name)] || header.Typeflag != tar.TypeReg {
			continue
		}
		if err := to.WriteHeader(&tar.Header{Name: header.Name, Typeflag: tar.TypeReg, Mode: 0o644, Size: header.Size}); err != nil {
			return err
		}
		if _, err := io.Copy(to, from); err != nil {
			return err
		}
	}
}

// named finds, for each name in an archive, the image for this machine.
func named(ctx context.Context, store content.Store, index ocispec.Descriptor) (map[string]ocispec.Descriptor, error) {
	text, err := content.ReadBlob(ctx, store, index)
	if err != nil {
		return nil, importError(err)
	}
	var listed ocispec.Index
	if err := json.Unmarshal(text, &listed); err != nil {
		return nil, damaged("index: %w", err)
	}
	found := map[string]ocispec.Descriptor{}
	for _, target := range listed.Manifests {
		name := fullName(target.Annotations)
		if name == "" {
			continue
		}
		_, err := images.Manifest(ctx, store, target, platforms.Default())
		switch {
		case err == nil:
			target.Annotations = nil // CRI keeps the descriptor
			found[name] = target
		case !errdefs.IsNotFound(err):
			return nil, importError(err)
		}
	}
	if len(found) == 0 {
		return nil, damaged("none of its %d images has a name and is for %s", len(listed.Manifests), platforms.DefaultString())
	}
	return found, nil
}

// fullName is an image's name with registry and tag, "" without one: a tag alone is none.
func fullName(annotations map[string]string) string {
	name := annotations[images.AnnotationImageName]
	if name == "" {
		if name = annotations[ocispec.AnnotationRefName]; !strings.Contains(name, "/") {
			return ""
		}
	}
	full, err := reference.ParseDockerRef(name)
	if err != nil {
		return ""
	}
	return full.String()
}

// label keeps what an image needs from being collected, but for its layers, which are not needed once unpacked.
func label(ctx context.Context, store content.Store, target ocispec.Descriptor) error {
	children := images.FilterPlatforms(images.ChildrenHandler(store), platforms.Default())
	handler := images.SetChildrenMappedLabels(store, children, images.ChildGCLabelsFilterLayers)
	return images.WalkNotEmpty(ctx, handler, target)
}
