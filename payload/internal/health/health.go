// Package health looks every few seconds whether the cluster is well, and says so in a file that the node's screen
// and consoles show. What was reached once says nothing about now.
package health

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"kubesolo.io/os/payload/internal/journal"
)

const (
	// A look costs three requests inside the node.
	pause      = 10 * time.Second
	firstPause = 2 * time.Second
	patience   = 10 * time.Second
)

// Check returns what is wrong in words, "" when nothing is.
type Check func(ctx context.Context) string

// Keep runs the checks in order until ctx ends and writes "<uptime in seconds> <words>" into file: ok, or what the
// first check that is not content says.
func Keep(ctx context.Context, file string, checks ...Check) {
	between, last := firstPause, ""
	for {
		words := first(ctx, checks)
		if ctx.Err() != nil {
			return
		}
		if words != last {
			journal.Say("health", "%s", words)
			last = words
		}
		if words == "ok" {
			between = pause
		}
		if err := write(file, words); err != nil {
			journal.Warn("health", "%v", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(between):
		}
	}
}

func first(ctx context.Context, checks []Check) string {
	for _, check := range checks {
		limited, cancel := context.WithTimeout(ctx, patience)
		words := check(limited)
		cancel()
		if words != "" {
			return words
		}
	}
	return "ok"
}

// write replaces the file, so that a reader never sees half of it.
func write(file, words string) error {
	text := fmt.Sprintf("%.0f %s\n", journal.Uptime(), words)
	if err := os.WriteFile(file+".new", []byte(text), 0o644); err != nil {
		return err
	}
	return os.Rename(file+".new", file)
}

// API asks the API server whether it is ready.
func API(client kubernetes.Interface) Check {
	return func(ctx context.Context) string {
		status := 0
		err := client.CoreV1().RESTClient().Get().AbsPath("/readyz").Do(ctx).StatusCode(&status).Error()
		if err != nil || status != http.StatusOK {
			return "the API server is not ready"
		}
		return ""
	}
}

// Node asks what kubelet says of itself.
func Node(client kubernetes.Interface, name string) Check {
	boot := ThisBoot()
	return func(ctx context.Context) string {
		node, err := client.CoreV1().Nodes().Get(ctx, name, metav1.GetOptions{ResourceVersion: "0"})
		if err != nil {
			return "the API server does not know the node"
		}
		if why := NotReady(node, boot); why != "" {
			return "the node is not Ready: " + why
		}
		return ""
	}
}

// bootID is proc_sys_kernel(5)'s name of this start of the machine, as kubelet reports it.
const bootID = "/proc/sys/kernel/random/boot_id"

// ThisBoot returns the identity of this start of the machine, "" without proc.
func ThisBoot() string {
	text, _ := os.ReadFile(bootID)
	return strings.TrimSpace(string(text))
}

// NotReady says why a node is not Ready in this boot, "" when it is. What kubelet said before the machine was switched
// off is still there when it starts.
func NotReady(node *corev1.Node, boot string) string {
	if node.Status.NodeInfo.BootID != boot {
		return "kubelet has said nothing since the machine was started"
	}
	for _, condition := range node.Status.Conditions {
		if condition.Type == corev1.NodeReady {
			if condition.Status == corev1.ConditionTrue {
				return ""
			}
			return condition.Message
		}
	}
	return "kubelet has not said so"
}

// DNS asks the cluster's name server as a pod would: through its Service's address.
func DNS(server, name string) Check {
	resolver := &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, network, server)
	}}
	return func(ctx context.Context) string {
		if _, err := resolver.LookupHost(ctx, name); err != nil {
			return "cluster DNS does not answer"
		}
		return ""
	}
}
