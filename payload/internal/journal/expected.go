package journal

import (
	"bytes"
	"io"
	"sync/atomic"
)

// What the libraries complain about at every start of a node that is well. Each entry is the list of texts that
// a message has to hold, all of them, so that the same complaint for another reason is still heard.
var expected = [][]string{
	{"Skipping API ", "because it has no resources"},
	{"No authentication-kubeconfig provided"},
	{"No authorization-kubeconfig provided"},
	{"The manifest file is empty"},
	{"Flexvolume plugin directory", "does not exist"},
	{"Failed to read data from checkpoint", "checkpoint is not found"},
	{"failed to check if we have separate container filesystem", "no imagefs label"},
	{"Failed to list existing nftables objects", "No such file or directory"},
	{"Found stale data, removed previous endpoints on kubernetes service"},
	{"Image garbage collection failed once", "invalid capacity 0 on image filesystem"},
	{"read version", "is not as new as written version"}, // tried again at once
}

// What is true only until the node has registered itself, and said ten times a second until then.
var expectedAtFirst = [][]string{
	{"node is not registered yet"},
	{"container runtime status check may not have completed yet"},
	{"node \"", "not found"},
	{"nodes \"", "not found"},
	{"node \\\"", "not found"},
	{"nodes \\\"", "not found"},
}

var started atomic.Bool

// Started ends the time in which it is normal that the node is not there yet.
func Started() { started.Store(true) }

// filter passes messages on, each of which comes in one piece, except those that are expected.
type filter struct{ to io.Writer }

func (f filter) Write(message []byte) (int, error) {
	if among(expected, message) || !started.Load() && among(expectedAtFirst, message) {
		return len(message), nil
	}
	return f.to.Write(message)
}

func among(known [][]string, message []byte) bool {
	for _, texts := range known {
		if holds(message, texts) {
			return true
		}
	}
	return false
}

func holds(message []byte, texts []string) bool {
	for _, text := range texts {
		if !bytes.Contains(message, []byte(text)) {
			return false
		}
	}
	return true
}
