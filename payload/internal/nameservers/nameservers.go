// Package nameservers tells CoreDNS where to ask for names outside the cluster: it keeps a piece of the
// Corefile (payload/manifests/coredns.yaml imports it) in step with the node's resolv.conf, which changes
// when a lease arrives, possibly long after CoreDNS has started.
package nameservers

import (
	"bytes"
	"context"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"time"

	"kubesolo.io/os/payload/internal/journal"
)

// File is where CoreDNS' pod looks; it mounts the folder.
const File = "/run/kubesolo/dns/upstream.conf"

const (
	component = "dns"
	// maxServers is what CoreDNS' forward plugin takes.
	maxServers = 15
)

// Follow writes file from resolvConf now and, every interval, whenever the servers have changed, until ctx
// ends. CoreDNS' reload plugin sees the change within 15 s.
func Follow(ctx context.Context, resolvConf, file string, interval time.Duration) {
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	reported := ""
	for {
		reason := ""
		if err := update(resolvConf, file); err != nil {
			reason = err.Error()
		}
		if reason != "" && reason != reported {
			journal.Warn(component, "pods' name servers can not be set: %s", reason)
		}
		reported = reason
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// update rewrites file when its content is not what resolvConf asks for. A missing resolvConf names no server.
func update(resolvConf, file string) error {
	text, err := os.ReadFile(resolvConf)
	if err != nil && !os.IsNotExist(err) {
		return err
	}
	servers := parse(string(text))
	wanted := []byte(render(servers))
	if old, err := os.ReadFile(file); err == nil && bytes.Equal(old, wanted) {
		return nil
	}
	if err := replace(file, wanted); err != nil {
		return err
	}
	if len(servers) == 0 {
		journal.Say(component, "no name servers: pods resolve names of the cluster only")
	} else {
		journal.Say(component, "name servers of pods: %s", strings.Join(servers, " "))
	}
	return nil
}

// parse returns the addresses of a resolv.conf (resolv.conf(5)) that mean the same in a pod as on the node:
// not loopback, and not link-local, which needs an interface of the node.
func parse(text string) []string {
	var servers []string
	for line := range strings.Lines(text) {
		fields := strings.Fields(line)
		if len(fields) < 2 || fields[0] != "nameserver" || len(servers) == maxServers {
			continue
		}
		address, err := netip.ParseAddr(fields[1])
		if err != nil || address.IsLoopback() || address.IsUnspecified() || address.IsLinkLocalUnicast() {
			continue
		}
		servers = append(servers, address.String())
	}
	return servers
}

// render returns lines for a server block of a Corefile: none without servers, so that names outside the
// cluster fail at once.
func render(servers []string) string {
	if len(servers) == 0 {
		return ""
	}
	return fmt.Sprintf("forward . %s {\n    policy sequential\n    max_concurrent 1000\n}\nloop\n", strings.Join(servers, " "))
}

// replace writes a file that others see either as it was or complete.
func replace(file string, content []byte) error {
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return err
	}
	temporary := file + ".new"
	if err := os.WriteFile(temporary, content, 0o644); err != nil {
		return err
	}
	return os.Rename(temporary, file)
}
