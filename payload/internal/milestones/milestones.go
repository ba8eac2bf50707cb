// Package milestones records when the start-up reached what, for operators, tests and benchmarks.
package milestones

import (
	"fmt"
	"os"
	"path/filepath"
	"sync"

	"kubesolo.io/os/payload/internal/journal"
)

// Names of the payload's milestones, in the usual order.
const (
	PayloadStart       = "payload-start"
	APIServerListening = "apiserver-listening"
	NodeReady          = "node-ready"
	Readyz             = "readyz"
	KubeProxySynced    = "kube-proxy-synced"
	CoreDNSRunning     = "coredns-running"
)

// Recorder appends milestones to a file, each at most once in the life of the process.
type Recorder struct {
	path    string
	mutex   sync.Mutex
	reached map[string]bool
}

// New returns a recorder that appends to path; "" records nothing.
func New(path string) *Recorder {
	return &Recorder{path: path, reached: map[string]bool{}}
}

// Reach records the milestone with the machine's uptime: a line "<name> <seconds with 2 decimals>".
func (r *Recorder) Reach(name string) {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	if r.reached[name] {
		return
	}
	r.reached[name] = true
	journal.Say("milestone", "%s", name)
	if err := r.append(fmt.Sprintf("%s %.2f\n", name, journal.Uptime())); err != nil {
		journal.Warn("milestone", "%v", err)
	}
}

// append writes with one call, so that lines of other writers of the file do not mix with ours.
func (r *Recorder) append(line string) error {
	if r.path == "" {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(r.path), 0o755); err != nil {
		return err
	}
	file, err := os.OpenFile(r.path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer file.Close()
	_, err = file.WriteString(line)
	return err
}
