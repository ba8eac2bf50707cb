// Package networks holds the cluster's own networks: chosen before the first start, and the same ever after.
package networks

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
)

// What a cluster uses when nobody asks for anything else.
const (
	DefaultPods     = "10.42.0.0/16"
	DefaultServices = "10.43.0.0/16"
)

const (
	// dnsHost is which address of the Services' network cluster DNS has, counted from its start.
	dnsHost = 10
	// kubelet runs at most 110 pods; the bridge, the network's and the broadcast address come on top.
	longestPods = 25
	// The API server wants at most 20 bits for hosts; cluster DNS needs the tenth address.
	shortestServices, longestServices = 12, 28
)

// Networks are the addresses of pods and of Services: IPv4, apart from each other.
type Networks struct {
	Pods     netip.Prefix `json:"pods"`
	Services netip.Prefix `json:"services"`
}

// Default returns the networks of a cluster for which nobody has chosen any.
func Default() Networks {
	return Networks{netip.MustParsePrefix(DefaultPods), netip.MustParsePrefix(DefaultServices)}
}

// Parse reads what an operator asks for; "" is the default. Errors name the flag.
func Parse(pods, services string) (Networks, error) {
	n := Default()
	for _, asked := range []struct {
		flag, text        string
		shortest, longest int
		into              *netip.Prefix
	}{
		{"--pod-cidr", pods, 1, longestPods, &n.Pods},
		{"--service-cidr", services, shortestServices, longestServices, &n.Services},
	} {
		if asked.text == "" {
			continue
		}
		prefix, err := netip.ParsePrefix(asked.text)
		switch {
		case err != nil || !prefix.Addr().Is4():
			return n, fmt.Errorf("%s: %q is not an IPv4 network such as 10.42.0.0/16", asked.flag, asked.text)
		case prefix.Bits() < asked.shortest || prefix.Bits() > asked.longest:
			return n, fmt.Errorf("%s: %s: the prefix length must be %d to %d", asked.flag, asked.text, asked.shortest, asked.longest)
		case prefix != prefix.Masked():
			return n, fmt.Errorf("%s: %s is an address in the network %s", asked.flag, asked.text, prefix.Masked())
		}
		*asked.into = prefix
	}
	if n.Pods.Overlaps(n.Services) {
		return n, fmt.Errorf("--pod-cidr %s and --service-cidr %s overlap", n.Pods, n.Services)
	}
	return n, nil
}

// Gateway is the pods' router: the node itself, on the bridge that the pods are connected to.
func (n Networks) Gateway() netip.Addr { return n.Pods.Addr().Next() }

// API is the address of the Service "kubernetes", which the API server takes from its network: the first.
func (n Networks) API() netip.Addr { return n.Services.Addr().Next() }

// DNS is the address of cluster DNS: the tenth.
func (n Networks) DNS() netip.Addr {
	address := n.Services.Addr()
	for range dnsHost {
		address = address.Next()
	}
	return address
}

// Conflict names a network of the machine that the cluster's networks hide, "" when there is none.
func (n Networks) Conflict(machine []netip.Prefix) string {
	for _, lan := range machine {
		if lan.Overlaps(n.Pods) {
			return fmt.Sprintf("%s is hidden by the pods' network %s (choose another one with --pod-cidr)", lan, n.Pods)
		}
		if lan.Overlaps(n.Services) {
			return fmt.Sprintf("%s is hidden by the Services' network %s (choose another one with --service-cidr)", lan, n.Services)
		}
	}
	return ""
}

// Remember returns the networks that the cluster in folder was made with; a cluster that is yet to be made gets
// those that are asked for. ignored says, in words, that the cluster has others than asked for.
func Remember(folder string, pods, services string) (n Networks, ignored string, err error) {
	path := filepath.Join(folder, "networks.json")
	asked, err := Parse(pods, services)
	if err != nil {
		return asked, "", err
	}
	text, err := os.ReadFile(path)
	switch {
	case err == nil:
		n, err = decode(text)
		if err != nil {
			return n, "", fmt.Errorf("%s: %w", path, err)
		}
	case !errors.Is(err, os.ErrNotExist):
		return n, "", err
	case made(folder):
		// Of a release that had no choice. A full disk may keep this from being written: the next start knows it as well.
		n = Default()
		_ = write(path, n)
		err = nil
	default:
		n = asked
		err = write(path, n)
	}
	return n, difference(n, pods, services, folder), err
}

// made says whether there is a cluster already: its objects have addresses of its networks.
func made(folder string) bool {
	_, err := os.Stat(filepath.Join(folder, "db", "state.db"))
	return err == nil
}

func decode(text []byte) (Networks, error) {
	n := Networks{}
	if err := json.Unmarshal(text, &n); err != nil {
		return n, err
	}
	return Parse(n.Pods.String(), n.Services.String())
}

func difference(n Networks, pods, services, folder string) string {
	for _, c := range []struct{ flag, asked, has string }{
		{"--pod-cidr", pods, n.Pods.String()}, {"--service-cidr", services, n.Services.String()},
	} {
		if c.asked != "" && c.asked != c.has {
			return fmt.Sprintf("%s %s is ignored: this cluster was made with %s, which can not change "+
				"(to start anew with an empty cluster, remove %s)", c.flag, c.asked, c.has, folder)
		}
	}
	return ""
}

// write makes the file as a whole and lasting: what is made from it is lasting as well.
func write(path string, n Networks) error {
	text, err := json.Marshal(n)
	if err != nil {
		return err
	}
	file, err := os.OpenFile(path+".new", os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	_, err = file.Write(append(text, '\n'))
	if err := errors.Join(err, file.Sync(), file.Close()); err != nil {
		return err
	}
	if err := os.Rename(path+".new", path); err != nil {
		return err
	}
	folder, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	defer folder.Close()
	return folder.Sync()
}
