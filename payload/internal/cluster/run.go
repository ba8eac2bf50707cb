// Package cluster brings the components up in an order that makes the node Ready soonest.
package cluster

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"time"

	containerd "github.com/containerd/containerd/v2/client"
	certutil "k8s.io/client-go/util/cert"

	"kubesolo.io/os/payload/internal/components"
	"kubesolo.io/os/payload/internal/journal"
	"kubesolo.io/os/payload/internal/milestones"
	"kubesolo.io/os/payload/internal/networks"
	"kubesolo.io/os/payload/internal/node"
	"kubesolo.io/os/payload/internal/options"
	"kubesolo.io/os/payload/internal/pki"
	"kubesolo.io/os/payload/internal/shipped"
	"kubesolo.io/os/payload/internal/supervisor"
)

const (
	runDir = "/run/kubesolo"
	// patience is how long each component may take to stop; eight of them stop within 20 s in practice,
	// as only the API server ever uses more than a fraction of it.
	patience = 4 * time.Second
)

// ErrMoved is the reason when the node's address is another one. Every component is told the address once, when it
// starts: the program has to start again, at once and with nothing wrong.
var ErrMoved = errors.New("the node's address has changed")

// Run starts everything and returns after ctx has ended (nil) or a component has died (the reason).
func Run(ctx context.Context, o *options.Options) error {
	c, err := prepare(o)
	if err != nil {
		return err
	}
	group := supervisor.New(ctx)
	loosenHeap(o)
	if o.PprofServer {
		group.Go("pprof", components.Pprof)
	}
	group.Go("address", func(ctx context.Context) error { return followAddress(ctx, c) })
	if err := start(group, c); err != nil {
		group.Fail(err)
	}
	<-group.Context().Done()
	if _, err := os.Stat(filepath.Join(runDir, "switching-off")); err == nil {
		stopPods(group)
	} else {
		journal.Say("kubesolo", "stopping; containers keep running")
	}
	journal.Hush()
	return group.Stop(patience)
}

func prepare(o *options.Options) (*components.Config, error) {
	recorder := milestones.New(filepath.Join(runDir, "milestones"))
	recorder.Reach(milestones.PayloadStart)
	journal.Say("kubesolo", "%s", o)
	for _, dir := range []string{runDir, filepath.Join(runDir, "dns")} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return nil, err
		}
	}
	name, err := node.Name()
	if err != nil {
		return nil, err
	}
	ip, err := node.Address()
	if err != nil {
		return nil, err
	}
	if ip.String() == node.DummyAddress {
		journal.Warn("kubesolo", "no network address: the node uses %s on %s until there is one", ip, node.DummyInterface)
	}
	journal.Say("kubesolo", "node %s, address %s", name, ip)
	if err := node.DelegateCgroups(); err != nil {
		journal.Warn("cgroups", "%v", err)
	}
	own, ignored, err := networks.Remember(o.Path, o.PodCIDR, o.ServiceCIDR)
	if err != nil {
		return nil, err
	}
	for _, problem := range []string{ignored, own.Conflict(node.Networks())} {
		if problem != "" {
			journal.Warn("networks", "%s", problem)
		}
	}
	if err := node.RouteServices(own.Services); err != nil {
		journal.Warn("networks", "what runs on the node itself does not reach Services: %v", err)
	}
	return &components.Config{
		Options: o, NodeName: name, NodeIP: ip, Networks: own, PKI: pki.New(filepath.Join(o.Path, "pki")), RunDir: runDir,
		APIPort: components.APIPort, Milestones: recorder,
	}, nil
}

// start brings the components up; what does not wait for each other runs side by side.
func start(group *supervisor.Group, c *components.Config) error {
	ctx := group.Context()
	database, runtime := make(chan struct{}), make(chan *containerd.Client, 1)
	configured, listening := make(chan struct{}), make(chan struct{})
	settled, roles := make(chan struct{}), make(chan struct{})
	go components.Warm()
	group.Go("containerd", func(ctx context.Context) error { return runContainerd(ctx, c, runtime) })
	group.Go("kine", func(ctx context.Context) error { return runKine(ctx, c, database) })
	if err := ensurePKI(c); err != nil {
		return fmt.Errorf("pki: %w", err)
	}
	group.Go("kube-apiserver", func(ctx context.Context) error {
		return components.APIServer(ctx, c, components.Events{
			Database: database, Settled: settled,
			Configured: func() { close(configured) },
			Listening: func() {
				c.Milestones.Reach(milestones.APIServerListening)
				close(listening)
			},
			Roles: func() { close(roles) },
		})
	})
	client, came := wait(ctx, runtime)
	if !came {
		return nil
	}
	// The rest of the API server's way is for one processor: kubelet's is beside it, up to its first request.
	if _, came := wait(ctx, configured); !came {
		return nil
	}
	guardPods(ctx, c)
	group.Go("kubelet", func(ctx context.Context) error { return components.Kubelet(ctx, c) })
	if _, came := wait(ctx, listening); !came {
		return nil
	}
	return follow(group, c, client, settled, roles)
}

// wait returns what the event brings, and whether it came before the end of ctx.
func wait[T any](ctx context.Context, event <-chan T) (brought T, came bool) {
	select {
	case brought = <-event:
		return brought, true
	case <-ctx.Done():
		return brought, false
	}
}

// followAddress returns when the node's address is another one.
func followAddress(ctx context.Context, c *components.Config) error {
	ip := node.Moved(ctx, c.NodeIP)
	if ip == nil {
		return ctx.Err()
	}
	return fmt.Errorf("%w from %s to %s", ErrMoved, c.NodeIP, ip)
}

func runKine(ctx context.Context, c *components.Config, ready chan<- struct{}) error {
	closed, err := components.Kine(ctx, c)
	if err != nil {
		return err
	}
	close(ready)
	<-ctx.Done()
	closed()
	return nil
}

func runContainerd(ctx context.Context, c *components.Config, ready chan<- *containerd.Client) error {
	// The daemon's context must outlive the signal to stop: Stop closes its parts in order.
	client, stop, err := components.Containerd(context.WithoutCancel(ctx), c)
	if err != nil {
		return err
	}
	shippedImages(ctx, client)
	ready <- client
	<-ctx.Done()
	stop()
	return nil
}

// shippedImages makes the system's own images known before kubelet asks for them.
func shippedImages(ctx context.Context, client *containerd.Client) {
	found, err := shipped.Find(shipped.Folders...)
	if err == nil {
		err = shipped.Register(ctx, client, found)
	}
	if err != nil {
		journal.Warn("images", "those of the system: %v", err)
	}
}

func ensurePKI(c *components.Config) error {
	written, err := c.PKI.Ensure(names(c))
	if err == nil && len(written) > 0 {
		journal.Say("pki", "certificates written: %v", written)
	}
	return err
}

func keepPKI(ctx context.Context, c *components.Config, again func(error)) {
	c.PKI.Keep(ctx, func() pki.Names { return names(c) }, pki.Events{
		Renewed:  func(written []string) { journal.Say("pki", "certificates renewed: %v", written) },
		Failed:   func(err error) { journal.Warn("pki", "renewal failed, trying again: %v", err) },
		Outdated: func(reason error) { again(fmt.Errorf("starting again: %w", reason)) },
	})
}

// names lists what clients may call the API server: its names in the cluster, the machine's name and
// addresses as they are now, and those that the operator asks for.
func names(c *components.Config) pki.Names {
	ips := []net.IP{
		net.IPv4(127, 0, 0, 1), net.IP(c.Networks.API().AsSlice()), net.IP(c.Networks.Gateway().AsSlice()), c.NodeIP,
	}
	api := certutil.AltNames{
		DNSNames: []string{
			c.NodeName, "localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc",
			"kubernetes.default.svc." + components.ClusterDomain,
		},
		IPs: append(ips, node.Addresses(!c.Options.DisableIPv6)...),
	}
	for _, name := range c.Options.ExtraSANs {
		if ip := net.ParseIP(name); ip != nil {
			api.IPs = append(api.IPs, ip)
		} else {
			api.DNSNames = append(api.DNSNames, name)
		}
	}
	return pki.Names{Node: c.NodeName, API: api}
}
