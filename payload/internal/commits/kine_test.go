package commits

import (
	"context"
	"database/sql"
	"errors"
	"path/filepath"
	"sync"
	"testing"

	"github.com/k3s-io/kine/pkg/drivers/generic"
	"github.com/k3s-io/kine/pkg/logstructured"
	"github.com/k3s-io/kine/pkg/logstructured/sqllog"
	kine "github.com/k3s-io/kine/pkg/server"
)

// What the patches of kine promise (payload/patches/kine-*.patch): each test fails without its patch.

// fullLog has one key, and no room for another write.
type fullLog struct {
	logstructured.Log
	full error
}

func (l *fullLog) List(context.Context, string, string, int64, int64, bool, bool) (int64, kine.Events, error) {
	return 7, kine.Events{{KV: &kine.KeyValue{Key: "/a", ModRevision: 7}}}, nil
}

func (l *fullLog) Append(context.Context, *kine.Event) (int64, error) { return 0, l.full }

func (l *fullLog) CurrentRevision(context.Context) (int64, error) { return 7, nil }

func TestAnErrorOfAWriteIsNoConflict(t *testing.T) {
	full := errors.New("database or disk is full")
	store := logstructured.New(&fullLog{full: full})
	if _, _, updated, err := store.Update(t.Context(), "/a", nil, 7, 0); updated || !errors.Is(err, full) {
		t.Errorf("update: %v, %v", updated, err)
	}
	if _, _, deleted, err := store.Delete(t.Context(), "/a", 7); deleted || !errors.Is(err, full) {
		t.Errorf("delete: %v, %v", deleted, err)
	}
}

func TestAConflictOfAWriteIsNoError(t *testing.T) {
	store := logstructured.New(&fullLog{full: kine.ErrKeyExists})
	if revision, found, updated, err := store.Update(t.Context(), "/a", nil, 7, 0); updated || err != nil || revision != 7 || found == nil {
		t.Errorf("update: %d, %v, %v, %v", revision, found, updated, err)
	}
	if revision, found, deleted, err := store.Delete(t.Context(), "/a", 7); deleted || err != nil || revision != 7 || found == nil {
		t.Errorf("delete: %d, %v, %v, %v", revision, found, deleted, err)
	}
}

// turns confirms the write of "/later" when that of "/first" has been, although both began before.
type turns struct {
	kine.Dialect
	begun sync.WaitGroup
	first chan struct{}
}

//nolint:revive // kine names the arguments
func (d *turns) Insert(_ context.Context, key string, create, delete bool, _, _, _ int64, _ []byte) (int64, error) {
	d.begun.Done()
	d.begun.Wait()
	if key == "/first" {
		return 5, nil
	}
	<-d.first
	return 6, nil
}

func TestTheLatestRevisionIsThatOfTheLastOfTwoWrites(t *testing.T) {
	d := &turns{first: make(chan struct{})}
	d.begun.Add(2)
	log := sqllog.New(d, 0, 0, 0, 0, 100, 100)
	var group sync.WaitGroup
	for _, key := range []string{"/first", "/later"} {
		group.Go(func() {
			if _, err := log.Append(t.Context(), &kine.Event{KV: &kine.KeyValue{Key: key}}); err != nil {
				t.Error(err)
			}
			if key == "/first" {
				close(d.first)
			}
		})
	}
	group.Wait()
	if revision, err := log.CurrentRevision(t.Context()); err != nil || revision != 6 {
		t.Errorf("the current revision is %d, %v", revision, err)
	}
}

func TestMigrationLeavesNoAnswerUnread(t *testing.T) {
	database, err := sql.Open("sqlite", filepath.Join(t.TempDir(), "db"))
	if err != nil {
		t.Fatal(err)
	}
	defer database.Close()
	for _, table := range []string{"kine", "key_value"} {
		if _, err := database.Exec("CREATE TABLE " + table + " (name TEXT)"); err != nil {
			t.Fatal(err)
		}
	}
	plain := &generic.Generic{DB: database, ErrCode: func(error) string { return "" }}
	plain.Migrate(t.Context())
	if held := database.Stats().InUse; held != 0 {
		t.Errorf("%d connections are held by answers that nobody reads", held)
	}
}
