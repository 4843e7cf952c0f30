package runner

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/serverplane/serverplane/internal/plane"
	"github.com/serverplane/serverplane/internal/probe"
	"github.com/serverplane/serverplane/internal/recipe"
	"github.com/serverplane/serverplane/internal/store"
)

// look reads back what runs on each seat and stores it; the error names what
// should run there and does not.
func (j *job) look(ctx context.Context, c crew, seats []recipe.Seat, all []plane.Process) error {
	failed := eachSeat(seats, func(s recipe.Seat) error {
		states, err := j.lookAt(ctx, c.app, s, plane.ProcessesOn(all, s.Server.ID))
		if err != nil {
			return err
		}
		return j.keepProcesses(ctx, s, all, states)
	})
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	for name, err := range failed {
		j.say(name, "warning: what runs there could not be read back: %v", err)
	}
	var states []plane.ProcessStatus
	err := j.Store.Read(ctx, func(tx *store.Tx) (err error) {
		states, err = tx.ProcessStatuses(ctx, c.app.ID)
		return err
	})
	return errors.Join(err, j.lameProcesses(c, all, states))
}

func (j *job) lookAt(ctx context.Context, app plane.App, s recipe.Seat, here []plane.Process) ([]plane.ProcessStatus, error) {
	sights := make([]probe.Sight, len(here))
	for i, p := range here {
		sights[i] = probe.Sight{Process: p, Units: recipe.UnitsOf(app.Name, p)}
	}
	states, err := probe.Processes(ctx, j.Pool, recipe.Target(s.Server), sights, j.Now().UTC())
	for _, seen := range states {
		j.sayProcess(s.Server.Name, here, seen)
	}
	return states, err
}

func (j *job) sayProcess(server string, here []plane.Process, seen plane.ProcessStatus) {
	for _, p := range here {
		if p.ID != seen.ProcessID {
			continue
		}
		text := p.Name + " is " + string(seen.State)
		if seen.State == plane.ProcessFailed || seen.State == plane.ProcessUnknown {
			text = "warning: " + text
		}
		if seen.Release != "" {
			text += " from release " + seen.Release
		}
		if seen.Reason != "" {
			text += ": " + seen.Reason
		}
		j.say(server, "%s", text)
	}
}

// keepProcesses stores what was seen on a seat and forgets what does not belong
// there any more, unless it is still to be stopped there.
func (j *job) keepProcesses(ctx context.Context, s recipe.Seat, all []plane.Process, states []plane.ProcessStatus) error {
	return j.Store.Write(ctx, func(tx *store.Tx) error {
		for _, p := range all {
			if p.RunsOn(s.Server.ID) {
				continue
			}
			if err := tx.ForgetProcessStatus(ctx, p.ID, s.Server.ID); err != nil {
				return err
			}
		}
		for _, seen := range states {
			if err := setStatus(ctx, tx, seen); err != nil {
				return err
			}
		}
		return nil
	})
}

// setStatus stores a status, unless its process was removed meanwhile.
func setStatus(ctx context.Context, tx *store.Tx, seen plane.ProcessStatus) error {
	all, err := tx.AllProcesses(ctx)
	if err != nil {
		return err
	}
	for _, p := range all {
		if p.ID == seen.ProcessID {
			return tx.SetProcessStatus(ctx, seen)
		}
	}
	return nil
}

// lameProcesses is an error that names what should run and does not; what it wrote
// last is said in lines of their own. A cron entry's last run is no part of that: it
// is judged by its timer.
func (j *job) lameProcesses(c crew, all []plane.Process, states []plane.ProcessStatus) error {
	var lame []error
	for _, s := range states {
		seat, known := c.seat(s.ServerID)
		if s.State != plane.ProcessFailed && s.State != plane.ProcessStopped || !known {
			continue
		}
		for _, p := range all {
			if p.ID == s.ProcessID && p.RunsOn(s.ServerID) && (p.Kind == plane.Worker || s.State == plane.ProcessStopped) {
				lame = append(lame, fmt.Errorf("%s on %s is %s: %s", p.Name, seat.Server.Name, s.State, s.Reason))
				j.quote(seat.Server.Name, p.Name, s.Lines)
			}
		}
	}
	return errors.Join(lame...)
}

// quote says what a process wrote last, line by line.
func (j *job) quote(server, process, lines string) {
	for line := range strings.Lines(lines) {
		if line = strings.TrimRight(line, "\r\n"); line != "" {
			j.journal.add(plane.Event{Kind: plane.EventSaid, Server: server, Step: j.run.Step, Text: process + ": " + line})
		}
	}
}

// bringProcesses brings seats to their processes in the release of the plan: at
// the end of a deployment, an addition or a repair. What goes wrong with a
// process is told and is no reason to fail: visitors are served already.
func (j *job) bringProcesses(ctx context.Context, appID string, of []recipe.Seat, plan plane.Deployment) error {
	var c crew
	var all []plane.Process
	read := func(tx *store.Tx) (err error) {
		if c, err = loadCrew(ctx, tx, appID); err != nil {
			return err
		}
		all, err = tx.Processes(ctx, appID)
		for i := range all {
			all[i] = all[i].Stays() // a move waits for its own Run: nothing is emptied by the way
		}
		return err
	}
	if err := j.Store.Read(ctx, read); err != nil || len(all) == 0 {
		return err
	}
	if err := j.step(ctx, "start its processes in this release"); err != nil {
		return err
	}
	if err := j.holdProcesses(ctx, c); err != nil {
		return err
	}
	if err := j.Store.Read(ctx, read); err != nil {
		return err
	}
	benches := make([]recipe.Bench, len(of))
	for i, s := range of {
		benches[i] = recipe.Bench{Seat: s, Plan: plan, Processes: plane.ProcessesOn(all, s.Server.ID)}
	}
	failed, err := j.playProcesses(ctx, c.app, benches)
	if err == nil {
		there := slices.DeleteFunc(slices.Clone(of), func(s recipe.Seat) bool { return failed[s.Server.Name] != nil })
		err = errors.Join(joined(failed), j.look(ctx, c, there, all))
	}
	if errors.Is(err, errLost) || errors.Is(context.Cause(ctx), errLost) {
		return errLost
	}
	if err != nil {
		j.error(fmt.Errorf("visitors are served, but not every process runs: %w", err))
	}
	return nil
}

// renewProcesses starts the app's processes through the release that visitors
// have by now. It takes as long as they need to finish what they are at.
func (d *deployment) renewProcesses(ctx context.Context) error {
	err := d.bringProcesses(ctx, d.crew.app.ID, d.taking(), d.plan)
	if err == nil || errors.Is(err, errLost) {
		return err
	}
	d.stale = true
	if ctx.Err() == nil {
		d.error(fmt.Errorf("processes were not started anew: %w", err))
	}
	return nil // visitors have the new release: stopping early is still a completed deployment
}
