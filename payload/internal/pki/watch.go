package pki

import (
	"context"
	"fmt"
	"slices"
	"time"
)

const (
	tick = 20 * time.Second
	// checkEvery is how often a running node looks at its certificates, by the wall clock: a clock that
	// is set forward by years soon after boot leads to a check at the next tick.
	checkEvery = 12 * time.Hour
	// mostBack and mostAhead are how far the clock may be set under a running process. Tokens that it has
	// issued are not valid before their time, and kubelet renews them only when they get old; the API server's
	// certificate for itself begins an hour before it was made and ends a year after.
	mostBack  = 5 * time.Minute
	mostAhead = 30 * 24 * time.Hour
)

// Events is what Keep calls.
type Events struct {
	// Renewed gets the names of what was written, Failed the reason when it could not be.
	Renewed func([]string)
	Failed  func(error)
	// Outdated gets the reason why what the process holds in memory is no longer of use: it has to start again.
	Outdated func(error)
}

// Keep ensures the certificates of a running node until ctx ends: every 12 hours, when the names change and
// when the clock is set. It returns when the process has to start again.
func (p *PKI) Keep(ctx context.Context, current func() Names, events Events) {
	p.keep(ctx, tick, current, events)
}

func (p *PKI) keep(ctx context.Context, tick time.Duration, current func() Names, events Events) {
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
		step := p.stepped()
		elapsed := now.Sub(last)
		if elapsed >= 0 && elapsed < checkEvery && !tooFar(step) && fresh.equal(names) {
			continue
		}
		last, names = now, fresh
		written, err := p.Ensure(names)
		if err != nil {
			events.Failed(err)
			continue
		}
		if len(written) > 0 {
			events.Renewed(written)
		}
		if reason := outdated(step, written); reason != nil {
			events.Outdated(reason)
			return
		}
	}
}

// stepped is how far the clock has been set since the process began: forwards, or back when negative.
func (p *PKI) stepped() time.Duration {
	return p.now().Round(0).Sub(p.made.Round(0)) - p.uptime()
}

func tooFar(step time.Duration) bool { return step < -mostBack || step > mostAhead }

// outdated says why the process has to start again, if it has to. Clients inside it have read the authority's
// certificate once, and so have those whom the controllers told it.
func outdated(step time.Duration, written []string) error {
	switch {
	case step < -mostBack:
		return fmt.Errorf("the clock was set back by %v: what was issued before is not valid yet", -step.Round(time.Second))
	case step > mostAhead:
		return fmt.Errorf("the clock was set forward by %v: what was issued before gets invalid", step.Round(time.Second))
	case slices.ContainsFunc(written, func(name string) bool { return slices.Contains(authorities, name) }):
		return fmt.Errorf("the authority's certificate was signed anew: %v", written)
	}
	return nil
}
