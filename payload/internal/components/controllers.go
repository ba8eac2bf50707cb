package components

import (
	"context"
	"strings"

	"k8s.io/kubernetes/cmd/kube-controller-manager/app"
	"k8s.io/kubernetes/cmd/kube-controller-manager/app/options"
)

// idleControllers have nothing to do on one node with fixed networks and no cloud.
var idleControllers = []string{
	"node-ipam-controller", "ttl-controller", "storageversion-garbage-collector-controller",
	"legacy-serviceaccount-token-cleaner-controller", "bootstrap-signer-controller", "token-cleaner-controller",
}

// Controllers runs kube-controller-manager until ctx ends.
func Controllers(ctx context.Context, c *Config) error {
	run, err := options.NewKubeControllerManagerOptions()
	if err != nil {
		return err
	}
	known, off, aliases := app.KnownControllers(), app.ControllersDisabledByDefault(), app.ControllerAliases()
	if err := parse("kube-controller-manager", run.Flags(known, off, aliases), controllerArguments(c)); err != nil {
		return err
	}
	config, err := run.Config(ctx, known, off, aliases)
	if err != nil {
		return err
	}
	return app.Run(ctx, config.Complete())
}

func controllerArguments(c *Config) []string {
	controllers := "*"
	if !c.Options.Full {
		controllers = "*,-" + strings.Join(idleControllers, ",-")
	}
	return append(servingArguments(c, "10257"),
		"--kubeconfig="+c.PKI.Kubeconfig("kube-controller-manager"),
		"--controllers="+controllers,
		"--cluster-cidr="+c.Networks.Pods.String(),
		"--service-cluster-ip-range="+c.Networks.Services.String(),
		"--cluster-signing-cert-file="+c.PKI.File("ca.crt"),
		"--cluster-signing-key-file="+c.PKI.File("ca.key"),
		"--root-ca-file="+c.PKI.File("ca.crt"),
		"--service-account-private-key-file="+c.PKI.File("sa.key"),
		"--flex-volume-plugin-dir="+volumePlugins,
		"--leader-elect=false",
		"--profiling=false",
		"--terminated-pod-gc-threshold=100",
	)
}

// servingArguments make a component's own port answer on loopback only, to the cluster's administrators,
// without asking the API server who somebody is (which costs informers) and without making a key of its own.
func servingArguments(c *Config, port string) []string {
	return []string{
		"--bind-address=127.0.0.1",
		"--secure-port=" + port,
		"--tls-cert-file=" + c.PKI.File("apiserver.crt"),
		"--tls-private-key-file=" + c.PKI.File("apiserver.key"),
		"--client-ca-file=" + c.PKI.File("ca.crt"),
	}
}
