package runner

import (
	"context"
	"errors"
	"io"
	"sync"

	"github.com/serverplane/serverplane/internal/files"
	"github.com/serverplane/serverplane/internal/plane"
	"github.com/serverplane/serverplane/internal/recipe"
	"github.com/serverplane/serverplane/internal/store"
)

// archive opens the exact tree of a commit whenever a play wants it.
func (j *job) archive(ctx context.Context, appID, commit string) func() (io.ReadCloser, error) {
	return func() (io.ReadCloser, error) { return j.Mirrors.Archive(ctx, appID, commit) }
}

// build brings the plan's slot of each seat to a started state.
func (j *job) build(ctx context.Context, seats []recipe.Seat, plan plane.Deployment, app plane.App) error {
	failed, err := j.buildEach(ctx, seats, plan, app, recipe.StartBeside)
	return errors.Join(err, joined(failed))
}

func (j *job) buildEach(ctx context.Context, seats []recipe.Seat, plan plane.Deployment, app plane.App, start recipe.Start) (map[string]error, error) {
	values, err := j.variables(plan)
	if err != nil {
		return nil, err
	}
	supplies, err := j.supplies(ctx, app)
	if err != nil {
		return nil, err
	}
	p := recipe.Preparation{
		Run: j.run.ID, App: app, Plan: plan, Values: values, Seats: seats, Databases: supplies,
		Archive: j.archive(ctx, app.ID, plan.Commit), Kinds: j.Kinds, Start: start,
	}
	kind, err := j.Kinds.Of(app.Kind)
	if err != nil {
		return nil, err
	}
	if kind.BuiltOnce(plan.Spec.Options) {
		return j.buildOnce(ctx, p)
	}
	return j.prepare(ctx, p)
}

func (j *job) prepare(ctx context.Context, p recipe.Preparation) (map[string]error, error) {
	if len(p.Seats) == 0 {
		return nil, nil
	}
	play, err := recipe.Prepare(p)
	if err != nil {
		return nil, err
	}
	return j.playEach(ctx, play)
}

// steerSeats puts the newest trees in force, one server after the other: never
// are two servers of one app reloaded at once, also not by two Runs.
func (j *job) steerSeats(ctx context.Context, servers []string) error {
	for _, id := range servers {
		if err := j.steerSeat(ctx, id); err != nil {
			return err
		}
	}
	return nil
}

func (j *job) steerSeat(ctx context.Context, id string) error {
	select {
	case j.turn <- struct{}{}:
		defer func() { <-j.turn }()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	var wanted map[string]int64
	err := j.Store.Write(ctx, func(tx *store.Tx) (err error) {
		wanted, err = raise(ctx, tx, []string{id})
		return err
	})
	if err != nil {
		return err
	}
	return j.await(ctx, wanted)
}

// stopSlot stops a slot's process on all servers at once.
func (j *job) stopSlot(ctx context.Context, app plane.App, servers []plane.Server, slot plane.Slot) {
	var all sync.WaitGroup
	for _, s := range servers {
		all.Go(func() {
			if err := j.stopUnit(ctx, s, files.UnitName(app.Name, string(slot))); err != nil {
				j.say(s.Name, "warning: could not stop slot %s: %v", slot, err)
			}
		})
	}
	all.Wait()
}
