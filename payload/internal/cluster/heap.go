package cluster

import (
	"context"
	"os"
	"runtime/debug"
	"time"

	"golang.org/x/sys/unix"

	"kubesolo.io/os/payload/internal/options"
)

// The garbage collector's target (runtime/debug.SetGCPercent): loose until the node is Ready, as collecting
// costs processor time then (with 150, a collection fell between API and Ready: 7 % of the way); then tighter, as
// what is freed between what stays is lost to other programs; tight at the end, as memory counts from then on.
const (
	looseHeap   = 250
	defaultHeap = 100 // Go's own
	settledHeap = 50
	tightHeap   = 30
	settle      = 5 * time.Second
)

// smallMachine is the memory in bytes below which the heap is never loose: there the program's own pages would
// be pushed out and read again and again.
const smallMachine = 768 << 20

func small() bool {
	info := unix.Sysinfo_t{}
	return unix.Sysinfo(&info) == nil && uint64(info.Totalram)*uint64(info.Unit) < smallMachine
}

// loosenHeap comes after a start without any collection: run-payload sets GOGC=off, as collecting is a third of
// the time until here. What the payload starts must not inherit that.
func loosenHeap(o *options.Options) {
	os.Unsetenv("GOGC")
	switch {
	case o.Full:
		debug.SetGCPercent(defaultHeap)
	case small():
		debug.SetGCPercent(settledHeap)
	default:
		debug.SetGCPercent(looseHeap)
	}
}

func settleHeap(o *options.Options) {
	if small() && !o.Full {
		debug.SetGCPercent(tightHeap)
		debug.FreeOSMemory()
	} else {
		setHeap(o, settledHeap)
	}
}

func setHeap(o *options.Options, percent int) {
	if !o.Full {
		debug.SetGCPercent(percent)
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
