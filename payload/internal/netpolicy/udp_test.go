package netpolicy

import (
	"net"
	"net/netip"
	"testing"
	"time"
)

// A connected UDP socket keeps its connection in the table for as long as it is used.
func TestDatagramsAreJudgedByTheirProtocolAndCutOff(t *testing.T) {
	if !enterLab(t) {
		return
	}
	world := nine()
	l, e := build(t, world), enforcer(t)
	from, to := &world.Pods[3], &world.Pods[0]
	within(t, l.pods[to], func() error {
		socket, err := net.ListenPacket("udp", ":53")
		if err == nil {
			go echoDatagrams(socket)
		}
		return err
	})
	for f := range families {
		var socket net.Conn
		within(t, l.pods[from], func() (err error) {
			socket, err = net.Dial("udp", netip.AddrPortFrom(to.Addresses[f], 53).String())
			return err
		})
		for _, c := range []struct {
			policies string
			wanted   bool
		}{
			{"red/p: {podSelector: {}, ingress: [{ports: [{protocol: UDP, port: 53}]}]}", true},
			{"red/p: {podSelector: {}, ingress: [{ports: [{protocol: TCP, port: 53}]}]}", false},
			{"red/p: {podSelector: {}, ingress: [{ports: [{protocol: UDP}]}]}", true},
			{"green/p: {podSelector: {}, policyTypes: [Egress], egress: [{ports: [{protocol: UDP, port: 54}]}]}", false},
		} {
			world.Policies = nine(c.policies).Policies
			apply(t, e, world)
			if got := answers(socket); got != c.wanted {
				t.Errorf("%s: %s: allowed %v, but answered %v", to.Addresses[f], c.policies, c.wanted, got)
			}
		}
		socket.Close()
	}
}

func echoDatagrams(socket net.PacketConn) {
	buffer := make([]byte, 64)
	for {
		n, from, err := socket.ReadFrom(buffer)
		if err != nil {
			return
		}
		_ = socket.SetWriteDeadline(time.Now().Add(time.Second))
		_, _ = socket.WriteTo(buffer[:n], from)
	}
}
