package runner

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/serverplane/serverplane/internal/files"
	"github.com/serverplane/serverplane/internal/plane"
	"github.com/serverplane/serverplane/internal/recipe"
	"github.com/serverplane/serverplane/internal/remote"
	"github.com/serverplane/serverplane/internal/store"
)

// switchOver moves all traffic at once. It is written down before it is done:
// a panel that dies here carries the deployment forward when it is back. A wish
// to cancel cannot come between the marker and the book: it takes effect at the
// next step, which switches back.
func (d *deployment) switchOver(ctx context.Context) error {
	if err := d.step(ctx, "switch to slot "+string(d.plan.Slot)); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanUp)
	defer cancel()
	if err := d.save(ctx, plane.DeploymentSwitching); err != nil {
		return err
	}
	if failed := d.atBoot(ctx, servers(d.crew.in()), "enable"); failed != nil {
		return failed
	}
	if err := d.mark(ctx, d.plan.Slot); err != nil {
		return err
	}
	d.plan.LiveAt = d.Now().UTC()
	var wanted map[string]int64
	err := d.Store.Write(ctx, func(tx *store.Tx) (err error) {
		wanted, err = d.goLive(ctx, tx)
		return err
	})
	if err != nil {
		return err
	}
	return d.await(ctx, wanted)
}

// mark creates or removes the marker by which the entry picks a slot.
func (d *deployment) mark(ctx context.Context, slot plane.Slot) error {
	primary := d.crew.primary().Server
	out, err := d.Pool.Switch(ctx, recipe.Target(primary), d.crew.app.Name, string(slot))
	if err != nil {
		return fmt.Errorf("switch on %s: %w", primary.Name, err)
	}
	if out.Result != remote.Applied && out.Result != remote.Unchanged {
		return fmt.Errorf("switch on %s: %s", primary.Name, describe(out))
	}
	d.say(primary.Name, "slot %s is live (%s, %s)", slot, out.Result, out.Took.Round(time.Millisecond))
	return nil
}

// goLive writes what is live. Only the app's first deployment changes the
// entry's Nginx; every other is the marker alone.
func (d *deployment) goLive(ctx context.Context, tx *store.Tx) (map[string]int64, error) {
	d.plan.State = plane.DeploymentVerifying
	if err := tx.UpdateDeployment(ctx, d.plan); err != nil {
		return nil, err
	}
	if err := tx.SetLive(ctx, d.crew.app.ID, d.plan.Slot, d.plan.ID); err != nil {
		return nil, err
	}
	for _, s := range d.crew.in() {
		b := s.Backend
		b.Placed, b.ReleaseID = true, d.plan.ReleaseID
		if err := tx.UpdateBackend(ctx, b); err != nil {
			return nil, err
		}
	}
	if d.previous != "" {
		return nil, nil
	}
	return raise(ctx, tx, []string{d.crew.primary().Server.ID})
}

func (d *deployment) verify(ctx context.Context) error {
	if err := d.step(ctx, "verify every backend and the entry"); err != nil {
		return err
	}
	path := d.crew.app.Spec.HealthPath
	if err := d.probeSlot(ctx, d.crew, d.crew.in(), d.plan.Slot, path); err != nil {
		return err
	}
	return d.probeDoor(ctx, d.crew, path)
}

// switchBack returns to what was live before; after an app's first deployment
// that is nothing, so its entry goes again.
func (d *deployment) switchBack(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanUp)
	defer cancel()
	if d.previous != "" {
		if err := d.mark(ctx, d.previous); err != nil {
			return fmt.Errorf("switch back: %w", err)
		}
	}
	var wanted map[string]int64
	err := d.Store.Write(ctx, func(tx *store.Tx) (err error) {
		wanted, err = d.unlive(ctx, tx)
		return err
	})
	if err == nil {
		err = d.await(ctx, wanted)
	}
	d.reverted = err == nil // by the book too: only then is the new slot stopped
	return err
}

// unlive writes that the former deployment is live again, or none.
func (d *deployment) unlive(ctx context.Context, tx *store.Tx) (map[string]int64, error) {
	if err := tx.SetLive(ctx, d.crew.app.ID, d.previous, d.former.ID); err != nil {
		return nil, err
	}
	for _, s := range d.crew.in() {
		b := s.Backend
		b.ReleaseID = d.former.ReleaseID
		b.Placed = b.Placed && d.previous != ""
		if err := tx.UpdateBackend(ctx, b); err != nil {
			return nil, err
		}
	}
	if d.previous != "" {
		return nil, nil
	}
	return raise(ctx, tx, []string{d.crew.primary().Server.ID})
}

// retire lets the old slot finish what it has, then stops it, keeps the live
// one for the next boot and prunes old releases.
func (d *deployment) retire(ctx context.Context) error {
	if d.previous != "" {
		if err := d.step(ctx, "let the old slot finish its requests"); err != nil {
			return err
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
	keep, err := d.kept(ctx)
	if err != nil {
		return err
	}
	play, err := recipe.Retire(d.run.ID, d.crew.app, d.plan.Slot, keep, d.crew.in())
	if err != nil {
		return err
	}
	if err := d.play(ctx, play); err != nil {
		if errors.Is(err, errLost) {
			return err
		}
		d.say("", "the deployment is live, but tidying up after it failed; the next deployment tidies again: %v", err)
	}
	return nil
}

// atBoot enables or disables the plan's slot for the next boot. It is enabled
// before traffic moves: a server that boots right after the switch must come up
// with the slot visitors are sent to.
func (d *deployment) atBoot(ctx context.Context, servers []plane.Server, verb string) error {
	errs := make([]error, len(servers))
	var all sync.WaitGroup
	for i, s := range servers {
		all.Go(func() {
			unit := files.UnitName(d.crew.app.Name, string(d.plan.Slot))
			res, err := d.Pool.Exec(ctx, recipe.Target(s), remote.Command{Args: []string{"systemctl", verb, "--quiet", unit}, Sudo: true})
			if err == nil && res.Exit != 0 {
				err = fmt.Errorf("%s %s on %s: %s", verb, unit, s.Name, firstLine(string(res.Stderr)))
			}
			errs[i] = err
		})
	}
	all.Wait()
	return errors.Join(errs...)
}
