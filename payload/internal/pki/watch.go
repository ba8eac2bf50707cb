package pki

import (
	"context"
	"time"
)

const (
	tick = 20 * time.Second
	// checkEvery is how often a running node looks at its certificates, by the wall clock: a clock that
	// is set forward by years soon after boot leads to a check at the next tick.
	checkEvery = 12 * time.Hour
)

// Keep ensures the certificates of a running node until ctx ends: every 12 hours and when the names
// change. It calls renewed with what was written, failed with the reason when it could not.
func (p *PKI) Keep(ctx context.Context, current func() Names, renewed func([]string), failed func(error)) {
	p.keep(ctx, tick, current, renewed, failed)
}

func (p *PKI) keep(ctx context.Context, tick time.Duration, current func() Names, renewed func([]string), failed func(error)) {
	ticker := time.NewTicker(tick)
	defer ticker.Stop()
	last, names := p.now().Round(0), current()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		now, fresh := p.now().Round(0), current()
		if elapsed := now.Sub(last); elapsed >= 0 && elapsed < checkEvery && fresh.equal(names) {
			continue
		}
		last, names = now, fresh
		written, err := p.Ensure(names)
		if err != nil {
			failed(err)
		} else if len(written) > 0 {
			renewed(written)
		}
	}
}
