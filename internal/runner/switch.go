package runner

import (
	"context"
	"fmt"
	"slices"
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
	if err := d.step(ctx, "switch visitors over"); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanUp)
	defer cancel()
	if err := d.leaveBehind(ctx); err != nil {
		return err
	}
	return d.move(ctx)
}

// move points the entry to the new slot and writes that it is live.
func (d *deployment) move(ctx context.Context) error {
	if err := d.sift(ctx, d.atBoot(ctx, d.taking(), d.plan.Slot, "enable")); err != nil {
		return err
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
	d.tell(ctx, d.taking(), plane.PartLive, "")
	return d.await(ctx, wanted)
}

// leaveBehind writes that the switch begins. Who takes no part goes out of the
// upstream before it: no visitor may meet an old release after the switch. The
// mark of that is an empty DeploymentID beside the former release, which goLive
// and unlive turn back into the former deployment.
func (d *deployment) leaveBehind(ctx context.Context) error {
	d.plan.State = plane.DeploymentSwitching
	var wanted map[string]int64
	err := d.Store.Write(ctx, func(tx *store.Tx) (err error) {
		wanted = nil
		if err := tx.UpdateDeployment(ctx, d.plan); err != nil {
			return err
		}
		aside := false
		for _, s := range d.out {
			err := change(ctx, tx, s.Backend.ID, func(b *plane.Backend) {
				if d.former.ID != "" && b.DeploymentID == d.former.ID {
					b.DeploymentID, aside = "", true
				}
			})
			if err != nil {
				return err
			}
		}
		if aside {
			wanted, err = raise(ctx, tx, []string{d.crew.primary().Server.ID})
		}
		return err
	})
	if err != nil {
		return err
	}
	return d.await(ctx, wanted)
}

// leftBehind tells whether leaveBehind marked the backend.
func (d *deployment) leftBehind(b plane.Backend) bool {
	return d.former.ID != "" && b.DeploymentID == "" && b.ReleaseID == d.former.ReleaseID
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
	for _, s := range d.crew.seats {
		if err := change(ctx, tx, s.Backend.ID, d.moveOn); err != nil {
			return nil, err
		}
	}
	if d.previous != "" {
		return nil, nil
	}
	return raise(ctx, tx, []string{d.crew.primary().Server.ID})
}

// moveOn counts a backend as switched. One that took part and was behind before
// stays behind until the deployment is completed.
func (d *deployment) moveOn(b *plane.Backend) {
	takes := slices.ContainsFunc(d.taking(), func(s recipe.Seat) bool { return s.Backend.ID == b.ID })
	switch {
	case !takes && d.leftBehind(*b):
		b.DeploymentID = d.former.ID
	case takes && (b.DeploymentID == d.former.ID || d.alone(b.ID)):
		b.Placed, b.ReleaseID, b.DeploymentID = true, d.plan.ReleaseID, d.plan.ID
	}
}

// alone tells whether the entry would have nobody but this backend.
func (d *deployment) alone(id string) bool { return !recipe.OthersServe(d.crew.app, d.crew.seats, id) }

func (d *deployment) verify(ctx context.Context) error {
	if err := d.step(ctx, "verify every backend and the entry"); err != nil {
		return err
	}
	if err := d.probeAll(ctx); err != nil {
		return err
	}
	return d.probeDoor(ctx, d.crew, d.crew.app.Spec.HealthPath)
}

// restore writes that the former deployment is live, or none where there was none, and returns what the servers' trees
// should have become then.
func (d *deployment) restore(ctx context.Context) (map[string]int64, error) {
	if d.previous != "" {
		if err := d.mark(ctx, d.previous); err != nil {
			return nil, fmt.Errorf("switch back: %w", err)
		}
	}
	var wanted map[string]int64
	err := d.Store.Write(ctx, func(tx *store.Tx) (err error) {
		wanted, err = d.unlive(ctx, tx)
		return err
	})
	return wanted, err
}

// switchBack returns to what was live before; after an app's first deployment
// that is nothing, so its entry goes again.
func (d *deployment) switchBack(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanUp)
	defer cancel()
	wanted, err := d.restore(ctx)
	if err != nil {
		return err
	}
	d.tell(ctx, d.wentLive(), plane.PartReverted, "")
	if d.previous != "" {
		d.reverted = true // by the book too: only then is the new slot stopped
		return d.await(ctx, wanted)
	}
	err = d.await(ctx, wanted)
	d.reverted = err == nil
	return err
}

// wentLive lists the seats that visitors got the new release from.
func (d *deployment) wentLive() []recipe.Seat {
	live := func(p plane.Part) bool { return p.State == plane.PartLive }
	return slices.DeleteFunc(d.taking(), func(s recipe.Seat) bool {
		return !slices.ContainsFunc(d.plan.Parts, func(p plane.Part) bool { return p.Server == s.Server.Name && live(p) })
	})
}

// unlive writes that the former deployment is live again, or none.
func (d *deployment) unlive(ctx context.Context, tx *store.Tx) (map[string]int64, error) {
	if err := tx.SetLive(ctx, d.crew.app.ID, d.previous, d.former.ID); err != nil {
		return nil, err
	}
	restored := d.previous == ""
	for _, s := range d.crew.seats {
		err := change(ctx, tx, s.Backend.ID, func(b *plane.Backend) {
			switch {
			case b.DeploymentID == d.plan.ID:
				b.DeploymentID, b.ReleaseID, b.Placed = d.former.ID, d.former.ReleaseID, b.Placed && d.previous != ""
			case d.leftBehind(*b):
				b.DeploymentID, restored = d.former.ID, true
			}
		})
		if err != nil {
			return nil, err
		}
	}
	if !restored {
		return nil, nil
	}
	return raise(ctx, tx, []string{d.crew.primary().Server.ID})
}

// atBoot enables or disables a slot for the next boot. The new one is enabled
// before traffic moves: a server that boots right after the switch must come up
// with the slot visitors are sent to.
func (d *deployment) atBoot(ctx context.Context, seats []recipe.Seat, slot plane.Slot, verb string) map[string]error {
	unit := files.UnitName(d.crew.app.Name, string(slot))
	return eachSeat(seats, func(s recipe.Seat) error {
		res, err := d.Pool.Exec(ctx, recipe.Target(s.Server), remote.Command{Args: []string{"systemctl", verb, "--quiet", unit}, Sudo: true})
		if err == nil && res.Exit != 0 {
			err = fmt.Errorf("%s %s on %s: %s", verb, unit, s.Server.Name, firstLine(string(res.Stderr)))
		}
		return err
	})
}
