package loadbalancer

import (
	"net"
	"testing"

	corev1 "k8s.io/api/core/v1"
)

func TestProgramsThatListenAreSeen(t *testing.T) {
	for address, want := range map[string]bool{"0.0.0.0:0": true, "[::]:0": true, "127.0.0.1:0": false} {
		listener, err := net.Listen("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		number := int32(listener.Addr().(*net.TCPAddr).Port)
		if got := listening()[port{corev1.ProtocolTCP, number}]; got != want {
			t.Errorf("%s: seen %v", address, got)
		}
		listener.Close()
		if listening()[port{corev1.ProtocolTCP, number}] {
			t.Errorf("%s: still seen after its end", address)
		}
	}
}

func TestListeningSocketsAreRead(t *testing.T) {
	const tcp, udp = "0A", "07"
	for line, c := range map[string]struct {
		state string
		want  int32
	}{
		"  sl  local_address rem_address   st tx_queue":                                        {tcp, 0},
		"   0: 00000000:192B 00000000:0000 0A 00000000:00000000":                               {tcp, 6443},
		"   1: 0100007F:2708 00000000:0000 0A 00000000:00000000":                               {tcp, 0},
		"   2: 0F02000A:192B 0202000A:C350 01 00000000:00000000":                               {tcp, 0},
		"   3: 00000000000000000000000000000000:0016 00000000000000000000000000000000:0000 0A": {tcp, 22},
		"   4: 00000000000000000000000001000000:0016 00000000000000000000000000000000:0000 0A": {tcp, 0},
		"   5: 0000000000000000FFFF00000100007F:0016 00000000000000000000000000000000:0000 0A": {tcp, 0},
		"  66: 00000000:0044 00000000:0000 07 00000000:00000000":                               {udp, 68},
		"  67: 0F02000A:0044 0202000A:0043 01 00000000:00000000":                               {udp, 0},
	} {
		if got, _ := openPort(line, c.state); got != c.want {
			t.Errorf("%s: %d", line, got)
		}
	}
}
