package components

import (
	"context"
	"encoding/json"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	srvconfig "github.com/containerd/containerd/v2/cmd/containerd/server/config"
	"github.com/containerd/containerd/v2/core/diff"
	"github.com/containerd/containerd/v2/core/mount"
	"github.com/containerd/containerd/v2/plugins"
	"github.com/containerd/containerd/v2/version"
	"github.com/containerd/plugin"
	"github.com/containerd/plugin/registry"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"kubesolo.io/os/payload/internal/registries"
)

// noticing is a differ that only notes what it is asked for.
type noticing struct {
	diff.Comparer
	config diff.ApplyConfig
}

func (n *noticing) Apply(ctx context.Context, layer ocispec.Descriptor, _ []mount.Mount, options ...diff.ApplyOpt) (ocispec.Descriptor, error) {
	for _, option := range options {
		if err := option(ctx, layer, &n.config); err != nil {
			return layer, err
		}
	}
	return layer, nil
}

func TestPulledLayersAreFlushedBeforeTheyAreRecorded(t *testing.T) {
	plain := &noticing{}
	_, err := lasting{plain}.Apply(t.Context(), ocispec.Descriptor{}, nil, diff.WithSyncFs(false))
	if err != nil || !plain.config.SyncFs {
		t.Errorf("flushed: %v, %v", plain.config.SyncFs, err)
	}
}

// TestContainerdReadsItsConfiguration decodes what we write into the plugins' own types, as containerd does: what
// they do not know is an error, and what they know is as we want it.
func TestContainerdReadsItsConfiguration(t *testing.T) {
	path := filepath.Join(t.TempDir(), "containerd.toml")
	from := filepath.Join(t.TempDir(), "registries")
	if err := os.WriteFile(from, []byte(`{"a.example": {"username": "node", "password": "\"word\""}}`), 0o600); err != nil {
		t.Fatal(err)
	}
	folder := t.TempDir()
	known, err := registries.Write(from, folder)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(containerdConfig("pause", known)), 0o600); err != nil {
		t.Fatal(err)
	}
	config := &srvconfig.Config{Version: version.ConfigVersion}
	registered := func() iter.Seq[plugin.Registration] {
		return slices.Values(registry.Graph(func(*plugin.Registration) bool { return false }))
	}
	if err := srvconfig.LoadConfigWithPlugins(t.Context(), path, registered, config); err != nil {
		t.Fatal(err)
	}
	for _, one := range []struct {
		kind plugin.Type
		id   string
		has  []string
	}{
		{plugins.ServicePlugin, "diff-service", nil},
		{plugins.TransferPlugin, "local", nil},
		{plugins.CRIServicePlugin, "images", []string{
			`"configPath":"` + folder + `"`, `"a.example":{`, `"username":"node","password":"\"word\""`, `"sandbox":"pause"`,
		}},
	} {
		found, is := registration(one.kind, one.id)
		if !is {
			t.Errorf("containerd has no %s.%s", one.kind, one.id)
			continue
		}
		decoded, err := config.Decode(t.Context(), string(one.kind)+"."+one.id, found.Config)
		if err != nil {
			t.Errorf("%s: %v", one.id, err)
		}
		for _, want := range one.has { // the types are containerd's own; their JSON is not
			if text, err := json.Marshal(decoded); err != nil || !strings.Contains(string(text), want) {
				t.Errorf("%s lacks %s: %s, %v", one.id, want, text, err)
			}
		}
	}
	if _, found := registration(plugins.DiffPlugin, plainDiffer); !found {
		t.Errorf("containerd has no differ %q", plainDiffer)
	}
}

func TestTheNetworkConfigurationIsNotRewritten(t *testing.T) {
	path := filepath.Join(t.TempDir(), "10-kubesolo.conflist")
	for range 2 {
		if err := keepNetworkConfig(path, networkConflist("10.42.0.0/16")); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(filepath.Dir(path), 0o500); err != nil { // for whoever is not root
			t.Fatal(err)
		}
	}
	before, _ := os.Stat(path)
	if err := keepNetworkConfig(path, networkConflist("10.42.0.0/16")); err != nil {
		t.Fatal(err)
	}
	if after, _ := os.Stat(path); !os.SameFile(before, after) {
		t.Error("the same file was written again")
	}
}
