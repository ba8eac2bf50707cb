package netpolicy

import (
	"context"
	"fmt"

	"sigs.k8s.io/knftables"
)

// Enforcer keeps the kernel's table as it should be. It is not for several goroutines.
type Enforcer struct {
	nft knftables.Interface
	has *Ruleset // what the kernel has, nil when that is not known
}

// NewEnforcer returns an enforcer that does not know what the kernel has.
func NewEnforcer(nft knftables.Interface) *Enforcer { return &Enforcer{nft: nft} }

// Apply makes the kernel's table what is wanted, in one transaction, and returns how many operations it took. It
// changes what differs; the first time, and when that fails (somebody else has changed the table), it replaces all.
func (e *Enforcer) Apply(ctx context.Context, wanted *Ruleset) (operations int, err error) {
	if e.has != nil {
		tx := e.nft.NewTransaction()
		addChanges(tx, e.has, wanted)
		if tx.NumOperations() == 0 || e.nft.Run(ctx, tx) == nil {
			e.has = wanted
			return tx.NumOperations(), nil
		}
	}
	tx := e.nft.NewTransaction()
	addWhole(tx, wanted)
	e.has = nil
	if err := e.nft.Run(ctx, tx); err != nil {
		return 0, fmt.Errorf("nftables: %w", err)
	}
	e.has = wanted
	return tx.NumOperations(), nil
}

// Remove takes the table away, if there is one.
func (e *Enforcer) Remove(ctx context.Context) error {
	e.has = nil
	tx := e.nft.NewTransaction()
	tx.Add(&knftables.Table{})
	tx.Delete(&knftables.Table{})
	if err := e.nft.Run(ctx, tx); err != nil {
		return fmt.Errorf("nftables: %w", err)
	}
	return nil
}
