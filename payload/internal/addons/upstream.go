package addons

import (
	"bytes"
	"context"
	"net"
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

// forward translates the name servers of a resolv.conf (resolv.conf(5)) to a CoreDNS directive; "" if it has
// none that a pod can reach.
func forward(resolv []byte) []byte {
	var servers []string
	for line := range strings.Lines(string(resolv)) {
		fields := strings.Fields(line)
		if len(fields) < 2 || fields[0] != "nameserver" {
			continue
		}
		address, _, _ := strings.Cut(fields[1], "%")
		if ip := net.ParseIP(address); ip != nil && !ip.IsLoopback() && !ip.IsUnspecified() && len(servers) < 3 {
			servers = append(servers, address)
		}
	}
	if len(servers) == 0 {
		return nil
	}
	return []byte("forward . " + strings.Join(servers, " ") + "\n")
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
