// Package health probes the backends of every app from the entry's own place
// in the network, applies the thresholds and records what changed. What the
// panel cannot see is recorded as unknown. Where an app asks for it, what is
// unhealthy is kept out of its upstream.
package health

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/serverplane/serverplane/internal/plane"
	"github.com/serverplane/serverplane/internal/probe"
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
	leases  leases
	minutes minutes

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

// The pace of looking for what is due, how old the list of it may be, and how
// many probes run at once.
const (
	pace   = 250 * time.Millisecond
	reload = time.Second
	atOnce = 256
)

// TopicHealth is the hint that some backend's health was recorded.
const TopicHealth = "health"

// topicTree is the hint that a server's desired Nginx tree changed.
const topicTree = "tree"

// New returns a Keeper; it starts nothing.
func New(c Config) *Keeper {
	return &Keeper{Config: c, minutes: minutes{}, next: map[string]time.Time{}, busy: map[string]bool{}}
}

// Run probes until ctx ends and every probe has come back.
func (k *Keeper) Run(ctx context.Context) error {
	var probes sync.WaitGroup
	defer k.flush(context.WithoutCancel(ctx), time.Time{})
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
		if k.record(ctx) {
			loaded = time.Time{} // somebody may have to be taken out
		}
		k.flush(ctx, plane.Minute(k.Now()))
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

// due also tells a backend whose interval has become shorter than its wait: a
// person who asks for a look every second must not wait five minutes for it.
func (k *Keeper) due(t target) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	wait := k.next[t.backend].Sub(k.Now())
	return !k.busy[t.backend] && (wait <= 0 || wait > t.check.Interval.Std())
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

// change is a backend that became another state.
type change struct {
	backend string
	plane.HealthChange
}

// record applies all probes since the last time in one transaction and tells
// whether a state changed. What is lost with a store that does not answer is
// seen again with the next probe.
func (k *Keeper) record(ctx context.Context) bool {
	seen := k.take()
	if len(seen) == 0 || ctx.Err() != nil {
		return false
	}
	var changes []change
	err := k.Store.Write(ctx, func(tx *store.Tx) (err error) {
		changes, err = apply(ctx, tx, seen)
		return err
	})
	if err != nil {
		k.Log.Error("record health", "err", err)
		return false
	}
	for _, r := range seen {
		k.minutes.add(r.backend, r.probe)
	}
	for _, c := range changes {
		k.Log.Info("backend changed", "backend", c.backend, "from", c.Was, "to", c.Became, "answer", c.Answer, "reason", c.Reason)
	}
	k.Hub.Publish(TopicHealth)
	return len(changes) > 0
}

// apply stores what was seen, and each change of a state with it.
func apply(ctx context.Context, tx *store.Tx, seen []result) ([]change, error) {
	var changes []change
	for _, r := range seen {
		b, err := tx.Backend(ctx, r.backend)
		if errors.Is(err, store.ErrNotFound) {
			continue // removed while it was probed
		}
		if err != nil {
			return nil, err
		}
		next := b.Health.After(r.probe, r.check)
		if err := tx.SetHealth(ctx, b.ID, next); err != nil {
			return nil, err
		}
		if next.State == b.Health.State {
			continue
		}
		c := plane.HealthChange{
			At: next.Since, Was: b.Health.State, Became: next.State, Vantage: next.Vantage, Answer: next.Answer, Reason: next.Reason,
		}
		if err := tx.AppendHealthChange(ctx, b.ID, c); err != nil {
			return nil, err
		}
		changes = append(changes, change{backend: b.ID, HealthChange: c})
	}
	return changes, nil
}

// ignoreGone forgives what was removed while it was looked at.
func ignoreGone(err error) error {
	if errors.Is(err, store.ErrNotFound) {
		return nil
	}
	return err
}
