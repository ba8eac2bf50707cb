package netpolicy

import (
	"context"
	"net/netip"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	corelisters "k8s.io/client-go/listers/core/v1"
	networkinglisters "k8s.io/client-go/listers/networking/v1"
	"k8s.io/client-go/tools/cache"
	"sigs.k8s.io/knftables"

	"kubesolo.io/os/payload/internal/journal"
)

const (
	component = "networkpolicy"
	// gather is how long changes are gathered that come together.
	gather = 10 * time.Millisecond
	// again is after how long what has failed is tried again.
	again = time.Second
)

// Controller has the kernel enforce the API's NetworkPolicies.
type Controller struct {
	Client   kubernetes.Interface
	Networks []netip.Prefix // that pods get their addresses from
	Folder   string         // where it is remembered whether there are policies
	Open     func() (knftables.Interface, error)
	Early    *Early // addresses of pods before the API has them, nil when nobody knows

	enforcer *Enforcer
	dirty    chan struct{}
}

// Run works until ctx ends. While there is no policy, it watches for one and does nothing else: there is no table,
// and neither pods nor namespaces are asked for.
func (c *Controller) Run(ctx context.Context) error {
	c.dirty = make(chan struct{}, 1)
	factory := informers.NewSharedInformerFactoryWithOptions(c.Client, 0, informers.WithTransform(lighten))
	policies := factory.Networking().V1().NetworkPolicies()
	c.notice(policies.Informer())
	factory.Start(ctx.Done())
	defer factory.Shutdown()
	if !cache.WaitForCacheSync(ctx.Done(), policies.Informer().HasSynced) {
		return nil
	}
	for ctx.Err() == nil {
		err := c.rest(ctx, policies.Lister())
		switch {
		case ctx.Err() != nil:
		case err != nil:
			journal.Warn(component, "%v", err)
			pause(ctx, again)
		default:
			c.enforce(ctx, policies.Lister())
		}
	}
	return nil
}

// rest returns when there are policies. The kernel has no table meanwhile.
func (c *Controller) rest(ctx context.Context, policies networkinglisters.NetworkPolicyLister) error {
	if exist(policies) {
		return nil
	}
	if err := c.clear(ctx); err != nil {
		return err
	}
	for !exist(policies) {
		select {
		case <-c.dirty:
		case <-ctx.Done():
			return nil
		}
	}
	return nil
}

// clear removes what policies have left, of this start of the program or another.
func (c *Controller) clear(ctx context.Context) error {
	if c.enforcer == nil && !marked(c.Folder) {
		return nil
	}
	if err := c.open(); err != nil {
		return err
	}
	if err := c.enforcer.Remove(ctx); err != nil {
		return err
	}
	journal.Say(component, "there are no policies")
	return mark(c.Folder, false)
}

// enforce returns when there are no policies any more, or ctx ends.
func (c *Controller) enforce(ctx context.Context, policies networkinglisters.NetworkPolicyLister) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if err := mark(c.Folder, true); err != nil {
		journal.Warn(component, "pods are not isolated right after the next start of the machine: %v", err)
	}
	factory := informers.NewSharedInformerFactoryWithOptions(c.Client, 0, informers.WithTransform(lighten))
	pods, namespaces := factory.Core().V1().Pods(), factory.Core().V1().Namespaces()
	c.notice(pods.Informer())
	c.notice(namespaces.Informer())
	factory.Start(ctx.Done())
	defer factory.Shutdown()
	defer cancel()
	go c.Early.Follow(ctx, c.note)
	if !cache.WaitForCacheSync(ctx.Done(), pods.Informer().HasSynced, namespaces.Informer().HasSynced) {
		return
	}
	inForce := false
	for ctx.Err() == nil && exist(policies) {
		world := c.world(policies, pods.Lister(), namespaces.Lister())
		started := time.Now()
		operations, err := c.apply(ctx, world)
		switch {
		case err != nil && ctx.Err() == nil:
			journal.Warn(component, "%v", err)
			pause(ctx, again)
			continue
		case err == nil && !inForce:
			inForce = true
			journal.Say(component, "%d policies, %d pods: in force, %d operations in %v",
				len(world.Policies), len(world.Pods), operations, time.Since(started).Round(time.Millisecond))
		}
		select {
		case <-c.dirty:
			pause(ctx, gather)
		case <-ctx.Done():
		}
	}
}

func (c *Controller) apply(ctx context.Context, world *World) (int, error) {
	if err := c.open(); err != nil {
		return 0, err
	}
	return c.enforcer.Apply(ctx, Compile(world))
}

func (c *Controller) open() error {
	if c.enforcer != nil {
		return nil
	}
	nft, err := c.Open()
	if err == nil {
		c.enforcer = NewEnforcer(nft)
	}
	return err
}

func (c *Controller) world(
	policies networkinglisters.NetworkPolicyLister, pods corelisters.PodLister, namespaces corelisters.NamespaceLister,
) *World {
	world := &World{Namespaces: map[string]labels.Set{}, Networks: c.Networks}
	world.Policies, _ = policies.List(labels.Everything())
	found, _ := namespaces.List(labels.Everything())
	for _, namespace := range found {
		world.Namespaces[namespace.Name] = namespace.Labels
	}
	all, _ := pods.List(labels.Everything())
	for _, pod := range all {
		if known, ok := NewPod(pod, c.Early.Addresses(pod.UID)); ok {
			world.Pods = append(world.Pods, known)
		}
	}
	return world
}

// notice has every change of an informer's objects looked at.
func (c *Controller) notice(informer cache.SharedIndexInformer) {
	_, _ = informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    func(any) { c.note() },
		UpdateFunc: func(any, any) { c.note() },
		DeleteFunc: func(any) { c.note() },
	})
}

func (c *Controller) note() {
	select {
	case c.dirty <- struct{}{}:
	default:
	}
}

// lighten keeps of an object what policies need: the rest would be memory for nothing.
func lighten(object any) (any, error) {
	if with, ok := object.(metav1.ObjectMetaAccessor); ok {
		with.GetObjectMeta().SetManagedFields(nil)
		with.GetObjectMeta().SetAnnotations(nil)
	}
	pod, ok := object.(*corev1.Pod)
	if !ok {
		return object, nil
	}
	light := &corev1.Pod{ObjectMeta: pod.ObjectMeta}
	light.Spec.HostNetwork = pod.Spec.HostNetwork
	light.Status.Phase, light.Status.PodIPs = pod.Status.Phase, pod.Status.PodIPs
	light.Spec.InitContainers, light.Spec.Containers = portsOf(pod.Spec.InitContainers), portsOf(pod.Spec.Containers)
	return light, nil
}

func portsOf(containers []corev1.Container) []corev1.Container {
	var all []corev1.Container
	for _, container := range containers {
		if len(container.Ports) > 0 {
			all = append(all, corev1.Container{Ports: container.Ports})
		}
	}
	return all
}

func exist(policies networkinglisters.NetworkPolicyLister) bool {
	found, _ := policies.List(labels.Everything())
	return len(found) > 0
}

func pause(ctx context.Context, long time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(long):
	}
}
