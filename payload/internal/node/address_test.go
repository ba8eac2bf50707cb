package node

import (
	"net"
	"testing"
)

func TestChoice(t *testing.T) {
	ip := net.ParseIP
	lo := candidate{ip: ip("127.0.0.1"), link: "lo", up: true}
	lan := candidate{ip: ip("203.0.113.5"), link: "eth1", up: true}
	routed := candidate{ip: ip("198.51.100.7"), link: "eth0", up: true, defaultRoute: true}
	for name, c := range map[string]struct {
		candidates []candidate
		want       string
	}{
		"default route first":     {[]candidate{lo, lan, routed}, "198.51.100.7"},
		"any address else":        {[]candidate{lo, lan}, "203.0.113.5"},
		"never loopback":          {[]candidate{lo}, "<nil>"},
		"never a pod network's":   {[]candidate{{ip: ip("10.42.0.1"), link: "cni0", up: true}}, "<nil>"},
		"never link-local":        {[]candidate{{ip: ip("169.254.3.4"), link: "eth0", up: true}}, "<nil>"},
		"never of a stopped link": {[]candidate{{ip: ip("203.0.113.5"), link: "eth0"}}, "<nil>"},
		"never the dummy": {[]candidate{
			{ip: ip(DummyAddress), link: DummyInterface, up: true, defaultRoute: true}, lan,
		}, "203.0.113.5"},
		"IPv4 only": {[]candidate{{ip: ip("2001:db8::1"), link: "eth0", up: true, defaultRoute: true}, lan}, "203.0.113.5"},
	} {
		if got := choose(c.candidates); got.String() != c.want {
			t.Errorf("%s: got %s, want %s", name, got, c.want)
		}
	}
}
