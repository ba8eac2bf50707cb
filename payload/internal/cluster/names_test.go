package cluster

import (
	"net"
	"slices"
	"testing"

	"kubesolo.io/os/payload/internal/components"
	"kubesolo.io/os/payload/internal/networks"
	"kubesolo.io/os/payload/internal/options"
)

// Pods know the API by the first address of the Services' network, cluster DNS by the pods' router.
func TestTheAPIsCertificateIsValidForTheAddressesThatPodsUse(t *testing.T) {
	own, err := networks.Parse("172.20.0.0/16", "172.21.0.0/20")
	if err != nil {
		t.Fatal(err)
	}
	c := &components.Config{
		Options: &options.Options{ExtraSANs: []string{"edge.example", "198.51.100.4"}}, NodeName: "edge",
		NodeIP: net.ParseIP("192.0.2.9"), Networks: own,
	}
	found := names(c).API.IPs
	for _, want := range []string{"127.0.0.1", "172.21.0.1", "172.20.0.1", "192.0.2.9", "198.51.100.4"} {
		if !slices.ContainsFunc(found, net.ParseIP(want).Equal) {
			t.Errorf("%s is not among %v", want, found)
		}
	}
	if slices.ContainsFunc(found, net.ParseIP("10.43.0.1").Equal) {
		t.Errorf("an address of another cluster's network is among %v", found)
	}
}
