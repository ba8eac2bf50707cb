package components

import (
	"context"

	"k8s.io/kubernetes/cmd/kube-scheduler/app"
	"k8s.io/kubernetes/cmd/kube-scheduler/app/options"
)

// Scheduler runs kube-scheduler until ctx ends.
func Scheduler(ctx context.Context, c *Config) error {
	run := options.NewOptions()
	args := append(servingArguments(c, "10259"),
		"--kubeconfig="+c.PKI.Kubeconfig("kube-scheduler"),
		"--leader-elect=false",
		"--profiling=false",
	)
	if err := parse("kube-scheduler", *run.Flags, args); err != nil {
		return err
	}
	config, scheduler, err := app.Setup(ctx, run)
	if err != nil {
		return err
	}
	return app.Run(ctx, config, scheduler)
}
