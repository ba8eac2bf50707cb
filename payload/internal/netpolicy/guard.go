package netpolicy

import (
	"context"
	"errors"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"

	"sigs.k8s.io/knftables"

	"kubesolo.io/os/payload/internal/durable"
)

// marker is there while the cluster has NetworkPolicies: so that pods that start with the machine, before the API
// can be asked, are isolated from their first instant on.
const marker = "networkpolicies"

// Open makes the way to the table; it runs nft a few times, and is for those who need it.
func Open() (knftables.Interface, error) { return knftables.New(knftables.InetFamily, Table) }

// Guard cuts the pods off from each other and from the network until their policies are known, if folder says that
// there are any. A table that is there, as the program alone was started again, stays.
func Guard(ctx context.Context, folder string, networks []netip.Prefix, open func() (knftables.Interface, error)) error {
	if !marked(folder) {
		return nil
	}
	nft, err := open()
	if err != nil {
		return err
	}
	if _, err := nft.List(ctx, "chains"); err == nil {
		return nil
	}
	_, err = NewEnforcer(nft).Apply(ctx, Compile(&World{Networks: networks}))
	return err
}

func marked(folder string) bool {
	_, err := os.Stat(filepath.Join(folder, marker))
	return err == nil
}

// mark remembers whether there are policies.
func mark(folder string, are bool) error {
	path := filepath.Join(folder, marker)
	if are {
		return durable.Ensure(path, nil, 0o644)
	}
	err := os.Remove(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}
