// Package farewell stops the containers of pods when the machine is switched off, each with its pod's grace period.
// The kubelet would do that itself only under systemd-logind.
package farewell

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// What the kubelet notes at each container (pkg/kubelet/types, pkg/kubelet/kuberuntime/labels.go).
const (
	namespaceLabel = "io.kubernetes.pod.namespace"
	podLabel       = "io.kubernetes.pod.name"
	containerLabel = "io.kubernetes.container.name"
	graceNote      = "io.kubernetes.pod.terminationGracePeriod"
	preStopNote    = "io.kubernetes.container.preStopHandler"
	systemSpace    = "kube-system"
)

const (
	defaultGrace = corev1.DefaultTerminationGracePeriodSeconds * time.Second
	// Limit is the time for everything; the cluster's own pods, which others may still ask, have the end of it.
	Limit      = 20 * time.Second
	systemPart = 3 * time.Second
	// margin is what the runtime needs to kill a container and to say so.
	margin = 10 * time.Second
)

// Runtime is what is needed of the container runtime: a part of the CRI.
type Runtime interface {
	ListContainers(ctx context.Context, filter *runtimeapi.ContainerFilter) ([]*runtimeapi.Container, error)
	StopContainer(ctx context.Context, id string, timeout int64) error
	ExecSync(ctx context.Context, id string, cmd []string, timeout time.Duration) (stdout, stderr []byte, err error)
}

// Pods stops all running containers within limit: ordinary pods first, the cluster's own then. It returns those that
// had less time than their pod asks for and used all of it, as "namespace/pod (container)".
func Pods(ctx context.Context, runtime Runtime, limit time.Duration) (cut []string, err error) {
	end := time.Now().Add(limit)
	running := &runtimeapi.ContainerFilter{
		State: &runtimeapi.ContainerStateValue{State: runtimeapi.ContainerState_CONTAINER_RUNNING},
	}
	containers, err := runtime.ListContainers(ctx, running)
	if err != nil {
		return nil, err
	}
	var ordinary, system []*runtimeapi.Container
	for _, c := range containers {
		if c.Labels[namespaceLabel] == systemSpace {
			system = append(system, c)
		} else {
			ordinary = append(ordinary, c)
		}
	}
	cut = stopAll(ctx, runtime, ordinary, end.Add(-systemPart))
	return append(cut, stopAll(ctx, runtime, system, end)...), nil
}

// stopAll stops containers beside each other, until end.
func stopAll(ctx context.Context, runtime Runtime, containers []*runtimeapi.Container, end time.Time) (cut []string) {
	var mutex sync.Mutex
	var group sync.WaitGroup
	for _, c := range containers {
		group.Go(func() {
			if !stop(ctx, runtime, c, end) {
				mutex.Lock()
				defer mutex.Unlock()
				cut = append(cut, name(c))
			}
		})
	}
	group.Wait()
	return cut
}

// stop stops one container, and returns whether it had the time that it asks for or did not need it.
func stop(ctx context.Context, runtime Runtime, c *runtimeapi.Container, end time.Time) bool {
	asked := grace(c)
	last := time.Now().Add(asked)
	short := last.After(end)
	if short {
		last = end
	}
	ctx, cancel := context.WithDeadline(ctx, last.Add(margin))
	defer cancel()
	preStop(ctx, runtime, c, last)
	// At least a second, as the kubelet gives.
	seconds := max(1, int64(time.Until(last).Round(time.Second)/time.Second))
	err := runtime.StopContainer(ctx, c.Id, seconds)
	return err == nil && (!short || time.Now().Before(last))
}

// grace is how long the container's pod asks for.
func grace(c *runtimeapi.Container) time.Duration {
	seconds, err := strconv.ParseInt(c.Annotations[graceNote], 10, 64)
	if err != nil || seconds < 0 {
		return defaultGrace
	}
	return time.Duration(seconds) * time.Second
}

// preStop runs the container's hook, when it is a command or a pause. Hooks over the network are left out.
func preStop(ctx context.Context, runtime Runtime, c *runtimeapi.Container, last time.Time) {
	var hook corev1.LifecycleHandler
	if json.Unmarshal([]byte(c.Annotations[preStopNote]), &hook) != nil {
		return
	}
	switch {
	case hook.Exec != nil:
		_, _, _ = runtime.ExecSync(ctx, c.Id, hook.Exec.Command, max(time.Second, time.Until(last)))
	case hook.Sleep != nil:
		time.Sleep(min(time.Duration(hook.Sleep.Seconds)*time.Second, time.Until(last)))
	}
}

func name(c *runtimeapi.Container) string {
	return fmt.Sprintf("%s/%s (%s)", c.Labels[namespaceLabel], c.Labels[podLabel], c.Labels[containerLabel])
}
