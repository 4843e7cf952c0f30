package runner

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/serverplane/serverplane/internal/plane"
	"github.com/serverplane/serverplane/internal/recipe"
	"github.com/serverplane/serverplane/internal/remote"
	"github.com/serverplane/serverplane/internal/store"
)

// A server that returns may run what was moved away from it meanwhile: it is
// asked often, for the while in which two of one run must be short.
const (
	strayEvery = time.Second
	strayLimit = 15 * time.Second
)

// stray is a process that is to be stopped on a server first thing.
type stray struct {
	app     plane.App
	process plane.Process
	server  plane.Server
}

// watchStrays stops strays until ctx ends; all at once, each by its own pace.
func (r *Runner) watchStrays(ctx context.Context) {
	var at sync.WaitGroup
	defer at.Wait()
	var busy sync.Map
	tick := time.NewTicker(strayEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		for _, s := range r.strays(ctx) {
			key := s.process.ID + s.server.ID
			if _, under := busy.LoadOrStore(key, true); under {
				continue
			}
			at.Go(func() {
				defer busy.Delete(key)
				r.stopStray(ctx, s)
			})
		}
	}
}

func (r *Runner) strays(ctx context.Context) []stray {
	var all []stray
	err := r.Store.Read(ctx, func(tx *store.Tx) error {
		all = nil
		states, err := tx.StrayProcesses(ctx)
		if err != nil || len(states) == 0 {
			return err
		}
		processes, err := tx.AllProcesses(ctx)
		if err != nil {
			return err
		}
		for _, s := range states {
			for _, p := range processes {
				if p.ID != s.ProcessID {
					continue
				}
				app, err := tx.App(ctx, p.AppID)
				if err != nil {
					return err
				}
				server, err := tx.Server(ctx, s.ServerID)
				if err != nil {
					return err
				}
				all = append(all, stray{app, p, server})
			}
		}
		return nil
	})
	if err != nil && ctx.Err() == nil {
		r.Log.Error("look for strays", "err", err)
	}
	return all
}

// stopStray asks the server to stop and disable the process, and queues the Run
// that takes its files away when that is proven.
func (r *Runner) stopStray(parent context.Context, s stray) {
	ctx, cancel := context.WithTimeout(parent, strayLimit)
	defer cancel()
	if s.process.Kind == plane.Worker {
		s.process.Count = plane.MaxCount // as many as there may ever have been
	}
	if err := r.endStray(ctx, s); err != nil {
		return // it is away, or the process finishes what it is at: asked again soon
	}
	err := r.Store.Write(parent, func(tx *store.Tx) error { return r.settleStray(parent, tx, s) })
	if err != nil {
		r.Log.Error("note that a stray has stopped", "server", s.server.Name, "process", s.process.Name, "err", err)
		return
	}
	r.Log.Info("stopped what was moved away while its server was gone", "server", s.server.Name, "app", s.app.Name, "process", s.process.Name)
	r.Hub.Publish(topicQueue)
}

// endStray errs unless every unit is proven to be stopped.
func (r *Runner) endStray(ctx context.Context, s stray) error {
	const script = `systemctl stop --no-block "$@" 2>/dev/null; systemctl disable --quiet "$@" 2>/dev/null
for n in 1 2 3 4 5 6 7 8 9 10; do
  left=$(for u in "$@"; do systemctl is-active "$u"; done | grep -cvxE 'inactive|failed|unknown')
  [ "$left" != 0 ] || exit 0
  sleep 1
done
exit 1`
	args := append([]string{"sh", "-c", script, "sh"}, recipe.UnitsOf(s.app.Name, s.process)...)
	res, err := r.Pool.Exec(ctx, recipe.Target(s.server), remote.Command{Args: args, Sudo: true})
	if err == nil && res.Exit != 0 {
		err = fmt.Errorf("%s still runs on %s", s.process.Name, s.server.Name)
	}
	return err
}

func (r *Runner) settleStray(ctx context.Context, tx *store.Tx, s stray) error {
	if err := tx.ForgetProcessStatus(ctx, s.process.ID, s.server.ID); err != nil {
		return err
	}
	backends, err := tx.BackendsOf(ctx, s.app.ID)
	if err != nil {
		return err
	}
	run := plane.Run{
		Kind: plane.RunProcesses, AppID: s.app.ID, Locks: []string{plane.AppLock(s.app.ID)}, Actor: "panel", CreatedAt: r.Now().UTC(),
	}
	for _, b := range backends {
		run.Servers = append(run.Servers, b.ServerID)
	}
	return carryOn(ctx, tx, run)
}
