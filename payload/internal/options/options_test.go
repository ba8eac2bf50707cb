package options

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

func environment(pairs map[string]string) func(string) (string, bool) {
	return func(name string) (string, bool) {
		value, ok := pairs[name]
		return value, ok
	}
}

func TestEveryFlagOfTheContractIsAccepted(t *testing.T) {
	o, err := Parse([]string{
		"--path", "/x", "--apiserver-extra-sans", "a,b", "--apiserver-extra-sans=c", "--local-storage",
		"--local-storage-shared-path=/mnt", "--portainer-edge-id=i", "--portainer-edge-key=k",
		"--portainer-edge-async", "--debug", "--pprof-server", "--load-balancer", "--disable-ipv6",
		"--db-wal-repair", "--full", "--pod-cidr=172.20.0.0/16", "--service-cidr=172.21.0.0/16",
	}, environment(nil))
	if err != nil {
		t.Fatal(err)
	}
	want := &Options{
		Path: "/x", ExtraSANs: []string{"a", "b", "c"}, LocalStorage: true, LocalStorageSharedPath: "/mnt",
		EdgeID: "i", EdgeKey: "k", EdgeAsync: true, Debug: true, PprofServer: true, LoadBalancer: true,
		DisableIPv6: true, DBWALRepair: true, Full: true,
		PodCIDR: "172.20.0.0/16", ServiceCIDR: "172.21.0.0/16",
	}
	if !reflect.DeepEqual(o, want) {
		t.Errorf("got %+v, want %+v", o, want)
	}
}

func TestTheCommandLineWinsOverTheEnvironment(t *testing.T) {
	lookup := environment(map[string]string{
		"KUBESOLO_PATH": "/env", "KUBESOLO_DEBUG": "true", "KUBESOLO_APISERVER_EXTRA_SANS": "x,y",
	})
	o, err := Parse([]string{"--path=/arg"}, lookup)
	if err != nil {
		t.Fatal(err)
	}
	if o.Path != "/arg" || !o.Debug || !reflect.DeepEqual(o.ExtraSANs, []string{"x", "y"}) {
		t.Errorf("got %+v", o)
	}
}

func TestBadInputIsNamed(t *testing.T) {
	for _, c := range []struct {
		args []string
		env  map[string]string
		want string
	}{
		{args: []string{"--nonsense"}, want: "nonsense"},
		{args: []string{"--debug=maybe"}, want: "debug"},
		{args: []string{"serve"}, want: `"serve"`},
		{args: []string{"--path=relative"}, want: "--path"},
		{args: []string{"--apiserver-extra-sans=a,,b"}, want: "--apiserver-extra-sans"},
		{args: []string{"--pod-cidr=10.42.0.0"}, want: "--pod-cidr"},
		{env: map[string]string{"KUBESOLO_SERVICE_CIDR": "10.42.0.0/16"}, want: "--service-cidr"},
		{args: []string{"--disable-addons=coredns,dns"}, want: `"dns"`},
		{args: []string{"--local-storage-shared-path=mnt"}, want: "--local-storage-shared-path"},
		{env: map[string]string{"KUBESOLO_FULL": "yes please"}, want: "KUBESOLO_FULL"},
	} {
		if _, err := Parse(c.args, environment(c.env)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v %v: got %v, want an error naming %s", c.args, c.env, err, c.want)
		}
	}
}

func TestTheEdgeKeyIsNeverShown(t *testing.T) {
	o, err := Parse([]string{"--portainer-edge-key=s3cret"}, environment(nil))
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(o.String(), "s3cret") {
		t.Errorf("the key is in %q", o)
	}
}

func TestAddonsAreSwitchedOffByName(t *testing.T) {
	o, err := Parse([]string{"--disable-addons=metrics"}, environment(nil))
	if err != nil {
		t.Fatal(err)
	}
	if o.Wants("metrics") || !o.Wants("coredns") {
		t.Errorf("switched off: %v", o.DisabledAddons)
	}
}

func TestAPathThatCanNotBeWrittenToIsRefused(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{filepath.Join(file, "state"), "/proc/kubesolo"} {
		if err := (&Options{Path: path}).PreparePath(); err == nil || !strings.Contains(err.Error(), "--path") {
			t.Errorf("%s: got %v", path, err)
		}
	}
	if err := (&Options{Path: filepath.Join(t.TempDir(), "a", "b")}).PreparePath(); err != nil {
		t.Error(err)
	}
}
