package cluster

import (
	"context"
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"kubesolo.io/os/payload/internal/addons"
	"kubesolo.io/os/payload/internal/components"
	"kubesolo.io/os/payload/internal/journal"
	"kubesolo.io/os/payload/internal/loadbalancer"
	"kubesolo.io/os/payload/internal/localpath"
	"kubesolo.io/os/payload/internal/options"
	"kubesolo.io/os/payload/internal/supervisor"
	"kubesolo.io/os/payload/manifests"
)

// otherAddons lists all but cluster DNS, those that are switched off without objects.
func otherAddons(c *components.Config) []addons.Addon {
	o := c.Options
	edge := manifests.Edge{ID: o.EdgeID, Key: o.EdgeKey, Async: o.EdgeAsync}
	return []addons.Addon{
		given("local-storage", o.LocalStorage, manifests.LocalPath),
		given("metrics", o.Wants("metrics"), manifests.Metrics),
		given("portainer", true, manifests.Portainer(edge)),
	}
}

func dnsAddon(c *components.Config) addons.Addon {
	dns := manifests.CoreDNS(c.Networks.DNS().String(), components.APIForPods(c))
	return given("coredns", c.Options.Wants("coredns"), dns)
}

func given(name string, on bool, text []byte) addons.Addon {
	if !on {
		text = nil
	}
	return addons.Addon{Name: name, Text: text}
}

// What of the add-ons can not be applied is tried again soon, and then less and less often: it may be an operator's
// object that is in the way.
const (
	firstRetry = time.Second
	lastRetry  = time.Minute
)

// bringAddons has the add-ons as they are wanted: their objects, and what serves them. Cluster DNS comes at once, with
// its pod, as the controllers that would make it come last; the others when the API server is ready.
func bringAddons(
	ctx context.Context, group *supervisor.Group, c *components.Config, config *rest.Config, ready <-chan struct{},
) {
	if (c.Options.EdgeID == "") != (c.Options.EdgeKey == "") {
		journal.Warn("portainer", "its agent needs both, an ID and a key: it is not started")
	}
	client, err := dynamic.NewForConfig(config)
	if err != nil {
		journal.Warn("addons", "%v", err)
		return
	}
	dns := step{do: func() error { return makeDNS(ctx, client, c) }}
	others := step{do: func() error { return addons.Apply(ctx, client, otherAddons(c)...) }}
	for !dns.done() && sleep(ctx, ready, firstRetry) {
	}
	if _, came := wait(ctx, ready); !came {
		return
	}
	others.done()
	serveAddons(group, c)
	for delay := firstRetry; !dns.succeeded || !others.succeeded; delay = min(2*delay, lastRetry) {
		if delay > 4*firstRetry { // what is only busy starting has had its time
			journal.Warn("addons", "trying again in %v: %v", delay, errors.Join(dns.err, others.err))
		}
		if !sleep(ctx, nil, delay) {
			return
		}
		dns.done()
		others.done()
	}
	journal.Say("addons", "applied")
}

// A step is done once and for all when it has succeeded.
type step struct {
	do        func() error
	succeeded bool
	err       error
}

// done tries the step unless it has succeeded before.
func (s *step) done() bool {
	if !s.succeeded {
		s.err = s.do()
		s.succeeded = s.err == nil
	}
	return s.succeeded
}

// sleep waits; false when the context has ended or `over` is closed meanwhile.
func sleep(ctx context.Context, over <-chan struct{}, delay time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-over:
		return false
	case <-time.After(delay):
		return true
	}
}

// makeDNS has the objects of cluster DNS and its first pod. Before the API server is ready not all is there that it
// needs.
func makeDNS(ctx context.Context, client dynamic.Interface, c *components.Config) error {
	if err := addons.Apply(ctx, client, dnsAddon(c)); err != nil || !c.Options.Wants("coredns") {
		return err
	}
	ca, err := os.ReadFile(c.PKI.File("ca.crt"))
	if err != nil {
		return err
	}
	typed, err := addonClient(c)
	if err != nil {
		return err
	}
	first := addons.FirstPod{Namespace: metav1.NamespaceSystem, Deployment: "coredns", Node: c.NodeName, RootCA: ca}
	return first.Create(ctx, typed)
}

// serveAddons starts what the add-ons need inside the payload.
func serveAddons(group *supervisor.Group, c *components.Config) {
	if c.Options.LocalStorage {
		group.Go("local-storage", func(ctx context.Context) error { return provideVolumes(ctx, c) })
	}
	if c.Options.LoadBalancer {
		group.Go("load-balancer", func(ctx context.Context) error { return balanceLoad(ctx, c) })
	} else {
		go releaseServices(group.Context(), c)
	}
}

func provideVolumes(ctx context.Context, c *components.Config) error {
	client, err := addonClient(c)
	if err != nil {
		return err
	}
	return localpath.Run(ctx, client, volumes(c.Options), c.Options.LocalStorageSharedPath)
}

// volumes is the folder of the node's own volumes.
func volumes(o *options.Options) string { return filepath.Join(o.Path, "local-path") }

func balanceLoad(ctx context.Context, c *components.Config) error {
	client, err := addonClient(c)
	if err != nil {
		return err
	}
	address, _ := netip.AddrFromSlice(c.NodeIP)
	controller := &loadbalancer.Controller{Client: client, Address: address.Unmap()}
	return controller.Run(ctx)
}

// releaseServices takes back what the load balancer has given before it was switched off.
func releaseServices(ctx context.Context, c *components.Config) {
	client, err := addonClient(c)
	if err == nil {
		err = loadbalancer.Release(ctx, client)
	}
	if err != nil && ctx.Err() == nil {
		journal.Warn("load-balancer", "%v", err)
	}
}

func addonClient(c *components.Config) (kubernetes.Interface, error) {
	config, err := clientcmd.BuildConfigFromFlags("", c.PKI.Kubeconfig("kube-controller-manager"))
	if err != nil {
		return nil, err
	}
	config.ContentType = protobuf
	return kubernetes.NewForConfig(config)
}
