package runner

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/serverplane/serverplane/internal/plane"
	"github.com/serverplane/serverplane/internal/recipe"
	"github.com/serverplane/serverplane/internal/store"
)

// roster says who takes part in a deployment, and how.
type roster struct {
	firm  []recipe.Seat // must succeed: the primary, and what a person has on
	loose []recipe.Seat // off: takes part without being able to fail it
	out   []recipe.Seat // deployed and takes no part: behind from the switch on
}

// taking lists who takes part, the primary first.
func (r roster) taking() []recipe.Seat { return slices.Concat(r.firm, r.loose) }

// enlist chooses who takes part in a deployment that begins. A backend on its
// way out, or never let in, is no part of it.
func enlist(c crew, without []string) (roster, error) {
	var r roster
	for _, s := range c.seats {
		left := slices.Contains(without, s.Server.Name)
		without = slices.DeleteFunc(slices.Clone(without), func(n string) bool { return n == s.Server.Name })
		switch b := s.Backend; {
		case b.Primary && left:
			return r, plane.Invalid("without", s.Server.Name+" is the primary, which takes part in every deployment", "")
		case b.Primary:
			r.firm = append(r.firm, s)
		case b.Removing || !b.Placed:
		case left:
			r.out = append(r.out, s)
		case b.Enabled:
			r.firm = append(r.firm, s)
		default:
			r.loose = append(r.loose, s)
		}
	}
	if len(without) > 0 {
		return r, plane.Invalid("without", fmt.Sprintf("%s has no backend on %s", c.app.Name, without[0]), "see backend list "+c.app.Name)
	}
	return r, r.refuseNobody(c)
}

// refuseNobody holds that somebody serves after the switch.
func (r roster) refuseNobody(c crew) error {
	serves := func(s recipe.Seat) bool { return s.Backend.Enabled }
	if c.app.Balancer.Status == plane.BalancerOff || slices.ContainsFunc(r.firm, serves) {
		return nil
	}
	return plane.Conflict("nobody who is on would take part, so that nobody would serve", "turn the primary's own backend on first")
}

// resume finds who took part in a deployment that is carried forward.
func resume(c crew, tookPart func(recipe.Seat) bool) roster {
	var r roster
	for _, s := range c.seats {
		b := s.Backend
		took := tookPart(s)
		switch {
		case b.Primary:
			r.firm = append(r.firm, s)
		case b.Removing || !b.Placed:
		case took && b.Enabled:
			r.firm = append(r.firm, s)
		case took:
			r.loose = append(r.loose, s)
		default:
			r.out = append(r.out, s)
		}
	}
	return r
}

// took tells whether a seat takes part in a deployment that is carried forward.
// Those who do not were written down as behind when the switch began, and as not
// having moved with what is live when it was done. One that is being restarted is
// in neither place, which its part tells.
func (d *deployment) took(s recipe.Seat) bool {
	if !d.takesTurns() || s.Backend.Current(d.crew.app) {
		return s.Backend.Current(d.crew.app)
	}
	return slices.ContainsFunc(d.plan.Parts, func(p plane.Part) bool { return p.Server == s.Server.Name && p.State != plane.PartBehind })
}

// sift judges what a step did on each server (errors by the server's name): a
// firm seat's failure is the deployment's, a loose one's leaves it behind.
func (d *deployment) sift(ctx context.Context, failed map[string]error) error {
	var errs []error
	for _, s := range d.firm {
		errs = append(errs, failed[s.Server.Name])
	}
	if err := errors.Join(errs...); err != nil {
		d.tellFailed(ctx, failed)
		return err
	}
	var stay []recipe.Seat
	for _, s := range d.loose {
		if err := failed[s.Server.Name]; err != nil {
			d.say(s.Server.Name, "is off and left out of this deployment, backend on catches up: %v", err)
			d.drop(ctx, s)
			d.tell(ctx, []recipe.Seat{s}, plane.PartBehind, firstLine(err.Error()))
		} else {
			stay = append(stay, s)
		}
	}
	d.loose = stay
	return nil
}

// dropLimit is how long a backend that is left out may hold up the others.
const dropLimit = 15 * time.Second

// drop takes a backend that is off out of the deployment: nothing of it stays
// running there, and it counts as behind.
func (d *deployment) drop(ctx context.Context, s recipe.Seat) {
	d.out = append(d.out, s)
	err := d.Store.Write(ctx, func(tx *store.Tx) error {
		return change(ctx, tx, s.Backend.ID, func(b *plane.Backend) {
			if b.DeploymentID == d.plan.ID { // after the switch: what it has is what was live before
				b.DeploymentID, b.ReleaseID = d.former.ID, d.former.ReleaseID
			}
		})
	})
	if err != nil {
		d.say(s.Server.Name, "warning: could not note that it is behind: %v", err)
	}
	if d.plan.Slot == "" {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, dropLimit)
	defer cancel()
	d.stopSlot(ctx, d.crew.app, []plane.Server{s.Server}, d.plan.Slot)
}

// command is what a person would type to ask for this deployment again.
func (d *deployment) command() string {
	if d.plan.Trigger == plane.TriggerRollback {
		return "deployment rollback " + d.crew.app.Name + " " + d.plan.SourceID
	}
	return "deploy " + d.crew.app.Name
}

// refuseAway holds that every firm seat can be reached, before anything begins.
func (d *deployment) refuseAway(ctx context.Context) error {
	app := d.crew.app.Name
	failed := d.unreachable(ctx, d.taking())
	for _, s := range d.firm {
		if err := failed[s.Server.Name]; err != nil && !s.Backend.Primary {
			failed[s.Server.Name] = fmt.Errorf("%w; go on without it: backend off %s %s, or %s --without %s",
				err, app, s.Server.Name, d.command(), s.Server.Name)
		}
	}
	return d.sift(ctx, failed)
}
