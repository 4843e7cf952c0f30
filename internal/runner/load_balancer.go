package runner

import (
	"context"

	"github.com/serverplane/serverplane/internal/plane"
	"github.com/serverplane/serverplane/internal/store"
)

// enable puts an app's method in force at the entry and proves that the entry
// still answers.
type enable struct {
	*job
	crew crew
}

func (e *enable) do(ctx context.Context) error {
	e.steps(2)
	err := e.Store.Read(ctx, func(tx *store.Tx) (err error) {
		e.crew, err = loadCrew(ctx, tx, e.run.AppID)
		return err
	})
	if err != nil {
		return err
	}
	if err := e.step(ctx, "put the method in force at the entry"); err != nil {
		return err
	}
	if err := e.steerSeats(ctx, []string{e.crew.primary().Server.ID}); err != nil {
		return err
	}
	if err := e.step(ctx, "verify the entry"); err != nil {
		return err
	}
	return e.probeDoor(ctx, e.crew, e.crew.app.Spec.HealthPath)
}

func (e *enable) undo(context.Context, error) {}

func (e *enable) done(ctx context.Context, tx *store.Tx) error {
	return e.set(ctx, tx, plane.BalancerOn, "")
}

func (e *enable) failed(ctx context.Context, tx *store.Tx, _ plane.RunState, reason string) error {
	return e.set(ctx, tx, plane.BalancerFailed, reason)
}

func (e *enable) set(ctx context.Context, tx *store.Tx, status plane.BalancerStatus, reason string) error {
	a, err := tx.App(ctx, e.run.AppID)
	if err != nil {
		return err
	}
	a.Balancer.Status, a.Balancer.Reason = status, reason
	return tx.SetBalancer(ctx, a.ID, a.Balancer)
}
