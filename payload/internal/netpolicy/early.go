package netpolicy

import (
	"context"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/fsnotify/fsnotify"
	"k8s.io/apimachinery/pkg/types"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"kubesolo.io/os/payload/internal/journal"
)

const (
	// askEvery and askFor bound the questions about a pod whose sandbox is being made: the runtime knows it only
	// then, some 50 ms before it makes the first container.
	askEvery = 20 * time.Millisecond
	askFor   = 5 * time.Second
)

// Sandboxes is what is needed of the container runtime: a part of the CRI.
type Sandboxes interface {
	PodSandboxStatus(ctx context.Context, id string, verbose bool) (*runtimeapi.PodSandboxStatusResponse, error)
}

// Early knows the address of a pod as soon as the pod's network is there. The API gets it from kubelet a second or two
// later, in which the pod would be cut off from everything: a name that is asked for then is asked for again after 5 s.
type Early struct {
	Folder  string // of the CNI plugin host-local: a file for each address that is taken, named by it, the sandbox in it
	Connect func(context.Context) (Sandboxes, error)

	mutex sync.Mutex
	known map[types.UID][]netip.Addr
}

// Addresses returns those of a pod, none when they are not known.
func (e *Early) Addresses(pod types.UID) []netip.Addr {
	if e == nil {
		return nil
	}
	e.mutex.Lock()
	defer e.mutex.Unlock()
	return e.known[pod]
}

// Follow keeps the addresses until ctx ends, and calls changed after each change. What it can not see, the API says.
func (e *Early) Follow(ctx context.Context, changed func()) {
	if e == nil {
		return
	}
	if err := e.follow(ctx, changed); err != nil && ctx.Err() == nil {
		journal.Warn(component, "pods have no network before kubelet has reported their address: %v", err)
	}
}

func (e *Early) follow(ctx context.Context, changed func()) error {
	if err := os.MkdirAll(e.Folder, 0o755); err != nil {
		return err
	}
	watcher, err := fsnotify.NewWatcher()
	if err != nil {
		return err
	}
	defer watcher.Close()
	if err := watcher.Add(e.Folder); err != nil {
		return err
	}
	runtime, err := e.Connect(ctx)
	if err != nil {
		return err
	}
	e.start()
	files, _ := os.ReadDir(e.Folder)
	for _, file := range files {
		go e.learn(ctx, runtime, file.Name(), changed)
	}
	for {
		select {
		case <-ctx.Done():
			return nil
		case event := <-watcher.Events:
			name := filepath.Base(event.Name)
			switch {
			case event.Has(fsnotify.Create):
				go e.learn(ctx, runtime, name, changed)
			case event.Has(fsnotify.Remove):
				e.forget(name, changed)
			}
		case err := <-watcher.Errors:
			return err
		}
	}
}

func (e *Early) start() {
	e.mutex.Lock()
	defer e.mutex.Unlock()
	e.known = map[types.UID][]netip.Addr{}
}

// learn asks whose an address is until the runtime can say so.
func (e *Early) learn(ctx context.Context, runtime Sandboxes, name string, changed func()) {
	if _, err := netip.ParseAddr(name); err != nil {
		return
	}
	for end := time.Now().Add(askFor); time.Now().Before(end) && ctx.Err() == nil; pause(ctx, askEvery) {
		// The plugin makes the file before it writes to it.
		text, err := os.ReadFile(filepath.Join(e.Folder, name))
		sandbox, _, _ := strings.Cut(strings.TrimSpace(string(text)), "\n")
		if os.IsNotExist(err) {
			return
		}
		if sandbox = strings.TrimSpace(sandbox); sandbox == "" {
			continue
		}
		answer, err := runtime.PodSandboxStatus(ctx, sandbox, false)
		if err != nil || answer.GetStatus().GetNetwork().GetIp() == "" {
			continue
		}
		e.keep(answer.GetStatus())
		changed()
		// What was given back meanwhile has been forgotten before it was known.
		if _, err := os.Stat(filepath.Join(e.Folder, name)); err != nil {
			e.forget(name, changed)
		}
		return
	}
}

func (e *Early) keep(status *runtimeapi.PodSandboxStatus) {
	var all []netip.Addr
	texts := []string{status.GetNetwork().GetIp()}
	for _, more := range status.GetNetwork().GetAdditionalIps() {
		texts = append(texts, more.GetIp())
	}
	for _, text := range texts {
		if address, err := netip.ParseAddr(text); err == nil {
			all = append(all, address.Unmap())
		}
	}
	e.mutex.Lock()
	defer e.mutex.Unlock()
	e.known[types.UID(status.GetMetadata().GetUid())] = all
}

// forget is for an address that is free again: the next pod that gets it is another one.
func (e *Early) forget(name string, changed func()) {
	address, err := netip.ParseAddr(name)
	if err != nil {
		return
	}
	e.mutex.Lock()
	defer e.mutex.Unlock()
	for pod, addresses := range e.known {
		for _, known := range addresses {
			if known == address {
				delete(e.known, pod)
				changed()
			}
		}
	}
}
