// Package manifests holds the objects of the add-ons that every cluster has.
package manifests

import (
	_ "embed"
	"strings"
)

//go:embed coredns.yaml
var coreDNS string

// What stands in coredns.yaml for what depends on the cluster.
const (
	dnsPlace = "clusterIP: 10.43.0.10"
	apiPlace = "value: 10.42.0.1"
)

// CoreDNS is the cluster's DNS server at the address dns, which asks the API server at the address api. The text
// changes with the addresses, so that a server that was made with others is replaced.
func CoreDNS(dns, api string) []byte {
	text := strings.Replace(coreDNS, dnsPlace, "clusterIP: "+dns, 1)
	return []byte(strings.Replace(text, apiPlace, "value: "+api, 1))
}
