package components

import (
	"context"
	"database/sql"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
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

func TestEveryConnectionWaitsForTheDisk(t *testing.T) {
	ctx, stop := context.WithCancel(context.Background())
	group := &sync.WaitGroup{}
	t.Cleanup(func() { stop(); group.Wait() })
	writer, err := openDatabase(ctx, group, filepath.Join(t.TempDir(), "db"))
	if err != nil {
		t.Fatal(err)
	}
	for range connections {
		connection, err := writer.DB.Conn(ctx)
		if err != nil {
			t.Fatal(err)
		}
		defer connection.Close()
		var synchronous int
		var journal string
		if err := connection.QueryRowContext(ctx, "PRAGMA synchronous").Scan(&synchronous); err != nil || synchronous != 2 {
			t.Errorf("synchronous %d instead of FULL, %v", synchronous, err)
		}
		if err := connection.QueryRowContext(ctx, "PRAGMA journal_mode").Scan(&journal); err != nil || journal != "wal" {
			t.Errorf("journal %q, %v", journal, err)
		}
	}
}

func TestWhatIsCompactedIsGone(t *testing.T) {
	c := &Config{Options: &options.Options{Path: t.TempDir()}, RunDir: t.TempDir()}
	ctx, stop := context.WithCancel(t.Context())
	wait, err := Kine(ctx, c)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { stop(); wait() }()
	store := keyValues(t, c.KineSocket())
	var revisions []int64
	for _, key := range []string{"/a", "/b", "/c"} {
		revisions = append(revisions, create(t, c.KineSocket(), key))
	}
	list := func(revision int64) error {
		_, err := store.Range(ctx, &etcdserverpb.RangeRequest{Key: []byte("/"), RangeEnd: []byte("0"), Revision: revision, Limit: 1})
		return err
	}
	if err := list(revisions[0]); err != nil {
		t.Errorf("before: %v", err)
	}
	if _, err := store.Compact(ctx, &etcdserverpb.CompactionRequest{Revision: revisions[1]}); err != nil {
		t.Fatal(err)
	}
	if err := list(revisions[0]); err == nil || !strings.Contains(err.Error(), "has been compacted") {
		t.Errorf("an older revision: %v", err)
	}
	for _, revision := range []int64{revisions[1], 0} {
		if err := list(revision); err != nil {
			t.Errorf("revision %d: %v", revision, err)
		}
	}
}

func TestARepairGivesOutNoRevisionAgain(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.db")
	for _, statement := range []string{
		"CREATE TABLE kine (id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT, created INTEGER, deleted INTEGER, create_revision INTEGER, prev_revision INTEGER, lease INTEGER)",
		"INSERT INTO kine(name) VALUES ('/a')",
	} {
		inDatabase(t, path, statement)
	}
	if err := os.WriteFile(path+"-wal.broken", make([]byte, 1000), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := skipRevisions(t.Context(), path); err != nil {
		t.Fatal(err)
	}
	if id := inDatabase(t, path, "INSERT INTO kine(name) VALUES ('/b')"); id != 1002 {
		t.Errorf("the next revision is %d", id)
	}
}

func inDatabase(t *testing.T, path, statement string) int64 {
	t.Helper()
	database, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer database.Close()
	result, err := database.Exec(statement)
	if err != nil {
		t.Fatal(err)
	}
	id, _ := result.LastInsertId()
	return id
}

// keyValues is a client of kine as the API server has one.
func keyValues(t *testing.T, socket string) etcdserverpb.KVClient {
	t.Helper()
	connection, err := grpc.NewClient("unix://"+socket, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = connection.Close() })
	return etcdserverpb.NewKVClient(connection)
}

// create creates a key as the API server does, returns its revision, and fails the test if that is not possible.
func create(t *testing.T, socket, key string) (revision int64) {
	t.Helper()
	answer, err := keyValues(t, socket).Txn(t.Context(), &etcdserverpb.TxnRequest{
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
	return answer.Header.Revision
}
