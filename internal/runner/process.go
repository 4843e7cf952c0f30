package runner

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/serverplane/serverplane/internal/plane"
	"github.com/serverplane/serverplane/internal/recipe"
	"github.com/serverplane/serverplane/internal/store"
)

// processes brings an app's processes and cron entries to what is wished, on
// every backend. What has an owner is never started before the book says that it
// may be nowhere else: it is stopped where it may be, that is proven, and only
// then the book names the next server. Every step may be repeated.
type processes struct {
	*job
	crew crew
	all  []plane.Process
	tidy bool // every server has exactly what is wished

	own      string   // id of the process whose wish this Run was queued for, or empty
	tried    []string // ids of what was to move
	stopping bool     // something was asked to stop where it leaves
}

func (p *processes) do(ctx context.Context) error {
	p.steps(2)
	a, err := p.args()
	if err != nil {
		return err
	}
	p.own = a.Process
	if err := p.load(ctx); err != nil {
		return err
	}
	if p.crew.app.State == plane.AppRemoving {
		return plane.Conflict("the app is being removed", "")
	}
	if err := p.step(ctx, "stop what belongs elsewhere"); err != nil {
		return err
	}
	if err := p.release(ctx, a.Anyway); err != nil {
		return err
	}
	if err := p.step(ctx, "start what belongs here"); err != nil {
		return err
	}
	return p.settle(ctx)
}

func (p *processes) load(ctx context.Context) error {
	return p.Store.Read(ctx, func(tx *store.Tx) (err error) {
		if p.crew, err = loadCrew(ctx, tx, p.run.AppID); err != nil {
			return err
		}
		p.all, err = tx.Processes(ctx, p.run.AppID)
		return err
	})
}

// seat finds the app's seat on a server.
func (c crew) seat(serverID string) (recipe.Seat, bool) {
	i := slices.IndexFunc(c.seats, func(s recipe.Seat) bool { return s.Backend.ServerID == serverID })
	if i < 0 {
		return recipe.Seat{}, false
	}
	return c.seats[i], true
}

// release stops what is to move where it may be running. The target is asked
// for a sign of life first: nothing is stopped for a server that is away.
func (p *processes) release(ctx context.Context, anyway bool) error {
	moving := slices.DeleteFunc(slices.Clone(p.all), func(o plane.Process) bool { return !o.Leaves() || o.Removing })
	for _, m := range moving {
		p.tried = append(p.tried, m.ID)
	}
	for _, m := range moving {
		to, known := p.crew.seat(m.OwnerID)
		if !known || !to.Backend.Placed || to.Backend.Removing {
			return plane.Conflict(fmt.Sprintf("%s is to run on a server that does not serve %s", m.Name, p.crew.app.Name), "process move "+p.crew.app.Name+" "+m.Name+" SERVER")
		}
		if err := p.refuseUnreachable(ctx, []recipe.Seat{to}); err != nil {
			return fmt.Errorf("%s was not moved: %w", m.Name, err)
		}
	}
	holders := map[string][]plane.Process{}
	for _, m := range moving {
		holders[m.HolderID] = append(holders[m.HolderID], m)
	}
	var errs []error
	for id, leaving := range holders {
		errs = append(errs, p.empty(ctx, id, leaving, anyway))
	}
	return errors.Join(errs...)
}

// empty stops processes where they may be running and writes that they run nowhere.
func (p *processes) empty(ctx context.Context, holder string, leaving []plane.Process, anyway bool) error {
	seats := p.mayRunOn(holder)
	away := p.unreachable(ctx, seats)
	if len(away) > 0 && !anyway {
		return p.mayStillRun(leaving, holder, away)
	}
	there := slices.DeleteFunc(slices.Clone(seats), func(s recipe.Seat) bool { return away[s.Server.Name] != nil })
	p.stopping = p.stopping || len(there) > 0
	if failed, err := p.arrange(ctx, there); err != nil || len(failed) > 0 {
		return fmt.Errorf("%s could not be stopped on %s, so nothing was moved: %w", namesOf(leaving), seatNames(there), errors.Join(err, joined(failed)))
	}
	for _, s := range seats {
		if away[s.Server.Name] != nil {
			p.say(s.Server.Name, "warning: cannot be reached; %s moves anyway, as wished, and is stopped there first thing when it returns", namesOf(leaving))
		} else {
			p.say(s.Server.Name, "%s is proven to have stopped", namesOf(leaving))
		}
	}
	return p.freed(ctx, leaving, seats, away)
}

// mayRunOn lists the seats of a holder: none where its backend was removed, with
// everything on it.
func (p *processes) mayRunOn(holder string) []recipe.Seat {
	return slices.DeleteFunc(slices.Clone(p.crew.seats), func(s recipe.Seat) bool {
		return s.Server.ID != holder && (holder != plane.Anywhere || !s.Backend.Placed)
	})
}

func (p *processes) mayStillRun(leaving []plane.Process, holder string, away map[string]error) error {
	names := strings.Join(slices.Sorted(maps.Keys(away)), ", ")
	wayOut := fmt.Sprintf("if that server is off: process move %s %s SERVER --anyway", p.crew.app.Name, leaving[0].Name)
	if holder == plane.Anywhere {
		wayOut = "it goes on on all; try again when that server is back, or take its backend away: backend remove " + p.crew.app.Name + " SERVER"
	}
	return fmt.Errorf("%s may still run on %s, so nothing was moved: %w; %s", namesOf(leaving), names, joined(away), wayOut)
}

func seatNames(seats []recipe.Seat) string {
	names := make([]string, len(seats))
	for i, s := range seats {
		names[i] = s.Server.Name
	}
	return strings.Join(names, ", ")
}

// freed writes that the processes run nowhere, or that a server which could not be
// asked must stop them when it returns.
func (p *processes) freed(ctx context.Context, leaving []plane.Process, seats []recipe.Seat, away map[string]error) error {
	err := p.Store.Write(ctx, func(tx *store.Tx) error {
		for _, l := range leaving {
			if err := changeProcess(ctx, tx, l, func(o *plane.Process) { o.HolderID = "" }); err != nil {
				return err
			}
			for _, s := range seats {
				if err := p.noteLeft(ctx, tx, l, s, away[s.Server.Name] != nil); err != nil {
					return err
				}
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	return p.load(ctx)
}

func (p *processes) noteLeft(ctx context.Context, tx *store.Tx, l plane.Process, s recipe.Seat, stray bool) error {
	if !stray {
		return tx.ForgetProcessStatus(ctx, l.ID, s.Server.ID)
	}
	return tx.SetProcessStatus(ctx, plane.ProcessStatus{
		ProcessID: l.ID, ServerID: s.Server.ID, State: plane.ProcessUnknown, Since: p.Now().UTC(), CheckedAt: p.Now().UTC(),
		Reason: "moved away while this server could not be reached; stopped first thing when it returns", Stray: true,
	})
}

// changeProcess reads a process anew inside the transaction: what a person
// wished meanwhile stays.
func changeProcess(ctx context.Context, tx *store.Tx, of plane.Process, set func(p *plane.Process)) error {
	now, err := tx.Process(ctx, of.AppID, of.Name)
	if errors.Is(err, store.ErrNotFound) || err == nil && now.ID != of.ID {
		return nil
	}
	if err != nil {
		return err
	}
	set(&now)
	return tx.UpdateProcess(ctx, now)
}

// settle lets owners hold what runs nowhere, brings every backend to its
// processes, looks at them, and forgets what is removed.
func (p *processes) settle(ctx context.Context) error {
	if err := p.hold(ctx); err != nil {
		return err
	}
	seats := slices.DeleteFunc(slices.Clone(p.crew.seats), func(s recipe.Seat) bool { return !s.Backend.Placed || s.Backend.Removing })
	failed, err := p.arrange(ctx, seats)
	if err != nil {
		return err
	}
	p.tidy = len(failed) == 0
	there := slices.DeleteFunc(slices.Clone(seats), func(s recipe.Seat) bool { return failed[s.Server.Name] != nil })
	return errors.Join(joined(failed), p.leftRunning(ctx, seats, failed), p.look(ctx, p.crew, there, p.all))
}

// leftRunning notes what may still run where it does not belong, on servers that
// could not be asked: it is stopped there first thing when they return.
func (p *processes) leftRunning(ctx context.Context, seats []recipe.Seat, failed map[string]error) error {
	return p.Store.Write(ctx, func(tx *store.Tx) error {
		states, err := tx.ProcessStatuses(ctx, p.crew.app.ID)
		if err != nil {
			return err
		}
		for _, s := range states {
			seat, known := p.crew.seat(s.ServerID)
			i := slices.IndexFunc(p.all, func(o plane.Process) bool { return o.ID == s.ProcessID })
			if !known || !contains(seats, seat) || failed[seat.Server.Name] == nil || i < 0 || p.all[i].RunsOn(s.ServerID) {
				continue
			}
			s = plane.UnseenProcess(s, "does not belong here any more, but this server could not be asked to stop it", p.Now().UTC())
			s.Stray = true
			if err := tx.SetProcessStatus(ctx, s); err != nil {
				return err
			}
		}
		return nil
	})
}

// holdProcesses makes each owner the holder of what was proven to run nowhere. It is
// written before anything is started.
func (j *job) holdProcesses(ctx context.Context, c crew) error {
	return j.Store.Write(ctx, func(tx *store.Tx) error {
		all, err := tx.Processes(ctx, c.app.ID)
		if err != nil {
			return err
		}
		for _, o := range all {
			if o.On != plane.OnOne || o.HolderID != "" || o.Removing {
				continue
			}
			if s, known := c.seat(o.OwnerID); !known || !s.Backend.Placed || s.Backend.Removing {
				continue
			}
			o.HolderID = o.OwnerID
			if err := tx.UpdateProcess(ctx, o); err != nil {
				return err
			}
		}
		return nil
	})
}

func (p *processes) hold(ctx context.Context) error {
	if err := p.holdProcesses(ctx, p.crew); err != nil {
		return err
	}
	return p.load(ctx)
}

// arrange plays the processes of seats, each in what its own live slot was
// started from. One of which that is not known, for it is being repaired, gets
// none: repair brings them back.
func (p *processes) arrange(ctx context.Context, seats []recipe.Seat) (map[string]error, error) {
	var benches []recipe.Bench
	for _, s := range seats {
		b, err := p.bench(ctx, s)
		if err != nil {
			return nil, err
		}
		benches = append(benches, b)
	}
	return p.playProcesses(ctx, p.crew.app, benches)
}

func (p *processes) bench(ctx context.Context, s recipe.Seat) (recipe.Bench, error) {
	b := recipe.Bench{Seat: s}
	if s.Backend.DeploymentID == "" {
		p.say(s.Server.Name, "is not known to hold a deployment: it gets no process until backend repair %s %s", p.crew.app.Name, s.Server.Name)
		return b, nil
	}
	err := p.Store.Read(ctx, func(tx *store.Tx) (err error) {
		b.Plan, err = tx.Deployment(ctx, s.Backend.DeploymentID)
		return err
	})
	b.Processes = plane.ProcessesOn(p.all, s.Server.ID)
	return b, err
}

// playProcesses brings benches to exactly their processes; errors by the server's name.
func (j *job) playProcesses(ctx context.Context, app plane.App, benches []recipe.Bench) (map[string]error, error) {
	if len(benches) == 0 {
		return nil, nil
	}
	var generation int64
	err := j.Store.Write(ctx, func(tx *store.Tx) (err error) {
		generation, err = tx.NextProcessGeneration(ctx, app.ID)
		return err
	})
	if err != nil {
		return nil, err
	}
	play, err := recipe.Processes(j.run.ID, app, generation, benches, j.Kinds)
	if err != nil {
		return nil, err
	}
	return j.playEach(ctx, play)
}

func (p *processes) undo(context.Context, error) {}

// done forgets what is removed.
func (p *processes) done(ctx context.Context, tx *store.Tx) error {
	return forgetRemoved(ctx, tx, p.run.AppID)
}

func forgetRemoved(ctx context.Context, tx *store.Tx, appID string) error {
	all, err := tx.Processes(ctx, appID)
	for _, o := range all {
		if err == nil && o.Removing {
			err = tx.DeleteProcess(ctx, o.ID)
		}
	}
	return err
}

// failed leaves what did not move with its owner: nothing moves by itself later,
// but for what the next Run was queued for. A Run that was cut short is carried on,
// since a process may run nowhere.
func (p *processes) failed(ctx context.Context, tx *store.Tx, state plane.RunState, _ string) error {
	all, err := tx.Processes(ctx, p.run.AppID)
	if err != nil {
		return err
	}
	if state == plane.RunInterrupted {
		return p.carryOn(ctx, tx)
	}
	if p.tidy {
		return forgetRemoved(ctx, tx, p.run.AppID)
	}
	next, err := p.nextWaits(ctx, tx)
	if err != nil {
		return err
	}
	adrift, spread := false, false
	for _, o := range all {
		if o.Leaves() && (!next || o.ID == p.own || slices.Contains(p.tried, o.ID)) {
			spread = spread || o.HolderID == plane.Anywhere
			o = o.Stays()
			if err := tx.UpdateProcess(ctx, o); err != nil {
				return err
			}
		}
		adrift = adrift || o.On == plane.OnOne && o.HolderID == "" && !o.Removing
	}
	if adrift && state == plane.RunCancelled || spread && p.stopping {
		return p.carryOn(ctx, tx)
	}
	return nil
}

// nextWaits tells whether another Run about the app's processes is queued.
func (p *processes) nextWaits(ctx context.Context, tx *store.Tx) (bool, error) {
	queued, err := tx.Runs(ctx, store.RunFilter{AppID: p.run.AppID, State: plane.RunQueued, Limit: 1000})
	return slices.ContainsFunc(queued, func(r plane.Run) bool { return r.Kind == plane.RunProcesses }), err
}

func (p *processes) carryOn(ctx context.Context, tx *store.Tx) error {
	return carryOn(ctx, tx, p.run)
}

// carryOn queues a Run once more, unless its app is on its way out.
func carryOn(ctx context.Context, tx *store.Tx, next plane.Run) error {
	app, err := tx.App(ctx, next.AppID)
	if errors.Is(err, store.ErrNotFound) || err == nil && app.State == plane.AppRemoving {
		return nil
	}
	if err != nil {
		return err
	}
	next.ID, next.State = plane.NewID(plane.PrefixRun), plane.RunQueued
	next.Step, next.Done, next.Total, next.Reason, next.Cancel, next.Receipt = "", 0, 0, "", false, nil
	return tx.Enqueue(ctx, next)
}

func namesOf(all []plane.Process) string {
	names := make([]string, len(all))
	for i, p := range all {
		names[i] = p.Name
	}
	return strings.Join(names, ", ")
}
