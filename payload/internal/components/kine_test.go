package components

import (
	"context"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"kubesolo.io/os/payload/internal/options"
)

func TestKineServesUntilItIsStopped(t *testing.T) {
	c := &Config{Options: &options.Options{Path: t.TempDir()}, RunDir: t.TempDir()}
	for _, key := range []string{"/first", "/after-a-restart"} {
		ctx, stop := context.WithCancel(t.Context())
		wait, err := Kine(ctx, c)
		if err != nil {
			t.Fatal(err)
		}
		if info, err := os.Stat(c.KineSocket()); err != nil || info.Mode().Perm() != fs.FileMode(0o600) {
			t.Errorf("socket: %v %v", info, err)
		}
		create(t, c.KineSocket(), key)
		stop()
		stopped := make(chan struct{})
		go func() { wait(); close(stopped) }()
		select {
		case <-stopped:
		case <-time.After(10 * time.Second):
			t.Fatal("kine does not stop")
		}
		for deadline := time.Now().Add(10 * time.Second); len(openFiles(t, c.database())) > 0; time.Sleep(10 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("still open: %v", openFiles(t, c.database()))
			}
		}
	}
}

// openFiles lists the files of a database that this process holds: one that is open without end keeps SQLite from
// starting its write-ahead log anew.
func openFiles(t *testing.T, database string) (found []string) {
	t.Helper()
	handles, err := filepath.Glob("/proc/self/fd/*")
	if err != nil {
		t.Fatal(err)
	}
	for _, handle := range handles {
		if file, err := os.Readlink(handle); err == nil && strings.HasPrefix(file, database) {
			found = append(found, file)
		}
	}
	return found
}

// create creates a key as the API server does, and fails the test if that is not possible.
func create(t *testing.T, socket, key string) {
	t.Helper()
	connection, err := grpc.NewClient("unix://"+socket, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer connection.Close()
	answer, err := etcdserverpb.NewKVClient(connection).Txn(t.Context(), &etcdserverpb.TxnRequest{
		Compare: []*etcdserverpb.Compare{{
			Key: []byte(key), Target: etcdserverpb.Compare_MOD,
			TargetUnion: &etcdserverpb.Compare_ModRevision{},
		}},
		Success: []*etcdserverpb.RequestOp{{Request: &etcdserverpb.RequestOp_RequestPut{
			RequestPut: &etcdserverpb.PutRequest{Key: []byte(key), Value: []byte("value")},
		}}},
		Failure: []*etcdserverpb.RequestOp{{Request: &etcdserverpb.RequestOp_RequestRange{
			RequestRange: &etcdserverpb.RangeRequest{Key: []byte(key)},
		}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	if !answer.Succeeded {
		t.Errorf("%s was not created: %v", key, answer)
	}
}
