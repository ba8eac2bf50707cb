package networks

import (
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestAddressesOfTheNetworks(t *testing.T) {
	for _, c := range []struct{ pods, services, gateway, api, dns string }{
		{"", "", "10.42.0.1", "10.43.0.1", "10.43.0.10"},
		{"172.20.0.0/20", "172.21.8.0/24", "172.20.0.1", "172.21.8.1", "172.21.8.10"},
	} {
		n, err := Parse(c.pods, c.services)
		if err != nil {
			t.Fatal(err)
		}
		if n.Gateway().String() != c.gateway || n.API().String() != c.api || n.DNS().String() != c.dns {
			t.Errorf("%v: gateway %s, API %s, DNS %s", n, n.Gateway(), n.API(), n.DNS())
		}
	}
}

func TestWhatCanNotWorkIsRefusedByName(t *testing.T) {
	for _, c := range []struct{ pods, services, want string }{
		{"10.42.0.0", "", "--pod-cidr"},
		{"fd00::/64", "", "--pod-cidr"},
		{"10.42.0.0/30", "", "--pod-cidr"},
		{"10.42.1.0/16", "", "10.42.0.0/16"},
		{"", "10.0.0.0/8", "--service-cidr"},
		{"", "10.43.0.0/29", "--service-cidr"},
		{"10.43.0.0/16", "", "overlap"},
	} {
		if _, err := Parse(c.pods, c.services); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q %q: got %v, want an error naming %s", c.pods, c.services, err, c.want)
		}
	}
}

func TestTheFirstChoiceStays(t *testing.T) {
	folder := t.TempDir()
	for _, c := range []struct{ pods, services, pod, ignored string }{
		{"172.20.0.0/16", "", "172.20.0.0/16", ""},
		{"172.20.0.0/16", "", "172.20.0.0/16", ""},
		{"", "", "172.20.0.0/16", ""},
		{"172.30.0.0/16", "", "172.20.0.0/16", "--pod-cidr 172.30.0.0/16 is ignored"},
		{"", "172.31.0.0/16", "172.20.0.0/16", "--service-cidr 172.31.0.0/16 is ignored"},
	} {
		n, ignored, err := Remember(folder, c.pods, c.services)
		if err != nil || n.Pods.String() != c.pod || !strings.HasPrefix(ignored, c.ignored) || (c.ignored == "") != (ignored == "") {
			t.Errorf("%+v: got %v, %q, %v", c, n, ignored, err)
		}
	}
}

func TestAClusterOfAnEarlierReleaseKeepsItsNetworks(t *testing.T) {
	folder := t.TempDir()
	if err := os.Mkdir(filepath.Join(folder, "db"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(folder, "db", "state.db"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	n, ignored, err := Remember(folder, "172.20.0.0/16", "")
	if err != nil || n != Default() || ignored == "" {
		t.Errorf("got %v, %q, %v", n, ignored, err)
	}
}

func TestAClusterOfAnEarlierReleaseStartsOnADiskThatTakesNothing(t *testing.T) {
	folder := t.TempDir()
	if err := os.MkdirAll(filepath.Join(folder, "db", "state.db"), 0o700); err != nil {
		t.Fatal(err)
	}
	// What is in the way of the new file stands for a full disk.
	if err := os.Mkdir(filepath.Join(folder, "networks.json.new"), 0o700); err != nil {
		t.Fatal(err)
	}
	if n, _, err := Remember(folder, "", ""); err != nil || n != Default() {
		t.Errorf("got %v, %v", n, err)
	}
}

func TestADamagedMemoryIsNamed(t *testing.T) {
	folder := t.TempDir()
	path := filepath.Join(folder, "networks.json")
	if err := os.WriteFile(path, []byte("{"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, _, err := Remember(folder, "", ""); err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("got %v", err)
	}
}

func TestALANThatTheClusterHidesIsNamed(t *testing.T) {
	for _, c := range []struct{ lan, want string }{
		{"192.168.1.0/24", ""}, {"10.42.0.0/24", "--pod-cidr"}, {"10.43.7.0/24", "--service-cidr"}, {"10.0.0.0/8", "10.0.0.0/8"},
	} {
		said := Default().Conflict([]netip.Prefix{netip.MustParsePrefix("203.0.113.0/24"), netip.MustParsePrefix(c.lan)})
		if !strings.Contains(said, c.want) || (c.want == "") != (said == "") {
			t.Errorf("%s: %q", c.lan, said)
		}
	}
}
