// Package shipped makes the images that lie unpacked in the node's read-only root known to containerd, without
// copying their files: the snapshot of such an image is a link to them.
package shipped

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/containerd/containerd/v2/core/images"
	digest "github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// Folders are where the images may lie: in the image that is mounted below the root (init/lib/images.sh), which spares
// containers an overlay over an overlay, else in the root itself.
var Folders = []string{"/run/kubesolo-root/containers/usr/lib/kubesolo-os/images", "/usr/lib/kubesolo-os/images"}

// Image is an image with one layer, which is unpacked in the folder Files. tasks/addons.py writes its folder, which is
// named after the manifest's digest, so that another image never has the same path.
type Image struct {
	Name             string
	Files            string
	Manifest, Config ocispec.Descriptor
	Layer            digest.Digest // of the layer's tar, which with one layer names the snapshot as well

	manifest, config []byte
}

// Find reads the images of the first folder that there is; none is no error.
func Find(folders ...string) ([]Image, error) {
	for _, folder := range folders {
		entries, err := os.ReadDir(folder)
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		var found []Image
		for _, entry := range entries {
			image, err := read(filepath.Join(folder, entry.Name()))
			if err != nil {
				return nil, err
			}
			found = append(found, image)
		}
		return found, nil
	}
	return nil, nil
}

func read(folder string) (Image, error) {
	image := Image{Files: filepath.Join(folder, "root")}
	var index ocispec.Index
	if _, err := readJSON(folder, "index.json", &index); err != nil {
		return image, err
	}
	if len(index.Manifests) != 1 {
		return image, fmt.Errorf("%s: index.json names %d images instead of one", folder, len(index.Manifests))
	}
	image.Manifest = index.Manifests[0]
	image.Name = image.Manifest.Annotations[images.AnnotationImageName]
	var manifest ocispec.Manifest
	var config ocispec.Image
	var err error
	if image.manifest, err = readJSON(folder, "manifest.json", &manifest); err != nil {
		return image, err
	}
	if image.config, err = readJSON(folder, "config.json", &config); err != nil {
		return image, err
	}
	if image.Manifest.Digest != digest.FromBytes(image.manifest) || manifest.Config.Digest != digest.FromBytes(image.config) {
		return image, fmt.Errorf("%s: the files are not those that index.json means", folder)
	}
	if image.Name == "" || len(config.RootFS.DiffIDs) != 1 {
		return image, fmt.Errorf("%s: no name, or %d layers instead of one", folder, len(config.RootFS.DiffIDs))
	}
	image.Config, image.Layer = manifest.Config, config.RootFS.DiffIDs[0]
	return image, nil
}

func readJSON(folder, name string, into any) ([]byte, error) {
	text, err := os.ReadFile(filepath.Join(folder, name))
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(text, into); err != nil {
		return nil, fmt.Errorf("%s/%s: %w", folder, name, err)
	}
	return text, nil
}
