package cluster

import (
	"context"
	"net/netip"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
	remote "k8s.io/cri-client/pkg"

	"kubesolo.io/os/payload/internal/components"
	"kubesolo.io/os/payload/internal/journal"
	"kubesolo.io/os/payload/internal/netpolicy"
)

const protobuf = "application/vnd.kubernetes.protobuf"

// guardPods has pods cut off until their policies are in force, on a cluster that has policies. It comes before
// kubelet, which starts pods again as soon as it can.
func guardPods(ctx context.Context, c *components.Config) {
	if components.ForeignNetwork() {
		return
	}
	if err := netpolicy.Guard(ctx, c.Options.Path, podNetworks(c), netpolicy.Open); err != nil {
		journal.Warn("networkpolicy", "pods start before their policies are in force: %v", err)
	}
}

// enforcePolicies has the kernel enforce NetworkPolicies until ctx ends. An operator's own pod network has, or has
// not, its own way to do that.
func enforcePolicies(ctx context.Context, c *components.Config) error {
	if components.ForeignNetwork() {
		journal.Say("networkpolicy", "not enforced here: the pods' network is not ours")
		<-ctx.Done()
		return nil
	}
	config, err := clientcmd.BuildConfigFromFlags("", c.PKI.Kubeconfig("kube-controller-manager"))
	if err != nil {
		return err
	}
	config.ContentType = protobuf
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	early := &netpolicy.Early{
		Folder: components.TakenAddresses,
		Connect: func(ctx context.Context) (netpolicy.Sandboxes, error) {
			return remote.NewRemoteRuntimeService(ctx, "unix://"+components.ContainerdSocket, patience, nil, false)
		},
	}
	controller := &netpolicy.Controller{
		Client: client, Networks: podNetworks(c), Folder: c.Options.Path, Open: netpolicy.Open, Early: early,
	}
	return controller.Run(ctx)
}

func podNetworks(c *components.Config) []netip.Prefix { return []netip.Prefix{c.Networks.Pods} }
