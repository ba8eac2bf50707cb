// Package node prepares the machine for Kubernetes: its name, its address, its cgroups.
package node

import (
	"fmt"
	"net"
	"os"
	"strings"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
	"k8s.io/apimachinery/pkg/util/validation"
)

// The node's address when no network gives it one, as the API server refuses a loopback address. The boot
// stages make the same interface with the same address (of RFC 5737, so that it is nobody else's).
const (
	DummyInterface = "kubesolo0"
	DummyAddress   = "192.0.2.1"
)

// candidate is an address of the machine, with what the choice depends on.
type candidate struct {
	ip           net.IP
	link         string
	up           bool
	defaultRoute bool
}

// ours says whether an interface belongs to pods or to the payload and not to the machine.
func ours(link string) bool {
	for _, prefix := range []string{"lo", "cni", "veth", "docker", "br", "flannel", "kube-", DummyInterface} {
		if strings.HasPrefix(link, prefix) {
			return true
		}
	}
	return false
}

// choose returns the node's IPv4 address: on the default route's interface, else any global one, else nil.
func choose(candidates []candidate) net.IP {
	var best net.IP
	for _, c := range candidates {
		if ours(c.link) || !c.up || c.ip.To4() == nil || !c.ip.IsGlobalUnicast() {
			continue
		}
		if c.defaultRoute {
			return c.ip
		}
		if best == nil {
			best = c.ip
		}
	}
	return best
}

// Address returns the node's address. Without any it makes the dummy interface and returns its address.
func Address() (net.IP, error) {
	candidates, err := addresses()
	if err != nil {
		return nil, err
	}
	if ip := choose(candidates); ip != nil {
		return ip, nil
	}
	return net.ParseIP(DummyAddress), makeDummy()
}

// Addresses lists the machine's addresses that clients may use, without those of pods.
func Addresses(ipv6 bool) []net.IP {
	var all []net.IP
	candidates, _ := addresses()
	for _, c := range candidates {
		if !ours(c.link) && c.ip.IsGlobalUnicast() && (ipv6 || c.ip.To4() != nil) {
			all = append(all, c.ip)
		}
	}
	return all
}

// addresses lists the machine's addresses, without those of pods.
func addresses() ([]candidate, error) {
	links, err := netlink.LinkList()
	if err != nil {
		return nil, fmt.Errorf("list network interfaces: %w", err)
	}
	var all []candidate
	for _, link := range links {
		// Asking the kernel about each of a hundred pods' interfaces costs something, and this is done all the time.
		if ours(link.Attrs().Name) {
			continue
		}
		found, err := netlink.AddrList(link, netlink.FAMILY_ALL)
		if err != nil {
			return nil, fmt.Errorf("list addresses of %s: %w", link.Attrs().Name, err)
		}
		for _, address := range found {
			all = append(all, candidate{
				ip: address.IP, link: link.Attrs().Name, up: link.Attrs().Flags&net.FlagUp != 0,
				defaultRoute: hasDefaultRoute(link),
			})
		}
	}
	return all, nil
}

func hasDefaultRoute(link netlink.Link) bool {
	routes, err := netlink.RouteList(link, netlink.FAMILY_V4)
	if err != nil {
		return false
	}
	for _, route := range routes {
		if route.Dst == nil || route.Dst.IP.IsUnspecified() {
			return true
		}
	}
	return false
}

// makeDummy makes the dummy interface with its address and a default route of last resort, so that
// traffic to Services leaves the socket layer and reaches the nftables rules.
func makeDummy() error {
	link, err := netlink.LinkByName(DummyInterface)
	if err != nil {
		attributes := netlink.NewLinkAttrs()
		attributes.Name = DummyInterface
		if err := netlink.LinkAdd(&netlink.Dummy{LinkAttrs: attributes}); err != nil && err != unix.EEXIST {
			return fmt.Errorf("no network address, and interface %s can not be made: %w", DummyInterface, err)
		}
		if link, err = netlink.LinkByName(DummyInterface); err != nil {
			return fmt.Errorf("interface %s: %w", DummyInterface, err)
		}
	}
	address := &netlink.Addr{IPNet: &net.IPNet{IP: net.ParseIP(DummyAddress), Mask: net.CIDRMask(32, 32)}}
	if err := netlink.AddrReplace(link, address); err != nil {
		return fmt.Errorf("address of %s: %w", DummyInterface, err)
	}
	if err := netlink.LinkSetUp(link); err != nil {
		return fmt.Errorf("start of %s: %w", DummyInterface, err)
	}
	_, everything, _ := net.ParseCIDR("0.0.0.0/0")
	route := &netlink.Route{LinkIndex: link.Attrs().Index, Dst: everything, Priority: 1 << 30}
	if err := netlink.RouteReplace(route); err != nil {
		return fmt.Errorf("route over %s: %w", DummyInterface, err)
	}
	return nil
}

// Name returns the node's name: the host name, which must be a DNS name (RFC 1123).
func Name() (string, error) {
	name, err := os.Hostname()
	if err != nil {
		return "", fmt.Errorf("host name: %w", err)
	}
	name = strings.ToLower(strings.TrimSuffix(strings.TrimSpace(name), "."))
	if problems := validation.IsDNS1123Subdomain(name); len(problems) > 0 || name == "localhost" {
		return "kubesolo", nil
	}
	return name, nil
}
