package nameservers

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"
)

func TestOnlyServersThatAPodCanReachAreUsed(t *testing.T) {
	text := "# comment\nsearch lan\nnameserver 127.0.0.53\nnameserver ::1\nnameserver fe80::1%eth0\nnameserver bad\n" +
		"nameserver\nnameserver 0.0.0.0\nnameserver\t192.0.2.1  trailing\nnameserver 2001:db8::1\n"
	got := render(parse(text))
	want := "forward . 192.0.2.1 2001:db8::1 {\n    policy sequential\n    max_concurrent 1000\n}\nloop\n"
	if got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestNoServersNoForwarding(t *testing.T) {
	if got := render(parse("options timeout:1\nnameserver 127.0.0.1\n")); got != "" {
		t.Errorf("got %q", got)
	}
}

func TestChangesAreFollowed(t *testing.T) {
	dir := t.TempDir()
	source, file := filepath.Join(dir, "resolv.conf"), filepath.Join(dir, "dns", "upstream.conf")
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		Follow(ctx, source, file, time.Millisecond)
		close(done)
	}()
	await(t, file, "")
	for _, server := range []string{"192.0.2.1", "192.0.2.2"} {
		if err := os.WriteFile(source, []byte("nameserver "+server+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
		await(t, file, render([]string{server}))
	}
	if err := os.Remove(source); err != nil {
		t.Fatal(err)
	}
	await(t, file, "")
	cancel()
	<-done
	if left, _ := filepath.Glob(filepath.Join(dir, "dns", "*")); len(left) != 1 {
		t.Errorf("left behind: %v", left)
	}
}

func TestAnUnchangedFileIsNotRewritten(t *testing.T) {
	dir := t.TempDir()
	source, file := filepath.Join(dir, "resolv.conf"), filepath.Join(dir, "upstream.conf")
	if err := os.WriteFile(source, []byte("nameserver 192.0.2.1\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := update(source, file); err != nil {
		t.Fatal(err)
	}
	before, _ := os.Stat(file)
	if err := update(source, file); err != nil {
		t.Fatal(err)
	}
	if after, _ := os.Stat(file); !os.SameFile(before, after) {
		t.Error("rewritten although nothing changed")
	}
}

func TestAnUnwritablePlaceIsAnError(t *testing.T) {
	if err := update("/dev/null", "/dev/null/upstream.conf"); err == nil {
		t.Error("no error")
	}
}

func await(t *testing.T, file, want string) {
	t.Helper()
	for deadline := time.Now().Add(5 * time.Second); ; time.Sleep(time.Millisecond) {
		got, err := os.ReadFile(file)
		if err == nil && string(got) == want {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("got %q (%v), want %q", got, err, want)
		}
	}
}
