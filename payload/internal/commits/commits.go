// Package commits makes durable together what waits together. A write to the database is confirmed when it is on
// the disk, and waiting for the disk takes most of its time: what comes in meanwhile is written in one transaction.
package commits

import (
	"context"
	"database/sql"
	"errors"
	"sync"

	"github.com/k3s-io/kine/pkg/drivers/generic"
	kine "github.com/k3s-io/kine/pkg/server"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	modernc "modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"kubesolo.io/os/payload/internal/durable"
	"kubesolo.io/os/payload/internal/journal"
)

// limit is how many writes go into one transaction: more do not make it faster by much, and all wait for the last.
const limit = 100

// Dialect is kine's access to its database, with one writer for all inserts.
type Dialect struct {
	*generic.Generic
	waiting chan *insert
	// writing is held by whoever has a transaction that writes: kine's compaction and the writer take turns, where
	// SQLite would have one of them try until it is lucky.
	writing sync.Mutex
	ended   <-chan struct{}
}

// insert is a write that waits for its result.
type insert struct {
	ctx  context.Context
	args []any
	id   int64
	err  error
	done chan struct{}
}

// New starts the writer, which ends with ctx.
func New(ctx context.Context, group *sync.WaitGroup, plain *generic.Generic) *Dialect {
	d := &Dialect{Generic: plain, waiting: make(chan *insert), ended: ctx.Done()}
	group.Go(func() { d.write(ctx) })
	return d
}

// Insert implements kine's Dialect. It returns when the row is on the disk.
//
//nolint:revive // kine names the arguments
func (d *Dialect) Insert(ctx context.Context, key string, create, delete bool, createRevision, previousRevision int64, ttl int64, value []byte) (int64, error) {
	one := &insert{ctx: ctx, done: make(chan struct{}), args: []any{
		key, number(create), number(delete), createRevision, previousRevision, ttl, value, previousRevision,
	}}
	select {
	case d.waiting <- one:
	case <-ctx.Done():
		return 0, ctx.Err()
	case <-d.ended:
		return 0, context.Canceled
	}
	<-one.done // the transaction has begun: it ends by itself, and soon
	return one.id, one.err
}

// BeginTx implements kine's Dialect. The writer waits until the transaction ends.
func (d *Dialect) BeginTx(ctx context.Context, options *sql.TxOptions) (kine.Transaction, error) {
	d.writing.Lock()
	plain, err := d.Generic.BeginTx(ctx, options)
	if err != nil {
		d.writing.Unlock()
		return nil, err
	}
	return &transaction{Transaction: plain, end: sync.OnceFunc(d.writing.Unlock)}, nil
}

func (d *Dialect) write(ctx context.Context) {
	for {
		select {
		case first := <-d.waiting:
			d.commit(ctx, d.gather(first))
		case <-ctx.Done():
			return
		}
	}
}

// gather returns the first write and those that wait by now.
func (d *Dialect) gather(first *insert) []*insert {
	together := []*insert{first}
	for len(together) < limit {
		select {
		case next := <-d.waiting:
			together = append(together, next)
		default:
			return together
		}
	}
	return together
}

// commit writes and answers. When the transaction as a whole fails, nothing of it is there, and each write is
// tried by itself.
func (d *Dialect) commit(ctx context.Context, together []*insert) {
	d.writing.Lock()
	defer d.writing.Unlock()
	if len(together) == 1 || d.transact(ctx, together) != nil {
		for _, one := range together {
			one.id, one.err = d.alone(ctx, one)
		}
	}
	for _, one := range together {
		close(one.done)
	}
}

// transact writes all in one transaction. A key that is there already is the result of one of them; the error is
// anything else.
func (d *Dialect) transact(ctx context.Context, together []*insert) error {
	tx, err := d.DB.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback() //nolint:errcheck // does nothing after the commit
	for _, one := range together {
		result, err := tx.ExecContext(ctx, d.InsertLastInsertIDSQL.Query, one.args...)
		if one.id, one.err = answer(result, d.TranslateErr(err)); one.err != nil && !errors.Is(one.err, kine.ErrKeyExists) {
			return one.err
		}
	}
	return tx.Commit()
}

// alone writes one row by itself; on a full disk, once more when the reserve could be given up.
func (d *Dialect) alone(ctx context.Context, one *insert) (int64, error) {
	if err := one.ctx.Err(); err != nil {
		return 0, err
	}
	result, err := d.DB.ExecContext(ctx, d.InsertLastInsertIDSQL.Query, one.args...)
	if IsFull(err) && durable.GiveUpReserve() {
		journal.Warn("kine", "the data partition is full: its reserve is given up so that objects can be deleted")
		result, err = d.DB.ExecContext(ctx, d.InsertLastInsertIDSQL.Query, one.args...)
	}
	if IsFull(err) {
		return 0, rpctypes.ErrGRPCNoSpace
	}
	return answer(result, d.TranslateErr(err))
}

func answer(result sql.Result, err error) (int64, error) {
	if err != nil {
		return 0, err
	}
	return result.LastInsertId()
}

// IsFull says whether SQLite found the disk full, for a page or for its shared memory.
func IsFull(err error) bool {
	var failed *modernc.Error
	return errors.As(err, &failed) && (failed.Code() == sqlite3.SQLITE_FULL || failed.Code() == sqlite3.SQLITE_IOERR_SHMSIZE)
}

// transaction lets the writer go on when it has ended.
type transaction struct {
	kine.Transaction
	end func()
}

func (t *transaction) Commit() error {
	defer t.end()
	return t.Transaction.Commit()
}

func (t *transaction) MustCommit() {
	defer t.end()
	t.Transaction.MustCommit()
}

func (t *transaction) Rollback() error {
	defer t.end()
	return t.Transaction.Rollback()
}

func (t *transaction) MustRollback() {
	defer t.end()
	t.Transaction.MustRollback()
}

func number(yes bool) int {
	if yes {
		return 1
	}
	return 0
}
