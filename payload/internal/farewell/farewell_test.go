package farewell

import (
	"context"
	"slices"
	"sync"
	"testing"
	"time"

	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// pods is a runtime whose containers need some time to end; it notes what was asked of it, in order.
type pods struct {
	containers []*runtimeapi.Container
	needs      map[string]time.Duration
	mutex      sync.Mutex
	calls      []string
	given      map[string]int64
}

func (p *pods) ListContainers(context.Context, *runtimeapi.ContainerFilter) ([]*runtimeapi.Container, error) {
	return p.containers, nil
}

func (p *pods) StopContainer(_ context.Context, id string, timeout int64) error {
	p.mutex.Lock()
	p.calls = append(p.calls, "stop "+id)
	p.given[id] = timeout
	p.mutex.Unlock()
	time.Sleep(min(p.needs[id], time.Duration(timeout)*time.Second))
	return nil
}

func (p *pods) ExecSync(_ context.Context, id string, command []string, _ time.Duration) ([]byte, []byte, error) {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	p.calls = append(p.calls, "exec "+id+" "+command[0])
	return nil, nil, nil
}

func container(namespace, id, seconds string) *runtimeapi.Container {
	return &runtimeapi.Container{
		Id:          id,
		Labels:      map[string]string{namespaceLabel: namespace, podLabel: id, containerLabel: "main"},
		Annotations: map[string]string{graceNote: seconds},
	}
}

func TestPodsHaveTheirGraceAndTheClustersOwnGoLast(t *testing.T) {
	hooked := container("default", "web", "2")
	hooked.Annotations[preStopNote] = `{"exec":{"command":["drain"]}}`
	runtime := &pods{given: map[string]int64{}, needs: map[string]time.Duration{},
		containers: []*runtimeapi.Container{container("kube-system", "dns", "30"), hooked}}
	cut, err := Pods(t.Context(), runtime, 10*time.Second)
	if err != nil || len(cut) != 0 {
		t.Errorf("cut %v, error %v", cut, err)
	}
	if want := []string{"exec web drain", "stop web", "stop dns"}; !slices.Equal(runtime.calls, want) {
		t.Errorf("%v, want %v", runtime.calls, want)
	}
	if runtime.given["web"] != 2 || runtime.given["dns"] < 9 {
		t.Errorf("seconds: %v", runtime.given)
	}
}

func TestWhatWantsMoreThanTheLimitIsCutAndNamed(t *testing.T) {
	runtime := &pods{given: map[string]int64{}, needs: map[string]time.Duration{"slow": time.Hour},
		containers: []*runtimeapi.Container{container("default", "slow", "600"), container("default", "quick", "600")}}
	start := time.Now()
	cut, err := Pods(t.Context(), runtime, systemPart+time.Second)
	if err != nil || !slices.Equal(cut, []string{"default/slow (main)"}) {
		t.Errorf("cut %v, error %v", cut, err)
	}
	if took := time.Since(start); took > 30*time.Second {
		t.Errorf("took %v", took)
	}
}

func TestWithoutANoteThereIsTheDefault(t *testing.T) {
	if got := grace(&runtimeapi.Container{}); got != 30*time.Second {
		t.Errorf("got %v", got)
	}
}
