// Package health probes the backends of every app from the entry's own place
// in the network, applies the thresholds and records what changed. What the
// panel cannot see is recorded as unknown.
package health

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/serverplane/serverplane/internal/plane"
	"github.com/serverplane/serverplane/internal/probe"
	"github.com/serverplane/serverplane/internal/recipe"
	"github.com/serverplane/serverplane/internal/store"
	"github.com/serverplane/serverplane/internal/stream"
)

// Config is what a Keeper works with.
type Config struct {
	Store  *store.Store
	Hub    *stream.Hub
	Prober *probe.Prober
	Now    func() time.Time
	Owner  string // this panel instance
	Log    *slog.Logger
}

// Keeper keeps the health of all backends.
type Keeper struct {
	Config
	mu   sync.Mutex
	next map[string]time.Time // by backend: when it is due
	busy map[string]bool
	seen []result
}

type result struct {
	backend string
	check   plane.HealthCheck
	probe   plane.Probe
}

// The pace of looking for what is due, and how many probes run at once.
const (
	pace       = 250 * time.Millisecond
	reload     = time.Second
	atOnce     = 256
	probeLease = 15 * time.Second
)

// TopicHealth is the hint that some backend's health was recorded.
const TopicHealth = "health"

// New returns a Keeper; it starts nothing.
func New(c Config) *Keeper {
	return &Keeper{Config: c, next: map[string]time.Time{}, busy: map[string]bool{}}
}

// Run probes until ctx ends and every probe has come back.
func (k *Keeper) Run(ctx context.Context) error {
	var probes sync.WaitGroup
	defer probes.Wait()
	slots := make(chan struct{}, atOnce)
	tick := time.NewTicker(pace)
	defer tick.Stop()
	var all []target
	var loaded time.Time
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		if k.Now().Sub(loaded) >= reload {
			all, loaded = k.load(ctx, all), k.Now()
		}
		k.start(ctx, all, slots, &probes)
		k.record(ctx)
	}
}

// target is one backend to probe.
type target struct {
	backend  string
	question probe.Question
	check    plane.HealthCheck
}

// load lists what is to be probed; when the store does not answer the former
// list stays in use.
func (k *Keeper) load(ctx context.Context, former []target) []target {
	var all []target
	err := k.Store.Write(ctx, func(tx *store.Tx) error {
		all = nil
		apps, err := tx.Apps(ctx)
		if err != nil {
			return err
		}
		for _, a := range apps {
			mine, err := k.targets(ctx, tx, a)
			if err != nil {
				return fmt.Errorf("list the backends of %s: %w", a.Name, err)
			}
			all = append(all, mine...)
		}
		return nil
	})
	if err != nil {
		if ctx.Err() == nil {
			k.Log.Error("load what is to be probed", "err", err)
		}
		return former
	}
	k.forget(all)
	return all
}

// targets lists an app's backends that serve, if this instance holds the lease
// of the primary they are probed from.
func (k *Keeper) targets(ctx context.Context, tx *store.Tx, a plane.App) ([]target, error) {
	if a.LiveSlot == "" || a.State == plane.AppRemoving {
		return nil, nil
	}
	mine, err := tx.Lease(ctx, "health:"+a.ServerID, k.Owner, k.Now().UTC(), probeLease)
	if err != nil || !mine {
		return nil, err
	}
	primary, err := tx.Server(ctx, a.ServerID)
	if err != nil {
		return nil, err
	}
	backends, err := tx.BackendsOf(ctx, a.ID)
	if err != nil {
		return nil, err
	}
	var out []target
	for _, b := range backends {
		if !b.Placed || !b.Enabled || b.Removing {
			continue
		}
		s, err := tx.Server(ctx, b.ServerID)
		if err != nil {
			return nil, err
		}
		check := a.Balancer.Health
		entry, seat := recipe.Seat{Server: primary}, recipe.Seat{Backend: b, Server: s}
		q := recipe.Question(a, entry, seat, a.LiveSlot, a.Spec.HealthPath, check.Timeout.Std())
		out = append(out, target{backend: b.ID, question: q, check: check})
	}
	return out, nil
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

// start begins a probe of every backend that is due and has none under way.
func (k *Keeper) start(ctx context.Context, all []target, slots chan struct{}, probes *sync.WaitGroup) {
	for _, t := range all {
		if !k.due(t) {
			continue
		}
		select {
		case slots <- struct{}{}:
		default:
			return // all hands busy: the rest stays due
		}
		k.begin(t)
		probes.Go(func() {
			defer func() { <-slots }()
			k.end(t, k.Prober.Ask(ctx, t.question))
		})
	}
}

func (k *Keeper) due(t target) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return !k.busy[t.backend] && !k.Now().Before(k.next[t.backend])
}

// begin sets the next look with a tenth of jitter, so that backends are not all
// asked in the same instant.
func (k *Keeper) begin(t target) {
	interval := t.check.Interval.Std()
	k.mu.Lock()
	defer k.mu.Unlock()
	k.busy[t.backend] = true
	k.next[t.backend] = k.Now().Add(interval - time.Duration(rand.Int64N(int64(interval/10)+1)))
}

func (k *Keeper) end(t target, p plane.Probe) {
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.busy, t.backend)
	k.seen = append(k.seen, result{backend: t.backend, check: t.check, probe: p})
}

func (k *Keeper) take() []result {
	k.mu.Lock()
	defer k.mu.Unlock()
	seen := k.seen
	k.seen = nil
	return seen
}

// record applies all probes since the last time in one transaction. What is
// lost with a store that does not answer is seen again with the next probe.
func (k *Keeper) record(ctx context.Context) {
	seen := k.take()
	if len(seen) == 0 || ctx.Err() != nil {
		return
	}
	err := k.Store.Write(ctx, func(tx *store.Tx) error {
		for _, r := range seen {
			if err := k.apply(ctx, tx, r); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		k.Log.Error("record health", "err", err)
		return
	}
	k.Hub.Publish(TopicHealth)
}

func (k *Keeper) apply(ctx context.Context, tx *store.Tx, r result) error {
	b, err := tx.Backend(ctx, r.backend)
	if err != nil {
		return ignoreGone(err)
	}
	next := b.Health.After(r.probe, r.check)
	if next.State != b.Health.State {
		k.Log.Info("backend changed", "backend", r.backend, "from", b.Health.State, "to", next.State, "answer", next.Answer, "reason", next.Reason)
	}
	return tx.SetHealth(ctx, r.backend, next)
}

// ignoreGone forgives a backend that was removed while it was probed.
func ignoreGone(err error) error {
	if errors.Is(err, store.ErrNotFound) {
		return nil
	}
	return err
}
