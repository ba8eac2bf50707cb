package addons

import (
	"bytes"
	"context"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"time"
)

const resolvConf = "/etc/resolv.conf"

// FollowNameServers keeps the part of CoreDNS's configuration that names the upstream servers in step with
// the node's resolv.conf, until ctx ends. CoreDNS reads it again by itself.
func FollowNameServers(ctx context.Context, runDir string) {
	path := filepath.Join(runDir, "dns", "upstream.conf")
	for {
		text, _ := os.ReadFile(resolvConf)
		_ = replaceIfChanged(path, forward(text))
		select {
		case <-ctx.Done():
			return
		case <-time.After(5 * time.Second):
		}
	}
}

// forward translates the name servers of a resolv.conf (resolv.conf(5)) to directives of CoreDNS: they are
// asked in their order, and a loop ends CoreDNS with its reason. "" if it has none that a pod can reach: not
// loopback, and not link-local, which needs an interface of the node.
func forward(resolv []byte) []byte {
	var servers []string
	for line := range strings.Lines(string(resolv)) {
		fields := strings.Fields(line)
		if len(fields) < 2 || fields[0] != "nameserver" || len(servers) == 3 {
			continue
		}
		address, err := netip.ParseAddr(fields[1])
		if err != nil || address.IsLoopback() || address.IsUnspecified() || address.IsLinkLocalUnicast() {
			continue
		}
		servers = append(servers, address.String())
	}
	if len(servers) == 0 {
		return nil
	}
	return []byte("forward . " + strings.Join(servers, " ") + " {\n    policy sequential\n    max_concurrent 1000\n}\nloop\n")
}

func replaceIfChanged(path string, text []byte) error {
	if old, err := os.ReadFile(path); err == nil && bytes.Equal(old, text) {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(path+".new", text, 0o644); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}
