package health

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/serverplane/serverplane/internal/plane"
	"github.com/serverplane/serverplane/internal/probe"
	"github.com/serverplane/serverplane/internal/recipe"
	"github.com/serverplane/serverplane/internal/store"
)

// target is one backend to probe.
type target struct {
	backend  string
	question probe.Question
	check    plane.HealthCheck
}

func newTarget(a plane.App, primary plane.Server, s recipe.Seat) target {
	check := a.Balancer.Health
	q := recipe.Question(a, recipe.Seat{Server: primary}, s, a.LiveSlot, a.Spec.HealthPath, check.Timeout.Std())
	return target{backend: s.Backend.ID, question: q, check: check}
}

// scene is all that health needs to know of one app.
type scene struct {
	app      plane.App
	primary  plane.Server
	backends []plane.Backend
}

// load lists what is to be probed, and lets take-out follow what is known;
// when the store does not answer the former list stays in use.
func (k *Keeper) load(ctx context.Context, former []target) []target {
	scenes, servers, err := k.look(ctx)
	if err == nil {
		err = k.leases.renew(ctx, k, scenes)
	}
	if err != nil {
		if ctx.Err() == nil {
			k.Log.Error("load what is to be probed", "err", err)
		}
		return former
	}
	var all []target
	for _, s := range scenes {
		if !k.leases.mine[s.primary.ID] {
			continue
		}
		k.takeOut(ctx, s)
		for _, b := range s.backends {
			if b.Placed && b.Enabled && !b.Removing {
				all = append(all, newTarget(s.app, s.primary, recipe.Seat{Backend: b, Server: servers[b.ServerID]}))
			}
		}
	}
	k.forget(all)
	return all
}

// look reads the apps that have something live, with one query for each noun:
// this happens every second.
func (k *Keeper) look(ctx context.Context) (scenes []scene, servers map[string]plane.Server, err error) {
	var apps []plane.App
	var known []plane.Server
	var backends []plane.Backend
	err = k.Store.Read(ctx, func(tx *store.Tx) error {
		var errs [3]error
		apps, errs[0] = tx.Apps(ctx)
		known, errs[1] = tx.Servers(ctx)
		backends, errs[2] = tx.Backends(ctx)
		return errors.Join(errs[:]...)
	})
	if err != nil {
		return nil, nil, err
	}
	servers = map[string]plane.Server{}
	for _, s := range known {
		servers[s.ID] = s
	}
	of := map[string][]plane.Backend{}
	for _, b := range backends {
		of[b.AppID] = append(of[b.AppID], b)
	}
	for _, a := range apps {
		if a.LiveSlot != "" && a.State != plane.AppRemoving {
			scenes = append(scenes, scene{app: a, primary: servers[a.ServerID], backends: of[a.ID]})
		}
	}
	return scenes, servers, nil
}

// forget drops what is no longer probed.
func (k *Keeper) forget(all []target) {
	known := make(map[string]bool, len(all))
	for _, t := range all {
		known[t.backend] = true
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	for id := range k.next {
		if !known[id] {
			delete(k.next, id)
		}
	}
}

// leases are the primaries whose backends this panel probes; others on the same
// database probe the rest.
type leases struct {
	mine    map[string]bool
	renewed time.Time
}

// How long a lease holds, and how old one may become before it is renewed: a
// write each second would be in the way of other writers.
const (
	leaseFor   = 15 * time.Second
	leaseRenew = 4 * time.Second
)

func (l *leases) renew(ctx context.Context, k *Keeper, scenes []scene) error {
	now := k.Now().UTC()
	primaries := map[string]bool{}
	fresh := now.Sub(l.renewed) < leaseRenew
	for _, s := range scenes {
		primaries[s.primary.ID] = true
		_, asked := l.mine[s.primary.ID]
		fresh = fresh && asked
	}
	if fresh {
		return nil
	}
	mine := make(map[string]bool, len(primaries))
	err := k.Store.Write(ctx, func(tx *store.Tx) error {
		for id := range primaries {
			held, err := tx.Lease(ctx, "health:"+id, k.Owner, now, leaseFor)
			if err != nil {
				return err
			}
			mine[id] = held
		}
		return nil
	})
	if err == nil {
		l.mine, l.renewed = mine, now
	}
	return err
}

// Check asks the backend once, now, by the question the Keeper asks. What comes
// back is not recorded. A backend that has nothing live is a conflict.
func (k *Keeper) Check(ctx context.Context, backendID string) (plane.Probe, error) {
	var t target
	err := k.Store.Read(ctx, func(tx *store.Tx) (err error) {
		t, err = find(ctx, tx, backendID)
		return err
	})
	if err != nil {
		return plane.Probe{}, err
	}
	return k.Prober.Ask(ctx, t.question), nil
}

func find(ctx context.Context, tx *store.Tx, backendID string) (target, error) {
	b, err := tx.Backend(ctx, backendID)
	if err != nil {
		return target{}, err
	}
	a, err := tx.App(ctx, b.AppID)
	if err != nil {
		return target{}, fmt.Errorf("find the app of backend %s: %w", b.ID, err)
	}
	if a.LiveSlot == "" || !b.Placed {
		return target{}, plane.Conflict("nothing is live on this backend yet", "deploy "+a.Name+", or add the backend again")
	}
	primary, err := tx.Server(ctx, a.ServerID)
	if err != nil {
		return target{}, fmt.Errorf("find the primary of %s: %w", a.Name, err)
	}
	s, err := tx.Server(ctx, b.ServerID)
	if err != nil {
		return target{}, fmt.Errorf("find the server of backend %s: %w", b.ID, err)
	}
	return newTarget(a, primary, recipe.Seat{Backend: b, Server: s}), nil
}
