package components

import (
	"context"
	"io"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// echo is a server that sends back what it gets, at the returned address.
func echo(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "server")
	listener, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			go func() { _, _ = io.Copy(client, client) }()
		}
	}()
	return path
}

func say(t *testing.T, client net.Conn, word string) error {
	t.Helper()
	_ = client.SetDeadline(time.Now().Add(10 * time.Second))
	if _, err := client.Write([]byte(word)); err != nil {
		return err
	}
	_, err := io.ReadFull(client, make([]byte, len(word)))
	return err
}

func TestALineIsCutOffAndTheServerGoesOn(t *testing.T) {
	server := echo(t)
	l := line{path: filepath.Join(t.TempDir(), "line"), server: server}
	if err := os.WriteFile(l.path, nil, 0o644); err != nil { // what a killed process left
		t.Fatal(err)
	}
	ctx, cut := context.WithCancel(context.Background())
	closed, err := l.open(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(l.path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v: not only for root", info.Mode(), err)
	}
	client, err := net.Dial("unix", l.path)
	if err != nil {
		t.Fatal(err)
	}
	if err := say(t, client, "hello"); err != nil {
		t.Fatalf("nothing came through: %v", err)
	}
	cut()
	closed()
	if err := say(t, client, "again"); err == nil {
		t.Error("an open connection outlives the cut")
	}
	if _, err := net.Dial("unix", l.path); err == nil {
		t.Error("a new connection is possible after the cut")
	}
	other, err := net.Dial("unix", server)
	if err != nil {
		t.Fatal(err)
	}
	if err := say(t, other, "others"); err != nil {
		t.Errorf("the server was cut off for others: %v", err)
	}
}
