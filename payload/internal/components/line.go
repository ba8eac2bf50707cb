package components

import (
	"context"
	"io"
	"net"
	"os"
	"sync"
)

// line is a socket of its own through which one client talks to a server, so that it can be cut off for good
// while others go on.
type line struct {
	path, server string
}

// open listens until ctx ends; then it closes the socket and every connection, and waits for their ends.
func (l line) open(ctx context.Context) (closed func(), err error) {
	if err := os.Remove(l.path); err != nil && !os.IsNotExist(err) {
		return nil, err
	}
	listener, err := net.Listen("unix", l.path)
	if err != nil {
		return nil, err
	}
	// Of the server's own socket: nobody else gets in here either.
	if err := os.Chmod(l.path, 0o600); err != nil {
		_ = listener.Close()
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	var group sync.WaitGroup
	context.AfterFunc(ctx, func() { _ = listener.Close() })
	group.Go(func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			group.Go(func() { l.carry(ctx, client) })
		}
	})
	return func() { cancel(); group.Wait() }, nil
}

// carry hands bytes on in both directions until one side has ended or ctx has.
func (l line) carry(ctx context.Context, client net.Conn) {
	defer client.Close()
	server, err := new(net.Dialer).DialContext(ctx, "unix", l.server)
	if err != nil {
		return
	}
	defer server.Close()
	over := make(chan struct{}, 2)
	hand := func(to, from net.Conn) {
		_, _ = io.Copy(to, from)
		over <- struct{}{}
	}
	go hand(server, client)
	go hand(client, server)
	select {
	case <-over:
	case <-ctx.Done():
	}
}
