package supervisor

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

func TestStopsInReverseOrder(t *testing.T) {
	parent, cancel := context.WithCancel(context.Background())
	group := New(parent)
	var mutex sync.Mutex
	var order []string
	for _, name := range []string{"database", "server", "client"} {
		group.Go(name, func(ctx context.Context) error {
			<-ctx.Done()
			mutex.Lock()
			defer mutex.Unlock()
			order = append(order, name)
			return ctx.Err()
		})
	}
	cancel()
	<-group.Context().Done()
	if err := group.Stop(time.Second); err != nil {
		t.Errorf("a wanted stop returned %v", err)
	}
	if want := []string{"client", "server", "database"}; !slices.Equal(order, want) {
		t.Errorf("stopped %v, want %v", order, want)
	}
}

func TestTheFirstDeathIsTheReason(t *testing.T) {
	for name, run := range map[string]func(context.Context) error{
		"bad certificate":    func(context.Context) error { return errors.New("bad certificate") },
		"it ended by itself": func(context.Context) error { return nil },
		"panic: nil map":     func(context.Context) error { panic("nil map") },
	} {
		group := New(context.Background())
		group.Go("idle", func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() })
		group.Go("scheduler", run)
		<-group.Context().Done()
		err := group.Stop(time.Second)
		if err == nil || !strings.Contains(err.Error(), "scheduler: "+name) {
			t.Errorf("got %v, want the component and %q", err, name)
		}
	}
}

func TestAComponentThatHangsDoesNotHoldTheStop(t *testing.T) {
	group := New(context.Background())
	release := make(chan struct{})
	defer close(release)
	group.Go("deaf", func(context.Context) error { <-release; return nil })
	start := time.Now()
	_ = group.Stop(50 * time.Millisecond)
	if took := time.Since(start); took > time.Second {
		t.Errorf("took %v", took)
	}
}

func TestOneComponentIsHaltedBeforeTheOthers(t *testing.T) {
	parent, cancel := context.WithCancel(context.Background())
	group := New(parent)
	var order []string
	var mutex sync.Mutex
	for _, name := range []string{"runtime", "kubelet", "proxy"} {
		group.Go(name, func(ctx context.Context) error {
			<-ctx.Done()
			mutex.Lock()
			defer mutex.Unlock()
			order = append(order, name)
			return ctx.Err()
		})
	}
	cancel()
	group.Halt("kubelet", time.Second)
	_ = group.Stop(time.Second)
	if want := []string{"kubelet", "proxy", "runtime"}; !slices.Equal(order, want) {
		t.Errorf("stopped %v, want %v", order, want)
	}
}
