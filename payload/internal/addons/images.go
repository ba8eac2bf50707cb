package addons

import (
	"archive/tar"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	containerd "github.com/containerd/containerd/v2/client"
	"github.com/containerd/containerd/v2/core/images"
	"github.com/containerd/containerd/v2/pkg/namespaces"
	"github.com/containerd/errdefs"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"kubesolo.io/os/payload/internal/journal"
)

// Folders of image archives: those of the system and those that an operator puts on the data partition.
const (
	SystemImages   = "/usr/lib/kubesolo-os/images"
	OperatorImages = "/mnt/data/images"
)

const (
	namespace   = "k8s.io"
	snapshotter = "overlayfs"
)

// labels make an image visible to kubelet and keep kubelet's image collection off it.
var labels = map[string]string{"io.cri-containerd.image": "managed", "io.cri-containerd.pinned": "pinned"}

// ImportImages imports the image archives of the folders (*.tar, OCI layout or docker save) that containerd
// does not have yet. A bad archive is warned about and does not keep the others away.
func ImportImages(ctx context.Context, client *containerd.Client, folders ...string) error {
	ctx = namespaces.WithNamespace(ctx, namespace)
	for _, folder := range folders {
		paths, err := filepath.Glob(filepath.Join(folder, "*.tar"))
		if err != nil {
			return err
		}
		for _, path := range paths {
			names, err := importImage(ctx, client, path)
			if err != nil {
				journal.Warn("images", "%s: %v", path, err)
			}
			for _, name := range names {
				journal.Say("images", "%s imported from %s", name, path)
			}
		}
	}
	return nil
}

// importImage returns the names that it imported: none when all are there.
func importImage(ctx context.Context, client *containerd.Client, path string) ([]string, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	if present(ctx, client, file) {
		return nil, nil
	}
	if _, err := file.Seek(0, io.SeekStart); err != nil {
		return nil, err
	}
	// The lease keeps the layers until they are unpacked; then containerd drops them: only files are kept.
	ctx, release, err := client.WithLease(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { _ = release(context.WithoutCancel(ctx)) }()
	found, err := client.Import(ctx, file, containerd.WithImageLabels(labels), containerd.WithDiscardUnpackedLayers())
	if err != nil {
		return nil, fmt.Errorf("not an image archive: %w", err)
	}
	var names []string
	for _, image := range found {
		if err := containerd.NewImage(client, image).Unpack(ctx, snapshotter); err != nil {
			return names, fmt.Errorf("unpack %s: %w", image.Name, err)
		}
		names = append(names, image.Name)
	}
	return names, nil
}

// present says whether every image of an OCI archive is known under its name with the same content. It reads
// the archive's headers and index only. An archive of another kind counts as not present.
func present(ctx context.Context, client *containerd.Client, file io.ReadSeeker) bool {
	index, err := readIndex(file)
	if err != nil || len(index.Manifests) == 0 {
		return false
	}
	for _, manifest := range index.Manifests {
		image, err := client.ImageService().Get(ctx, manifest.Annotations[images.AnnotationImageName])
		if err != nil || image.Target.Digest != manifest.Digest {
			return false
		}
		unpacked, err := containerd.NewImage(client, image).IsUnpacked(ctx, snapshotter)
		if err != nil && !errdefs.IsNotFound(err) || !unpacked {
			return false
		}
	}
	return true
}

func readIndex(file io.Reader) (*ocispec.Index, error) {
	reader := tar.NewReader(file)
	for {
		header, err := reader.Next()
		if err != nil {
			return nil, errors.Join(errors.New("no index.json"), err)
		}
		if header.Name == ocispec.ImageIndexFile {
			index := &ocispec.Index{}
			return index, json.NewDecoder(reader).Decode(index)
		}
	}
}
