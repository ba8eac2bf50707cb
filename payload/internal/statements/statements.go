// Package statements keeps prepared SQL statements. kine sends the text of its few queries anew each time, and
// SQLite takes longer to parse such a text than to execute it.
package statements

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
)

// limit is how many statements a connection keeps. kine has two dozen, some of them with a number in their text:
// how many rows a client wants.
const limit = 64

// Keep returns a connector to the same database whose connections prepare each text once.
func Keep(connector driver.Connector) driver.Connector { return keeper{connector} }

type keeper struct{ driver.Connector }

// Connect implements driver.Connector.
func (k keeper) Connect(ctx context.Context) (driver.Conn, error) {
	plain, err := k.Connector.Connect(ctx)
	if err != nil {
		return nil, err
	}
	full, ok := plain.(conn)
	if !ok {
		return nil, errors.Join(fmt.Errorf("%T lacks methods of database/sql/driver", plain), plain.Close())
	}
	return &connection{conn: full, kept: map[string]*statement{}}, nil
}

// conn is what database/sql looks for in a connection; all of it must be handed on.
type conn interface {
	driver.Conn
	driver.ConnBeginTx
	driver.ConnPrepareContext
	driver.ExecerContext
	driver.QueryerContext
	driver.Pinger
	driver.SessionResetter
	driver.Validator
}

type stmt interface {
	driver.Stmt
	driver.StmtExecContext
	driver.StmtQueryContext
}

// connection is used by one goroutine at a time, as database/sql promises.
type connection struct {
	conn
	kept map[string]*statement
}

// statement is busy while its rows are read: it has one cursor only.
type statement struct {
	stmt
	busy bool
}

// ExecContext implements driver.ExecerContext.
func (c *connection) ExecContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Result, error) {
	found, err := c.prepare(ctx, query)
	if err != nil {
		return nil, err
	}
	if found == nil {
		return c.conn.ExecContext(ctx, query, args)
	}
	result, err := found.ExecContext(ctx, args)
	if err != nil {
		_ = c.drop(query) // the error of the execution counts
	}
	return result, err
}

// QueryContext implements driver.QueryerContext.
func (c *connection) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	found, err := c.prepare(ctx, query)
	if err != nil {
		return nil, err
	}
	if found == nil {
		return c.conn.QueryContext(ctx, query, args)
	}
	result, err := found.QueryContext(ctx, args)
	if err != nil {
		_ = c.drop(query) // the error of the execution counts
		return nil, err
	}
	found.busy = true
	return rows{result, found}, nil
}

// Close implements driver.Conn.
func (c *connection) Close() error {
	var failed []error
	for query := range c.kept {
		failed = append(failed, c.drop(query))
	}
	return errors.Join(append(failed, c.conn.Close())...)
}

// prepare returns the kept statement, nil when the text has to be executed without one.
func (c *connection) prepare(ctx context.Context, query string) (*statement, error) {
	if found := c.kept[query]; found != nil {
		if found.busy {
			return nil, nil
		}
		return found, nil
	}
	if len(c.kept) >= limit && !c.makeRoom() {
		return nil, nil
	}
	plain, err := c.PrepareContext(ctx, query)
	if err != nil {
		return nil, err
	}
	full, ok := plain.(stmt)
	if !ok {
		return nil, plain.Close()
	}
	c.kept[query] = &statement{stmt: full}
	return c.kept[query], nil
}

// makeRoom gives up any one statement whose rows nobody reads.
func (c *connection) makeRoom() bool {
	for query, kept := range c.kept {
		if !kept.busy {
			return c.drop(query) == nil
		}
	}
	return false
}

// drop closes a statement and forgets it.
func (c *connection) drop(query string) error {
	kept := c.kept[query]
	delete(c.kept, query)
	return kept.Close()
}

type rows struct {
	driver.Rows
	from *statement
}

// Close implements driver.Rows.
func (r rows) Close() error {
	r.from.busy = false
	return r.Rows.Close()
}
