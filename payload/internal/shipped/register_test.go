package shipped

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/containerd/containerd/v2/core/images"
	"github.com/containerd/containerd/v2/core/metadata"
	"github.com/containerd/containerd/v2/pkg/namespaces"
	digest "github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"kubesolo.io/os/payload/internal/storetest"
)

// node is a containerd's store, as on a disk, and what a system ships.
type node struct {
	store
	db   *metadata.DB
	root string
}

func newNode(t *testing.T) (context.Context, node) {
	t.Helper()
	root := t.TempDir()
	db := storetest.Open(t, root, snapshotter)
	made := store{db.ContentStore(), db.Snapshotter(snapshotter), metadata.NewImageStore(db), metadata.NewLeaseManager(db)}
	return namespaces.WithNamespace(t.Context(), Namespace), node{made, db, root}
}

// ship writes the folder of an image with one file, as tasks/addons.py lays it out, and reads the system's images.
func ship(t *testing.T, folder, name, content string) []Image {
	t.Helper()
	config, _ := json.Marshal(ocispec.Image{RootFS: ocispec.RootFS{Type: "layers", DiffIDs: []digest.Digest{digest.FromString(content)}}})
	manifest, _ := json.Marshal(ocispec.Manifest{Config: descriptor(ocispec.MediaTypeImageConfig, config)})
	target := descriptor(ocispec.MediaTypeImageManifest, manifest)
	target.Annotations = map[string]string{images.AnnotationImageName: name}
	index, _ := json.Marshal(ocispec.Index{Manifests: []ocispec.Descriptor{target}})
	place := filepath.Join(folder, target.Digest.Encoded())
	for path, text := range map[string][]byte{
		"index.json": index, "manifest.json": manifest, "config.json": config, "root/program": []byte(content),
	} {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(place, path)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(place, path), text, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	found, err := Find(filepath.Join(folder, "none"), folder)
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func descriptor(mediaType string, text []byte) ocispec.Descriptor {
	return ocispec.Descriptor{MediaType: mediaType, Digest: digest.FromBytes(text), Size: int64(len(text))}
}

// program reads the file of an image as a container of it would.
func (n node) program(ctx context.Context, t *testing.T, image Image) string {
	t.Helper()
	key := "container-" + t.Name() + image.Layer.Encoded()
	mounts, err := n.snapshots.View(ctx, key, image.Layer.String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = n.snapshots.Remove(ctx, key) }()
	text, err := os.ReadFile(filepath.Join(mounts[0].Source, "program"))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func (n node) names(ctx context.Context, t *testing.T) []string {
	t.Helper()
	known, err := n.images.List(ctx)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, image := range known {
		names = append(names, image.Name)
	}
	slices.Sort(names)
	return names
}

func (n node) collect(ctx context.Context, t *testing.T) {
	t.Helper()
	if _, err := n.db.GarbageCollect(ctx); err != nil {
		t.Fatal(err)
	}
}

func TestShippedImagesNeedNoUnpacking(t *testing.T) {
	ctx, node := newNode(t)
	system := t.TempDir()
	found := ship(t, system, "kubesolo.io/pause:1", "pause")
	for range 2 { // the first boot and a later one
		if err := register(ctx, node.store, found); err != nil {
			t.Fatal(err)
		}
		node.collect(ctx, t)
		if got := node.program(ctx, t, found[0]); got != "pause" {
			t.Errorf("the container sees %q", got)
		}
	}
	image, err := node.images.Get(ctx, "kubesolo.io/pause:1")
	if err != nil || image.Labels["io.cri-containerd.pinned"] != "pinned" {
		t.Errorf("kubelet may collect it: %v, %v", image.Labels, err)
	}
	copies, _ := filepath.Glob(filepath.Join(node.root, "overlay/snapshots/*/fs/program"))
	for _, path := range copies {
		if info, err := os.Lstat(filepath.Dir(path)); err != nil || info.Mode()&os.ModeSymlink == 0 {
			t.Errorf("%s is a copy", path)
		}
	}
	if len(copies) == 0 {
		t.Error("no snapshot has the program")
	}
}

func TestAnUpdateBringsAnotherVersionAndForgetsTheOld(t *testing.T) {
	ctx, node := newNode(t)
	before := ship(t, t.TempDir(), "kubesolo.io/coredns:1", "old")
	if err := register(ctx, node.store, before); err != nil {
		t.Fatal(err)
	}
	// CRI names it by its digest as well; others' images are no matter.
	for _, other := range []images.Image{
		{Name: "sha256:" + before[0].Config.Digest.Encoded(), Target: before[0].Manifest},
		{Name: "docker.io/library/coredns:1", Target: descriptor(ocispec.MediaTypeImageManifest, []byte("another"))},
	} {
		if _, err := node.images.Create(ctx, other); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"kubesolo.io/coredns:2", "kubesolo.io/coredns:1"} { // another version, another build
		after := ship(t, t.TempDir(), name, "new"+name)
		if err := register(ctx, node.store, after); err != nil {
			t.Fatal(err)
		}
		node.collect(ctx, t)
		if got := node.names(ctx, t); !slices.Equal(got, []string{"docker.io/library/coredns:1", name}) {
			t.Errorf("known: %v", got)
		}
		if got := node.program(ctx, t, after[0]); got != "new"+name {
			t.Errorf("the container sees %q", got)
		}
	}
	if _, err := node.snapshots.Stat(ctx, before[0].Layer.String()); err == nil {
		t.Error("the old snapshot is still there")
	}
}

// TestWhatAPowerCutLeavesIsMended stops at each step, and registers again.
func TestWhatAPowerCutLeavesIsMended(t *testing.T) {
	for what, cut := range map[string]func(context.Context, *testing.T, node, Image){
		"prepared": func(ctx context.Context, t *testing.T, n node, image Image) {
			if _, err := n.snapshots.Prepare(ctx, lease+"-"+image.Layer.Encoded(), ""); err != nil {
				t.Fatal(err)
			}
		},
		"linked": func(ctx context.Context, t *testing.T, n node, image Image) {
			if err := n.link(ctx, image); err != nil {
				t.Fatal(err)
			}
		},
		"written": func(ctx context.Context, t *testing.T, n node, image Image) {
			if err := n.write(ctx, image); err != nil {
				t.Fatal(err)
			}
		},
		"link gone": func(ctx context.Context, t *testing.T, n node, image Image) {
			if err := register(ctx, n.store, []Image{image}); err != nil {
				t.Fatal(err)
			}
			info, _ := n.snapshots.Stat(ctx, image.Layer.String())
			if err := os.Remove(info.Labels[linkLabel]); err != nil {
				t.Fatal(err)
			}
		},
		"image deleted": func(ctx context.Context, t *testing.T, n node, image Image) {
			if err := register(ctx, n.store, []Image{image}); err != nil {
				t.Fatal(err)
			}
			if err := n.images.Delete(ctx, image.Name); err != nil {
				t.Fatal(err)
			}
			n.collect(ctx, t)
		},
	} {
		t.Run(what, func(t *testing.T) {
			ctx, node := newNode(t)
			found := ship(t, t.TempDir(), "kubesolo.io/pause:1", "pause")
			cut(ctx, t, node, found[0])
			if err := register(ctx, node.store, found); err != nil {
				t.Fatal(err)
			}
			node.collect(ctx, t)
			if got := node.program(ctx, t, found[0]); got != "pause" {
				t.Errorf("the container sees %q", got)
			}
		})
	}
}

// TestImagesOfAnArchiveStay has an image that an older system has unpacked itself: same layer, no link.
func TestImagesOfAnArchiveStay(t *testing.T) {
	ctx, node := newNode(t)
	found := ship(t, t.TempDir(), "kubesolo.io/pause:1", "pause")
	mounts, err := node.snapshots.Prepare(ctx, "unpacking", "")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(mounts[0].Source, "program"), []byte("pause"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := node.snapshots.Commit(ctx, found[0].Layer.String(), "unpacking"); err != nil {
		t.Fatal(err)
	}
	if err := register(ctx, node.store, found); err != nil {
		t.Fatal(err)
	}
	if got := node.program(ctx, t, found[0]); got != "pause" {
		t.Errorf("the container sees %q", got)
	}
}

func TestADamagedFolderIsRefused(t *testing.T) {
	system := t.TempDir()
	found := ship(t, system, "kubesolo.io/pause:1", "pause")
	path := filepath.Join(filepath.Dir(found[0].Files), "config.json")
	if err := os.WriteFile(path, []byte("{}"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := Find(system); err == nil {
		t.Error("not refused")
	}
}

func TestRepository(t *testing.T) {
	for name, want := range map[string]string{
		"kubesolo.io/pause:1": "kubesolo.io/pause", "host:5000/a/b": "host:5000/a/b", "host:5000/a:1@sha256:0": "host:5000/a",
	} {
		if got := repository(name); got != want {
			t.Errorf("%s: %s", name, got)
		}
	}
}
