// Package supervisor runs the components of the process: all of them or none. When one ends, it says which
// and why and ends the others; the machine's supervisor then starts the process again.
package supervisor

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"kubesolo.io/os/payload/internal/journal"
)

// Group runs components and stops them in the reverse order of their start, each within its time.
type Group struct {
	ctx    context.Context
	fail   context.CancelCauseFunc
	mutex  sync.Mutex
	parts  []*part
	closed bool
}

type part struct {
	name   string
	cancel context.CancelFunc
	done   chan struct{}
}

// New returns a group that ends when parent ends.
func New(parent context.Context) *Group {
	ctx, fail := context.WithCancelCause(parent)
	return &Group{ctx: ctx, fail: fail}
}

// Context ends when the group has to stop.
func (g *Group) Context() context.Context { return g.ctx }

// Go starts a component that runs until its context ends. Ending earlier, or a panic, fails the group.
func (g *Group) Go(name string, run func(context.Context) error) {
	g.mutex.Lock()
	defer g.mutex.Unlock()
	if g.closed {
		return
	}
	// Not a child of g.ctx: the components stop one after the other, not all at once.
	ctx, cancel := context.WithCancel(context.WithoutCancel(g.ctx))
	p := &part{name: name, cancel: cancel, done: make(chan struct{})}
	g.parts = append(g.parts, p)
	journal.Say(name, "starting")
	go func() {
		defer close(p.done)
		err := protect(ctx, run)
		if ctx.Err() != nil {
			return
		}
		if err == nil {
			err = errors.New("it ended by itself")
		}
		g.Fail(fmt.Errorf("%s: %w", name, err))
	}()
}

// Fail makes the group stop for a reason; only the first one counts.
func (g *Group) Fail(reason error) {
	if g.ctx.Err() == nil {
		journal.Fail("kubesolo", "%v", reason)
	}
	g.fail(reason)
}

// Stop ends the components, last started first, waiting at most patience for each, and returns the reason for
// the stop: nil when the parent context ended.
func (g *Group) Stop(patience time.Duration) error {
	g.mutex.Lock()
	g.closed = true
	parts := g.parts
	g.mutex.Unlock()
	g.fail(nil)
	for i := len(parts) - 1; i >= 0; i-- {
		parts[i].stop(patience)
	}
	if reason := context.Cause(g.ctx); !errors.Is(reason, context.Canceled) {
		return reason
	}
	return nil
}

// Halt ends one component before the others, waiting at most patience for it; Stop passes it over.
func (g *Group) Halt(name string, patience time.Duration) {
	g.mutex.Lock()
	defer g.mutex.Unlock()
	g.closed = true
	for i, p := range g.parts {
		if p.name == name {
			p.stop(patience)
			g.parts = append(g.parts[:i:i], g.parts[i+1:]...)
			return
		}
	}
}

func (p *part) stop(patience time.Duration) {
	p.cancel()
	select {
	case <-p.done:
		journal.Say(p.name, "stopped")
	case <-time.After(patience):
		journal.Warn(p.name, "did not stop within %v, left behind", patience)
	}
}

func protect(ctx context.Context, run func(context.Context) error) (err error) {
	defer func() {
		if problem := recover(); problem != nil {
			err = fmt.Errorf("panic: %v", problem)
		}
	}()
	return run(ctx)
}
