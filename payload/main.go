// Command kubesolo is a one-node Kubernetes cluster in one process. Called as kubectl it is kubectl.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"k8s.io/component-base/version"

	"kubesolo.io/os/payload/internal/cluster"
	"kubesolo.io/os/payload/internal/journal"
	"kubesolo.io/os/payload/internal/options"
)

func main() {
	if filepath.Base(os.Args[0]) == "kubectl" {
		os.Exit(kubectl())
	}
	os.Exit(kubesolo(os.Args[1:]))
}

// kubesolo returns the exit status: 0 after a wanted stop, 2 for a bad command line, 1 for all else.
func kubesolo(args []string) int {
	o, err := options.Parse(args, os.LookupEnv)
	switch {
	case errors.Is(err, options.ErrHelp):
		return 0
	case err != nil:
		fmt.Fprintf(os.Stderr, "kubesolo: %v\n", err)
		return 2
	case o.Version:
		fmt.Printf("kubesolo, Kubernetes %s\n", version.Get().GitVersion)
		return 0
	}
	if err := o.PreparePath(); err != nil {
		fmt.Fprintf(os.Stderr, "kubesolo: %v\n", err)
		return 1
	}
	journal.QuietLibraries(o.Debug)
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	err = cluster.Run(ctx, o)
	if errors.Is(err, cluster.ErrMoved) {
		// Whoever asked the program to stop meanwhile waits for its end.
		if err = nil; ctx.Err() == nil {
			err = again()
		}
	}
	if err != nil {
		journal.Fail("kubesolo", "stopped: %v", err)
		return 1
	}
	journal.Say("kubesolo", "stopped")
	return 0
}

// again starts this program anew in its own process, so that no supervisor takes it for a crash. It returns only when
// that fails.
func again() error {
	program, err := os.Executable()
	if err != nil {
		return err
	}
	// As run-payload starts it: no collection until the program sets its own limits.
	return syscall.Exec(program, os.Args, append(os.Environ(), "GOGC=off"))
}
