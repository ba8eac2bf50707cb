// Package manifests holds the objects of the add-ons.
package manifests

import (
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"strings"
)

//go:embed coredns.yaml
var coreDNS string

// LocalPath is the StorageClass of the node's own volumes.
//
//go:embed local-path.yaml
var LocalPath []byte

// Metrics is the API of what the node and its pods use.
//
//go:embed metrics.yaml
var Metrics []byte

//go:embed portainer.yaml
var portainer string

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

// markBytes of a digest of the credentials are enough to notice others, and too few to test a guess of the key.
const markBytes = 2

// Edge is what Portainer knows the node by.
type Edge struct {
	ID, Key string
	Async   bool
}

// Portainer is Portainer's Edge agent; nothing without an ID and a key.
func Portainer(edge Edge) []byte {
	if edge.ID == "" || edge.Key == "" {
		return nil
	}
	async := "0"
	if edge.Async {
		async = "1"
	}
	digest := sha256.Sum256([]byte(edge.ID + "\n" + edge.Key + "\n" + async))
	return []byte(strings.NewReplacer(
		"${id}", quoted(edge.ID), "${key}", quoted(base64.StdEncoding.EncodeToString([]byte(edge.Key))), "${async}", quoted(async),
		"${credentials}", quoted(hex.EncodeToString(digest[:markBytes])),
	).Replace(portainer))
}

// quoted is a text as YAML, whatever is in it: JSON's form is one of YAML's.
func quoted(text string) string {
	out, _ := json.Marshal(text) // a string always can be
	return string(out)
}
