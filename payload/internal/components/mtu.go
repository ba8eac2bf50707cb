package components

import (
	"fmt"
	"os"
	"strconv"
	"strings"
)

// longestPacket holds the length in bytes of the longest packet that the node's network carries, when its DHCP
// server says so: written by the node's DHCP script, which starts the payload again when it changes.
const longestPacket = "/run/kubesolo/mtu"

// withMTU gives the pods' network the longest packet that is in file, if there is one.
func withMTU(conflist, file string) string {
	text, err := os.ReadFile(file)
	if err != nil {
		return conflist
	}
	mtu, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		return conflist
	}
	bridge := `"bridge": "cni0",`
	return strings.Replace(conflist, bridge, fmt.Sprintf("%s\n      \"mtu\": %d,", bridge, mtu), 1)
}
