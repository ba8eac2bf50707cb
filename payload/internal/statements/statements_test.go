package statements

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"modernc.org/sqlite"
)

// counting counts what is prepared on the connections below.
type counting struct {
	driver.Connector
	prepared *atomic.Int64
}

func (c counting) Connect(ctx context.Context) (driver.Conn, error) {
	plain, err := c.Connector.Connect(ctx)
	if err != nil {
		return nil, err
	}
	return counted{plain.(conn), c.prepared}, nil
}

type counted struct {
	conn
	prepared *atomic.Int64
}

func (c counted) PrepareContext(ctx context.Context, query string) (driver.Stmt, error) {
	c.prepared.Add(1)
	return c.conn.PrepareContext(ctx, query)
}

func (c counted) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	c.prepared.Add(1)
	return c.conn.QueryContext(ctx, query, args)
}

func (c counted) ExecContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Result, error) {
	c.prepared.Add(1)
	return c.conn.ExecContext(ctx, query, args)
}

func open(t *testing.T, connections int) (*sql.DB, *atomic.Int64) {
	t.Helper()
	connector, err := sqlite.NewConnector("file://" + filepath.Join(t.TempDir(), "db") + "?_pragma=journal_mode(WAL)&_pragma=busy_timeout(30000)")
	if err != nil {
		t.Fatal(err)
	}
	prepared := &atomic.Int64{}
	db := sql.OpenDB(Keep(counting{connector, prepared}))
	db.SetMaxOpenConns(connections)
	db.SetMaxIdleConns(connections)
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	execute(t, db, "CREATE TABLE things (id INTEGER PRIMARY KEY, name TEXT UNIQUE)")
	return db, prepared
}

func execute(t *testing.T, db *sql.DB, query string, args ...any) {
	t.Helper()
	if _, err := db.Exec(query, args...); err != nil {
		t.Fatal(err)
	}
}

func name(t *testing.T, db *sql.DB, id int) string {
	t.Helper()
	var found string
	if err := db.QueryRow("SELECT name FROM things WHERE id = ?", id).Scan(&found); err != nil {
		t.Fatal(err)
	}
	return found
}

func TestATextIsPreparedOnce(t *testing.T) {
	db, prepared := open(t, 1)
	before := prepared.Load()
	for id := range 20 {
		execute(t, db, "INSERT INTO things VALUES (?, ?)", id, fmt.Sprint("name ", id))
		if found := name(t, db, id); found != fmt.Sprint("name ", id) {
			t.Errorf("%d is %q", id, found)
		}
	}
	if times := prepared.Load() - before; times != 2 {
		t.Errorf("two texts were prepared %d times", times)
	}
}

func TestFailuresAreReportedAndOver(t *testing.T) {
	db, _ := open(t, 1)
	execute(t, db, "INSERT INTO things VALUES (?, ?)", 1, "one")
	for range 3 {
		if _, err := db.Exec("INSERT INTO things VALUES (?, ?)", 2, "one"); err == nil {
			t.Fatal("the same name twice")
		}
		if _, err := db.Query("SELECT nonsense FROM things"); err == nil {
			t.Fatal("no such column")
		}
	}
	execute(t, db, "INSERT INTO things VALUES (?, ?)", 2, "two")
	if found := name(t, db, 2); found != "two" {
		t.Error(found)
	}
}

func TestACancelledQueryLeavesNothingBehind(t *testing.T) {
	db, _ := open(t, 1)
	execute(t, db, "INSERT INTO things VALUES (1, 'one')")
	for range 3 {
		ctx, end := context.WithCancel(t.Context())
		found, err := db.QueryContext(ctx, "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i FROM n, things")
		if err != nil || !found.Next() {
			t.Fatalf("no rows: %v", err)
		}
		end()
		for found.Next() { // without end, but for the context's
		}
		if err := found.Err(); !errors.Is(err, context.Canceled) {
			t.Errorf("ended with %v", err)
		}
		if found := name(t, db, 1); found != "one" {
			t.Error(found)
		}
		execute(t, db, "UPDATE things SET name = name") // nothing is being read any more
	}
}

func TestTheSameTextWhileItsRowsAreRead(t *testing.T) {
	db, _ := open(t, 1)
	for id := range 3 {
		execute(t, db, "INSERT INTO things VALUES (?, ?)", id, fmt.Sprint(id))
	}
	tx, err := db.Begin()
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback() //nolint:errcheck // nothing was changed
	pairs := 0
	outer, err := tx.Query("SELECT id FROM things")
	if err != nil {
		t.Fatal(err)
	}
	for outer.Next() {
		inner, err := tx.Query("SELECT id FROM things")
		if err != nil {
			t.Fatal(err)
		}
		for inner.Next() {
			pairs++
		}
		if err := inner.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if err := outer.Close(); err != nil || pairs != 9 {
		t.Errorf("%d pairs, %v", pairs, err)
	}
}

func TestATableThatChanges(t *testing.T) {
	db, _ := open(t, 2)
	execute(t, db, "INSERT INTO things VALUES (1, 'one')")
	if found := name(t, db, 1); found != "one" {
		t.Error(found)
	}
	execute(t, db, "ALTER TABLE things ADD COLUMN size INTEGER")
	execute(t, db, "VACUUM")
	if found := name(t, db, 1); found != "one" {
		t.Error(found)
	}
}

func TestMoreTextsThanAreKept(t *testing.T) {
	db, _ := open(t, 1)
	for number := range 2 * limit {
		var found int
		if err := db.QueryRow(fmt.Sprintf("SELECT %d", number)).Scan(&found); err != nil || found != number {
			t.Fatalf("%d: %d, %v", number, found, err)
		}
	}
}

func TestManyAtOnce(t *testing.T) {
	db, _ := open(t, 4)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	group := sync.WaitGroup{}
	for worker := range 8 {
		group.Go(func() {
			for number := range 25 {
				id := 100*worker + number
				if _, err := db.ExecContext(ctx, "INSERT INTO things VALUES (?, ?)", id, fmt.Sprint(id)); err != nil {
					t.Error(err)
				}
				var found string
				row := db.QueryRowContext(ctx, "SELECT name FROM things WHERE id = ?", id)
				if err := row.Scan(&found); err != nil || found != fmt.Sprint(id) {
					t.Errorf("%d is %q, %v", id, found, err)
				}
			}
		})
	}
	group.Wait()
}
