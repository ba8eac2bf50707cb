package node

import (
	"fmt"
	"net"
	"net/netip"

	"github.com/vishvananda/netlink"
)

// lastResort is a metric that gives way to whatever else leads there.
const lastResort = 1 << 29

// RouteServices gives the node itself a way to the addresses of Services, whether it has a default route or not: the
// API server calls webhooks and other API servers there. The kernel looks for a way before the rules of kube-proxy
// replace the address; what no rule takes ends at the loopback interface. Pods have their own way.
func RouteServices(services netip.Prefix) error {
	loopback, err := netlink.LinkByName("lo")
	if err != nil {
		return fmt.Errorf("loopback interface: %w", err)
	}
	all := &net.IPNet{IP: services.Addr().AsSlice(), Mask: net.CIDRMask(services.Bits(), services.Addr().BitLen())}
	route := &netlink.Route{LinkIndex: loopback.Attrs().Index, Scope: netlink.SCOPE_LINK, Dst: all, Priority: lastResort}
	if err := netlink.RouteReplace(route); err != nil {
		return fmt.Errorf("route to %s: %w", services, err)
	}
	return nil
}
