// Package storetest has a containerd's store for tests: on a disk, without a daemon.
package storetest

import (
	"path/filepath"
	"testing"

	"github.com/containerd/containerd/v2/core/metadata"
	"github.com/containerd/containerd/v2/core/snapshots"
	"github.com/containerd/containerd/v2/plugins/content/local"
	"github.com/containerd/containerd/v2/plugins/snapshots/overlay"
	bolt "go.etcd.io/bbolt"
)

// Open makes an empty store below root, with a snapshotter of this name; it is closed when the test ends.
func Open(t *testing.T, root, snapshotter string) *metadata.DB {
	t.Helper()
	blobs, err := local.NewStore(filepath.Join(root, "content"))
	if err != nil {
		t.Fatal(err)
	}
	layers, err := overlay.NewSnapshotter(filepath.Join(root, "overlay"))
	if err != nil {
		t.Fatal(err)
	}
	file, err := bolt.Open(filepath.Join(root, "meta.db"), 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = layers.Close(), file.Close() })
	db := metadata.NewDB(file, blobs, map[string]snapshots.Snapshotter{snapshotter: layers})
	if err := db.Init(t.Context()); err != nil {
		t.Fatal(err)
	}
	return db
}
