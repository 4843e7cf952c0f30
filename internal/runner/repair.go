package runner

import (
	"context"
	"fmt"

	"github.com/serverplane/serverplane/internal/plane"
	"github.com/serverplane/serverplane/internal/recipe"
	"github.com/serverplane/serverplane/internal/store"
)

// repair brings a backend that exists to exactly what is live: the live commit,
// built and started anew in the live slot. Meanwhile it is out of the upstream,
// marked by an empty release in the book; a panel that dies leaves it so, and
// carries on when it is back. With enable it is the backend on that must catch up.
type repair struct {
	addition
	former  plane.Backend // as it was when it stood aside
	touched bool          // its slot is no longer as it was
}

func (r *repair) do(ctx context.Context) error {
	r.steps(7)
	r.sure = false
	a, err := r.args()
	if err != nil {
		return err
	}
	if err := r.load(ctx); err != nil {
		return err
	}
	if err := r.reach(ctx); err != nil {
		return err
	}
	if err := r.standAside(ctx); err != nil {
		return err
	}
	if err := r.startAnew(ctx); err != nil {
		return err
	}
	if err := r.comeBack(ctx, a.Enable); err != nil {
		return err
	}
	return r.bringProcesses(ctx, r.run.AppID, []recipe.Seat{r.seat}, r.live)
}

// reach is the preflight; the primary has no way to itself to measure.
func (r *repair) reach(ctx context.Context) error {
	if !r.seat.Backend.Primary {
		return r.preflight(ctx)
	}
	if err := r.step(ctx, "preflight"); err != nil {
		return err
	}
	return r.refuseUnreachable(ctx, []recipe.Seat{r.seat})
}

// standAside takes the backend out of the upstream, unless it is the only one
// that serves: its slot is about to be stopped and no visitor may lose anything.
func (r *repair) standAside(ctx context.Context) error {
	if err := r.step(ctx, "take it out while it is started anew"); err != nil {
		return err
	}
	var wanted map[string]int64
	err := r.Store.Write(ctx, func(tx *store.Tx) (err error) {
		wanted, err = r.empty(ctx, tx)
		return err
	})
	if err != nil {
		return err
	}
	if err := r.await(ctx, wanted); err != nil {
		return err
	}
	return r.drain(ctx, r.crew, []recipe.Seat{r.seat})
}

// empty writes that the live slot holds nothing known, and wishes the tree that
// follows from it.
func (r *repair) empty(ctx context.Context, tx *store.Tx) (map[string]int64, error) {
	if err := r.find(ctx, tx); err != nil {
		return nil, err
	}
	app, b := r.crew.app, r.seat.Backend
	in := recipe.InUpstream(app, r.crew.seats, b.ID)
	switch {
	case b.Removing:
		return nil, plane.Conflict(r.seat.Server.Name+" is being removed", "backend remove again continues")
	case in && !recipe.OthersServe(app, r.crew.seats, b.ID):
		return nil, plane.Conflict(fmt.Sprintf("%s is the only one that serves %s, and repairing stops its process", r.seat.Server.Name, app.Name), wayOutOfRepair(app))
	}
	r.former = b
	err := change(ctx, tx, b.ID, func(b *plane.Backend) { b.DeploymentID, b.ReleaseID = "", "" })
	if err != nil || !in {
		return nil, err
	}
	return raise(ctx, tx, []string{r.crew.primary().Server.ID})
}

// wayOutOfRepair is what else there is for the only backend that serves.
func wayOutOfRepair(app plane.App) string {
	if app.Spec.Restarts() {
		return "deploy " + app.Name + " restarts it, with a gap of some seconds; or turn another backend on first"
	}
	return "deploy " + app.Name + " starts the app anew beside it without a gap; or turn another backend on first"
}

func (r *repair) startAnew(ctx context.Context) error {
	if err := r.openDatabases(ctx, r.crew, r.seat, false); err != nil {
		return err
	}
	if err := r.step(ctx, "build and start the live commit"); err != nil {
		return err
	}
	r.touched = true
	if err := r.lead(ctx); err != nil {
		return err
	}
	if err := r.build(ctx, []recipe.Seat{r.seat}, r.live, r.crew.app); err != nil {
		return err
	}
	if err := r.compareRuntimes(ctx); err != nil {
		return err
	}
	if err := r.proveOwn(ctx, r.crew, r.seat, r.crew.app.LiveSlot); err != nil {
		return err
	}
	if err := r.probe(ctx); err != nil {
		return err
	}
	return r.keepAtBoot(ctx)
}

// comeBack counts the backend as current and, where it is on, in. A tree that
// is not in force by the end stays wished.
func (r *repair) comeBack(ctx context.Context, enable bool) error {
	if err := r.step(ctx, "let it into the upstream"); err != nil {
		return err
	}
	var wanted map[string]int64
	err := r.Store.Write(ctx, func(tx *store.Tx) (err error) {
		if err := r.setPlaced(ctx, tx, true); err != nil {
			return err
		}
		if enable {
			err = change(ctx, tx, r.seat.Backend.ID, func(b *plane.Backend) { b.Enabled, b.WishedAt = true, r.Now().UTC() })
		}
		if err == nil {
			wanted, err = raise(ctx, tx, []string{r.crew.primary().Server.ID})
		}
		return err
	})
	if err != nil {
		return err
	}
	return r.await(ctx, wanted)
}

// undo puts a backend back whose slot was not touched yet, and otherwise ends
// only what this Run still builds: what runs there shows what is wrong.
func (r *repair) undo(ctx context.Context, _ error) {
	if r.touched {
		r.stopRunUnits(ctx, r.crew.app, []plane.Server{r.seat.Server})
		return
	}
	if r.former.DeploymentID == "" {
		return
	}
	err := r.Store.Write(ctx, func(tx *store.Tx) error {
		err := change(ctx, tx, r.former.ID, func(b *plane.Backend) { b.DeploymentID, b.ReleaseID = r.former.DeploymentID, r.former.ReleaseID })
		if err != nil {
			return err
		}
		_, err = raise(ctx, tx, []string{r.crew.primary().Server.ID})
		return err
	})
	if err != nil {
		r.say(r.seat.Server.Name, "warning: could not put it back: %v", err)
	}
}

// failed changes nothing: an empty release in the book keeps the backend out
// until a repair succeeds, and one that was never let in is still being added.
func (r *repair) failed(context.Context, *store.Tx, plane.RunState, string) error { return nil }
