package airgap

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	containerd "github.com/containerd/containerd/v2/client"
	"github.com/containerd/containerd/v2/core/content"
	"github.com/containerd/containerd/v2/core/diff"
	"github.com/containerd/containerd/v2/core/images"
	"github.com/containerd/containerd/v2/core/metadata"
	"github.com/containerd/containerd/v2/core/mount"
	"github.com/containerd/containerd/v2/pkg/archive/compression"
	"github.com/containerd/containerd/v2/pkg/namespaces"
	"github.com/containerd/platforms"
	"github.com/klauspost/compress/zstd"
	digest "github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"kubesolo.io/os/payload/internal/storetest"
)

// differ unpacks nothing, but reads a layer as a whole and tells its digest: mounts need another machine. The VM tests
// have the real one. At the layer number stopAt it is interrupted.
type differ struct {
	containerd.DiffService
	content content.Store
	applied int
	stopAt  int
	stop    context.CancelFunc
}

func (d *differ) Apply(ctx context.Context, layer ocispec.Descriptor, _ []mount.Mount, _ ...diff.ApplyOpt) (ocispec.Descriptor, error) {
	d.applied++
	if d.applied == d.stopAt {
		d.stop()
		return layer, ctx.Err()
	}
	text, err := content.ReadBlob(ctx, d.content, layer)
	if err != nil {
		return layer, err
	}
	plain, err := compression.DecompressStream(bytes.NewReader(text))
	if err != nil {
		return layer, err
	}
	sum, err := digest.FromReader(plain)
	return ocispec.Descriptor{Digest: sum}, err
}

type node struct {
	*Importer
	differ *differ
	db     *metadata.DB
	images string // the operator's folder
}

func newNode(t *testing.T) (context.Context, node) {
	t.Helper()
	root := t.TempDir()
	db := storetest.Open(t, root, snapshotter)
	d := &differ{content: db.ContentStore()}
	client, err := containerd.New("", containerd.WithServices(
		containerd.WithContentStore(db.ContentStore()), containerd.WithSnapshotters(db.Snapshotters()),
		containerd.WithImageStore(metadata.NewImageStore(db)), containerd.WithLeasesService(metadata.NewLeaseManager(db)),
		containerd.WithDiffService(d),
	))
	if err != nil {
		t.Fatal(err)
	}
	folder, run := filepath.Join(root, "images"), filepath.Join(root, "run")
	for path, text := range map[string]string{
		filepath.Join(run, "cloud-init/airgap"): "AIRGAP_IMPORT_IMAGES=true\nAIRGAP_IMAGES_DIR=" + folder + "\n",
		filepath.Join(folder, "readme.txt"):     "no archive",
	} {
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	ctx := namespaces.WithNamespace(t.Context(), namespace)
	return ctx, node{&Importer{Client: client, RunDir: run, Root: root}, d, db, folder}
}

// boot runs the importer as one start of the node does; it returns what is wrong then, in the console's words.
func (n node) boot(ctx context.Context, t *testing.T) string {
	t.Helper()
	n.problems = nil
	if err := n.Run(ctx); err != nil {
		t.Fatal(err)
	}
	if _, err := n.db.GarbageCollect(context.WithoutCancel(ctx)); err != nil {
		t.Fatal(err)
	}
	text, _ := os.ReadFile(filepath.Join(n.RunDir, "problems", "images"))
	return string(text)
}

func (n node) names(ctx context.Context, t *testing.T) []string {
	t.Helper()
	known, err := n.Client.ImageService().List(ctx)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, image := range known {
		if present, err := containerd.NewImage(n.Client, image).IsUnpacked(ctx, snapshotter); err != nil || !present {
			t.Errorf("%s is not unpacked: %v", image.Name, err)
		}
		names = append(names, image.Name)
	}
	slices.Sort(names)
	return names
}

func (n node) expect(ctx context.Context, t *testing.T, names ...string) {
	t.Helper()
	if got := n.names(ctx, t); !slices.Equal(got, names) {
		t.Errorf("known are %v, not %v", got, names)
	}
}

func (n node) put(t *testing.T, name string, text []byte) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(n.images, name), text, 0o644); err != nil {
		t.Fatal(err)
	}
}

// layout is an OCI layout that is being put together.
type layout struct {
	files map[string][]byte
	index ocispec.Index
}

func newLayout() *layout {
	return &layout{files: map[string][]byte{"oci-layout": []byte(`{"imageLayoutVersion":"1.0.0"}`)}}
}

func (l *layout) blob(mediaType string, text []byte) ocispec.Descriptor {
	d := ocispec.Descriptor{MediaType: mediaType, Digest: digest.FromBytes(text), Size: int64(len(text))}
	l.files[blobPath(d.Digest)] = text
	return d
}

func (l *layout) object(mediaType string, value any) ocispec.Descriptor {
	text, _ := json.Marshal(value)
	return l.blob(mediaType, text)
}

// image adds one with these layers for a platform, not yet named.
func (l *layout) image(platform ocispec.Platform, layers ...string) ocispec.Descriptor {
	config := ocispec.Image{Platform: platform, RootFS: ocispec.RootFS{Type: "layers"}}
	manifest := ocispec.Manifest{MediaType: ocispec.MediaTypeImageManifest}
	manifest.SchemaVersion = 2
	for _, text := range layers {
		config.RootFS.DiffIDs = append(config.RootFS.DiffIDs, digest.FromString(text))
		manifest.Layers = append(manifest.Layers, l.blob(ocispec.MediaTypeImageLayerGzip, zipped([]byte(text))))
	}
	manifest.Config = l.object(ocispec.MediaTypeImageConfig, config)
	made := l.object(ocispec.MediaTypeImageManifest, manifest)
	made.Platform = &platform
	return made
}

func (l *layout) name(target ocispec.Descriptor, key, name string) {
	target.Annotations = map[string]string{key: name}
	l.index.Manifests = append(l.index.Manifests, target)
}

func (l *layout) tar() []byte {
	l.index.SchemaVersion = 2
	l.files["index.json"], _ = json.Marshal(l.index)
	return packed(l.files)
}

func packed(files map[string][]byte) []byte {
	var out bytes.Buffer
	writer := tar.NewWriter(&out)
	names := make([]string, 0, len(files))
	for name := range files {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		_ = writer.WriteHeader(&tar.Header{Name: name, Typeflag: tar.TypeReg, Mode: 0o644, Size: int64(len(files[name]))})
		_, _ = writer.Write(files[name])
	}
	_ = writer.Close()
	return out.Bytes()
}

func zipped(text []byte) []byte {
	var out bytes.Buffer
	writer := gzip.NewWriter(&out)
	_, _ = writer.Write(text)
	_ = writer.Close()
	return out.Bytes()
}

func zstandard(text []byte) []byte {
	writer, _ := zstd.NewWriter(nil)
	return writer.EncodeAll(text, nil)
}

var (
	ours   = platforms.DefaultSpec()
	theirs = ocispec.Platform{OS: "linux", Architecture: "s390x"}
)

func plain(name string, layers ...string) []byte {
	l := newLayout()
	l.name(l.image(ours, layers...), images.AnnotationImageName, name)
	return l.tar()
}

// saved is an archive of `docker save`, as Docker wrote it before version 25.
func saved(name, layer string) []byte {
	config, _ := json.Marshal(ocispec.Image{
		Platform: ours, RootFS: ocispec.RootFS{Type: "layers", DiffIDs: []digest.Digest{digest.FromString(layer)}},
	})
	manifest, _ := json.Marshal([]map[string]any{{"Config": "c.json", "RepoTags": []string{name}, "Layers": []string{"l/layer.tar"}}})
	return packed(map[string][]byte{"c.json": config, "l/layer.tar": []byte(layer), "manifest.json": manifest})
}

func TestEveryKindOfArchiveIsImportedOnce(t *testing.T) {
	ctx, node := newNode(t)
	node.put(t, "a.tar", plain("example.com/a:1", "one", "two"))
	node.put(t, "b.tar.gz", zipped(plain("example.com/b:1", "three")))
	node.put(t, "c.tar.zst", zstandard(saved("c:1", "four")))
	nested := newLayout()
	both := nested.object(ocispec.MediaTypeImageIndex, ocispec.Index{Manifests: []ocispec.Descriptor{
		nested.image(theirs, "foreign"), nested.image(ours, "five"),
	}})
	nested.name(both, ocispec.AnnotationRefName, "example.com/d:1")
	node.put(t, "d.tgz", zipped(nested.tar()))
	want := []string{"docker.io/library/c:1", "example.com/a:1", "example.com/b:1", "example.com/d:1"}
	for range 2 {
		if problems := node.boot(ctx, t); problems != "" {
			t.Error(problems)
		}
		node.expect(ctx, t, want...)
	}
	if node.differ.applied != 5 {
		t.Errorf("%d layers were unpacked instead of five, once each", node.differ.applied)
	}
	foreign := digest.FromBytes(zipped([]byte("foreign")))
	if _, err := node.Client.ContentStore().Info(ctx, foreign); err == nil {
		t.Error("a layer of another platform was stored")
	}
	if held, _ := node.Client.LeasesService().List(ctx); len(held) > 0 {
		t.Errorf("leases are left: %v", held)
	}
}

func TestWhatIsDamagedIsSkippedAndSaid(t *testing.T) {
	ctx, node := newNode(t)
	good := plain("example.com/good:1", "one")
	for name, text := range map[string][]byte{
		"cut.tar":     good[:len(good)/2],
		"cut.tar.gz":  zipped(good)[:200],
		"cut.tar.zst": zstandard(good)[:100],
		"flipped.tar": bytes.Replace(plain("example.com/f:1", "flip"), zipped([]byte("flip"))[10:14], []byte("XXXX"), 1),
		"words.tar":   []byte("not a tar at all"),
		"empty.tar":   nil,
		"other.tar":   packed(map[string][]byte{"etc/passwd": []byte("root")}),
		"foreign.tar": func() []byte {
			l := newLayout()
			l.name(l.image(theirs, "foreign"), images.AnnotationImageName, "example.com/foreign:1")
			return l.tar()
		}(),
		"nameless.tar": func() []byte {
			l := newLayout()
			l.name(l.image(ours, "x"), ocispec.AnnotationRefName, "latest")
			return l.tar()
		}(),
		"good.tar": good,
	} {
		node.put(t, name, text)
	}
	for range 2 {
		problems := node.boot(ctx, t)
		for _, name := range []string{
			"cut.tar", "cut.tar.gz", "cut.tar.zst", "flipped.tar", "words.tar", "empty.tar", "other.tar", "foreign.tar", "nameless.tar",
		} {
			if !strings.Contains(problems, "images: "+name+" skipped: damaged, or no archive of images: ") {
				t.Errorf("nothing is said of %s:\n%s", name, problems)
			}
		}
		node.expect(ctx, t, "example.com/good:1")
	}
	if held, _ := node.Client.LeasesService().List(ctx); len(held) > 0 {
		t.Errorf("leases are left: %v", held)
	}
	for path := range readRecords(filepath.Join(node.Root, recordsFile)).of {
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
	}
	if problems := node.boot(ctx, t); problems != "" {
		t.Errorf("the archives are gone, the problems not: %s", problems)
	}
}

func TestAnInterruptedImportGoesOn(t *testing.T) {
	ctx, node := newNode(t)
	node.put(t, "a.tar", plain("example.com/a:1", "one", "two", "three"))
	first, stop := context.WithCancel(ctx)
	node.differ.stopAt, node.differ.stop = 3, stop
	node.boot(first, t)
	node.expect(ctx, t)
	if problems := node.boot(ctx, t); problems != "" {
		t.Error(problems)
	}
	node.expect(ctx, t, "example.com/a:1")
	if node.differ.applied != 4 { // the interrupted one twice
		t.Errorf("layers were unpacked %d times", node.differ.applied)
	}
}

func TestAChangedArchiveAndADeletedImageAreImportedAgain(t *testing.T) {
	ctx, node := newNode(t)
	node.put(t, "a.tar", plain("example.com/a:1", "one"))
	node.boot(ctx, t)
	if err := node.Client.ImageService().Delete(ctx, "example.com/a:1"); err != nil {
		t.Fatal(err)
	}
	node.boot(ctx, t)
	node.expect(ctx, t, "example.com/a:1")
	node.put(t, "a.tar", plain("example.com/a:2", "another"))
	node.boot(ctx, t)
	node.expect(ctx, t, "example.com/a:1", "example.com/a:2")
}

func TestTheConfigurationTurnsItOff(t *testing.T) {
	ctx, node := newNode(t)
	node.put(t, "a.tar", plain("example.com/a:1", "one"))
	path := filepath.Join(node.RunDir, "cloud-init/airgap")
	if err := os.WriteFile(path, []byte("AIRGAP_IMPORT_IMAGES=false\nAIRGAP_IMAGES_DIR="+node.images+"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	node.boot(ctx, t)
	node.expect(ctx, t)
}

func TestMissingSpaceIsSaidInMegabytes(t *testing.T) {
	err := enough(t.TempDir(), 1<<60, Spare)
	if err == nil || !strings.Contains(err.Error(), " MB are missing") || errors.Is(err, errDamaged) {
		t.Error(err)
	}
	l := newLayout()
	l.name(l.image(ours, "one"), images.AnnotationImageName, "example.com/a:1")
	found, err := look(bytes.NewReader(l.tar()))
	if err != nil {
		t.Fatal(err)
	}
	keep, err := found.wanted()
	if err != nil {
		t.Fatal(err)
	}
	least := int64(0)
	for _, text := range l.files {
		least += 2 * int64(len(text))
	}
	if need := found.space(keep); need < least || need > 3*least {
		t.Errorf("members of %d bytes need %d", least/2, need)
	}
}

func TestAStreamThatEndsIsNoDamage(t *testing.T) {
	if _, err := open(filepath.Join(t.TempDir(), "gone.tar"), func(int64) {}); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
	if err := readError(&os.PathError{Op: "read", Path: "x", Err: io.ErrNoProgress}); errors.Is(err, errDamaged) {
		t.Error("a read error is not the archive's fault")
	}
}
