package cluster

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"kubesolo.io/os/payload/internal/components"
)

const (
	dnsPort    = 53
	dnsTimeout = 2 * time.Second
	// apiName is a name that only a DNS server that knows the cluster's Services can resolve.
	apiName = "kubernetes.default.svc." + components.ClusterDomain + "."
)

// dnsServes asks whether cluster DNS serves: its pod is Ready and resolves a name of the cluster. After a reboot the
// pod's status is still that of the last boot, so the status alone proves nothing. The pod is asked itself: on a node
// without default route, Services can be reached from pods only.
func dnsServes(client kubernetes.Interface, port uint16) func(context.Context) (bool, error) {
	selector := metav1.ListOptions{LabelSelector: "k8s-app=kube-dns", ResourceVersion: "0"}
	return func(ctx context.Context) (bool, error) {
		pods, err := client.CoreV1().Pods(metav1.NamespaceSystem).List(ctx, selector)
		if err != nil {
			return false, err
		}
		err = errors.New("no pod of cluster DNS is Ready")
		for _, pod := range pods.Items {
			if address, bad := netip.ParseAddr(pod.Status.PodIP); bad == nil && podReady(pod) {
				if err = resolves(ctx, netip.AddrPortFrom(address, port)); err == nil {
					return true, nil
				}
			}
		}
		return false, err
	}
}

func podReady(pod corev1.Pod) bool {
	return slices.ContainsFunc(pod.Status.Conditions, func(c corev1.PodCondition) bool {
		return c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue
	})
}

// resolves asks the server for the API's name.
func resolves(ctx context.Context, server netip.AddrPort) error {
	ctx, cancel := context.WithTimeout(ctx, dnsTimeout)
	defer cancel()
	resolver := &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, network, server.String())
	}}
	if _, err := resolver.LookupNetIP(ctx, "ip4", apiName); err != nil {
		return fmt.Errorf("cluster DNS: %w", err)
	}
	return nil
}
