package commits

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/k3s-io/kine/pkg/drivers"
	"github.com/k3s-io/kine/pkg/drivers/generic"
	"github.com/k3s-io/kine/pkg/drivers/sqlite"
	kine "github.com/k3s-io/kine/pkg/server"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
)

// open returns a writer over a database of its own.
func open(t testing.TB) *Dialect {
	t.Helper()
	return openWith(t, "FULL")
}

func openWith(t testing.TB, synchronous string) *Dialect {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	group := &sync.WaitGroup{}
	t.Cleanup(func() { stop(); group.Wait() })
	path := filepath.Join(t.TempDir(), "db")
	_, plain, err := sqlite.NewVariant(ctx, group, "sqlite", &drivers.Config{
		DataSourceName:       path + "?_pragma=journal_mode(WAL)&_pragma=busy_timeout(30000)&_txlock=immediate&_pragma=synchronous(" + synchronous + ")",
		ConnectionPoolConfig: generic.ConnectionPoolConfig{MaxIdle: 4, MaxOpen: 4},
	})
	if err != nil {
		t.Fatal(err)
	}
	return New(ctx, group, plain)
}

func add(t *testing.T, d *Dialect, key string) (int64, error) {
	return d.Insert(t.Context(), key, true, false, 0, 0, 0, []byte("value of "+key))
}

// together holds the writer back until all of them wait.
func together(t *testing.T, d *Dialect, keys []string) (ids []int64, errs []error) {
	t.Helper()
	ids, errs = make([]int64, len(keys)), make([]error, len(keys))
	tx, err := d.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	group, started := sync.WaitGroup{}, atomic.Int64{}
	for i, key := range keys {
		group.Go(func() {
			started.Add(1)
			ids[i], errs[i] = add(t, d, key)
		})
	}
	for int(started.Load()) < len(keys) {
		time.Sleep(time.Millisecond)
	}
	time.Sleep(200 * time.Millisecond)
	if err := tx.Rollback(); err != nil {
		t.Fatal(err)
	}
	group.Wait()
	return ids, errs
}

// transactions counts those in the write-ahead log: each is waited for on the disk. A frame that ends one has the
// database's size in its header (sqlite.org/fileformat2.html, 4.1).
func transactions(t *testing.T, d *Dialect) (count int) {
	t.Helper()
	var number, name, path string
	if err := d.DB.QueryRow("PRAGMA database_list").Scan(&number, &name, &path); err != nil {
		t.Fatal(err)
	}
	log, err := os.ReadFile(path + "-wal")
	if err != nil {
		t.Fatal(err)
	}
	if len(log) == 0 {
		return 0
	}
	const header, frame = 32, 24
	size := frame + int(binary.BigEndian.Uint32(log[8:]))
	for at := header; at+size <= len(log); at += size {
		if bytes.Equal(log[at+8:at+16], log[16:24]) && binary.BigEndian.Uint32(log[at+4:]) != 0 {
			count++
		}
	}
	return count
}

func TestWhatWaitsIsCommittedTogether(t *testing.T) {
	d := open(t)
	var keys []string
	for i := range 60 {
		keys = append(keys, fmt.Sprint("/key/", i))
	}
	before := transactions(t, d)
	ids, errs := together(t, d, keys)
	seen := map[int64]bool{}
	for i, id := range ids {
		if errs[i] != nil || id == 0 || seen[id] {
			t.Errorf("%s: revision %d, %v", keys[i], id, errs[i])
		}
		seen[id] = true
	}
	if times := transactions(t, d) - before; times == 0 || times > 3 { // the first one that came, and the rest
		t.Errorf("%d writes took %d transactions", len(keys), times)
	}
}

func TestOneConflictDoesNotHarmTheOthers(t *testing.T) {
	d := open(t)
	ids, errs := together(t, d, []string{"/a", "/same", "/b", "/same", "/c", "/same"})
	created := 0
	for i, err := range errs {
		switch {
		case err == nil:
			created++
		case !errors.Is(err, kine.ErrKeyExists) || ids[i] != 0:
			t.Errorf("%d: revision %d, %v", i, ids[i], err)
		}
	}
	if created != 4 {
		t.Errorf("%d were created: %v", created, errs)
	}
}

func TestRevisionsAreUniqueAndNeverFall(t *testing.T) {
	d := open(t)
	all, lock, group := map[int64]string{}, sync.Mutex{}, sync.WaitGroup{}
	for worker := range 16 {
		group.Go(func() {
			last := int64(0)
			for number := range 25 {
				key := fmt.Sprintf("/%d/%d", worker, number)
				id, err := add(t, d, key)
				if err != nil || id <= last {
					t.Errorf("%s: revision %d after %d, %v", key, id, last, err)
				}
				last = id
				if now, err := d.CurrentRevision(t.Context()); err != nil || now < id {
					t.Errorf("%s is confirmed with revision %d and not seen at %d, %v", key, id, now, err)
				}
				lock.Lock()
				if other, found := all[id]; found {
					t.Errorf("%s and %s have revision %d", key, other, id)
				}
				all[id] = key
				lock.Unlock()
			}
		})
	}
	group.Wait()
	for id, key := range all {
		var name string
		if err := d.DB.QueryRow("SELECT name FROM kine WHERE id = ?", id).Scan(&name); err != nil || name != key {
			t.Errorf("revision %d is %q instead of %q, %v", id, name, key, err)
		}
	}
}

func TestAFullDiskIsSaidAndNothingIsLost(t *testing.T) {
	d := open(t)
	d.DB.SetMaxOpenConns(1)
	if _, err := add(t, d, "/before"); err != nil {
		t.Fatal(err)
	}
	if _, err := d.DB.Exec("PRAGMA max_page_count = 1"); err != nil { // as many as there are
		t.Fatal(err)
	}
	big := make([]byte, 1<<20)
	if _, err := d.Insert(t.Context(), "/big", true, false, 0, 0, 0, big); !errors.Is(err, rpctypes.ErrGRPCNoSpace) {
		t.Errorf("the disk is full, but: %v", err)
	}
	if _, err := add(t, d, "/small"); err != nil {
		t.Errorf("there is room for a small one: %v", err)
	}
	if _, err := d.DB.Exec("PRAGMA max_page_count = 1000000"); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Insert(t.Context(), "/big", true, false, 0, 0, 0, big); err != nil {
		t.Errorf("there is room again: %v", err)
	}
}

func TestAWriteThatNobodyWaitsForIsNotBegun(t *testing.T) {
	d := open(t)
	tx, err := d.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	first := make(chan error)
	go func() { _, err := add(t, d, "/first"); first <- err }()
	time.Sleep(100 * time.Millisecond) // the writer holds it and waits
	ctx, cancel := context.WithCancel(t.Context())
	second := make(chan error)
	go func() { _, err := d.Insert(ctx, "/second", true, false, 0, 0, 0, nil); second <- err }()
	cancel()
	if err := <-second; !errors.Is(err, context.Canceled) {
		t.Errorf("ended with %v", err)
	}
	if err := tx.Rollback(); err != nil {
		t.Fatal(err)
	}
	if err := <-first; err != nil {
		t.Error(err)
	}
}

// BenchmarkConfirmedWrites says how many writes a second are confirmed: all that wait in one transaction (as it is),
// one for each, and one for each without waiting for the disk (as it was).
// go test -run - -bench . with TMPDIR on the disk to be measured.
func BenchmarkConfirmedWrites(b *testing.B) {
	together := func(d *Dialect) inserter { return d.Insert }
	alone := func(d *Dialect) inserter { return d.Generic.Insert }
	for _, writers := range []int{1, 8, 32} {
		for _, kind := range []struct {
			name, synchronous string
			insert            func(*Dialect) inserter
		}{{"together", "FULL", together}, {"alone", "FULL", alone}, {"alone", "NORMAL", alone}} {
			b.Run(fmt.Sprintf("%s/%s/%d", kind.name, kind.synchronous, writers), func(b *testing.B) {
				d := openWith(b, kind.synchronous)
				measure(b, kind.insert(d), writers)
			})
		}
	}
}

func measure(b *testing.B, insert inserter, writers int) {
	numbers, group, value := atomic.Int64{}, sync.WaitGroup{}, make([]byte, 1000)
	b.ResetTimer()
	for range writers {
		group.Go(func() {
			for number := numbers.Add(1); number <= int64(b.N); number = numbers.Add(1) {
				if _, err := insert(b.Context(), fmt.Sprint("/", number), true, false, 0, 0, 0, value); err != nil {
					b.Error(err)
				}
			}
		})
	}
	group.Wait()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "writes/s")
}

type inserter = func(ctx context.Context, key string, create, delete bool, createRevision, previousRevision int64, ttl int64, value []byte) (int64, error)
