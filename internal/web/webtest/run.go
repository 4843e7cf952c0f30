package webtest

import (
	"context"
	"slices"
	"time"

	"github.com/serverplane/serverplane/internal/control"
	"github.com/serverplane/serverplane/internal/plane"
)

// RunSteps answers the steps among what was said.
func (p *Panel) RunSteps(_ context.Context, _ plane.Actor, id string) ([]plane.Event, int64, error) {
	err := p.called("RunSteps", id)
	p.mu.Lock()
	defer p.mu.Unlock()
	var steps []plane.Event
	for _, e := range p.events {
		if e.Kind == plane.EventStep {
			steps = append(steps, e)
		}
	}
	return steps, int64(len(p.events)), err
}

// Runs answers the Run.
func (p *Panel) Runs(_ context.Context, _ plane.Actor, f control.RunFilter) ([]control.RunView, error) {
	err := p.called("Runs", f)
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Repeat([]control.RunView{p.run}, max(1, p.runs)), err
}

// Run answers the Run.
func (p *Panel) Run(_ context.Context, _ plane.Actor, id string) (control.RunView, error) {
	err := p.called("Run", id)
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.run, err
}

// CancelRun ends the Run.
func (p *Panel) CancelRun(_ context.Context, _ plane.Actor, id string) (control.RunView, error) {
	p.about("CancelRun", id)
	err := p.called("CancelRun", id)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.run.Cancel = true
	return p.run, err
}

// Events waits as control does.
func (p *Panel) Events(ctx context.Context, _ plane.Actor, id string, after int64, wait time.Duration) ([]plane.Event, error) {
	p.about("Events", id)
	if err := p.called("Events", wait); err != nil {
		return nil, err
	}
	deadline := time.NewTimer(wait)
	defer deadline.Stop()
	for {
		p.mu.Lock()
		fresh, ended, woken := p.events[min(after, int64(len(p.events))):], p.run.State.Ended(), p.woken
		p.mu.Unlock()
		if len(fresh) > 0 || ended {
			return fresh, nil
		}
		select {
		case <-woken:
		case <-deadline.C:
			return nil, nil
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}
