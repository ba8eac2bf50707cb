package cluster

import (
	"context"
	"math"
	"runtime/debug"
	"time"

	"golang.org/x/sys/unix"

	"kubesolo.io/os/payload/internal/options"
)

// The garbage collector's target (runtime/debug.SetGCPercent): loose while everything starts, as collecting
// costs processor time then, but within a share of the machine's memory; tight afterwards, as memory counts
// from then on.
const (
	looseHeap  = 400
	tightHeap  = 30
	startShare = 0.3
	settle     = 5 * time.Second
)

func loosenHeap(o *options.Options) {
	if o.Full {
		return
	}
	info := unix.Sysinfo_t{}
	if err := unix.Sysinfo(&info); err != nil {
		return
	}
	debug.SetGCPercent(looseHeap)
	debug.SetMemoryLimit(int64(startShare * float64(info.Totalram) * float64(info.Unit)))
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
	debug.SetMemoryLimit(math.MaxInt64)
	debug.SetGCPercent(tightHeap)
	debug.FreeOSMemory()
}
