package localpath

import (
	"context"
	"path/filepath"
	"time"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/sig-storage-lib-external-provisioner/v13/controller"
)

// What fails is tried again soon, as most often a folder has to be mounted first, and then less and less often.
const (
	firstRetry = 2 * time.Second
	lastRetry  = 2 * time.Minute
)

// Run makes and removes volumes until ctx ends: below folder, and below shared those that several nodes may write
// to; "" is none.
func Run(ctx context.Context, client kubernetes.Interface, folder, shared string) error {
	controller.NewProvisionController(ctx, client, Provisioner, newProvisioner(folder, shared),
		controller.LeaderElection(false), // there is no other
		controller.MetricsPort(0),
		controller.Threadiness(1),
		controller.FailedProvisionThreshold(0), // never gives up
		controller.FailedDeleteThreshold(0),
		// The API server keeps the volume until its folder is gone.
		controller.AddFinalizer(true),
		controller.RateLimiter(workqueue.NewTypedItemExponentialFailureRateLimiter[string](firstRetry, lastRetry)),
	).Run(ctx)
	return nil
}

func newProvisioner(folder, shared string) *provisioner {
	p := &provisioner{local: folders{base: filepath.Clean(folder), own: true}}
	if shared != "" {
		p.shared = folders{base: filepath.Clean(shared)}
	}
	return p
}
