package node

import (
	"context"
	"net"
	"net/netip"
	"slices"
	"time"

	"github.com/vishvananda/netlink"
)

const (
	lookEvery = 5 * time.Second
	// A new address has to stay so many looks: a lease that is renewed may be taken down and put back.
	looksMoved = 2
	// Without any address, the node's old one counts for two minutes: whoever takes a lease away may give one again.
	looksLost = 24
)

// follower decides when the node's address is another one.
type follower struct {
	current net.IP
	looks   map[string]int
}

// next returns the address that the node has to take, nil for the one that it has. The node keeps its address for as
// long as the machine has it, whatever the default route is; the dummy's is left as soon as there is another.
func (f *follower) next(candidates []candidate) net.IP {
	dummy := f.current.String() == DummyAddress
	if !dummy && slices.ContainsFunc(candidates, func(c candidate) bool { return c.up && c.ip.Equal(f.current) }) {
		f.looks = nil
		return nil
	}
	found, needed := choose(candidates), looksMoved
	if found == nil {
		if dummy {
			f.looks = nil
			return nil
		}
		found, needed = net.ParseIP(DummyAddress), looksLost
	}
	seen := f.looks[found.String()] + 1
	f.looks = map[string]int{found.String(): seen}
	if seen < needed {
		return nil
	}
	return found
}

// Moved returns the node's new address when it no longer is current, or nil when ctx has ended.
func Moved(ctx context.Context, current net.IP) net.IP {
	f := follower{current: current}
	ticker := time.NewTicker(lookEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
		if candidates, err := addresses(); err == nil {
			if ip := f.next(candidates); ip != nil {
				return ip
			}
		}
	}
}

// Networks lists the IPv4 networks that the machine is connected to, without those of pods.
func Networks() []netip.Prefix {
	links, err := netlink.LinkList()
	if err != nil {
		return nil
	}
	var all []netip.Prefix
	for _, link := range links {
		if ours(link.Attrs().Name) {
			continue
		}
		found, _ := netlink.AddrList(link, netlink.FAMILY_V4)
		for _, address := range found {
			if prefix, err := netip.ParsePrefix(address.IPNet.String()); err == nil {
				all = append(all, prefix.Masked())
			}
		}
	}
	return all
}
