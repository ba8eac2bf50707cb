package cluster

import (
	"context"
	"runtime/debug"
	"time"

	"kubesolo.io/os/payload/internal/options"
)

// The garbage collector's target (runtime/debug.SetGCPercent): loose while everything starts, as collecting
// costs processor time then; tight afterwards, as memory counts from then on.
const (
	looseHeap = 150
	tightHeap = 30
	settle    = 5 * time.Second
)

func loosenHeap(o *options.Options) {
	if !o.Full {
		debug.SetGCPercent(looseHeap)
	}
}

func tightenHeap(ctx context.Context, o *options.Options) {
	if o.Full {
		return
	}
	select {
	case <-ctx.Done():
		return
	case <-time.After(settle):
	}
	debug.SetGCPercent(tightHeap)
	debug.FreeOSMemory()
}
