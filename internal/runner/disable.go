package runner

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/serverplane/serverplane/internal/plane"
	"github.com/serverplane/serverplane/internal/recipe"
	"github.com/serverplane/serverplane/internal/store"
)

// disable moves all traffic to the primary; the other backends stay deployed and
// off, or are removed where that was asked for.
//
// Nothing is left half. Until the one transaction nothing has changed. After it
// the wish stays wished: a tree that cannot be put in force leaves the old one,
// and every process, as they are until it can. Only an entry that does not answer
// from the primary alone takes the wish back. Backends are removed after all
// that, each by itself.
type disable struct {
	*job
	crew crew // as it was before
	at   time.Time
}

func (d *disable) do(ctx context.Context) error {
	d.steps(3)
	a, err := d.args()
	if err != nil {
		return err
	}
	if err := d.ready(ctx); err != nil {
		return err
	}
	if err := d.move(ctx); err != nil {
		return err
	}
	if err := d.step(ctx, "verify the entry"); err != nil {
		return err
	}
	if err := d.probeDoor(ctx, d.crew, d.crew.app.Spec.HealthPath); err != nil {
		return d.takeBack(ctx, err)
	}
	if !a.RemoveBackends {
		return nil
	}
	return d.removeOthers(ctx, a.Discard)
}

// ready holds that the primary can serve alone: traffic must not be moved to a
// process that is dead or behind.
func (d *disable) ready(ctx context.Context) error {
	err := d.Store.Read(ctx, func(tx *store.Tx) (err error) {
		d.crew, err = loadCrew(ctx, tx, d.run.AppID)
		return err
	})
	if err != nil {
		return err
	}
	app, primary := d.crew.app, d.crew.primary()
	if err := d.step(ctx, "ask the primary's own backend"); err != nil {
		return err
	}
	if !primary.Backend.Current(app) {
		return plane.Conflict(primary.Server.Name+" does not hold what is live, so it cannot serve alone",
			fmt.Sprintf("backend repair %s %s first", app.Name, primary.Server.Name))
	}
	if err := d.probeSlot(ctx, d.crew, []recipe.Seat{primary}, app.LiveSlot, app.Spec.HealthPath); err != nil {
		return fmt.Errorf("the primary cannot serve alone, nothing was changed: %w", err)
	}
	return nil
}

func (d *disable) move(ctx context.Context) error {
	if err := d.step(ctx, "move all traffic to the primary"); err != nil {
		return err
	}
	d.at = d.Now().UTC().Truncate(time.Microsecond)
	var wanted map[string]int64
	err := d.Store.Write(ctx, func(tx *store.Tx) (err error) {
		if err := d.setStatus(ctx, tx, plane.BalancerOff); err != nil {
			return err
		}
		for _, s := range d.crew.seats {
			err := change(ctx, tx, s.Backend.ID, func(b *plane.Backend) {
				if b.Enabled != b.Primary {
					b.Enabled, b.WishedAt = b.Primary, d.at
				}
			})
			if err != nil {
				return err
			}
		}
		wanted, err = raise(ctx, tx, []string{d.crew.primary().Server.ID})
		return err
	})
	if err != nil {
		return err
	}
	if err := d.await(ctx, wanted); err != nil {
		return fmt.Errorf("the wish is kept and comes into force by itself; until then the backends serve as before: %w", err)
	}
	return nil
}

func (d *disable) setStatus(ctx context.Context, tx *store.Tx, status plane.BalancerStatus) error {
	a, err := tx.App(ctx, d.run.AppID)
	if err != nil {
		return err
	}
	a.Balancer.Status, a.Balancer.Reason = status, ""
	return tx.SetBalancer(ctx, a.ID, a.Balancer)
}

// takeBack lets the others serve again when the entry does not answer without
// them, or a person thought better of it. A panel that stops, or lost the Run,
// leaves the wish in force.
func (d *disable) takeBack(ctx context.Context, failure error) error {
	if cause := context.Cause(ctx); cause != nil && !errors.Is(cause, errCancelled) {
		return failure
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanUp)
	defer cancel()
	var wanted map[string]int64
	err := d.Store.Write(ctx, func(tx *store.Tx) (err error) {
		if err := d.setStatus(ctx, tx, d.crew.app.Balancer.Status); err != nil {
			return err
		}
		for _, s := range d.crew.seats {
			err := change(ctx, tx, s.Backend.ID, func(b *plane.Backend) {
				if b.WishedAt.Equal(d.at) {
					b.Enabled, b.WishedAt = s.Backend.Enabled, s.Backend.WishedAt
				}
			})
			if err != nil {
				return err
			}
		}
		wanted, err = raise(ctx, tx, []string{d.crew.primary().Server.ID})
		return err
	})
	if err == nil {
		err = d.await(ctx, wanted)
	}
	return errors.Join(fmt.Errorf("the entry did not answer from the primary alone, the backends serve again: %w", failure), err)
}

// removeOthers removes every other backend; one that fails does not keep the
// rest from going.
func (d *disable) removeOthers(ctx context.Context, discard bool) error {
	others := d.crew.seats[1:]
	if len(others) == 0 {
		return nil
	}
	d.steps(d.run.Total + 2 + len(others))
	if err := d.step(ctx, "take the backends out for good"); err != nil {
		return err
	}
	var wanted map[string]int64
	err := d.Store.Write(ctx, func(tx *store.Tx) (err error) {
		wanted, err = markLeaving(ctx, tx, d.crew, others)
		return err
	})
	if err != nil {
		return err
	}
	if err := d.emptyOut(ctx, d.crew, others, wanted); err != nil {
		return err
	}
	var stuck []string
	for _, s := range others {
		if err := d.removeOne(ctx, s, discard); err != nil {
			d.error(err)
			stuck = append(stuck, s.Server.Name)
		}
	}
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	if len(stuck) > 0 {
		return fmt.Errorf("load balancing is off; not removed completely: %s (see the receipt; backend remove %s SERVER continues)",
			strings.Join(stuck, ", "), d.crew.app.Name)
	}
	return nil
}

func (d *disable) removeOne(ctx context.Context, s recipe.Seat, discard bool) error {
	if err := d.step(ctx, "remove what the app left on "+s.Server.Name); err != nil {
		return err
	}
	if err := d.clear(ctx, d.crew, s, discard); err != nil {
		return err
	}
	return d.Store.Write(ctx, func(tx *store.Tx) error { return tx.DeleteBackend(ctx, s.Backend.ID) })
}

func (d *disable) undo(context.Context, error) {}

func (d *disable) done(context.Context, *store.Tx) error { return nil }

// failed says why at the load balancer where it is off by now, and at each
// backend that was to be removed and is not gone.
func (d *disable) failed(ctx context.Context, tx *store.Tx, state plane.RunState, reason string) error {
	backends, err := tx.BackendsOf(ctx, d.run.AppID)
	if err != nil {
		return err
	}
	for _, b := range backends {
		if err := d.keepLeft(ctx, tx, b.ID, state, reason); err != nil {
			return err
		}
	}
	a, err := tx.App(ctx, d.run.AppID)
	if err != nil || a.Balancer.Status != plane.BalancerOff {
		return err
	}
	a.Balancer.Reason = fmt.Sprintf("switching it off %s: %s", state, reason)
	return tx.SetBalancer(ctx, a.ID, a.Balancer)
}
