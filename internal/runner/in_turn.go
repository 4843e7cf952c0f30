package runner

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/serverplane/serverplane/internal/files"
	"github.com/serverplane/serverplane/internal/plane"
	"github.com/serverplane/serverplane/internal/recipe"
	"github.com/serverplane/serverplane/internal/remote"
	"github.com/serverplane/serverplane/internal/store"
)

// inTurn is the passage of what must never run twice on a server (docs/adr/0021):
// one backend after the other goes out of the upstream, is drained, has its old
// slot stopped and the new one started, is asked, and comes back. Both local sites
// of a backend lead to the one port that both slots share, so that whichever runs
// is reached, wherever the marker points.
//
// Until all are done the book goes on saying that the former deployment is live:
// which backends have had their turn is seen on the servers. One that is out for
// its turn bears the mark of a repair, an empty deployment.
type inTurn struct{ *deployment }

// takesTurns tells whether this deployment, or the one it comes from, must not run beside another.
func (d *deployment) takesTurns() bool {
	return d.previous != "" && (d.plan.Spec.Restarts() || d.former.Spec.Restarts())
}

func (t inTurn) steps(begins bool) int {
	if begins {
		return len(t.taking()) + 1 // build
	}
	return len(t.taking())
}

func (t inTurn) ready(ctx context.Context) error {
	if err := t.step(ctx, "build beside what runs"); err != nil {
		return err
	}
	failed, err := t.buildEach(ctx, t.taking(), t.plan, t.crew.app, recipe.StartNot)
	if err != nil {
		return err
	}
	if err := t.sift(ctx, failed); err != nil {
		return err
	}
	if err := t.compareRuntimes(ctx); err != nil {
		return err
	}
	return t.runOnce(ctx)
}

// cross is written down before it begins: a panel that dies in it carries it forward.
func (t inTurn) cross(ctx context.Context) error {
	if err := t.whole(ctx, cleanUp, t.leaveBehind); err != nil {
		return err
	}
	for _, s := range t.order() {
		if err := t.step(ctx, "restart on "+s.Server.Name); err != nil {
			return err
		}
		err := t.turn(ctx, s, t.plan)
		if cause := context.Cause(ctx); cause != nil && err != nil {
			return cause
		}
		if err := t.sift(ctx, map[string]error{s.Server.Name: err}); err != nil {
			return err
		}
		if err == nil {
			t.tell(ctx, []recipe.Seat{s}, plane.PartLive, "")
		}
	}
	return t.whole(ctx, cleanUp, t.move)
}

// whole does what must not be torn apart by a wish to cancel.
func (t inTurn) whole(ctx context.Context, limit time.Duration, do func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), limit)
	defer cancel()
	return do(ctx)
}

// order has the primary last: whoever else serves is back by then.
func (t inTurn) order() []recipe.Seat {
	return slices.Concat(t.loose, t.firm[1:], t.firm[:1])
}

// turn brings one backend to run exactly one deployment, and nothing else of the
// app. It may be repeated, and goes in either direction.
func (t inTurn) turn(ctx context.Context, s recipe.Seat, to plane.Deployment) error {
	there := (t.resumed || to.ID != t.plan.ID) && t.runsAlone(ctx, s, to)
	if t.resumed {
		defer t.endGap(ctx, s) // the panel may have died in one
	}
	if !there {
		only, err := t.standAside(ctx, s)
		if err != nil {
			return err
		}
		if only {
			t.announceGap(ctx, s)
			defer t.endGap(ctx, s)
		}
	}
	s, err := t.lead(ctx, s, to)
	if err != nil {
		return err
	}
	if !there {
		failed, err := t.buildEach(ctx, []recipe.Seat{s}, to, t.crew.app, recipe.StartInstead)
		if err := errors.Join(err, joined(failed)); err != nil {
			return err
		}
	}
	if err := t.probeSlot(ctx, t.crew, []recipe.Seat{s}, to.Slot, t.crew.app.Spec.HealthPath); err != nil {
		return err
	}
	return t.comeBack(ctx, s)
}

// runsAlone asks the server whether the deployment's slot runs its release there, and the other slot nothing.
func (t inTurn) runsAlone(ctx context.Context, s recipe.Seat, to plane.Deployment) bool {
	app := t.crew.app.Name
	if t.runs(ctx, s.Server, files.UnitName(app, string(to.Slot)), files.ReleaseDir(app, to.ReleaseID)) != nil {
		return false
	}
	other := files.UnitName(app, string(to.Slot.Other()))
	res, err := t.Pool.Exec(ctx, recipe.Target(s.Server), remote.Command{Args: []string{"systemctl", "show", "--property=ActiveState", other}})
	return err == nil && slices.Contains([]string{"ActiveState=inactive", "ActiveState=failed"}, strings.TrimSpace(string(res.Stdout)))
}

// standAside takes the backend out of the upstream and waits for its requests,
// unless nobody else serves: then it stays, and the entry says that nobody answers.
func (t inTurn) standAside(ctx context.Context, s recipe.Seat) (only bool, err error) {
	var wanted map[string]int64
	err = t.Store.Write(ctx, func(tx *store.Tx) (err error) {
		wanted, only = nil, false
		if t.crew, err = loadCrew(ctx, tx, t.run.AppID); err != nil {
			return err
		}
		if !recipe.InUpstream(t.crew.app, t.crew.seats, s.Backend.ID) {
			return nil
		}
		if only = !recipe.OthersServe(t.crew.app, t.crew.seats, s.Backend.ID); only {
			return nil
		}
		if err := change(ctx, tx, s.Backend.ID, func(b *plane.Backend) { b.DeploymentID, b.ReleaseID = "", "" }); err != nil {
			return err
		}
		wanted, err = raise(ctx, tx, []string{t.crew.primary().Server.ID})
		return err
	})
	if err != nil {
		return false, err
	}
	if only {
		t.say(s.Server.Name, "nobody else serves: visitors are told to come back, for as long as it takes to stop and start it")
		return true, nil
	}
	if err := t.await(ctx, wanted); err != nil {
		return false, err
	}
	now, there := t.crew.seat(s.Server.ID) // as it was before it was marked
	if !there {
		return false, plane.Conflict(s.Server.Name+" no longer serves "+t.crew.app.Name, "")
	}
	return false, t.drain(ctx, t.crew, []recipe.Seat{now})
}

// announceGap is a kindness to visitors: without it they get 502 for as long, and that keeps nobody from a deployment.
func (t inTurn) announceGap(ctx context.Context, s recipe.Seat) {
	t.tellNginx(ctx, s, recipe.AnnounceGap(t.crew.app, backLimit), "could not be told of the restart, so that visitors get 502 meanwhile")
}

// endGap lets a fault be called a fault again; a server that cannot be reached does it by itself.
func (t inTurn) endGap(ctx context.Context, s recipe.Seat) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanUp)
	defer cancel()
	t.tellNginx(ctx, s, recipe.EndGap(t.crew.app), "goes on telling visitors of a restart until that ends by itself")
}

// tellNginx has the command run where the entry is and where the backend is.
func (t inTurn) tellNginx(ctx context.Context, s recipe.Seat, command remote.Command, otherwise string) {
	seats := []recipe.Seat{t.crew.primary()}
	if !s.Backend.Primary {
		seats = append(seats, s)
	}
	for _, at := range seats {
		res, err := t.Pool.Exec(ctx, recipe.Target(at.Server), command)
		if err == nil && res.Exit != 0 {
			err = errors.New(firstLine(string(res.Stderr)))
		}
		if err != nil {
			t.say(at.Server.Name, "warning: its Nginx %s: %v", otherwise, err)
		}
	}
}

// lead has both local sites lead to the port on which the deployment's process
// listens, and gives the seat as it is by then.
func (t inTurn) lead(ctx context.Context, s recipe.Seat, to plane.Deployment) (recipe.Seat, error) {
	port := func(p plane.Ports) int {
		if shared := to.Spec.SharedPort(p); shared != 0 {
			return shared
		}
		return p.Own(to.Slot)
	}
	if s.Backend.Ports.Shared != port(s.Backend.Ports) {
		err := t.Store.Write(ctx, func(tx *store.Tx) error { return shareSlots(ctx, tx, s.Backend.ID, port) })
		if err != nil {
			return s, err
		}
		if err := t.steerSeat(ctx, s.Server.ID); err != nil {
			return s, err
		}
	}
	if err := t.refresh(ctx); err != nil {
		return s, err
	}
	now, there := t.crew.seat(s.Server.ID)
	if !there {
		return s, plane.Conflict(s.Server.Name+" no longer serves "+t.crew.app.Name, "")
	}
	return now, nil
}

// comeBack lets the backend into the upstream again where a person wants it in.
// It has just answered: what was seen of it while it was stopped must not keep it out.
func (t inTurn) comeBack(ctx context.Context, s recipe.Seat) error {
	var wanted map[string]int64
	err := t.Store.Write(ctx, func(tx *store.Tx) (err error) {
		wanted = nil
		live := t.former // by the book, until all are done
		if t.crew.app.LiveID == t.plan.ID {
			live = t.plan
		}
		b, err := tx.Backend(ctx, s.Backend.ID)
		if err != nil || b.DeploymentID == live.ID && !b.TakenOut && b.Health.State != plane.BackendUnhealthy {
			return err
		}
		b.DeploymentID, b.ReleaseID, b.TakenOut = live.ID, live.ReleaseID, false
		if b.Health.State == plane.BackendUnhealthy {
			b.Health.State, b.Health.Since, b.Health.Failures, b.Health.Reason = plane.BackendHealthy, t.Now().UTC(), 0, "answered after its restart"
		}
		if err := errors.Join(tx.UpdateBackend(ctx, b), tx.SetHealth(ctx, b.ID, b.Health)); err != nil {
			return err
		}
		wanted, err = raise(ctx, tx, []string{t.crew.primary().Server.ID})
		return err
	})
	if err != nil {
		return err
	}
	return t.await(ctx, wanted)
}

// backLimit is how long going back may take on one backend, drained before.
const backLimit = 3 * time.Minute

// back writes that the former deployment is live, then brings every backend to run
// it again. A backend on which that fails keeps nobody else from it, and stays out
// until it is repaired.
func (t inTurn) back(ctx context.Context) error {
	limit := time.Duration(len(t.taking())) * (backLimit + t.crew.app.Spec.Drain())
	return t.whole(ctx, limit, func(ctx context.Context) error {
		wanted, err := t.restore(ctx)
		if err != nil {
			return err
		}
		if err := t.await(ctx, wanted); err != nil {
			return err
		}
		var errs []error
		for _, s := range t.order() {
			if err := t.step(ctx, "the old release again on "+s.Server.Name); err != nil {
				return errors.Join(append(errs, err)...)
			}
			if err := t.turn(ctx, s, t.former); err != nil {
				errs = append(errs, fmt.Errorf("bring the old release back on %s: %w", s.Server.Name, err))
			}
		}
		t.tell(ctx, t.wentLive(), plane.PartReverted, "")
		t.reverted = len(errs) == 0
		return errors.Join(errs...)
	})
}

// end has nothing to wait for: nothing runs in the old slot since its turn.
func (t inTurn) end(ctx context.Context) error {
	if errors.Is(context.Cause(ctx), errLost) {
		return errLost
	}
	ctx = context.WithoutCancel(ctx) // visitors have it: stopping here is still a completed deployment
	if err := t.step(ctx, "keep the new slot at boot"); err != nil {
		return err
	}
	return t.tidy(ctx)
}
