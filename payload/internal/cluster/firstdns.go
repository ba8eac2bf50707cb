package cluster

import (
	"context"
	"os"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"kubesolo.io/os/payload/internal/addons"
	"kubesolo.io/os/payload/internal/components"
	"kubesolo.io/os/payload/internal/journal"
	"kubesolo.io/os/payload/internal/milestones"
)

const (
	dnsName = "coredns"
	// adoption is how long the controllers have to take over its first pod.
	adoption = 2 * time.Minute
)

// dnsProgress tells how far cluster DNS has come; each is closed at its moment, and all at once where it is not wanted.
type dnsProgress struct {
	// applied: its objects are there; serves: it answers; helpless: it needs the controllers for that, which only its
	// first pod ever, and one that has run before, do without.
	applied, serves, helpless chan struct{}
}

// bringDNS starts cluster DNS, before all that it does not need.
func bringDNS(
	ctx context.Context, c *components.Config, config *rest.Config, client kubernetes.Interface,
) dnsProgress {
	dns := dnsProgress{make(chan struct{}), make(chan struct{}), make(chan struct{})}
	if !c.Options.Wants(dnsName) {
		close(dns.applied)
		close(dns.serves)
		close(dns.helpless)
		return dns
	}
	go func() {
		if applyDNS(ctx, c, config) != nil {
			return
		}
		close(dns.applied)
		if !startFirstDNS(ctx, c, client) {
			close(dns.helpless)
		}
	}()
	go func() {
		if until(ctx, dnsServes(client, dnsPort)) == nil {
			c.Milestones.Reach(milestones.CoreDNSRunning)
			close(dns.serves)
		}
	}()
	return dns
}

// applyDNS returns an error at the end of ctx only.
func applyDNS(ctx context.Context, c *components.Config, config *rest.Config) error {
	client, err := dynamic.NewForConfig(config)
	if err != nil {
		return err
	}
	return until(ctx, func(ctx context.Context) (bool, error) {
		err := addons.Apply(ctx, client, dnsAddon(c))
		return err == nil, err
	})
}

// startFirstDNS says whether cluster DNS will run without any controller.
func startFirstDNS(ctx context.Context, c *components.Config, client kubernetes.Interface) bool {
	runs := false
	authority, err := os.ReadFile(c.PKI.File("ca.crt"))
	if err == nil {
		runs, err = addons.StartFirst(ctx, client, metav1.NamespaceSystem, dnsName, c.NodeName, authority)
	}
	if err != nil && ctx.Err() == nil {
		journal.Warn(dnsName, "its first pod waits for the controllers: %v", err)
	}
	return runs
}

func dropOrphan(ctx context.Context, client kubernetes.Interface) {
	err := addons.DropOrphan(ctx, client, metav1.NamespaceSystem, dnsName, adoption)
	if err != nil && !apierrors.IsNotFound(err) && ctx.Err() == nil {
		journal.Warn(dnsName, "%v", err)
	}
}
