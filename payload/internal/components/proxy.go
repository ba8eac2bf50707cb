package components

import (
	"context"
	"net/http"
	"time"

	"github.com/spf13/pflag"
	"k8s.io/kubernetes/cmd/kube-proxy/app"

	"kubesolo.io/os/payload/internal/journal"
)

const proxyHealth = "127.0.0.1:10256"

// Proxy runs kube-proxy until ctx ends: Services by nftables rules.
func Proxy(ctx context.Context, c *Config) error {
	run := app.NewOptions()
	flags := pflag.NewFlagSet("kube-proxy", pflag.ContinueOnError)
	run.AddFlags(flags)
	journal.KeepQuiet()
	if err := flags.Parse(proxyArguments(c)); err != nil {
		return err
	}
	if err := run.Complete(flags); err != nil {
		return err
	}
	if err := run.Validate(); err != nil {
		return err
	}
	return run.Run(ctx)
}

func proxyArguments(c *Config) []string {
	return []string{
		"--kubeconfig=" + c.PKI.Kubeconfig("kube-proxy"),
		"--proxy-mode=nftables",
		"--cluster-cidr=" + c.Networks.Pods.String(),
		"--hostname-override=" + c.NodeName,
		"--bind-address=" + c.NodeIP.String(),
		"--healthz-bind-address=" + proxyHealth,
		"--metrics-bind-address=127.0.0.1:10249",
		// The boot stages size the connection table.
		"--conntrack-max-per-core=0",
		"--conntrack-min=0",
	}
}

// WaitProxySynced returns when kube-proxy says that its rules are in place, or ctx ends.
func WaitProxySynced(ctx context.Context) error {
	client := &http.Client{Timeout: 2 * time.Second}
	for {
		answer, err := client.Get("http://" + proxyHealth + "/healthz")
		if err == nil {
			answer.Body.Close()
			if answer.StatusCode == http.StatusOK {
				return nil
			}
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(250 * time.Millisecond):
		}
	}
}
