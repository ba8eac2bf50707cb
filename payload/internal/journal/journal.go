// Package journal writes the payload's own log: one line per event, with the machine's uptime.
package journal

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
)

var (
	mutex sync.Mutex
	out   = os.Stderr
)

// Uptime returns the seconds since the kernel started (proc(5), /proc/uptime), 0 when unknown.
func Uptime() float64 {
	text, err := os.ReadFile("/proc/uptime")
	if err != nil {
		return 0
	}
	first, _, _ := strings.Cut(string(text), " ")
	seconds, _ := strconv.ParseFloat(first, 64)
	return seconds
}

// Say logs what a component does.
func Say(component, format string, args ...any) { write("", component, format, args...) }

// Warn logs something an operator should look at, although start-up goes on.
func Warn(component, format string, args ...any) { write("WARNING: ", component, format, args...) }

// Fail logs why something stopped.
func Fail(component, format string, args ...any) { write("ERROR: ", component, format, args...) }

func write(mark, component, format string, args ...any) {
	text := strings.TrimRight(fmt.Sprintf(format, args...), "\n")
	mutex.Lock()
	defer mutex.Unlock()
	fmt.Fprintf(out, "[kubesolo] %8.2f %s: %s%s\n", Uptime(), component, mark, text)
}
