package cluster

import (
	"os"
	"runtime/debug"
	"testing"

	"kubesolo.io/os/payload/internal/options"
)

func TestCollectionIsOnAgainAndItsSwitchIsNotPassedOn(t *testing.T) {
	for _, full := range []bool{false, true} {
		t.Setenv("GOGC", "off")
		before := debug.SetGCPercent(-1)
		loosenHeap(&options.Options{Full: full})
		percent := debug.SetGCPercent(before)
		if percent < settledHeap {
			t.Errorf("full %v: the collector's target is %d", full, percent)
		}
		if value, set := os.LookupEnv("GOGC"); set {
			t.Errorf("full %v: a child would get GOGC=%s", full, value)
		}
	}
}
