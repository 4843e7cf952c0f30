package control

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"

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
		was := a
		ch.apply(&a)
		backends, err := tx.BackendsOf(ctx, a.ID)
		if err != nil {
			return wished{}, err
		}
		if err := cmp.Or(refuseLeaving(a), checkBalancer(a, backends), c.checkPath(a)); err != nil {
			return wished{}, err
		}
		if err := cmp.Or(tx.SetBalancer(ctx, a.ID, a.Balancer), tx.UpdateApp(ctx, a)); err != nil {
			return wished{}, err
		}
		return wished{app: a, changed: a.Balancer.Method != was.Balancer.Method, note: ch.note(was)}, nil
	})
}

func (ch BalancerChange) apply(a *plane.App) {
	put(&a.Balancer.Method, ch.Method)
	put(&a.Balancer.Health.Interval, ch.Interval)
	put(&a.Balancer.Health.Timeout, ch.Timeout)
	put(&a.Balancer.Health.Fall, ch.Fall)
	put(&a.Balancer.Health.Rise, ch.Rise)
	put(&a.Balancer.Health.TakeOut, ch.TakeOut)
	put(&a.Balancer.Health.Floor, ch.Floor)
	put(&a.Spec.HealthPath, ch.HealthPath)
}

// note is what the audit log keeps: from which method to which.
func (ch BalancerChange) note(was plane.App) string {
	if ch.Method == nil {
		return ""
	}
	return fmt.Sprintf("method %s to %s", was.Balancer.Method, *ch.Method)
}

func (c *Control) checkPath(a plane.App) error { return a.Check(c.insecure) }

func checkBalancer(a plane.App, backends []plane.Backend) error {
	b := a.Balancer
	if err := cmp.Or(plane.CheckMethod("method", b.Method), b.Health.Check()); err != nil {
		return err
	}
	if b.Health.Floor < 0 || b.Health.Floor > max(1, len(backends)) {
		return plane.Invalid("floor", fmt.Sprintf("must be 1 to %d, the number of backends", max(1, len(backends))), "the default is 1")
	}
	for _, one := range backends {
		if one.Backup && plane.CheckBackup(b.Method, true) != nil {
			return plane.Invalid("method", "IP hash knows no backup backend, and one of them is a backup", "backend set "+a.Name+" SERVER --backup=false first; see backend list "+a.Name)
		}
	}
	return nil
}

// DisableBalancer queues the Run that moves all traffic to the primary.
func (c *Control) DisableBalancer(ctx context.Context, actor plane.Actor, app string, w DisableWish) (plane.Run, error) {
	args, err := json.Marshal(map[string]any{"remove_backends": w.RemoveBackends})
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
		present, err := presences(ctx, tx, a, method)
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

// presences is what the app's primary serves: this app alone, for its file does
// not depend on the others'.
func presences(ctx context.Context, tx *store.Tx, a plane.App, method plane.Method) ([]recipe.Presence, error) {
	if method != "" {
		a.Balancer.Method = method
	}
	backends, err := tx.BackendsOf(ctx, a.ID)
	if err != nil {
		return nil, err
	}
	if err := checkBalancer(a, backends); err != nil {
		return nil, err
	}
	p := recipe.Presence{App: a}
	for _, b := range backends {
		s, err := tx.Server(ctx, b.ServerID)
		if err != nil {
			return nil, err
		}
		p.Seats = append(p.Seats, recipe.Seat{Backend: b, Server: s})
		if b.Primary {
			p.Here = b
		}
	}
	return []recipe.Presence{p}, nil
}
