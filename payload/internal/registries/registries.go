// Package registries translates the configuration of container registries to containerd's: hosts.toml for mirrors and
// certificate authorities (containerd, docs/hosts.md), and its CRI plugin's settings for logins.
package registries

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/containerd/containerd/v2/core/remotes/docker"
)

// all stands for every registry that has no entry of its own.
const all = "*"

// registry is an entry of the configuration (agent/config/registrykeys.py).
type registry struct {
	Mirrors     []string `json:"mirrors"`
	OnlyMirrors bool     `json:"only-mirrors"`
	Username    string   `json:"username"`
	Password    string   `json:"password"`
	CA          string   `json:"ca"`
}

// Settings are what containerd's configuration has to have of registries, in TOML: lines of the table of CRI's images,
// and tables. Both are "" without any registry.
type Settings struct{ Lines, Tables string }

// Write reads what stage 45 of the boot has left and writes containerd's files below a folder, which it makes anew, all
// for root alone.
func Write(from, folder string) (Settings, error) {
	none := Settings{}
	text, err := os.ReadFile(from)
	if errors.Is(err, os.ErrNotExist) {
		return none, os.RemoveAll(folder)
	} else if err != nil {
		return none, err
	}
	var found map[string]registry
	if err := json.Unmarshal(text, &found); err != nil {
		return none, fmt.Errorf("%s: %w", from, err)
	}
	if err := os.RemoveAll(folder); err != nil {
		return none, err
	}
	for name, text := range hosts(found, folder) {
		path := filepath.Join(folder, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			return none, err
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			return none, err
		}
	}
	return settings(found, folder), nil
}

// hosts returns the files: certificates in ca/, and for each registry a folder with hosts.toml.
func hosts(found map[string]registry, folder string) map[string]string {
	files := map[string]string{}
	authorities := map[string]string{} // by host
	mirrors := map[string]bool{}
	for name, entry := range found {
		if entry.CA != "" {
			files[filepath.Join("ca", name+".crt")] = entry.CA
			authorities[name] = filepath.Join(folder, "ca", name+".crt")
		}
		for _, mirror := range entry.Mirrors {
			mirrors[hostOf(mirror)] = true
		}
	}
	for name, entry := range found {
		// containerd looks for one folder only. A mirror is not looked for on another one.
		if len(entry.Mirrors) == 0 && !mirrors[name] {
			entry.Mirrors, entry.OnlyMirrors = found[all].Mirrors, found[all].OnlyMirrors
		}
		place := name
		if name == all {
			place = "_default"
		}
		files[filepath.Join(place, "hosts.toml")] = hostsFile(name, entry, authorities)
	}
	return files
}

// hostsFile is the text of a registry's hosts.toml. What stands at its top is asked last: the registry, or, where that
// is never asked, the last mirror.
func hostsFile(name string, entry registry, authorities map[string]string) string {
	var text strings.Builder
	last, rest := server(name), entry.Mirrors
	if entry.OnlyMirrors && len(rest) > 0 {
		last, rest = rest[len(rest)-1], rest[:len(rest)-1]
	}
	if last != "" {
		fmt.Fprintf(&text, "server = %q\n%s", last, options(last, authorities, authorities[name]))
	}
	for _, mirror := range rest {
		fmt.Fprintf(&text, "\n[host.%q]\n%s", mirror, options(mirror, authorities, ""))
	}
	return text.String()
}

func options(address string, authorities map[string]string, authority string) string {
	text := "capabilities = [\"pull\", \"resolve\"]\n"
	if parsed, err := url.Parse(address); err == nil && strings.Trim(parsed.Path, "/") != "" {
		text += "override_path = true\n"
	}
	if own := authorities[hostOf(address)]; own != "" {
		authority = own
	}
	if authority != "" {
		text += fmt.Sprintf("ca = %q\n", authority)
	}
	return text
}

// server is where a registry itself is; "" for all, which containerd then knows.
func server(name string) string {
	if name == all {
		return ""
	}
	if host, err := docker.DefaultHost(name); err == nil {
		name = host
	}
	return "https://" + name
}

func hostOf(address string) string {
	parsed, err := url.Parse(address)
	if err != nil {
		return ""
	}
	return parsed.Host
}

// settings are those of the CRI plugin. Its registry.configs is deprecated and has no successor in this version that
// takes a login for a mirror: kubelet's credential providers are asked for the registry of the image alone. Drop it
// when hosts.toml can name a login. With it, the plugin pulls by itself instead of by the transfer service, and flushes
// what it unpacks only when asked to.
func settings(found map[string]registry, folder string) Settings {
	const table = `plugins."io.containerd.cri.v1.images".registry`
	made := Settings{Tables: fmt.Sprintf("\n[%s]\nconfig_path = %q\n", table, folder)}
	for _, name := range slices.Sorted(maps.Keys(found)) {
		entry := found[name]
		if entry.Username == "" {
			continue
		}
		host := strings.TrimPrefix(server(name), "https://")
		made.Lines = "image_pull_with_sync_fs = true\n"
		made.Tables += fmt.Sprintf("[%s.configs.%q.auth]\nusername = %q\npassword = %q\n", table, host, entry.Username, entry.Password)
	}
	return made
}
