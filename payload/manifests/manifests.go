// Package manifests holds the objects of the add-ons that every cluster has.
package manifests

import _ "embed"

// CoreDNS is the cluster's DNS server.
//
//go:embed coredns.yaml
var CoreDNS []byte
