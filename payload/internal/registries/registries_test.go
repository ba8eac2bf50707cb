package registries

import (
	"context"
	"encoding/json"
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/containerd/containerd/v2/core/remotes/docker"
	"github.com/containerd/containerd/v2/core/remotes/docker/config"
	digest "github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

const certificate = `-----BEGIN CERTIFICATE-----
MIIBejCCAR+gAwIBAgIUXG9zZ3J0ZXN0MAoGCCqGSM49BAMCMBIxEDAOBgNVBAMM
-----END CERTIFICATE-----
`

// places asks containerd itself, by the files, where it looks for images of a registry.
func places(t *testing.T, folder, host string) []docker.RegistryHost {
	t.Helper()
	found, err := config.ConfigureHosts(context.Background(), config.HostOptions{HostDir: config.HostDirFromRoot(folder)})(host)
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func addresses(hosts []docker.RegistryHost) string {
	var words []string
	for _, host := range hosts {
		words = append(words, host.Scheme+"://"+host.Host+host.Path)
	}
	return strings.Join(words, " ")
}

func TestContainerdLooksWhereTheConfigurationSays(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "registries")
	from := filepath.Join(t.TempDir(), "registries.json")
	text := `{"docker.io": {"mirrors": ["https://a.example:5000", "http://b.example/v2/hub"]},
		"q.example": {"mirrors": ["https://a.example:5000"], "only-mirrors": true},
		"a.example:5000": {"username": "node", "password": "a \"word\""},
		"g.example": {"username": "me", "password": "p"},
		"*": {"mirrors": ["https://a.example:5000"]}}`
	if err := os.WriteFile(from, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	settings, err := Write(from, folder)
	if err != nil {
		t.Fatal(err)
	}
	hub, err := docker.DefaultHost("docker.io")
	if err != nil {
		t.Fatal(err)
	}
	for host, want := range map[string]string{
		"docker.io":      "https://a.example:5000/v2 http://b.example/v2/hub https://" + hub + "/v2",
		"q.example":      "https://a.example:5000/v2",
		"a.example:5000": "https://a.example:5000/v2",
		"g.example":      "https://a.example:5000/v2 https://g.example/v2",
		"other.example":  "https://a.example:5000/v2 https://other.example/v2",
	} {
		if got := addresses(places(t, folder, host)); got != want {
			t.Errorf("%s: %s", host, got)
		}
	}
	for _, line := range []string{
		`config_path = "` + folder + `"`, "image_pull_with_sync_fs = true", `password = "a \"word\""`,
		`[plugins."io.containerd.cri.v1.images".registry.configs."a.example:5000".auth]`,
	} {
		if !strings.Contains(settings.Lines+settings.Tables, line) {
			t.Errorf("the settings lack %s:\n%v", line, settings)
		}
	}
	_ = filepath.Walk(folder, func(path string, info os.FileInfo, err error) error {
		if err == nil && info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s can be read by others", path)
		}
		return err
	})
}

func TestTheAuthorityOfAMirrorCountsWhereverItIsAsked(t *testing.T) {
	files := hosts(map[string]registry{
		"docker.io": {Mirrors: []string{"https://a.example:5000"}}, "a.example:5000": {CA: certificate},
	}, "/run/r")
	for _, name := range []string{"docker.io/hosts.toml", "a.example:5000/hosts.toml"} {
		if !strings.Contains(files[name], `ca = "/run/r/ca/a.example:5000.crt"`) {
			t.Errorf("%s: %s", name, files[name])
		}
	}
	if files["ca/a.example:5000.crt"] != certificate {
		t.Error("the certificate is not there")
	}
}

func TestWithoutRegistriesNothingIsThere(t *testing.T) {
	folder := t.TempDir()
	settings, err := Write(filepath.Join(folder, "none"), filepath.Join(folder, "old"))
	if settings != (Settings{}) || err != nil {
		t.Error(settings, err)
	}
}

// TestAMirrorIsAskedWithItsLoginAndAuthority has containerd's own resolver find an image at a mirror with TLS and a login.
func TestAMirrorIsAskedWithItsLoginAndAuthority(t *testing.T) {
	sum := digest.FromString("manifest")
	mirror := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if user, word, _ := r.BasicAuth(); user != "node" || word != "word" {
			w.Header().Set("WWW-Authenticate", `Basic realm="plant"`)
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		if r.URL.Path != "/v2/plant/small/manifests/1" || r.URL.Query().Get("ns") != "docker.io" {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		w.Header().Set("Content-Type", ocispec.MediaTypeImageManifest)
		w.Header().Set("Docker-Content-Digest", sum.String())
		w.Header().Set("Content-Length", "8")
	}))
	defer mirror.Close()
	authority := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: mirror.Certificate().Raw})
	host := hostOf(mirror.URL)
	for ca, works := range map[string]bool{string(authority): true, "": false} {
		text, _ := json.Marshal(map[string]registry{
			"docker.io": {Mirrors: []string{mirror.URL}, OnlyMirrors: true},
			host:        {Username: "node", Password: "word", CA: ca},
		})
		folder, from := filepath.Join(t.TempDir(), "registries"), filepath.Join(t.TempDir(), "from")
		if err := os.WriteFile(from, text, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := Write(from, folder); err != nil {
			t.Fatal(err)
		}
		// As CRI does; the login is what its registry.configs says of the host.
		resolver := docker.NewResolver(docker.ResolverOptions{Hosts: config.ConfigureHosts(t.Context(), config.HostOptions{
			HostDir: config.HostDirFromRoot(folder),
			Credentials: func(asked string) (string, string, error) {
				if asked != host {
					return "", "", nil
				}
				return "node", "word", nil
			},
		})})
		_, found, err := resolver.Resolve(t.Context(), "docker.io/plant/small:1")
		if works && (err != nil || found.Digest != sum) || !works && err == nil {
			t.Errorf("with the authority %v: %v, %v", works, found, err)
		}
	}
}
