package components

import (
	"context"
	"database/sql"
	"fmt"
	"math"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/k3s-io/kine/pkg/drivers"
	"github.com/k3s-io/kine/pkg/drivers/generic"
	"github.com/k3s-io/kine/pkg/drivers/sqlite"
	"github.com/k3s-io/kine/pkg/logstructured"
	"github.com/k3s-io/kine/pkg/logstructured/sqllog"
	kine "github.com/k3s-io/kine/pkg/server"
	"google.golang.org/grpc"
	"google.golang.org/grpc/keepalive"
	modernc "modernc.org/sqlite" // the database/sql driver "sqlite", without C

	"kubesolo.io/os/payload/internal/commits"
	"kubesolo.io/os/payload/internal/durable"
	"kubesolo.io/os/payload/internal/journal"
	"kubesolo.io/os/payload/internal/statements"
)

// maxRequest is etcd's default limit for a request and for what gRPC adds to it, in bytes.
const maxRequest = 1536*1024 + 512*1024

// connections to the database that are kept open. By default two are kept and any number is opened, each with its
// own view of the schema: at start, dozens wait for each other's locks, and requests run into their deadline of 30 s.
const connections = 4

// connectionSettings are the driver's own; kine hands them on. FULL: what is confirmed is on the disk. NORMAL, which
// is kine's, loses what was written since the last checkpoint when the power is cut, and gives out its revisions
// again. EXTRA differs for journals that are not a write-ahead log only (sqlite.org/pragma.html).
const connectionSettings = "_pragma=journal_mode(WAL)&_pragma=busy_timeout(30000)&_pragma=synchronous(FULL)&_txlock=immediate"

// noVacuum keeps kine from copying its database at the start. It wants it in the settings' text.
const noVacuum = "&_kine_disable_startup_vacuum"

// room is what the database needs to be opened and written to, in bytes: its log is checkpointed at 4 MB.
const room = 8 << 20

// compaction is by the API server every 5 minutes, as with etcd, so that both agree on what is gone: it drops its
// own snapshots and answers requests for older ones (continue tokens) with 410 Gone. The revision that kine takes
// for the current one must stay.
const (
	compactTimeout = 5 * time.Second
	compactBatch   = 1000
	compactRetain  = 1
	pollBatch      = 500
)

// Kine serves the etcd interface on a socket, with SQLite behind it. It returns when it listens; after ctx
// has ended, wait returns when the database is closed.
func Kine(ctx context.Context, c *Config) (wait func(), err error) {
	if err := durable.MkdirAll(filepath.Dir(c.database()), 0o700); err != nil {
		return nil, err
	}
	if c.Options.DBWALRepair {
		if err := repair(ctx, c.database()); err != nil {
			return nil, err
		}
	}
	group := &sync.WaitGroup{}
	running, stop := context.WithCancel(context.Background())
	writer, err := openDatabase(running, group, c.database())
	var backend kine.Backend
	if err == nil {
		log := sqllog.New(writer, 0, 0, compactTimeout, compactRetain, compactBatch, pollBatch)
		backend = logstructured.New(log)
		err = backend.Start(running)
	}
	if err != nil {
		stop()
		return nil, fmt.Errorf("database %s: %w", c.database(), err)
	}
	if err := serve(ctx, c.KineSocket(), backend, group, stop); err != nil {
		stop()
		return nil, err
	}
	return group.Wait, nil
}

// openDatabase returns kine's access to the database, with one writer and kept statements. It is closed when ctx ends.
func openDatabase(ctx context.Context, group *sync.WaitGroup, path string) (*commits.Dialect, error) {
	settings := "?" + connectionSettings
	tight, err := durable.MakeRoom(filepath.Dir(path), room)
	if err != nil {
		return nil, err
	}
	if tight {
		journal.Warn("kine", "the data partition is full: objects can be read, and deleted while there is any room")
		settings += noVacuum
	}
	_, dialect, err := sqlite.NewVariant(ctx, group, "sqlite", &drivers.Config{
		DataSourceName:       path + settings,
		ConnectionPoolConfig: generic.ConnectionPoolConfig{MaxIdle: connections, MaxOpen: connections},
	})
	if err != nil {
		return nil, err
	}
	if err := keepStatements(ctx, group, dialect, path); err != nil {
		return nil, err
	}
	return commits.New(ctx, group, dialect), nil
}

// keepStatements has kine's queries prepared once on each connection: half of its processor time. kine opens its
// database itself, so it gets another one, of the same file, which is closed when ctx ends.
func keepStatements(ctx context.Context, group *sync.WaitGroup, dialect *generic.Generic, path string) error {
	connector, err := modernc.NewConnector("file://" + path + "?" + connectionSettings)
	if err != nil {
		return err
	}
	kept := sql.OpenDB(statements.Keep(connector))
	kept.SetMaxIdleConns(connections)
	kept.SetMaxOpenConns(connections)
	group.Go(func() {
		<-ctx.Done()
		if err := kept.Close(); err != nil {
			journal.Warn("kine", "%v", err)
		}
	})
	// Connected before the first one is closed: SQLite gives up its log with the last connection.
	if err := kept.PingContext(ctx); err != nil {
		return err
	}
	plain := dialect.DB
	dialect.DB = kept
	return plain.Close()
}

// serve answers requests on the socket until ctx ends, and then calls stop. It is what kine's own package
// "endpoint" does for this one case; that package brings every other database, an etcd server and an S3 client
// (10 MB of program), and methods called by name, for which the linker keeps all of every type.
func serve(ctx context.Context, socket string, backend kine.Backend, group *sync.WaitGroup, stop func()) error {
	if err := os.Remove(socket); err != nil && !os.IsNotExist(err) {
		return err
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "unix", socket)
	if err != nil {
		return err
	}
	if err := os.Chmod(socket, 0o600); err != nil {
		return err
	}
	server := grpc.NewServer(
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: 5 * time.Second}),
		grpc.KeepaliveParams(keepalive.ServerParameters{Time: 2 * time.Hour, Timeout: 20 * time.Second}),
		grpc.MaxRecvMsgSize(maxRequest),
		grpc.MaxSendMsgSize(math.MaxInt32),
	)
	kine.New(backend, "unix", 5*time.Second, "3.6.0").Register(server)
	group.Go(func() {
		if err := server.Serve(listener); err != nil {
			journal.Warn("kine", "%v", err)
		}
	})
	go func() {
		<-ctx.Done()
		timer := time.AfterFunc(2*time.Second, server.Stop)
		defer timer.Stop()
		server.GracefulStop()
		stop()
	}()
	return nil
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
	if err := skipRevisions(ctx, path); err != nil {
		return err
	}
	journal.Warn("kine", "repaired: the latest changes are lost, kept in %s-wal.broken", path)
	return nil
}

// skipRevisions leaves out those that the lost log may have given to objects: clients know them. A revision takes
// more than one byte of the log. What stands in for them is kine's own record for revisions that nobody has.
func skipRevisions(ctx context.Context, path string) error {
	lost, err := os.Stat(path + "-wal.broken")
	if os.IsNotExist(err) {
		return nil
	}
	if err != nil {
		return err
	}
	database, err := sql.Open("sqlite", path)
	if err != nil {
		return err
	}
	defer database.Close()
	var tables int
	row := database.QueryRowContext(ctx, "SELECT COUNT(*) FROM sqlite_master WHERE name = 'kine'")
	if err := row.Scan(&tables); err != nil || tables == 0 {
		return err
	}
	_, err = database.ExecContext(ctx, `INSERT INTO kine(id, name, created, deleted, create_revision, prev_revision, lease)
		SELECT seq + ?, 'gap-' || (seq + ?), 0, 1, 0, 0, 0 FROM sqlite_sequence WHERE name = 'kine'`, lost.Size(), lost.Size())
	return err
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
