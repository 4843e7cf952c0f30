package control

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/serverplane/serverplane/internal/plane"
	"github.com/serverplane/serverplane/internal/store"
)

// SwitchOff keeps visitors from a backend. It is refused for the last one that
// serves; the last healthy one needs yes.
func (c *Control) SwitchOff(ctx context.Context, actor plane.Actor, app, server string, yes bool) (Steered, error) {
	return c.steer(ctx, actor, "backend.off", app+" on "+server, func(tx *store.Tx) (wished, error) {
		a, b, err := settledBackend(ctx, tx, app, server)
		if err != nil {
			return wished{}, err
		}
		if !b.Enabled {
			return wished{app: a}, refuseComingOn(ctx, tx, a, b, server)
		}
		if err := mayLeave(ctx, tx, a, b, server, yes); err != nil {
			return wished{}, err
		}
		b.Enabled, b.TakenOut, b.WishedAt = false, false, c.now().UTC()
		return wished{app: a, changed: true}, tx.UpdateBackend(ctx, b)
	})
}

// refuseComingOn holds that a Run which is about to switch the backend on does
// not undo the wish behind the person's back.
func refuseComingOn(ctx context.Context, tx *store.Tx, a plane.App, b plane.Backend, server string) error {
	open, err := openRuns(ctx, tx, store.RunFilter{AppID: a.ID})
	if err != nil {
		return err
	}
	for _, r := range open {
		var told struct{ Enable bool }
		if r.Kind != plane.RunRepair || r.BackendID != b.ID || json.Unmarshal(r.Args, &told) != nil || !told.Enable {
			continue
		}
		return plane.Conflict(server+" is off, but about to be switched on: "+r.ID, "run cancel "+r.ID)
	}
	return nil
}

// errBehind: a backend must catch up before visitors may be sent to it.
var errBehind = errors.New("the backend does not hold what is live")

// SwitchOn lets visitors reach a backend again: at once if its live slot holds
// exactly what is live, else through a Run that catches up first.
func (c *Control) SwitchOn(ctx context.Context, actor plane.Actor, app, server string) (Steered, error) {
	done, err := c.steer(ctx, actor, "backend.on", app+" on "+server, func(tx *store.Tx) (wished, error) {
		a, b, err := settledBackend(ctx, tx, app, server)
		switch {
		case err != nil:
			return wished{}, err
		case !b.Current(a):
			return wished{}, errBehind
		case a.Balancer.Status == plane.BalancerOff && !b.Primary:
			return wished{}, plane.Conflict("load balancing of the app is off", "lb enable "+a.Name+" first")
		case b.Enabled:
			return wished{app: a}, nil
		}
		b.Enabled, b.WishedAt = true, c.now().UTC()
		return wished{app: a, changed: true}, tx.UpdateBackend(ctx, b)
	})
	if !errors.Is(err, errBehind) {
		return done, err
	}
	run, err := c.repair(ctx, actor, "backend.on", app, server, true)
	return Steered{Run: &run, Reason: server + " must catch up with what is live first"}, err
}

// SetBackend changes a backend's share of visitors.
func (c *Control) SetBackend(ctx context.Context, actor plane.Actor, app, server string, ch BackendChange) (Steered, error) {
	return c.steer(ctx, actor, "backend.set", app+" on "+server, func(tx *store.Tx) (wished, error) {
		a, b, err := settledBackend(ctx, tx, app, server)
		if err != nil {
			return wished{}, err
		}
		if err := ch.Seen.still(SeenShare(b)); err != nil {
			return wished{}, err
		}
		was := b
		put(&b.Weight, ch.Weight)
		put(&b.Backup, ch.Backup)
		if err := cmp.Or(plane.CheckWeight(b.Weight), plane.CheckBackup(a.Balancer.Method, b.Backup)); err != nil {
			return wished{}, err
		}
		if b.Backup && !was.Backup {
			if err := mayLeave(ctx, tx, a, was, server, ch.Yes); err != nil {
				return wished{}, err
			}
		}
		if b == was {
			return wished{app: a}, nil
		}
		note := fmt.Sprintf("weight %d to %d, backup %t to %t", was.Weight, b.Weight, was.Backup, b.Backup)
		return wished{app: a, changed: true, note: note}, tx.UpdateBackend(ctx, b)
	})
}

// RepairBackend queues the Run that brings a backend to exactly what is live.
func (c *Control) RepairBackend(ctx context.Context, actor plane.Actor, app, server string) (plane.Run, error) {
	return c.repair(ctx, actor, "backend.repair", app, server, false)
}

func (c *Control) repair(ctx context.Context, actor plane.Actor, action, app, server string, enable bool) (plane.Run, error) {
	args, err := json.Marshal(map[string]any{"enable": enable})
	if err != nil {
		return plane.Run{}, fmt.Errorf("describe a repair: %w", err)
	}
	var run plane.Run
	err = c.change(ctx, actor, action, app+" on "+server, func(tx *store.Tx) error {
		a, b, err := settledBackend(ctx, tx, app, server)
		if err != nil {
			return err
		}
		if enable && a.Balancer.Status == plane.BalancerOff && !b.Primary {
			return plane.Conflict("load balancing of the app is off", "lb enable "+a.Name+" first")
		}
		if err := refuseUnfinished(ctx, tx, a, b); err != nil {
			return err
		}
		run, err = c.enqueue(ctx, tx, actor, onBackend(plane.RunRepair, a, b, args))
		return err
	})
	c.hub.Publish(TopicQueue)
	return run, err
}

// onBackend is a Run about one backend, beside Runs about others of its app.
func onBackend(kind plane.RunKind, a plane.App, b plane.Backend, args json.RawMessage) plane.Run {
	servers := []string{b.ServerID}
	if b.ServerID != a.ServerID {
		servers = append(servers, a.ServerID)
	}
	return plane.Run{
		Kind: kind, AppID: a.ID, ServerID: b.ServerID, BackendID: b.ID, Servers: servers, Args: args,
		Locks: []string{plane.Shared(plane.AppLock(a.ID)), plane.BackendLock(b.ID)},
	}
}

// RemoveBackend takes a backend out of the upstream at once and queues the Run
// that takes away what is on its server. Asked again, it goes on with what was
// left there.
func (c *Control) RemoveBackend(ctx context.Context, actor plane.Actor, app, server string, w RemoveWish) (plane.Run, error) {
	args, err := json.Marshal(map[string]any{"discard": w.Discard})
	if err != nil {
		return plane.Run{}, fmt.Errorf("describe a removal: %w", err)
	}
	var run plane.Run
	err = c.change(ctx, actor, "backend.remove", app+" on "+server, func(tx *store.Tx) error {
		a, b, err := namedBackend(ctx, tx, app, server)
		if err != nil {
			return err
		}
		if err := c.leave(ctx, tx, a, b, server, w.Yes); err != nil {
			return err
		}
		run, err = c.enqueue(ctx, tx, actor, onBackend(plane.RunLeave, a, b, args))
		return err
	})
	c.hub.Publish(TopicTree)
	c.hub.Publish(TopicQueue)
	return run, err
}

func (c *Control) leave(ctx context.Context, tx *store.Tx, a plane.App, b plane.Backend, server string, yes bool) error {
	if b.Primary {
		return plane.Conflict(fmt.Sprintf("%q is the primary of %q: its entry and the home of its data", server, a.Name),
			"turn its own backend off with backend off, or remove the app")
	}
	if err := cmp.Or(refuseLeaving(a), refuseUnfinished(ctx, tx, a, b)); err != nil {
		return err
	}
	if b.Removing {
		return nil
	}
	if err := refuseOwner(ctx, tx, a, b.ServerID, server); err != nil {
		return err
	}
	if err := mayLeave(ctx, tx, a, b, server, yes); err != nil {
		return err
	}
	b.Removing, b.WishedAt = true, c.now().UTC()
	if err := tx.UpdateBackend(ctx, b); err != nil {
		return err
	}
	h := b.Health
	h.Since, h.Reason = b.WishedAt, "its removal is queued"
	if err := tx.SetHealth(ctx, b.ID, h); err != nil {
		return err
	}
	_, err := tx.RaiseTree(ctx, a.ServerID)
	return err
}

// CheckBackend asks a backend once, now, and leaves its state to the periodic check.
func (c *Control) CheckBackend(ctx context.Context, _ plane.Actor, app, server string) (plane.Probe, error) {
	b, err := read(ctx, c.store, func(tx *store.Tx) (plane.Backend, error) {
		a, b, err := namedBackend(ctx, tx, app, server)
		if err == nil && a.LiveSlot == "" {
			err = plane.Conflict("the app has no completed deployment yet", "deploy "+a.Name+" first")
		}
		return b, err
	})
	if err != nil {
		return plane.Probe{}, err
	}
	return c.checker.Check(ctx, b.ID)
}

func namedBackend(ctx context.Context, tx *store.Tx, app, server string) (plane.App, plane.Backend, error) {
	a, err := appByName(ctx, tx, app)
	if err != nil {
		return a, plane.Backend{}, err
	}
	s, err := serverByName(ctx, tx, server)
	if err != nil {
		return a, plane.Backend{}, err
	}
	b, err := tx.BackendOf(ctx, a.ID, s.ID)
	return a, b, orNotFound(err, "backend of "+app+" on a server", server)
}

// settledBackend is one that is neither on its way in nor out.
func settledBackend(ctx context.Context, tx *store.Tx, app, server string) (plane.App, plane.Backend, error) {
	a, b, err := namedBackend(ctx, tx, app, server)
	switch {
	case err != nil:
		return a, b, err
	case a.State == plane.AppRemoving:
		return a, b, refuseLeaving(a)
	case b.Removing:
		return a, b, plane.Conflict(fmt.Sprintf("%q is being removed from %q", server, app), "backend remove "+app+" "+server+" continues")
	case !b.Placed:
		return a, b, plane.Conflict(fmt.Sprintf("%q does not serve %q yet", server, app), "backend add "+app+" "+server+" continues; a primary serves after its first deployment")
	}
	return a, b, nil
}

func mayLeave(ctx context.Context, tx *store.Tx, a plane.App, b plane.Backend, server string, yes bool) error {
	all, err := tx.BackendsOf(ctx, a.ID)
	if err != nil {
		return err
	}
	return plane.MayLeave(a, b, all, server, yes)
}

// refuseUnfinished holds that one Run at a time works on a backend.
func refuseUnfinished(ctx context.Context, tx *store.Tx, a plane.App, b plane.Backend) error {
	open, err := openRuns(ctx, tx, store.RunFilter{AppID: a.ID})
	if err != nil {
		return err
	}
	for _, r := range open {
		if r.BackendID == b.ID && slices.Contains([]plane.RunKind{plane.RunAdd, plane.RunRepair, plane.RunLeave}, r.Kind) {
			return plane.Conflict(fmt.Sprintf("%s of it is under way: %s", r.Kind, r.ID), "wait for it (run log "+r.ID+" --follow) or run cancel "+r.ID)
		}
	}
	return nil
}
