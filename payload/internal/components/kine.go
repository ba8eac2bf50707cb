package components

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/k3s-io/kine/pkg/endpoint"
	_ "modernc.org/sqlite" // the database/sql driver "sqlite", without C

	"kubesolo.io/os/payload/internal/journal"
)

// Kine serves the etcd interface on a socket, with SQLite behind it. It returns when it listens; after ctx
// has ended, wait returns when the database is closed.
func Kine(ctx context.Context, c *Config) (wait func(), err error) {
	if err := os.MkdirAll(filepath.Dir(c.database()), 0o700); err != nil {
		return nil, err
	}
	if c.Options.DBWALRepair {
		if err := repair(ctx, c.database()); err != nil {
			return nil, err
		}
	}
	group := &sync.WaitGroup{}
	_, err = endpoint.Listen(ctx, endpoint.Config{
		WaitGroup:           group,
		Listener:            "unix://" + c.KineSocket(),
		Endpoint:            "sqlite://" + c.database() + "?_journal_mode=WAL&_busy_timeout=30000&_synchronous=NORMAL&_txlock=immediate",
		NotifyInterval:      5 * time.Second,
		EmulatedETCDVersion: "3.6.0",
		CompactInterval:     5 * time.Minute,
		CompactTimeout:      5 * time.Second,
		CompactMinRetain:    1000,
		CompactBatchSize:    1000,
		PollBatchSize:       500,
	})
	if err != nil {
		return nil, fmt.Errorf("database %s: %w", c.database(), err)
	}
	return group.Wait, nil
}

// repair lets SQLite replay the write-ahead log into the database and checks the result. A log that can not
// be replayed is set aside: the database is then as it was at the last checkpoint.
func repair(ctx context.Context, path string) error {
	if _, err := os.Stat(path); os.IsNotExist(err) {
		return nil
	}
	err := check(ctx, path)
	if err == nil {
		journal.Say("kine", "database checked, nothing to repair")
		return nil
	}
	journal.Warn("kine", "database: %v; trying without its write-ahead log", err)
	for _, suffix := range []string{"-wal", "-shm"} {
		if err := os.Rename(path+suffix, path+suffix+".broken"); err != nil && !os.IsNotExist(err) {
			return err
		}
	}
	if err := check(ctx, path); err != nil {
		return fmt.Errorf("database %s is damaged beyond its write-ahead log: %w", path, err)
	}
	journal.Warn("kine", "repaired: the latest changes are lost, kept in %s-wal.broken", path)
	return nil
}

func check(ctx context.Context, path string) error {
	database, err := sql.Open("sqlite", path)
	if err != nil {
		return err
	}
	defer database.Close()
	var busy, logged, moved int
	row := database.QueryRowContext(ctx, "PRAGMA wal_checkpoint(TRUNCATE)")
	if err := row.Scan(&busy, &logged, &moved); err != nil {
		return err
	}
	var verdict string
	if err := database.QueryRowContext(ctx, "PRAGMA quick_check(1)").Scan(&verdict); err != nil {
		return err
	}
	if verdict != "ok" {
		return fmt.Errorf("integrity check: %s", strings.TrimSpace(verdict))
	}
	return nil
}
