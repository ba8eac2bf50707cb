package node

import (
	"net"
	"testing"
)

func TestTheNodeFollowsItsAddress(t *testing.T) {
	on := func(ips ...string) []candidate {
		all := []candidate{{ip: net.ParseIP("10.42.0.1"), link: "cni0", up: true}}
		for _, ip := range ips {
			all = append(all, candidate{ip: net.ParseIP(ip), link: "eth0", up: true, defaultRoute: true})
		}
		return all
	}
	dummy := candidate{ip: net.ParseIP(DummyAddress), link: DummyInterface, up: true}
	for name, c := range map[string]struct {
		current string
		sight   []candidate
		looks   int
		want    string
	}{
		"it is still there":                {"192.0.2.9", on("198.51.100.7", "192.0.2.9"), 99, "<nil>"},
		"another one":                      {"192.0.2.9", on("192.0.2.50"), looksMoved, "192.0.2.50"},
		"another one, for a moment":        {"192.0.2.9", on("192.0.2.50"), looksMoved - 1, "<nil>"},
		"none, for a while":                {"192.0.2.9", on(), looksLost - 1, "<nil>"},
		"none":                             {"192.0.2.9", on(), looksLost, DummyAddress},
		"a late one":                       {DummyAddress, append(on("198.51.100.7"), dummy), looksMoved, "198.51.100.7"},
		"none yet":                         {DummyAddress, append(on(), dummy), 99, "<nil>"},
		"its link is stopped":              {"192.0.2.9", []candidate{{ip: net.ParseIP("192.0.2.9"), link: "eth0"}}, looksLost, DummyAddress},
		"it has moved to a second card":    {"192.0.2.9", []candidate{{ip: net.ParseIP("192.0.2.9"), link: "eth1", up: true}}, 99, "<nil>"},
		"a longer one that begins like it": {"192.0.2.5", on("192.0.2.50"), looksMoved, "192.0.2.50"},
	} {
		f := follower{current: net.ParseIP(c.current)}
		var got net.IP
		for range c.looks {
			if got = f.next(c.sight); got != nil {
				break
			}
		}
		if got.String() != c.want {
			t.Errorf("%s: got %s, want %s", name, got, c.want)
		}
	}
}

func TestAnAddressThatComesAndGoesIsNotFollowed(t *testing.T) {
	f := follower{current: net.ParseIP("192.0.2.9")}
	sight := func(ip string) []candidate {
		return []candidate{{ip: net.ParseIP(ip), link: "eth0", up: true, defaultRoute: true}}
	}
	for range 20 {
		for _, ip := range []string{"192.0.2.50", "192.0.2.9"} {
			if got := f.next(sight(ip)); got != nil {
				t.Fatalf("followed to %s", got)
			}
		}
	}
}
