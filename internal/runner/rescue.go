package runner

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/serverplane/serverplane/internal/files"
	"github.com/serverplane/serverplane/internal/plane"
	"github.com/serverplane/serverplane/internal/recipe"
	"github.com/serverplane/serverplane/internal/remote"
	"github.com/serverplane/serverplane/internal/store"
)

// rescueOwn ends the Runs this instance was at when it died.
func (r *Runner) rescueOwn(ctx context.Context) error {
	return r.rescue(ctx, func(tx *store.Tx) ([]plane.Run, error) { return tx.InterruptOwner(ctx, r.Owner, r.Now().UTC()) })
}

// rescueExpired ends the Runs whose instance did not renew its lease.
func (r *Runner) rescueExpired(ctx context.Context) error {
	return r.rescue(ctx, func(tx *store.Tx) ([]plane.Run, error) { return tx.Interrupt(ctx, r.Now().UTC()) })
}

// rescue writes in one transaction that the Runs are interrupted and what that
// means for their deployment, server or balancer; then it stops, beside
// everything else, what they left running on servers.
func (r *Runner) rescue(ctx context.Context, interrupt func(tx *store.Tx) ([]plane.Run, error)) error {
	var lost []plane.Run
	var idle []idleSlot
	err := r.Store.Write(ctx, func(tx *store.Tx) (err error) {
		idle = nil
		if lost, err = interrupt(tx); err != nil {
			return err
		}
		for _, run := range lost {
			begun, err := startedBeside(ctx, tx, run)
			if err == nil || errors.Is(err, store.ErrNotFound) {
				idle = append(idle, begun...)
				err = r.writeOff(ctx, tx, run)
			}
			if errors.Is(err, store.ErrNotFound) {
				continue // what it was about is gone: nothing to write off
			}
			if err != nil {
				return fmt.Errorf("write off %s: %w", run.ID, err)
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	for _, run := range lost {
		r.Log.Warn("run was interrupted", "run", run.ID, "kind", run.Kind, "step", run.Step)
		r.Hub.Publish(topicRun(run.ID))
		r.stopLeavings(ctx, run)
	}
	r.stopIdle(ctx, idle)
	return nil
}

// idleSlot is a slot that a lost Run may have started and nobody is sent to.
type idleSlot struct {
	server plane.Server
	unit   string
}

// startedBeside finds the slots that a lost Run was about to start beside what is
// live; left running, one would use memory until the next deployment.
func startedBeside(ctx context.Context, tx *store.Tx, run plane.Run) ([]idleSlot, error) {
	app, err := tx.App(ctx, run.AppID)
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	switch run.Kind {
	case plane.RunDeploy:
		d, err := tx.Deployment(ctx, run.DeploymentID)
		if err != nil || d.State != plane.DeploymentPreparing || d.Slot == "" || d.Slot == app.LiveSlot {
			return nil, err
		}
		return idleSlots(ctx, tx, app, d.Slot, run.Servers)
	case plane.RunAdd:
		b, err := tx.Backend(ctx, run.BackendID)
		if err != nil || b.Placed {
			return nil, err
		}
		return idleSlots(ctx, tx, app, app.LiveSlot, []string{b.ServerID})
	}
	return nil, nil
}

func idleSlots(ctx context.Context, tx *store.Tx, app plane.App, slot plane.Slot, servers []string) ([]idleSlot, error) {
	var out []idleSlot
	for _, id := range servers {
		s, err := tx.Server(ctx, id)
		if errors.Is(err, store.ErrNotFound) {
			continue
		}
		if err != nil {
			return nil, err
		}
		out = append(out, idleSlot{s, files.UnitName(app.Name, string(slot))})
	}
	return out, nil
}

// idleLimit keeps a stop from reaching the server when the next Run has begun to
// use the slot: its build alone takes longer.
const idleLimit = 3 * time.Second

// stopIdle returns before this panel claims the next Run, whose slot it would
// stop otherwise.
func (r *Runner) stopIdle(ctx context.Context, idle []idleSlot) {
	ctx, cancel := context.WithTimeout(ctx, idleLimit)
	defer cancel()
	var all sync.WaitGroup
	for _, s := range idle {
		all.Go(func() {
			if err := r.stopUnit(ctx, s.server, s.unit); err != nil {
				r.Log.Warn("stop a slot that a lost run started", "server", s.server.Name, "unit", s.unit, "err", err)
			}
		})
	}
	all.Wait()
}

const lostReason = "the panel stopped while it worked on this"

// writeOff records what an interrupted Run means. A deployment that was already
// switching is carried forward by a new Run, since traffic may have moved, and a
// repair for which the backend stood aside, since nobody is sent there until it ends.
func (r *Runner) writeOff(ctx context.Context, tx *store.Tx, run plane.Run) error {
	text := fmt.Sprintf("interrupted: %s (step: %s)", lostReason, run.Step)
	if _, err := tx.AppendEvents(ctx, run.ID, []plane.Event{{Time: r.Now().UTC(), Kind: plane.EventEnd, Text: text}}); err != nil {
		return err
	}
	if run.Kind == plane.RunDeploy {
		return r.writeOffDeployment(ctx, tx, run)
	}
	if run.Kind == plane.RunRepair {
		return writeOffRepair(ctx, tx, run)
	}
	work, err := newJob(r, run).executor()
	if err != nil {
		return err
	}
	return work.failed(ctx, tx, plane.RunInterrupted, lostReason)
}

func (r *Runner) writeOffDeployment(ctx context.Context, tx *store.Tx, run plane.Run) error {
	d, err := tx.Deployment(ctx, run.DeploymentID)
	if err != nil {
		return err
	}
	if d.State != plane.DeploymentSwitching && d.State != plane.DeploymentVerifying {
		work := &deployment{job: newJob(r, run)}
		return work.failed(ctx, tx, plane.RunInterrupted, lostReason)
	}
	d.RunID, err = carryForward(ctx, tx, run)
	if err != nil {
		return err
	}
	return tx.UpdateDeployment(ctx, d)
}

func writeOffRepair(ctx context.Context, tx *store.Tx, run plane.Run) error {
	b, err := tx.Backend(ctx, run.BackendID)
	if err != nil || !b.Primary && !b.Placed || b.Removing || b.ReleaseID != "" || run.Cancel {
		return err
	}
	_, err = carryForward(ctx, tx, run)
	return err
}

// carryForward queues a Run like the lost one, with its age: it comes before
// whatever waited behind it, which would take the slot that may be live by now.
func carryForward(ctx context.Context, tx *store.Tx, lost plane.Run) (id string, err error) {
	next := lost
	next.ID, next.State = plane.NewID(plane.PrefixRun), plane.RunQueued
	next.Step, next.Done, next.Total, next.Reason, next.Cancel = "", 0, 0, "", false
	return next.ID, tx.Enqueue(ctx, next)
}

// stopLeavings stops the transient unit of a lost Run on each of its servers.
// One that cannot be reached is logged: its unit is refused by name when the
// next Run begins there.
func (r *Runner) stopLeavings(ctx context.Context, run plane.Run) {
	if run.AppID == "" {
		return
	}
	app, servers, err := r.placeOf(ctx, run)
	if err != nil {
		r.Log.Error("find what a lost run left behind", "run", run.ID, "err", err)
		return
	}
	if run.Kind.OnDatabase() {
		app = databaseWork
	}
	for _, s := range servers {
		go func() {
			ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
			defer cancel()
			if err := r.stopRunUnit(ctx, s, app, run.ID); err != nil {
				r.Log.Warn("stop what a lost run left behind", "run", run.ID, "server", s.Name, "err", err)
			}
		}()
	}
}

func (r *Runner) placeOf(ctx context.Context, run plane.Run) (plane.App, []plane.Server, error) {
	var app plane.App
	var servers []plane.Server
	err := r.Store.Read(ctx, func(tx *store.Tx) (err error) {
		if app, err = tx.App(ctx, run.AppID); err != nil {
			return err
		}
		all, err := tx.Servers(ctx)
		servers = slices.DeleteFunc(all, func(s plane.Server) bool { return !slices.Contains(run.Servers, s.ID) })
		return err
	})
	return app, servers, err
}

// stopUnit stops a unit by its exact name; one that does not run is fine.
func (r *Runner) stopUnit(ctx context.Context, s plane.Server, unit string) error {
	return r.stop(ctx, s, unit, []string{"systemctl", "stop", unit})
}

// stopRunUnit stops a Run's transient unit, and for good: the program on the
// server that starts it outlives its connection and may be about to.
func (r *Runner) stopRunUnit(ctx context.Context, s plane.Server, app plane.App, runID string) error {
	const script = `printf '%s\n' "$1" >"$2"; exec systemctl stop "$1"`
	unit := files.TransientUnit(app.Name, runID)
	return r.stop(ctx, s, unit, []string{"sh", "-c", script, "sh", unit, files.StoppedPath(app.Name)})
}

func (r *Runner) stop(ctx context.Context, s plane.Server, unit string, args []string) error {
	res, err := r.Pool.Exec(ctx, recipe.Target(s), remote.Command{Args: args, Sudo: true})
	if err != nil {
		return err
	}
	const notLoaded = 5 // LSB: program is not installed; systemctl's answer for a unit it does not know
	if res.Exit != 0 && res.Exit != notLoaded {
		return fmt.Errorf("stop %s on %s: %s", unit, s.Name, res.Stderr)
	}
	return nil
}

// stopRunUnits stops this Run's transient unit on all servers at once.
func (j *job) stopRunUnits(ctx context.Context, app plane.App, servers []plane.Server) {
	var all sync.WaitGroup
	for _, s := range servers {
		all.Go(func() {
			if err := j.stopRunUnit(ctx, s, app, j.run.ID); err != nil {
				j.say(s.Name, "warning: could not stop what this Run started: %v", err)
			}
		})
	}
	all.Wait()
}
