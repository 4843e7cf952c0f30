// Package runner claims Runs, keeps their leases, drives them to an end and
// rescues lost ones. Servers are built and apps deployed through ansible;
// traffic is steered through remote by one steerer per server.
package runner

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/serverplane/serverplane/internal/ansible"
	"github.com/serverplane/serverplane/internal/mirror"
	"github.com/serverplane/serverplane/internal/plane"
	"github.com/serverplane/serverplane/internal/probe"
	"github.com/serverplane/serverplane/internal/remote"
	"github.com/serverplane/serverplane/internal/secret"
	"github.com/serverplane/serverplane/internal/store"
	"github.com/serverplane/serverplane/internal/stream"
)

// Player carries out plays.
type Player interface {
	Run(ctx context.Context, p ansible.Play, event func(ansible.Event)) (ansible.Outcome, error)
	Sweep(ctx context.Context) error
}

// Looker surveys a server as the panel.
type Looker interface {
	Survey(ctx context.Context, s plane.Server) (plane.Survey, error)
}

// Config is what a Runner works with.
type Config struct {
	Store    *store.Store
	Box      *secret.Box
	Hub      *stream.Hub
	Player   Player
	Pool     *remote.Pool
	Prober   *probe.Prober
	Looker   Looker
	Mirrors  *mirror.Mirrors
	Now      func() time.Time
	PanelID  string
	Owner    string // this panel instance; the same after a restart
	Parallel int    // Runs at once; 0 means 4
	Log      *slog.Logger
	Kinds    plane.Kinds
}

// Runner works on Runs.
type Runner struct {
	Config
	steerer *steerer
	turn    chan struct{} // held by the Run that has backends' Nginx reloaded
}

// The lease of a Run, renewed at a quarter of it.
const lease = 20 * time.Second

// Topics shared with control: the names of hints.
const (
	topicQueue = "queue"
	topicTree  = "tree"
)

func topicRun(id string) string    { return "run:" + id }
func topicCancel(id string) string { return "cancel:" + id }

// New returns a Runner; it starts nothing.
func New(c Config) *Runner {
	if c.Parallel == 0 {
		c.Parallel = 4
	}
	r := &Runner{Config: c, turn: make(chan struct{}, 1)}
	r.steerer = newSteerer(r)
	return r
}

// Run works until ctx ends, then lets what is under way notice it and returns.
// Runs of this instance's former life are rescued first.
func (r *Runner) Run(ctx context.Context) error {
	if err := r.Player.Sweep(ctx); err != nil {
		r.Log.Error("sweep former ansible processes", "err", err)
	}
	if err := r.rescueOwn(ctx); err != nil {
		return fmt.Errorf("rescue former runs: %w", err)
	}
	var all sync.WaitGroup
	all.Go(func() { r.steerer.run(ctx) })
	all.Go(func() { r.watchLeases(ctx) })
	all.Go(func() { r.watchStrays(ctx) })
	all.Go(func() { r.watchSchedules(ctx) })
	for range r.Parallel {
		all.Go(func() { r.work(ctx) })
	}
	all.Wait()
	return nil
}

// work claims one Run after the other; the ticker finds what no hint told of,
// such as a Run queued by another panel.
func (r *Runner) work(ctx context.Context) {
	hint, stop := r.Hub.Subscribe(topicQueue)
	defer stop()
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		for r.next(ctx) {
		}
		select {
		case <-ctx.Done():
			return
		case <-hint:
		case <-tick.C:
		}
	}
}

// next claims and carries out one Run; it tells whether there was one.
func (r *Runner) next(ctx context.Context) bool {
	var run plane.Run
	var found bool
	err := r.Store.Write(ctx, func(tx *store.Tx) (err error) {
		run, found, err = tx.Claim(ctx, r.Owner, r.Now().UTC(), lease)
		return err
	})
	if err != nil {
		if ctx.Err() == nil {
			r.Log.Error("claim a run", "err", err)
		}
		return false
	}
	if !found {
		return false
	}
	newJob(r, run).carryOut(ctx)
	r.Hub.Publish(topicQueue)
	return true
}

// watchLeases finds Runs whose panel died, of any instance.
func (r *Runner) watchLeases(ctx context.Context) {
	tick := time.NewTicker(lease / 4)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			if err := r.rescueExpired(ctx); err != nil && !errors.Is(err, context.Canceled) {
				r.Log.Error("look for lost runs", "err", err)
			}
		}
	}
}
