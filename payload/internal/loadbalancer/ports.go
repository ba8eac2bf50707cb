package loadbalancer

import (
	"bufio"
	"fmt"
	"os"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// port is what only one Service can have on the node's address.
type port struct {
	protocol corev1.Protocol
	number   int32
}

func (p port) String() string { return fmt.Sprintf("%d/%s", p.number, p.protocol) }

// reserved are the node's own ports, also while nobody listens there: the API server's and kubelet's.
var reserved = map[port]string{
	{corev1.ProtocolTCP, 6443}:  "the API server",
	{corev1.ProtocolTCP, 10250}: "kubelet",
}

// Files of the kernel's sockets (proc(5)), and the state of those that wait for clients: TCP_LISTEN, and for UDP
// TCP_CLOSE, that is, without a peer (include/net/tcp_states.h).
var sockets = []struct {
	path     string
	protocol corev1.Protocol
	state    string
}{
	{"/proc/net/tcp", corev1.ProtocolTCP, "0A"},
	{"/proc/net/tcp6", corev1.ProtocolTCP, "0A"},
	{"/proc/net/udp", corev1.ProtocolUDP, "07"},
	{"/proc/net/udp6", corev1.ProtocolUDP, "07"},
}

// listening returns the ports on which programs of the node answer clients from outside: a Service on such a port would
// take them away.
func listening() map[port]bool {
	found := map[port]bool{}
	for _, kind := range sockets {
		file, err := os.Open(kind.path)
		if err != nil {
			continue
		}
		for lines := bufio.NewScanner(file); lines.Scan(); {
			if number, yes := openPort(lines.Text(), kind.state); yes {
				found[port{kind.protocol, number}] = true
			}
		}
		file.Close()
	}
	return found
}

// openPort reads a line such as "0: 00000000:192B 00000000:0000 0A ...": the local address, the other one, the state.
// Loopback addresses are not reached from outside.
func openPort(line, state string) (int32, bool) {
	fields := strings.Fields(line)
	if len(fields) < 4 || fields[3] != state {
		return 0, false
	}
	address, hex, _ := strings.Cut(fields[1], ":")
	number, err := strconv.ParseUint(hex, 16, 16)
	if err != nil || loopback(address) {
		return 0, false
	}
	return int32(number), true
}

// loopback judges an address as the kernel writes it: 32-bit words in the processor's order, both of whose
// architectures here are little-endian.
func loopback(address string) bool {
	const mapped = "0000000000000000FFFF0000"
	address = strings.TrimPrefix(address, mapped)
	return len(address) == 8 && strings.HasSuffix(address, "7F") || address == "00000000000000000000000001000000"
}
