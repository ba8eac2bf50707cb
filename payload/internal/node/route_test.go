package node

import (
	"errors"
	"net"
	"net/netip"
	"syscall"
	"testing"

	"github.com/vishvananda/netlink"

	"kubesolo.io/os/payload/internal/nstest"
)

// A network without a router: the node has an address and no default route.
func TestTheNodeReachesServicesWithoutARouter(t *testing.T) {
	if !nstest.Enter(t) {
		return
	}
	services := netip.MustParsePrefix("10.43.0.0/16")
	card := &netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: "eth0"}, PeerName: "other"}
	must(t, netlink.LinkAdd(card))
	address, _ := netlink.ParseAddr("10.0.2.15/24")
	must(t, netlink.AddrAdd(card, address))
	for _, name := range []string{"lo", "eth0", "other"} {
		link, err := netlink.LinkByName(name)
		must(t, err)
		must(t, netlink.LinkSetUp(link))
	}
	if _, err := net.Dial("udp", "10.43.0.10:53"); !errors.Is(err, syscall.ENETUNREACH) {
		t.Fatalf("there was a way before: %v", err)
	}
	must(t, RouteServices(services))
	must(t, RouteServices(services)) // the payload was started again
	connection, err := net.Dial("udp", "10.43.0.10:53")
	must(t, err)
	if local := connection.LocalAddr().(*net.UDPAddr).IP.String(); local != "10.0.2.15" {
		t.Errorf("it asks as %s, to which nobody can answer", local)
	}
	// What an operator has there counts.
	_, all, _ := net.ParseCIDR(services.String())
	must(t, netlink.RouteAdd(&netlink.Route{LinkIndex: card.Attrs().Index, Dst: all, Scope: netlink.SCOPE_LINK}))
	must(t, RouteServices(services))
	routes, err := netlink.RouteGet(net.ParseIP("10.43.0.10"))
	must(t, err)
	if routes[0].LinkIndex != card.Attrs().Index {
		t.Errorf("the operator's route is not taken: %v", routes)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
