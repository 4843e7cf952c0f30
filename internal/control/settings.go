package control

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/serverplane/serverplane/internal/plane"
	"github.com/serverplane/serverplane/internal/recipe"
	"github.com/serverplane/serverplane/internal/store"
)

// SetBalancer changes how visitors are shared out and how backends are asked. It
// may be used before load balancing is enabled; what it says of traffic then
// waits for that.
func (c *Control) SetBalancer(ctx context.Context, actor plane.Actor, app string, ch BalancerChange) (Steered, error) {
	return c.steer(ctx, actor, "lb.set", app, func(tx *store.Tx) (wished, error) {
		a, err := appByName(ctx, tx, app)
		if err != nil {
			return wished{}, err
		}
		if err := ch.Seen.still(SeenBalancer(a.Balancer, a.Spec.HealthPath)); err != nil {
			return wished{}, err
		}
		was := a
		ch.apply(&a)
		seats, err := seatsOf(ctx, tx, a)
		if err != nil {
			return wished{}, err
		}
		if err := cmp.Or(refuseLeaving(a), checkBalancer(a, seats), c.checkPath(a)); err != nil {
			return wished{}, err
		}
		if err := cmp.Or(tx.SetBalancer(ctx, a.ID, a.Balancer), tx.UpdateApp(ctx, a)); err != nil {
			return wished{}, err
		}
		note := whatChanged(was, a)
		return wished{app: a, changed: a.Balancer.Method != was.Balancer.Method || a.Balancer.NameHeader != was.Balancer.NameHeader, beside: note != "", note: note}, nil
	})
}

func (ch BalancerChange) apply(a *plane.App) {
	put(&a.Balancer.Method, ch.Method)
	put(&a.Balancer.Health.Interval, ch.Interval)
	put(&a.Balancer.Health.Timeout, ch.Timeout)
	put(&a.Balancer.Health.Fall, ch.Fall)
	put(&a.Balancer.Health.Rise, ch.Rise)
	put(&a.Balancer.NameHeader, ch.NameHeader)
	put(&a.Balancer.Health.TakeOut, ch.TakeOut)
	put(&a.Balancer.Health.Floor, ch.Floor)
	put(&a.Spec.HealthPath, ch.HealthPath)
}

// whatChanged is what the audit log keeps; empty where nothing did.
func whatChanged(was, is plane.App) string {
	var told []string
	if m := is.Balancer.Method; m != was.Balancer.Method {
		told = append(told, fmt.Sprintf("method %s to %s", was.Balancer.Method, m))
	}
	if n := is.Balancer.NameHeader; n != was.Balancer.NameHeader {
		told = append(told, fmt.Sprintf("name header %t", n))
	}
	if p := is.Spec.HealthPath; p != was.Spec.HealthPath {
		told = append(told, fmt.Sprintf("health path %s to %s", was.Spec.HealthPath, p))
	}
	if h := is.Balancer.Health; h != was.Balancer.Health {
		told = append(told, fmt.Sprintf("every %s, limit %s, fall %d, rise %d, take out %t, floor %d", h.Interval, h.Timeout, h.Fall, h.Rise, h.TakeOut, max(1, h.Floor)))
	}
	return strings.Join(told, "; ")
}

func (c *Control) checkPath(a plane.App) error { return a.Check(c.insecure) }

func checkBalancer(a plane.App, seats []recipe.Seat) error {
	b := a.Balancer
	if err := cmp.Or(plane.CheckMethod("method", b.Method), b.Health.Check()); err != nil {
		return err
	}
	if b.Health.Floor < 0 || b.Health.Floor > max(1, len(seats)) {
		return plane.Invalid("floor", fmt.Sprintf("must be 1 to %d, the number of backends", max(1, len(seats))), "the default is 1")
	}
	for _, s := range seats {
		if s.Backend.Backup && !s.Backend.Removing && plane.CheckBackup(b.Method, true) != nil {
			return plane.Invalid("method", "IP hash knows no backup backend, and "+s.Server.Name+" is one", fmt.Sprintf("backend set %s %s --backup=false first", a.Name, s.Server.Name))
		}
	}
	return nil
}

// DisableBalancer queues the Run that moves all traffic to the primary.
func (c *Control) DisableBalancer(ctx context.Context, actor plane.Actor, app string, w DisableWish) (plane.Run, error) {
	if w.Discard && !w.RemoveBackends {
		return plane.Run{}, plane.Invalid("discard", "throws away files of backends that are removed, and none is", "add remove_backends (--remove-backends)")
	}
	args, err := json.Marshal(map[string]any{"remove_backends": w.RemoveBackends, "discard": w.Discard})
	if err != nil {
		return plane.Run{}, fmt.Errorf("describe what is disabled: %w", err)
	}
	var run plane.Run
	err = c.change(ctx, actor, "lb.disable", app, func(tx *store.Tx) error {
		a, err := appByName(ctx, tx, app)
		if err != nil {
			return err
		}
		backends, err := tx.BackendsOf(ctx, a.ID)
		if err != nil {
			return err
		}
		if err := cmp.Or(refuseLeaving(a), mayDisable(a, backends, w), refuseTwice(ctx, tx, a, plane.RunDisable)); err != nil {
			return err
		}
		if err := refuseOwners(ctx, tx, a, backends, w); err != nil {
			return err
		}
		servers, err := serversOf(ctx, tx, a.ID)
		if err != nil {
			return err
		}
		run, err = c.enqueue(ctx, tx, actor, plane.Run{Kind: plane.RunDisable, AppID: a.ID, Servers: servers, Args: args, Locks: []string{plane.AppLock(a.ID)}})
		return err
	})
	c.hub.Publish(TopicQueue)
	return run, err
}

// refuseOwners is refuseOwner for every backend that would be removed.
func refuseOwners(ctx context.Context, tx *store.Tx, a plane.App, backends []plane.Backend, w DisableWish) error {
	for _, b := range backends {
		if b.Primary || b.Removing || !w.RemoveBackends {
			continue
		}
		s, err := tx.Server(ctx, b.ServerID)
		if err != nil {
			return err
		}
		if err := refuseOwner(ctx, tx, a, s.ID, s.Name); err != nil {
			return err
		}
	}
	return nil
}

// mayDisable lets it be asked again while backends are still to be removed.
func mayDisable(a plane.App, backends []plane.Backend, w DisableWish) error {
	if a.Balancer.Status != plane.BalancerOff || w.RemoveBackends && len(backends) > 1 {
		return nil
	}
	return plane.Conflict("load balancing is off", "there is nothing to disable")
}

// Preview is a file of the entry's Nginx as it would be.
type Preview struct {
	Path    string // below /etc/nginx
	Text    string
	Version string
}

// PreviewBalancer renders the app's Nginx file on its primary as it is wished, or
// as it would be with another method. Nothing is changed.
func (c *Control) PreviewBalancer(ctx context.Context, _ plane.Actor, app string, method plane.Method) (Preview, error) {
	if method != "" {
		if err := plane.CheckMethod("method", method); err != nil {
			return Preview{}, err
		}
	}
	return read(ctx, c.store, func(tx *store.Tx) (Preview, error) {
		a, err := appByName(ctx, tx, app)
		if err != nil {
			return Preview{}, err
		}
		if a.LiveSlot == "" {
			return Preview{}, plane.Conflict("the app has no entry before its first completed deployment", "deploy "+a.Name+" first")
		}
		server, err := tx.Server(ctx, a.ServerID)
		if err != nil {
			return Preview{}, err
		}
		if a.Balancer.Method = cmp.Or(method, a.Balancer.Method); method != "" && a.Balancer.Status == plane.BalancerOff {
			a.Balancer.Status = plane.BalancerOn // as lb enable with the method would
		}
		present, err := presences(ctx, tx, a)
		if err != nil {
			return Preview{}, err
		}
		change, err := recipe.Tree(server, present)
		if err != nil {
			return Preview{}, err
		}
		for _, f := range change.Files {
			if f.Path == recipe.EntryPath(a.Name) {
				return Preview{Path: f.Path, Text: f.Text, Version: change.Version}, nil
			}
		}
		return Preview{}, plane.NotFound("entry of app", a.Name)
	})
}

// presences is what a server's Nginx is rendered from, with the app as it is
// given: the version is that of the whole tree.
func presences(ctx context.Context, tx *store.Tx, wished plane.App) ([]recipe.Presence, error) {
	own, err := seatsOf(ctx, tx, wished)
	if err != nil {
		return nil, err
	}
	if err := checkBalancer(wished, own); err != nil {
		return nil, err
	}
	here, err := tx.BackendsOn(ctx, wished.ServerID)
	if err != nil {
		return nil, err
	}
	var out []recipe.Presence
	for _, b := range here {
		a := wished
		if b.AppID != a.ID {
			if a, err = tx.App(ctx, b.AppID); err != nil {
				return nil, err
			}
		}
		if !b.SeenAs.IsValid() || a.State == plane.AppRemoving || b.Removing && !b.Placed {
			continue // as the steerer leaves it out
		}
		seats, err := seatsOf(ctx, tx, a)
		if err != nil {
			return nil, err
		}
		out = append(out, recipe.Presence{App: a, Here: b, Seats: seats})
	}
	return out, nil
}

func seatsOf(ctx context.Context, tx *store.Tx, a plane.App) ([]recipe.Seat, error) {
	backends, err := tx.BackendsOf(ctx, a.ID)
	if err != nil {
		return nil, err
	}
	seats := make([]recipe.Seat, len(backends))
	for i, b := range backends {
		s, err := tx.Server(ctx, b.ServerID)
		if err != nil {
			return nil, err
		}
		seats[i] = recipe.Seat{Backend: b, Server: s}
	}
	return seats, nil
}
