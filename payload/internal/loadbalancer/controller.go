package loadbalancer

import (
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/scheme"
	typedcore "k8s.io/client-go/kubernetes/typed/core/v1"
	corelisters "k8s.io/client-go/listers/core/v1"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/record"

	"kubesolo.io/os/payload/internal/journal"
)

const (
	component = "load-balancer"
	// manager is who has written a Service's status, for the time when the load balancer is switched off.
	manager = "kubesolo-load-balancer"
	// gather is how long changes are gathered that come together.
	gather = 50 * time.Millisecond
	// again is after how long what was refused or has failed is looked at again: a port may have become free.
	again = 30 * time.Second
)

// Controller writes the node's address into the status of Services.
type Controller struct {
	Client  kubernetes.Interface
	Address netip.Addr

	events record.EventRecorder
	said   map[types.UID]string // what the last event of a Service was
}

// Run works until ctx ends. The address does not change meanwhile: with another one, the program starts again.
func (c *Controller) Run(ctx context.Context) error {
	broadcaster := record.NewBroadcaster(record.WithContext(ctx))
	defer broadcaster.Shutdown()
	broadcaster.StartRecordingToSink(&typedcore.EventSinkImpl{Interface: c.Client.CoreV1().Events(metav1.NamespaceAll)})
	c.events = broadcaster.NewRecorder(scheme.Scheme, corev1.EventSource{Component: component})
	c.said = map[types.UID]string{}
	dirty := make(chan struct{}, 1)
	factory := informers.NewSharedInformerFactoryWithOptions(c.Client, 0, informers.WithTransform(lighten))
	services := factory.Core().V1().Services()
	notice(services.Informer(), dirty)
	factory.Start(ctx.Done())
	defer factory.Shutdown()
	if !cache.WaitForCacheSync(ctx.Done(), services.Informer().HasSynced) {
		return nil
	}
	for ctx.Err() == nil {
		pending := c.settle(ctx, services.Lister())
		var later <-chan time.Time
		if pending {
			later = time.After(again)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-later:
		case <-dirty:
		}
		pause(ctx, gather)
	}
	return nil
}

// settle writes what is to be changed, and says whether something has to be looked at again.
func (c *Controller) settle(ctx context.Context, services corelisters.ServiceLister) (pending bool) {
	all, err := services.List(labels.Everything())
	if err != nil || !slices.ContainsFunc(all, ours) {
		return err != nil
	}
	before := c.said
	c.said = map[types.UID]string{}
	for _, v := range assign(all, c.Address, listening()) {
		var want []corev1.LoadBalancerIngress
		if v.refused == "" {
			mode := corev1.LoadBalancerIPModeVIP
			want = []corev1.LoadBalancerIngress{{IP: c.Address.String(), IPMode: &mode}}
		} else {
			pending = true
		}
		if !same(v.service.Status.LoadBalancer.Ingress, want) {
			if err := write(ctx, c.Client, v.service, want); err != nil && !apierrors.IsNotFound(err) && ctx.Err() == nil {
				journal.Warn(component, "Service %s: %v", name(v.service), err)
				pending = true
				continue
			}
		}
		c.tell(v, before[v.service.UID])
	}
	return pending
}

// tell writes an event when there is something new to say about a Service, compared with what was said before.
func (c *Controller) tell(v verdict, before string) {
	text := "refused: " + v.refused
	if v.refused == "" {
		text = "the Service has the node's address " + c.Address.String()
	}
	c.said[v.service.UID] = text
	switch {
	case before == text:
	case v.refused != "":
		c.events.Event(v.service, corev1.EventTypeWarning, "LoadBalancerRefused", v.refused)
	case before != "" || len(v.service.Status.LoadBalancer.Ingress) == 0:
		c.events.Event(v.service, corev1.EventTypeNormal, "LoadBalancerReady", text)
	}
}

// Release takes the address from Services that have it from an earlier start: the load balancer is switched off.
// Other load balancers' Services stay as they are.
func Release(ctx context.Context, client kubernetes.Interface) error {
	services, err := client.CoreV1().Services(metav1.NamespaceAll).List(ctx, metav1.ListOptions{ResourceVersion: "0"})
	if err != nil {
		return err
	}
	for i := range services.Items {
		s := &services.Items[i]
		if len(s.Status.LoadBalancer.Ingress) == 0 || !slices.ContainsFunc(s.ManagedFields, written) {
			continue
		}
		if err := write(ctx, client, s, nil); err != nil && !apierrors.IsNotFound(err) {
			return fmt.Errorf("Service %s: %w", name(s), err)
		}
	}
	return nil
}

func written(entry metav1.ManagedFieldsEntry) bool {
	return entry.Manager == manager && entry.Subresource == "status"
}

func write(ctx context.Context, client kubernetes.Interface, s *corev1.Service, want []corev1.LoadBalancerIngress) error {
	status := map[string]any{"loadBalancer": map[string]any{"ingress": want}}
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{"uid": s.UID}, "status": status})
	if err != nil {
		return err
	}
	_, err = client.CoreV1().Services(s.Namespace).Patch(
		ctx, s.Name, types.MergePatchType, patch, metav1.PatchOptions{FieldManager: manager}, "status",
	)
	return err
}

// same compares addresses; a mode that is not said is VIP.
func same(have, want []corev1.LoadBalancerIngress) bool {
	return slices.EqualFunc(have, want, func(a, b corev1.LoadBalancerIngress) bool {
		return a.IP == b.IP && a.Hostname == b.Hostname &&
			(a.IPMode == nil || *a.IPMode == corev1.LoadBalancerIPModeVIP) && len(a.Ports) == 0
	})
}

func notice(informer cache.SharedIndexInformer, dirty chan<- struct{}) {
	mark := func() {
		select {
		case dirty <- struct{}{}:
		default:
		}
	}
	_, _ = informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc: func(any) { mark() }, UpdateFunc: func(any, any) { mark() }, DeleteFunc: func(any) { mark() },
	})
}

// lighten leaves out of the memory what is of no use here.
func lighten(object any) (any, error) {
	if s, yes := object.(*corev1.Service); yes {
		s.ManagedFields, s.Annotations, s.Labels = nil, nil, nil
	}
	return object, nil
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}
