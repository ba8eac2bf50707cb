package cluster

import (
	"context"
	"fmt"
	"net/http"
	"net/netip"
	"path/filepath"
	"time"

	containerd "github.com/containerd/containerd/v2/client"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"

	"kubesolo.io/os/payload/internal/addons"
	"kubesolo.io/os/payload/internal/airgap"
	"kubesolo.io/os/payload/internal/components"
	"kubesolo.io/os/payload/internal/health"
	"kubesolo.io/os/payload/internal/journal"
	"kubesolo.io/os/payload/internal/milestones"
	"kubesolo.io/os/payload/internal/supervisor"
)

const (
	pause = 250 * time.Millisecond
	// readyPatience is after how long everything else starts although the node is not Ready.
	readyPatience = time.Minute
	// dnsPatience is after how long an operator's images are imported although cluster DNS does not answer.
	dnsPatience = time.Minute
)

// follow starts what needs a running cluster and records how the cluster comes up. It closes settled when the default
// roles may be made, and expects roles to be closed when they are.
func follow(
	group *supervisor.Group, c *components.Config, runtime *containerd.Client, settled chan<- struct{}, roles <-chan struct{},
) error {
	config, err := clientcmd.BuildConfigFromFlags("", c.PKI.Kubeconfig("kube-controller-manager"))
	if err != nil {
		return err
	}
	config.QPS = -1 // the default holds requests back, to five a second
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	group.Go("follow-up", func(ctx context.Context) error {
		go addons.FollowNameServers(ctx, c.RunDir)
		go keepPKI(ctx, c, group.Fail)
		// What does not make the node Ready waits until it is: the processors have enough to do.
		ready := make(chan struct{})
		go func() {
			if until(ctx, nodeReady(client, c.NodeName)) == nil {
				c.Milestones.Reach(milestones.NodeReady)
				close(ready)
			}
		}()
		select {
		case <-ready:
		case <-ctx.Done():
		case <-time.After(readyPatience):
		}
		close(settled)
		journal.Started()
		settleHeap(c.Options)
		go keepHealth(ctx, c, client)
		up := make(chan struct{})
		go bringAddons(ctx, group, c, config, up)
		group.Go("kube-scheduler", func(ctx context.Context) error { return components.Scheduler(ctx, c) })
		group.Go("kube-proxy", func(ctx context.Context) error { return components.Proxy(ctx, c) })
		group.Go("networkpolicy", func(ctx context.Context) error { return enforcePolicies(ctx, c) })
		go func() {
			if components.WaitProxySynced(ctx) == nil {
				c.Milestones.Reach(milestones.KubeProxySynced)
			}
		}()
		// Asking whether the API server is ready is work for it: not before it can be. The controllers give up
		// when it is not healthy ten seconds after they start.
		if _, came := wait(ctx, roles); came && until(ctx, apiReady(client)) == nil {
			c.Milestones.Reach(milestones.Readyz)
		}
		close(up)
		group.Go("kube-controller-manager", func(ctx context.Context) error { return components.Controllers(ctx, c) })
		if err := labelNode(ctx, client, c.NodeName); err != nil && ctx.Err() == nil {
			journal.Warn("kubesolo", "label of the node: %v", err)
		}
		if err := reportConfiguration(ctx, client, c.NodeName, c.RunDir); err != nil && ctx.Err() == nil {
			journal.Warn("kubesolo", "what is wrong with the configuration cannot be reported: %v", err)
		}
		bringDNS(ctx, c, client, func() { importArchives(ctx, c, runtime) })
		tightenHeap(ctx, c.Options)
		<-ctx.Done()
		return nil
	})
	return nil
}

// keepHealth says how the cluster is now, in the order in which one thing rests on the other.
func keepHealth(ctx context.Context, c *components.Config, client kubernetes.Interface) {
	checks := []health.Check{health.API(client), health.Node(client, c.NodeName)}
	if c.Options.Wants("coredns") {
		checks = append(checks, health.DNS(netip.AddrPortFrom(c.Networks.DNS(), dnsPort).String(), apiName))
	}
	health.Keep(ctx, filepath.Join(c.RunDir, "payload.health"), checks...)
}

// bringDNS returns when cluster DNS serves and then has been called. That may take long, with an operator's archives:
// cluster DNS does not wait for it, and it does not wait for cluster DNS for ever, nor when that is switched off.
func bringDNS(ctx context.Context, c *components.Config, client kubernetes.Interface, then func()) {
	if !c.Options.Wants("coredns") {
		then()
		return
	}
	serves := make(chan struct{})
	go func() {
		if until(ctx, dnsServes(client, dnsPort)) == nil {
			c.Milestones.Reach(milestones.CoreDNSRunning)
			close(serves)
		}
	}()
	select {
	case <-serves:
	case <-time.After(dnsPatience):
	case <-ctx.Done():
		return
	}
	then()
	wait(ctx, serves)
}

func importArchives(ctx context.Context, c *components.Config, runtime *containerd.Client) {
	importer := airgap.Importer{Client: runtime, RunDir: c.RunDir, Root: components.ContainerdRoot, Spare: airgap.Spare}
	if err := importer.Run(ctx); err != nil && ctx.Err() == nil {
		journal.Warn("images", "%v", err)
	}
}

// until asks again and again until the answer is yes or ctx ends. It logs an error that lasts, once a minute.
func until(ctx context.Context, ask func(context.Context) (bool, error)) error {
	started := time.Now()
	for {
		yes, err := ask(ctx)
		if yes {
			return nil
		}
		if err != nil && time.Since(started) > time.Minute && ctx.Err() == nil {
			journal.Warn("kubesolo", "%v", err)
			started = time.Now()
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(pause):
		}
	}
}

func nodeReady(client kubernetes.Interface, name string) func(context.Context) (bool, error) {
	boot := health.ThisBoot()
	return func(ctx context.Context) (bool, error) {
		node, err := client.CoreV1().Nodes().Get(ctx, name, metav1.GetOptions{ResourceVersion: "0"})
		if err != nil {
			return false, fmt.Errorf("node %s: %w", name, err)
		}
		if why := health.NotReady(node, boot); why != "" {
			return false, fmt.Errorf("node %s is not Ready: %s", name, why)
		}
		return true, nil
	}
}

func apiReady(client kubernetes.Interface) func(context.Context) (bool, error) {
	return func(ctx context.Context) (bool, error) {
		status := 0
		err := client.CoreV1().RESTClient().Get().AbsPath("/readyz").Do(ctx).StatusCode(&status).Error()
		return status == http.StatusOK, err
	}
}

// labelNode names the node's role for kubectl: a label that kubelet may not set itself.
func labelNode(ctx context.Context, client kubernetes.Interface, name string) error {
	patch := []byte(`{"metadata":{"labels":{"node-role.kubernetes.io/control-plane":""}}}`)
	_, err := client.CoreV1().Nodes().Patch(ctx, name, types.MergePatchType, patch, metav1.PatchOptions{})
	return err
}
