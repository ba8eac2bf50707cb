// Package conformance names what is compiled from this module: Kubernetes' own tests of a cluster.
package conformance

import (
	_ "k8s.io/kubernetes/test/e2e"
)
