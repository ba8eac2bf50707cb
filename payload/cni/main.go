// Command cni is the CNI plugins of the node in one program, which is the plugin that it is called as. Each alone would
// carry the same libraries: together they are a third as large.
package main

import (
	"fmt"
	"os"
	"path/filepath"

	hostlocal "github.com/containernetworking/plugins/plugins/ipam/host-local"
	"github.com/containernetworking/plugins/plugins/main/bridge"
	"github.com/containernetworking/plugins/plugins/main/loopback"
	"github.com/containernetworking/plugins/plugins/meta/portmap"
)

// plugins are the programs that the patch payload/patches/cni-plugins-as-packages.patch has made packages of.
var plugins = map[string]func(){
	"bridge":     bridge.Main,
	"host-local": hostlocal.Main,
	"loopback":   loopback.Main,
	"portmap":    portmap.Main,
}

func main() {
	plugin, known := plugins[filepath.Base(os.Args[0])]
	if !known {
		fmt.Fprintf(os.Stderr, "cni: %s is none of the plugins bridge, host-local, loopback, portmap\n", os.Args[0])
		os.Exit(2)
	}
	plugin()
}
