package netpolicy

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"

	"kubesolo.io/os/payload/internal/nstest"
)

var outsideAddresses = []netip.Addr{netip.MustParseAddr("192.0.2.2"), netip.MustParseAddr("fd99::2")}

// lab is a node's network in miniature: pods behind a bridge, and somebody outside.
type lab struct {
	pods    map[*Pod]netns.NsHandle
	outside netns.NsHandle
}

// enterLab runs the test again in a network of its own (nstest.Enter). Without nft it is skipped.
func enterLab(t *testing.T) bool {
	t.Helper()
	if _, err := exec.LookPath("nft"); err != nil {
		t.Skip("there is no nft")
	}
	return nstest.Enter(t)
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// build makes the network of the world's pods around this process, which is the node.
func build(t *testing.T, world *World) *lab {
	t.Helper()
	l := &lab{pods: map[*Pod]netns.NsHandle{}}
	attributes := netlink.NewLinkAttrs()
	attributes.Name = "cni0"
	bridge := &netlink.Bridge{LinkAttrs: attributes}
	must(t, netlink.LinkAdd(bridge))
	must(t, raise("cni0", "10.42.0.1/16", "fd42::1/64"))
	must(t, raise("lo"))
	for _, name := range []string{
		"ipv4/ip_forward", "ipv6/conf/all/forwarding", "bridge/bridge-nf-call-iptables", "bridge/bridge-nf-call-ip6tables",
	} {
		if err := os.WriteFile("/proc/sys/net/"+name, []byte("1"), 0); err != nil {
			t.Skipf("the kernel does not let it: %v", err)
		}
	}
	for i := range world.Pods {
		pod := &world.Pods[i]
		link := fmt.Sprintf("veth%d", i)
		l.pods[pod] = connect(t, link, "10.42.0.1", "fd42::1", pod.Addresses[0].String()+"/16", pod.Addresses[1].String()+"/64")
		port, err := netlink.LinkByName(link)
		must(t, err)
		must(t, netlink.LinkSetMaster(port, bridge))
		must(t, netlink.LinkSetHairpin(port, true))
	}
	l.outside = connect(t, "uplink", "192.0.2.1", "fd99::1", outsideAddresses[0].String()+"/24", outsideAddresses[1].String()+"/64")
	must(t, raise("uplink", "192.0.2.1/24", "fd99::1/64"))
	return l
}

// connect makes a network namespace with an interface that leads to the node's interface of this name.
func connect(t *testing.T, link, router4, router6 string, addresses ...string) netns.NsHandle {
	t.Helper()
	place := within(t, 0, func() error { return nil })
	attributes := netlink.NewLinkAttrs()
	attributes.Name = link
	must(t, netlink.LinkAdd(&netlink.Veth{LinkAttrs: attributes, PeerName: "eth0", PeerNamespace: netlink.NsFd(int(place))}))
	must(t, raise(link))
	within(t, place, func() error {
		if err := raise("lo"); err != nil {
			return err
		}
		if err := raise("eth0", addresses...); err != nil {
			return err
		}
		for _, router := range []string{router4, router6} {
			if err := netlink.RouteAdd(&netlink.Route{Gw: net.ParseIP(router)}); err != nil {
				return err
			}
		}
		return nil
	})
	return place
}

func raise(name string, addresses ...string) error {
	link, err := netlink.LinkByName(name)
	if err != nil {
		return err
	}
	for _, text := range addresses {
		address, err := netlink.ParseAddr(text)
		if err != nil {
			return err
		}
		// IFA_F_NODAD: it can be used at once.
		if address.IP.To4() == nil {
			address.Flags = syscall.IFA_F_NODAD
		}
		if err := netlink.AddrAdd(link, address); err != nil {
			return err
		}
	}
	return netlink.LinkSetUp(link)
}

// within calls do in a network namespace, a new one for 0, and returns it.
func within(t *testing.T, place netns.NsHandle, do func() error) netns.NsHandle {
	t.Helper()
	done := make(chan error, 1)
	go func() {
		// Never unlocked: the thread ends with the goroutine, and its namespace is nobody else's.
		runtime.LockOSThread()
		var err error
		if place == 0 {
			place, err = netns.New()
		} else {
			err = netns.Set(place)
		}
		if err == nil {
			err = do()
		}
		done <- err
	}()
	must(t, <-done)
	return place
}

// serve answers on a TCP port of all addresses of a namespace with what it is sent.
func serve(t *testing.T, place netns.NsHandle, port int32) {
	within(t, place, func() error {
		listener, err := net.Listen("tcp", fmt.Sprintf(":%d", port))
		if err != nil {
			return err
		}
		go func() {
			for {
				connection, err := listener.Accept()
				if err != nil {
					return
				}
				go echo(connection)
			}
		}()
		return nil
	})
}

func echo(connection net.Conn) {
	defer connection.Close()
	buffer := make([]byte, 64)
	for {
		n, err := connection.Read(buffer)
		if err != nil {
			return
		}
		if _, err := connection.Write(buffer[:n]); err != nil {
			return
		}
	}
}

// dial connects from a namespace.
func dial(t *testing.T, place netns.NsHandle, address netip.Addr, port int32, patience time.Duration) (net.Conn, error) {
	var connection net.Conn
	var failed error
	within(t, place, func() error {
		connection, failed = net.DialTimeout("tcp", netip.AddrPortFrom(address, uint16(port)).String(), patience)
		return nil
	})
	return connection, failed
}
