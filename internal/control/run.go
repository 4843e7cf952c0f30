package control

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/serverplane/serverplane/internal/auth"
	"github.com/serverplane/serverplane/internal/plane"
	"github.com/serverplane/serverplane/internal/store"
)

// Runs lists Runs, newest first.
func (c *Control) Runs(ctx context.Context, _ plane.Actor, f RunFilter) ([]RunView, error) {
	return read(ctx, c.store, func(tx *store.Tx) ([]RunView, error) {
		filter := store.RunFilter{State: f.State, Before: f.Before, Limit: f.Limit}
		if f.App != "" {
			a, err := appByName(ctx, tx, f.App)
			if err != nil {
				return nil, err
			}
			filter.AppID = a.ID
		}
		if f.Server != "" {
			s, err := serverByName(ctx, tx, f.Server)
			if err != nil {
				return nil, err
			}
			filter.ServerID = s.ID
		}
		runs, err := tx.Runs(ctx, filter)
		if err != nil {
			return nil, err
		}
		return viewRuns(ctx, tx, runs)
	})
}

// viewRuns names apps and servers from two lists, however many Runs there are;
// only what is queued is asked what it waits for.
func viewRuns(ctx context.Context, tx *store.Tx, runs []plane.Run) ([]RunView, error) {
	apps, err := tx.Apps(ctx)
	if err != nil {
		return nil, err
	}
	servers, err := tx.Servers(ctx)
	if err != nil {
		return nil, err
	}
	names := map[string]string{}
	for _, a := range apps {
		names[a.ID] = a.Name
	}
	for _, s := range servers {
		names[s.ID] = s.Name
	}
	views := make([]RunView, len(runs))
	for i, r := range runs {
		views[i] = nameRun(r, names)
		if err := views[i].waits(ctx, tx); err != nil {
			return nil, err
		}
	}
	return views, nil
}

// nameRun leaves out what is gone since.
func nameRun(r plane.Run, names map[string]string) RunView {
	view := RunView{Run: r, AppName: names[r.AppID]}
	for _, id := range r.Servers {
		if name := names[id]; name != "" {
			view.ServerNames = append(view.ServerNames, name)
		}
	}
	return view
}

// RunSteps shows with which lines a Run's steps began, in order, and the Seq of
// its last line of any kind.
func (c *Control) RunSteps(ctx context.Context, _ plane.Actor, id string) (steps []plane.Event, last int64, err error) {
	err = c.store.Read(ctx, func(tx *store.Tx) error {
		if last, err = tx.LastEvent(ctx, id); err != nil {
			return orNotFound(err, "run", id)
		}
		steps, err = tx.Steps(ctx, id)
		return err
	})
	return steps, last, err
}

// Run shows one Run and, while it is queued, what it waits for.
func (c *Control) Run(ctx context.Context, _ plane.Actor, id string) (RunView, error) {
	return read(ctx, c.store, func(tx *store.Tx) (RunView, error) {
		r, err := runByID(ctx, tx, id)
		if err != nil {
			return RunView{}, err
		}
		return viewRun(ctx, tx, r)
	})
}

// runByID asks the store only for what can be an id.
func runByID(ctx context.Context, tx *store.Tx, id string) (plane.Run, error) {
	if !plane.IsID(plane.PrefixRun, id) {
		return plane.Run{}, plane.NotFound("run", id)
	}
	r, err := tx.Run(ctx, id)
	return r, orNotFound(err, "run", id)
}

func viewRun(ctx context.Context, tx *store.Tx, r plane.Run) (RunView, error) {
	view := RunView{Run: r}
	if r.AppID != "" {
		a, err := tx.App(ctx, r.AppID)
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return RunView{}, err
		}
		view.AppName = a.Name
	}
	for _, id := range r.Servers {
		s, err := tx.Server(ctx, id)
		if errors.Is(err, store.ErrNotFound) {
			continue
		}
		if err != nil {
			return RunView{}, err
		}
		view.ServerNames = append(view.ServerNames, s.Name)
	}
	return view, view.waits(ctx, tx)
}

// waits finds out what a queued Run waits for.
func (v *RunView) waits(ctx context.Context, tx *store.Tx) error {
	if v.State != plane.RunQueued {
		return nil
	}
	blocking, err := tx.Blocking(ctx, v.ID)
	if err != nil || len(blocking) == 0 {
		return err
	}
	v.Blocker = blocking[0]
	v.WaitsFor = fmt.Sprintf("%s %s to end", v.Blocker.Kind, v.Blocker.ID)
	return nil
}

// CancelRun asks a Run to stop; a queued one ends at once.
func (c *Control) CancelRun(ctx context.Context, actor plane.Actor, id string) (RunView, error) {
	err := c.change(ctx, actor, "run.cancel", id, func(tx *store.Tx) error {
		r, err := runByID(ctx, tx, id)
		if err != nil {
			return err
		}
		if err := refuseHalfSwitched(ctx, tx, r); err != nil {
			return err
		}
		if err := tx.RequestCancel(ctx, id, c.now().UTC()); err != nil {
			return err
		}
		if r.State == plane.RunQueued {
			return c.cancelQueued(ctx, tx, actor, r)
		}
		return nil
	})
	if err != nil {
		return RunView{}, err
	}
	c.hub.Publish(TopicCancel(id))
	c.hub.Publish(TopicRun(id))
	c.hub.Publish(TopicTree)
	c.hub.Publish(TopicQueue)
	return c.Run(ctx, actor, id)
}

// refuseHalfSwitched refuses to drop a queued Run that carries an interrupted
// switch forward: traffic may be on either slot until it has run.
func refuseHalfSwitched(ctx context.Context, tx *store.Tx, r plane.Run) error {
	if r.State != plane.RunQueued || r.DeploymentID == "" {
		return nil
	}
	d, err := tx.Deployment(ctx, r.DeploymentID)
	if err != nil {
		return err
	}
	if d.State == plane.DeploymentSwitching || d.State == plane.DeploymentVerifying {
		return plane.Conflict("the deployment was interrupted while it was "+string(d.State)+" and is about to continue", "cancel it once it runs")
	}
	return nil
}

// cancelQueued takes back what a Run that never began had announced.
func (c *Control) cancelQueued(ctx context.Context, tx *store.Tx, actor plane.Actor, r plane.Run) error {
	now := c.now().UTC()
	if _, err := tx.AppendEvents(ctx, r.ID, []plane.Event{{Time: now, Kind: plane.EventEnd, Text: "cancelled before it began"}}); err != nil {
		return err
	}
	if r.DeploymentID != "" {
		d, err := tx.Deployment(ctx, r.DeploymentID)
		if err != nil {
			return err
		}
		d.State, d.Reason, d.FinishedAt = plane.DeploymentCancelled, "cancelled before it began", now
		return tx.UpdateDeployment(ctx, d)
	}
	if r.Kind == plane.RunProvision {
		return cancelQueuedProvisioning(ctx, tx, r, now)
	}
	if r.Kind.OnDatabase() {
		return cancelQueuedDatabase(ctx, tx, r, now)
	}
	if r.Kind == plane.RunLeave || r.Kind == plane.RunAdd {
		return cancelQueuedBackend(ctx, tx, r, now)
	}
	if r.Kind == plane.RunEnable {
		return cancelQueuedEnabling(ctx, tx, r)
	}
	if r.Kind == plane.RunProcesses {
		return c.cancelQueuedProcesses(ctx, tx, actor, r)
	}
	return nil
}

// cancelQueuedBackend says what a backend is left as, and how to go on.
func cancelQueuedBackend(ctx context.Context, tx *store.Tx, r plane.Run, now time.Time) error {
	b, err := tx.Backend(ctx, r.BackendID)
	if err != nil || b.Placed && !b.Removing {
		return err
	}
	if b.Removing {
		return cancelQueuedRemoval(ctx, tx, r, b, now)
	}
	h := b.Health
	h.Reason = "adding it was cancelled before it began; backend add again continues"
	return tx.SetHealth(ctx, b.ID, h)
}

// cancelQueuedRemoval gives a backend its place back as long as nothing was taken
// from its server. A removal that got that far before, or one that is part of
// switching load balancing off, cannot be taken back.
func cancelQueuedRemoval(ctx context.Context, tx *store.Tx, r plane.Run, b plane.Backend, now time.Time) error {
	a, err := tx.App(ctx, r.AppID)
	if err != nil {
		return err
	}
	h := b.Health
	if !b.Placed || refuseTwice(ctx, tx, a, plane.RunDisable) != nil {
		h.Reason = "its removal was cancelled before it began; it is out of the upstream, backend remove again continues"
		return tx.SetHealth(ctx, b.ID, h)
	}
	b.Removing, b.WishedAt = false, now
	if err := tx.UpdateBackend(ctx, b); err != nil {
		return err
	}
	h.Since, h.Reason = now, "its removal was cancelled before it began"
	if err := tx.SetHealth(ctx, b.ID, h); err != nil {
		return err
	}
	_, err = tx.RaiseTree(ctx, a.ServerID)
	return err
}

// enabling remembers what a Run that never begins has to put back, and the
// method that was asked for with it.
type enabling struct {
	Former plane.LoadBalancer `json:"former"`
	Method plane.Method       `json:"method"`
}

// cancelQueuedEnabling puts back what there was before; a method that somebody
// set in the meantime is their wish and stays.
func cancelQueuedEnabling(ctx context.Context, tx *store.Tx, r plane.Run) error {
	a, err := tx.App(ctx, r.AppID)
	if err != nil {
		return err
	}
	told := enabling{Former: plane.NewLoadBalancer(), Method: a.Balancer.Method}
	if json.Unmarshal(r.Args, &told) != nil {
		told.Former = plane.NewLoadBalancer()
	}
	set := a.Balancer.Method
	a.Balancer.Status, a.Balancer.Reason, a.Balancer.Method = told.Former.Status, told.Former.Reason, told.Former.Method
	seats, err := seatsOf(ctx, tx, a)
	if err != nil {
		return err
	}
	if set != told.Method || checkBalancer(a, seats) != nil {
		a.Balancer.Method = set
	}
	return tx.SetBalancer(ctx, a.ID, a.Balancer)
}

// cancelQueuedProvisioning keeps a new server from saying that it waits for
// what will not come.
func cancelQueuedProvisioning(ctx context.Context, tx *store.Tx, r plane.Run, now time.Time) error {
	s, err := tx.Server(ctx, r.ServerID)
	if err != nil || s.State != plane.ServerPending {
		return err
	}
	return tx.SetServerState(ctx, s.ID, plane.ServerPending, "provisioning was cancelled before it began; repeat with server provision", now)
}

// Events returns up to 500 lines of a Run's log after the given one. When there
// is none yet and the Run has not ended it waits, at most as long as said. What
// processes wrote is for those who may read logs.
func (c *Control) Events(ctx context.Context, actor plane.Actor, runID string, after int64, wait time.Duration) ([]plane.Event, error) {
	hint, stop := c.hub.Subscribe(TopicRun(runID))
	defer stop()
	deadline := time.NewTimer(wait)
	defer deadline.Stop()
	for {
		events, ended, err := c.events(ctx, runID, after)
		if err != nil || len(events) > 0 || ended {
			return readable(actor, events), err
		}
		select {
		case <-hint:
		case <-deadline.C:
			return nil, nil
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// readable keeps each line's place, so that who follows the log misses none.
func readable(actor plane.Actor, events []plane.Event) []plane.Event {
	if auth.Allow(actor.Role, auth.LogRead) {
		return events
	}
	for i := range events {
		if events[i].Kind == plane.EventSaid {
			events[i].Text = "(for those who may read logs)"
		}
	}
	return events
}

func (c *Control) events(ctx context.Context, runID string, after int64) (events []plane.Event, ended bool, err error) {
	err = c.store.Read(ctx, func(tx *store.Tx) error {
		r, err := runByID(ctx, tx, runID)
		if err != nil {
			return err
		}
		ended = r.State.Ended()
		events, err = tx.Events(ctx, runID, after, 500)
		return err
	})
	return events, ended, err
}
