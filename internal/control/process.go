package control

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/serverplane/serverplane/internal/auth"
	"github.com/serverplane/serverplane/internal/plane"
	"github.com/serverplane/serverplane/internal/recipe"
	"github.com/serverplane/serverplane/internal/store"
)

// ProcessWish is what a person says of a process, or of a cron entry.
type ProcessWish struct {
	Command  string
	On       plane.Placement
	Count    int            // of a process; 0: 1
	Stop     plane.Duration // 0: 1 m
	Schedule string         // of a cron entry
}

// MoveWish says where a process is to run from now on.
type MoveWish struct {
	Server string // name
	// Anyway: the person says that the present owner is off, should it not be
	// reached; Confirm is its name, typed.
	Anyway  bool
	Confirm string
}

// ProcessView is a process with how it was last seen.
type ProcessView struct {
	plane.Process
	Owner  string // name of the server, or empty
	Next   time.Time
	Zone   string // by whose clock a cron entry runs
	States []ProcessStateView
}

// ProcessStateView is one server's part.
type ProcessStateView struct {
	plane.ProcessStatus
	ServerName string
	Behind     bool // what runs is not what is live
}

// ProcessChecker looks at an app's processes on all its servers, now.
type ProcessChecker interface {
	CheckProcesses(ctx context.Context, appID string) error
}

// SetProcess makes or changes a process or cron entry. The Run that puts it in
// force is nil before the app's first deployment, which starts it.
func (c *Control) SetProcess(ctx context.Context, actor plane.Actor, kind plane.ProcessKind, app, name string, w ProcessWish) (*plane.Run, error) {
	wish := plane.Process{Name: name, Kind: kind, Command: w.Command, On: w.On, Count: w.Count, Stop: w.Stop, Schedule: w.Schedule}.WithDefaults()
	if err := wish.Check(); err != nil {
		return nil, err
	}
	return c.arrange(ctx, actor, arrangement{kind: kind, verb: "set", app: app, name: name}, func(tx *store.Tx) (plane.App, error) {
		a, err := settledApp(ctx, tx, app)
		if err != nil {
			return a, err
		}
		primary, err := tx.Server(ctx, a.ServerID)
		if err == nil {
			err = recipe.CheckProcess(a, primary, wish, c.kinds)
		}
		if err != nil {
			return a, err
		}
		return a, c.keepProcess(ctx, tx, a, wish)
	})
}

// settledApp is one that is not on its way out.
func settledApp(ctx context.Context, tx *store.Tx, name string) (plane.App, error) {
	a, err := appByName(ctx, tx, name)
	if err != nil {
		return a, err
	}
	return a, refuseLeaving(a)
}

// keepProcess writes the wish beside what is known of the process. A new owner
// is the primary.
func (c *Control) keepProcess(ctx context.Context, tx *store.Tx, a plane.App, wish plane.Process) error {
	now, err := tx.Process(ctx, a.ID, wish.Name)
	if errors.Is(err, store.ErrNotFound) {
		return c.newProcess(ctx, tx, a, wish)
	}
	switch {
	case err != nil:
		return err
	case now.Kind != wish.Kind:
		return plane.Conflict(fmt.Sprintf("%q is the name of a %s already", wish.Name, now.Kind.Noun()), "choose another name")
	case now.Removing:
		return plane.Conflict(fmt.Sprintf("%q is still being removed", wish.Name), string(now.Kind)+" remove "+a.Name+" "+wish.Name+" again continues")
	}
	now = now.PutOn(wish.On, a.ServerID, a.LiveID != "")
	now.Command, now.Count, now.Stop, now.Schedule, now.ChangedAt = wish.Command, wish.Count, wish.Stop, wish.Schedule, c.now().UTC()
	return tx.UpdateProcess(ctx, now)
}

func (c *Control) newProcess(ctx context.Context, tx *store.Tx, a plane.App, p plane.Process) error {
	all, err := tx.Processes(ctx, a.ID)
	if err != nil {
		return err
	}
	if len(all) >= plane.MaxProcesses {
		return plane.Invalid("name", fmt.Sprintf("an app has at most %d processes and cron entries", plane.MaxProcesses), "remove some first")
	}
	p.ID, p.AppID, p.CreatedAt = plane.NewID(plane.PrefixProcess), a.ID, c.now().UTC()
	p.ChangedAt = p.CreatedAt
	if p.On == plane.OnOne {
		p.OwnerID = a.ServerID
	}
	return tx.CreateProcess(ctx, p)
}

// arrangement is what a person wishes of one process.
type arrangement struct {
	kind   plane.ProcessKind
	verb   string
	app    string
	name   string
	to     string // name of a server
	anyway bool
}

func (w arrangement) subject() string {
	if w.to != "" {
		return w.app + " " + w.name + " to " + w.to
	}
	return w.app + " " + w.name
}

// arrange writes a wish about a process and, where something is deployed, queues
// the Run that carries it out. The Run remembers what there was before.
func (c *Control) arrange(ctx context.Context, actor plane.Actor, w arrangement, wish func(tx *store.Tx) (plane.App, error)) (*plane.Run, error) {
	var run *plane.Run
	err := c.changeNoting(ctx, actor, string(w.kind)+"."+w.verb, w.subject(), func(tx *store.Tx) (string, error) {
		run = nil
		former, err := formerProcess(ctx, tx, w.app, w.name)
		if err != nil {
			return "", err
		}
		a, err := wish(tx)
		if err != nil || a.LiveID == "" {
			return "", err
		}
		args, err := processArgsOf(ctx, tx, a, w, former)
		if err != nil {
			return "", err
		}
		queued, err := c.enqueueProcesses(ctx, tx, actor, a, args)
		run = &queued
		if w.anyway {
			return queued.ID + ": says that the present owner is off", err
		}
		return queued.ID, err
	})
	if err != nil {
		return nil, err
	}
	c.hub.Publish(TopicQueue)
	return run, nil
}

func (c *Control) enqueueProcesses(ctx context.Context, tx *store.Tx, actor plane.Actor, a plane.App, args json.RawMessage) (plane.Run, error) {
	servers, err := serversOf(ctx, tx, a.ID)
	if err != nil {
		return plane.Run{}, err
	}
	return c.enqueue(ctx, tx, actor, plane.Run{Kind: plane.RunProcesses, AppID: a.ID, Servers: servers, Args: args, Locks: []string{plane.AppLock(a.ID)}})
}

// MoveProcess makes another backend the owner of what runs on one: stopped and
// proven to have stopped on the old, then started on the new.
func (c *Control) MoveProcess(ctx context.Context, actor plane.Actor, kind plane.ProcessKind, app, name string, w MoveWish) (*plane.Run, error) {
	return c.arrange(ctx, actor, arrangement{kind: kind, verb: "move", app: app, name: name, to: w.Server, anyway: w.Anyway}, func(tx *store.Tx) (plane.App, error) {
		a, p, err := c.namedProcess(ctx, tx, kind, app, name)
		if err != nil {
			return a, err
		}
		target, err := c.mayMoveTo(ctx, tx, a, p, w.Server)
		if err != nil {
			return a, err
		}
		moved, err := p.Moves(name, w.Server, target.ID)
		if err != nil {
			return a, err
		}
		if a.LiveID == "" { // nothing runs yet
			moved.HolderID = ""
			return a, tx.UpdateProcess(ctx, moved)
		}
		if err := refuseAwayOwner(ctx, tx, a, p, w); err != nil {
			return a, err
		}
		return a, tx.UpdateProcess(ctx, moved)
	})
}

// mayMoveTo holds that the server serves the app and has nothing of the process
// left from before.
func (c *Control) mayMoveTo(ctx context.Context, tx *store.Tx, a plane.App, p plane.Process, server string) (plane.Server, error) {
	s, err := serverByName(ctx, tx, server)
	if err != nil {
		return s, inField("server", err)
	}
	b, err := tx.BackendOf(ctx, a.ID, s.ID)
	if errors.Is(err, store.ErrNotFound) {
		return s, plane.Invalid("server", fmt.Sprintf("%s does not serve %s", server, a.Name), "see backend list "+a.Name)
	}
	switch {
	case err != nil:
		return s, err
	case b.Removing || !b.Placed && a.LiveID != "":
		return s, plane.Conflict(fmt.Sprintf("the backend on %s is %s", server, b.State()), "choose one that is deployed: backend list "+a.Name)
	case s.State == plane.ServerUnreachable:
		return s, plane.Conflict(fmt.Sprintf("%s cannot be reached", server), "choose another server, or wait until it is back")
	}
	states, err := tx.ProcessStatuses(ctx, a.ID)
	for _, st := range states {
		if st.ProcessID == p.ID && st.ServerID == s.ID && st.Stray {
			return s, plane.Conflict(fmt.Sprintf("%q may still run on %s from before it was moved away", p.Name, server), "it is stopped there first thing when the server can be reached; try again then")
		}
	}
	return s, err
}

// refuseAwayOwner holds that nothing moves away from a server that cannot be
// reached, unless a person says, by its name, that it is off.
func refuseAwayOwner(ctx context.Context, tx *store.Tx, a plane.App, p plane.Process, w MoveWish) error {
	if p.HolderID == "" {
		return nil
	}
	if p.HolderID == plane.Anywhere {
		if !w.Anyway {
			return nil // its Run refuses where one of them cannot be reached
		}
		return plane.Invalid("anyway", fmt.Sprintf("%s may still run on every backend, for it ran on all", p.Name), "move it without --anyway; a backend whose server is off for good is taken away by backend remove")
	}
	owner, err := tx.Server(ctx, p.HolderID)
	if errors.Is(err, store.ErrNotFound) {
		return nil
	}
	switch {
	case err != nil:
		return err
	case w.Anyway && w.Confirm != owner.Name:
		return plane.Invalid("confirm", fmt.Sprintf("confirm that %s is off by its name: while it runs, so does %s, and it would run twice", owner.Name, p.Name), "type "+owner.Name)
	case !w.Anyway && owner.State == plane.ServerUnreachable:
		return plane.Conflict(fmt.Sprintf("%s, the owner of %s, cannot be reached, so nothing moves by itself: %s may still run there", owner.Name, p.Name, p.Name),
			fmt.Sprintf("bring it back, or make sure that it is off and move anyway: %s move %s %s %s --anyway", p.Kind, a.Name, p.Name, w.Server))
	}
	return nil
}

// RemoveProcess takes a process or cron entry away from every server. Asked
// again, it goes on with what could not be reached.
func (c *Control) RemoveProcess(ctx context.Context, actor plane.Actor, kind plane.ProcessKind, app, name string) (*plane.Run, error) {
	return c.arrange(ctx, actor, arrangement{kind: kind, verb: "remove", app: app, name: name}, func(tx *store.Tx) (plane.App, error) {
		a, p, err := c.namedProcess(ctx, tx, kind, app, name)
		if err != nil {
			return a, err
		}
		if a.LiveID == "" {
			return a, tx.DeleteProcess(ctx, p.ID)
		}
		p.Removing, p.ChangedAt = true, c.now().UTC()
		return a, tx.UpdateProcess(ctx, p)
	})
}

func (c *Control) namedProcess(ctx context.Context, tx *store.Tx, kind plane.ProcessKind, app, name string) (plane.App, plane.Process, error) {
	a, err := settledApp(ctx, tx, app)
	if err != nil {
		return a, plane.Process{}, err
	}
	if plane.CheckName("name", name) != nil {
		return a, plane.Process{}, plane.NotFound(kind.Noun(), name)
	}
	p, err := tx.Process(ctx, a.ID, name)
	if err == nil && p.Kind != kind {
		err = plane.NotFound(kind.Noun(), name)
	}
	return a, p, orNotFound(err, kind.Noun(), name)
}

// Processes lists an app's processes, or its cron entries, by name.
func (c *Control) Processes(ctx context.Context, actor plane.Actor, kind plane.ProcessKind, app string) ([]ProcessView, error) {
	return read(ctx, c.store, func(tx *store.Tx) ([]ProcessView, error) {
		a, err := appByName(ctx, tx, app)
		if err != nil {
			return nil, err
		}
		all, err := tx.Processes(ctx, a.ID)
		if err != nil {
			return nil, err
		}
		views := []ProcessView{}
		for _, p := range all {
			if p.Kind == kind {
				views = append(views, ProcessView{Process: p})
			}
		}
		err = c.seeProcesses(ctx, tx, a, views)
		if !auth.Allow(actor.Role, auth.LogRead) {
			hideLines(views)
		}
		return views, err
	})
}

// hideLines takes away what processes wrote: it may hold what visitors sent.
func hideLines(views []ProcessView) {
	for _, v := range views {
		for i := range v.States {
			v.States[i].Lines = ""
		}
	}
}

// seeProcesses adds to each process its owner's name and its states.
func (c *Control) seeProcesses(ctx context.Context, tx *store.Tx, a plane.App, views []ProcessView) error {
	states, err := tx.ProcessStatuses(ctx, a.ID)
	if err != nil {
		return err
	}
	seats, err := seatsOf(ctx, tx, a)
	if err != nil {
		return err
	}
	live := ""
	if a.LiveID != "" {
		d, err := tx.Deployment(ctx, a.LiveID)
		if err != nil {
			return err
		}
		live = d.ReleaseID
	}
	for i := range views {
		v := &views[i]
		if v.Kind == plane.Cron {
			v.Zone = a.Spec.Timezone().String()
			if s, err := plane.ParseSchedule("schedule", v.Schedule); err == nil {
				v.Next = s.Next(c.now().In(a.Spec.Timezone()))
			}
		}
		for _, s := range seats {
			if s.Server.ID == v.OwnerID {
				v.Owner = s.Server.Name
			}
			at := slices.IndexFunc(states, func(st plane.ProcessStatus) bool { return st.ProcessID == v.ID && st.ServerID == s.Server.ID })
			belongs := v.RunsOn(s.Server.ID) && s.Backend.Placed
			if at < 0 && !belongs {
				continue
			}
			line := ProcessStateView{ServerName: s.Server.Name}
			if at >= 0 {
				line.ProcessStatus = states[at]
			} else {
				line.State, line.Since, line.Reason = plane.ProcessUnknown, v.ChangedAt, "not looked at yet"
			}
			line.Behind = line.Release != "" && line.Release != live
			v.States = append(v.States, line)
		}
	}
	return nil
}

// CheckProcesses looks at an app's processes on its servers, now.
func (c *Control) CheckProcesses(ctx context.Context, _ plane.Actor, app string) error {
	a, err := read(ctx, c.store, func(tx *store.Tx) (plane.App, error) { return appByName(ctx, tx, app) })
	if err != nil {
		return err
	}
	return c.seer.CheckProcesses(ctx, a.ID)
}

// refuseOwner holds that a backend which is removed owns nothing: what it alone
// runs would be gone with it.
func refuseOwner(ctx context.Context, tx *store.Tx, a plane.App, serverID, server string) error {
	all, err := tx.Processes(ctx, a.ID)
	if err != nil {
		return err
	}
	owned := plane.OwnedBy(all, serverID)
	if len(owned) == 0 {
		return nil
	}
	return plane.Conflict(fmt.Sprintf("%s is the owner of %s, which would run nowhere then", server, strings.Join(owned, ", ")),
		fmt.Sprintf("move it first: process move %s %s SERVER (or cron move)", a.Name, owned[0]))
}

// resetClocks queues the Run that has cron entries follow the app's new zone.
func (c *Control) resetClocks(ctx context.Context, tx *store.Tx, actor plane.Actor, a plane.App) error {
	all, err := tx.Processes(ctx, a.ID)
	if err != nil || a.LiveID == "" || !slices.ContainsFunc(all, func(p plane.Process) bool { return p.Kind == plane.Cron }) {
		return err
	}
	_, err = c.enqueueProcesses(ctx, tx, actor, a, nil)
	return err
}
