package runner

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/serverplane/serverplane/internal/plane"
	"github.com/serverplane/serverplane/internal/recipe"
	"github.com/serverplane/serverplane/internal/remote"
	"github.com/serverplane/serverplane/internal/store"
)

// steerer brings each server's desired Nginx tree into force, one change at a
// time per server. Wishes that arrive close together are merged.
type steerer struct {
	r     *Runner
	mu    sync.Mutex
	busy  map[string]bool
	again map[string]refusal
	all   sync.WaitGroup
}

// refusal is until when a generation that was refused is not tried again; a newer
// wish may be what mends it and is tried at once.
type refusal struct {
	until      time.Time
	generation int64
}

const (
	mergeWindow = 50 * time.Millisecond
	retryAfter  = 5 * time.Second // for a server that could not be changed
	steerLease  = 60 * time.Second
)

func topicSettled(serverID string) string { return "settled:" + serverID }

func newSteerer(r *Runner) *steerer {
	return &steerer{r: r, busy: map[string]bool{}, again: map[string]refusal{}}
}

func (s *steerer) run(ctx context.Context) {
	hint, stop := s.r.Hub.Subscribe(topicTree)
	defer stop()
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		s.look(ctx)
		select {
		case <-ctx.Done():
			s.all.Wait()
			return
		case <-hint:
		case <-tick.C:
		}
	}
}

// look starts a worker for every server whose tree differs and has none.
func (s *steerer) look(ctx context.Context) {
	pending, err := s.pending(ctx)
	if err != nil {
		if ctx.Err() == nil {
			s.r.Log.Error("look for trees to apply", "err", err)
		}
		return
	}
	for _, server := range pending {
		if s.begin(server) {
			s.all.Go(func() {
				defer s.end(ctx, server.ID)
				s.settle(ctx, server.ID)
			})
		}
	}
}

func (s *steerer) pending(ctx context.Context) ([]plane.Server, error) {
	var pending []plane.Server
	err := s.r.Store.Read(ctx, func(tx *store.Tx) (err error) {
		pending, err = tx.ServersWithPendingTree(ctx)
		return err
	})
	return pending, err
}

func (s *steerer) begin(server plane.Server) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.again[server.ID]
	if s.busy[server.ID] || p.generation >= server.TreeWanted && s.r.Now().Before(p.until) {
		return false
	}
	s.busy[server.ID] = true
	return true
}

func (s *steerer) end(ctx context.Context, id string) {
	s.mu.Lock()
	delete(s.busy, id)
	s.mu.Unlock()
	if ctx.Err() == nil {
		s.r.Hub.Publish(topicTree) // a wish may have come meanwhile
	}
}

// settle applies the newest wish of one server and records how that went.
func (s *steerer) settle(ctx context.Context, id string) {
	wait := time.NewTimer(mergeWindow)
	defer wait.Stop()
	select {
	case <-ctx.Done():
		return
	case <-wait.C:
	}
	server, change, err := s.render(ctx, id)
	if errors.Is(err, errElsewhere) || ctx.Err() != nil {
		return
	}
	if err == nil {
		err = s.apply(ctx, server, change)
	}
	if ctx.Err() != nil || errors.Is(err, errBehind) {
		return // behind: what is wished now is newer, and is applied next
	}
	s.record(ctx, server, change.Generation, err)
}

var (
	errElsewhere = errors.New("another panel steers this server")
	errBehind    = errors.New("the server has a newer tree than this panel wished")
)

// render takes the lease of the server and renders its newest desired tree. An
// older tree can never overwrite a newer one: the server itself refuses it.
func (s *steerer) render(ctx context.Context, id string) (plane.Server, remote.Change, error) {
	var server plane.Server
	var present []recipe.Presence
	err := s.r.Store.Write(ctx, func(tx *store.Tx) (err error) {
		mine, err := tx.Lease(ctx, "steer:"+id, s.r.Owner, s.r.Now().UTC(), steerLease)
		if err != nil {
			return err
		}
		if !mine {
			return errElsewhere
		}
		if server, err = tx.Server(ctx, id); err != nil {
			return err
		}
		present, err = presences(ctx, tx, id)
		return err
	})
	if err != nil {
		return server, remote.Change{Generation: server.TreeWanted}, err
	}
	change, err := recipe.Tree(server, present)
	change.Generation = server.TreeWanted
	return server, change, err
}

func presences(ctx context.Context, tx *store.Tx, serverID string) ([]recipe.Presence, error) {
	here, err := tx.BackendsOn(ctx, serverID)
	if err != nil {
		return nil, err
	}
	var out []recipe.Presence
	for _, b := range here {
		p := recipe.Presence{Here: b}
		if p.App, err = tx.App(ctx, b.AppID); err != nil {
			return nil, err
		}
		if !b.SeenAs.IsValid() || p.App.State == plane.AppRemoving || b.Removing && !b.Placed {
			continue // not measured yet, so nobody could be let in; or on its way out and drained
		}
		if p.Seats, err = seats(ctx, tx, b.AppID); err != nil {
			return nil, err
		}
		out = append(out, p)
	}
	return out, nil
}

func seats(ctx context.Context, tx *store.Tx, appID string) ([]recipe.Seat, error) {
	backends, err := tx.BackendsOf(ctx, appID)
	if err != nil {
		return nil, err
	}
	out := make([]recipe.Seat, len(backends))
	for i, b := range backends {
		s, err := tx.Server(ctx, b.ServerID)
		if err != nil {
			return nil, err
		}
		out[i] = recipe.Seat{Backend: b, Server: s}
	}
	return out, nil
}

func (s *steerer) apply(ctx context.Context, server plane.Server, change remote.Change) error {
	ctx, cancel := context.WithTimeout(ctx, 45*time.Second)
	defer cancel()
	out, err := s.r.Pool.Apply(ctx, recipe.Target(server), change)
	if err != nil {
		return err
	}
	switch out.Result {
	case remote.Applied, remote.Unchanged:
		return nil
	case remote.Superseded:
		return s.lift(ctx, server.ID, out.Generation)
	}
	return fmt.Errorf("nginx on %s: %s", server.Name, describe(out))
}

// lift counts on from a generation that a former life of the server left there:
// taken for success, nothing would come into force until our count is past it.
func (s *steerer) lift(ctx context.Context, id string, above int64) error {
	lifted := false
	err := s.r.Store.Write(ctx, func(tx *store.Tx) (err error) {
		lifted, err = tx.LiftTree(ctx, id, above)
		return err
	})
	if err == nil && lifted {
		return errBehind
	}
	return err
}

func describe(o remote.Outcome) string {
	if o.File == "" {
		return o.Message
	}
	whose := "another site's file"
	if o.Ours {
		whose = "our file"
	}
	return fmt.Sprintf("%s (%s %s line %d)", o.Message, whose, o.File, o.Line)
}

func (s *steerer) record(ctx context.Context, server plane.Server, generation int64, failure error) {
	text := ""
	if failure != nil {
		text = failure.Error()
		s.r.Log.Warn("apply nginx tree", "server", server.Name, "err", failure)
		s.mu.Lock()
		s.again[server.ID] = refusal{s.r.Now().Add(retryAfter), generation}
		s.mu.Unlock()
	}
	err := s.r.Store.Write(ctx, func(tx *store.Tx) error {
		return tx.SettleTree(ctx, server.ID, generation, text)
	})
	if err != nil {
		s.r.Log.Error("record an applied tree", "server", server.Name, "err", err)
	}
	s.r.Hub.Publish(topicSettled(server.ID))
}

// raise wishes a new tree for the servers and returns the generations wished.
func raise(ctx context.Context, tx *store.Tx, servers []string) (map[string]int64, error) {
	wanted := make(map[string]int64, len(servers))
	for _, id := range servers {
		generation, err := tx.RaiseTree(ctx, id)
		if err != nil {
			return nil, err
		}
		wanted[id] = generation
	}
	return wanted, nil
}

// await waits until the trees are in force; a change that was refused is an
// error at once, for a Run has nothing to wait for then.
func (r *Runner) await(ctx context.Context, wanted map[string]int64) error {
	r.Hub.Publish(topicTree)
	for id, generation := range wanted {
		if err := r.awaitOne(ctx, id, generation); err != nil {
			return err
		}
	}
	return nil
}

func (r *Runner) awaitOne(ctx context.Context, id string, generation int64) error {
	return r.awaitFrom(ctx, id, generation, "")
}

// awaitAnew is await for a wish that was refused or not answered already: that
// refusal is no answer to the try this asks for.
func (r *Runner) awaitAnew(ctx context.Context, id string, generation int64) error {
	var s plane.Server
	err := r.Store.Read(ctx, func(tx *store.Tx) (err error) {
		s, err = tx.Server(ctx, id)
		return err
	})
	if err != nil {
		return fmt.Errorf("wait for nginx: %w", err)
	}
	return r.awaitFrom(ctx, id, generation, s.TreeError)
}

// awaitFrom waits until the generation is in force or refused; a refusal known
// before counts only once the steerer has tried again.
func (r *Runner) awaitFrom(ctx context.Context, id string, generation int64, known string) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	hint, stop := r.Hub.Subscribe(topicSettled(id))
	defer stop()
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	r.steerer.hurry(id)
	for {
		var s plane.Server
		err := r.Store.Read(ctx, func(tx *store.Tx) (err error) {
			s, err = tx.Server(ctx, id)
			return err
		})
		switch {
		case err != nil:
			return fmt.Errorf("wait for nginx: %w", err)
		case s.TreeApplied >= generation:
			return nil
		case s.TreeError != known && s.TreeError != "" && s.TreeWanted >= generation:
			return errors.New(s.TreeError)
		}
		select {
		case <-ctx.Done():
			return timeUp(s, context.Cause(ctx))
		case <-hint:
			known = ""
		case <-tick.C:
		}
	}
}

func timeUp(s plane.Server, cause error) error {
	if s.TreeError != "" && errors.Is(cause, context.DeadlineExceeded) {
		return errors.New(s.TreeError)
	}
	return fmt.Errorf("wait for nginx on %s: %w", s.Name, cause)
}

// hurry lets a server be tried at once although its last change failed.
func (s *steerer) hurry(id string) {
	s.mu.Lock()
	delete(s.again, id)
	s.mu.Unlock()
	s.r.Hub.Publish(topicTree)
}
