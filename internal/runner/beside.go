package runner

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/serverplane/serverplane/internal/plane"
	"github.com/serverplane/serverplane/internal/recipe"
	"github.com/serverplane/serverplane/internal/store"
)

// beside is the ordinary passage: the new slot is started and asked beside the
// old one on every backend, then one marker moves all visitors at once.
type beside struct{ *deployment }

func (b beside) steps(begins bool) int {
	total := 1 // switch
	if begins {
		total += 2 // build, ask
	}
	if b.previous != "" {
		total++ // let requests finish
	}
	return total
}

func (b beside) ready(ctx context.Context) error {
	if err := b.portsOfItsOwn(ctx); err != nil {
		return err
	}
	if err := b.bringUp(ctx); err != nil {
		return err
	}
	if err := b.compareRuntimes(ctx); err != nil {
		return err
	}
	b.tell(ctx, b.taking(), plane.PartStarted, "")
	// Before anybody asks: what needs a new table cannot answer well without it.
	if err := b.runOnce(ctx); err != nil {
		return err
	}
	if err := b.ask(ctx); err != nil {
		return err
	}
	b.tell(ctx, b.taking(), plane.PartReady, "")
	return nil
}

func (b beside) cross(ctx context.Context) error { return b.switchOver(ctx) }
func (b beside) back(ctx context.Context) error  { return b.switchBack(ctx) }
func (b beside) end(ctx context.Context) error   { return b.retire(ctx) }

// portsOfItsOwn writes which port each slot has from now on, before the new one is told. The local site of the live
// slot leads where it led: the sites come into force when they are asked through.
func (d *deployment) portsOfItsOwn(ctx context.Context) error {
	err := d.Store.Write(ctx, func(tx *store.Tx) error {
		for _, s := range d.taking() {
			if err := shareSlots(ctx, tx, s.Backend.ID, d.plan.Spec.SharedPort); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	return d.refresh(ctx)
}

// shareSlots writes which port both local sites of a backend lead to, or that each has its own.
func shareSlots(ctx context.Context, tx *store.Tx, backendID string, port func(plane.Ports) int) error {
	return change(ctx, tx, backendID, func(b *plane.Backend) { b.Ports.Shared = port(b.Ports) })
}

// bringUp has the release built, where it is not on disk, and started in the idle
// slot of each server, where it does not run there still.
func (d *deployment) bringUp(ctx context.Context) error {
	if err := d.step(ctx, d.bringUpStep()); err != nil {
		return err
	}
	standing, err := d.standing(ctx)
	if err != nil {
		return err
	}
	for _, s := range standing {
		d.say(s.Server.Name, "slot %s still runs release %s: nothing is started", d.plan.Slot, d.plan.ReleaseID)
	}
	rest := slices.DeleteFunc(d.taking(), func(s recipe.Seat) bool { return contains(standing, s) })
	if len(rest) == 0 {
		return nil
	}
	if err := d.weighMemory(ctx, rest); err != nil {
		return err
	}
	rest = slices.DeleteFunc(rest, func(s recipe.Seat) bool { return !contains(d.taking(), s) }) // one that is off may have been left out
	failed, err := d.buildEach(ctx, rest, d.plan, d.crew.app, recipe.StartBeside)
	if err != nil {
		return err
	}
	return d.sift(ctx, failed)
}

// bringUpStep names the step by what it takes: how long it may be expected to
// take is read from steps of the same name.
func (d *deployment) bringUpStep() string {
	if d.plan.SourceID != "" {
		return "start in the idle slot"
	}
	return "build and start in the idle slot"
}

func contains(seats []recipe.Seat, s recipe.Seat) bool {
	return slices.ContainsFunc(seats, func(o recipe.Seat) bool { return o.Backend.ID == s.Backend.ID })
}

// ask brings the new slot's local sites in force and asks each of them.
func (d *deployment) ask(ctx context.Context) error {
	if err := d.step(ctx, "ask every backend's new slot"); err != nil {
		return err
	}
	if err := d.steerSeats(ctx, ids(d.firm)); err != nil {
		return err
	}
	failed := map[string]error{}
	for _, s := range d.loose {
		failed[s.Server.Name] = d.steerSeats(ctx, []string{s.Server.ID})
	}
	if err := errors.Join(context.Cause(ctx), d.sift(ctx, failed)); err != nil {
		return err
	}
	return d.probeAll(ctx)
}

// retire lets the old slot finish what it has, then stops it, keeps the live
// one for the next boot and prunes old releases.
func (d *deployment) retire(ctx context.Context) error {
	if d.previous != "" {
		if err := d.step(ctx, "let the old slot finish its requests"); err != nil {
			return err
		}
		if d.wantedBack(ctx) {
			return d.retireNow(ctx)
		}
		wait := time.NewTimer(d.plan.Spec.Drain())
		defer wait.Stop()
		select {
		case <-wait.C:
		case <-ctx.Done(): // stopping early is still a completed deployment: traffic has moved
			if errors.Is(context.Cause(ctx), errLost) {
				return errLost
			}
			return d.retireNow(context.WithoutCancel(ctx))
		}
	}
	return d.retireNow(ctx)
}

func (d *deployment) retireNow(ctx context.Context) error {
	if err := d.step(ctx, "stop the old slot, keep the new one at boot"); err != nil {
		return err
	}
	return d.endOldSlot(ctx)
}

func (d *deployment) endOldSlot(ctx context.Context) error {
	if d.wantedBack(ctx) {
		d.leaveForRollback(ctx)
		return nil
	}
	return d.tidy(ctx)
}

// tidy leaves the new slot alone on each server, kept at boot, and prunes old releases.
func (d *deployment) tidy(ctx context.Context) error {
	keep, err := d.kept(ctx)
	if err != nil {
		return err
	}
	play, err := recipe.Retire(d.run.ID, d.crew.app, d.plan.Slot, keep, d.taking())
	if err != nil {
		return err
	}
	if err := d.play(ctx, play); err != nil {
		if errors.Is(err, errLost) {
			return err
		}
		d.say("", "the deployment is live, but tidying up after it failed; the next deployment tidies again: %v", err)
		return nil
	}
	return d.endPasswords(ctx)
}
