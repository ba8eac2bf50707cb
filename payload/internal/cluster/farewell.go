package cluster

import (
	"context"
	"strings"
	"time"

	remote "k8s.io/cri-client/pkg"

	"kubesolo.io/os/payload/internal/components"
	"kubesolo.io/os/payload/internal/farewell"
	"kubesolo.io/os/payload/internal/journal"
	"kubesolo.io/os/payload/internal/supervisor"
)

// stopPods gives the pods their time when the machine is switched off. Without the kubelet, which would start again
// what ends; with everything else, as pods may want to say goodbye to others.
func stopPods(group *supervisor.Group) {
	journal.Say("kubesolo", "the machine is switched off: stopping the pods")
	started := time.Now()
	group.Halt("kubelet", patience)
	ctx := context.Background()
	runtime, err := remote.NewRemoteRuntimeService(ctx, "unix://"+components.ContainerdSocket, patience, nil, false)
	if err != nil {
		journal.Warn("pods", "the container runtime can not be asked to stop them: %v", err)
		return
	}
	cut, err := farewell.Pods(ctx, runtime, farewell.Limit-time.Since(started))
	if err != nil {
		journal.Warn("pods", "they can not be stopped one by one: %v", err)
	}
	if len(cut) > 0 {
		journal.Warn("pods", "cut short, they had %v instead of what they ask for: %s",
			farewell.Limit, strings.Join(cut, ", "))
	}
	journal.Say("pods", "stopped")
}
