package control

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/serverplane/serverplane/internal/plane"
	"github.com/serverplane/serverplane/internal/store"
)

// Steered tells how far a wish about traffic has come. What is not in force stays
// wished and comes into force by itself; Run waits for it (docs/adr/0007).
type Steered struct {
	InForce bool
	Run     *plane.Run // nil when nothing is left to wait for
	Reason  string     // why it is not in force yet
}

// wished is what a traffic verb's transaction leaves: the app whose entry is
// concerned, whether anything changed, in the entry or beside it, and what the
// audit log says of it.
type wished struct {
	app     plane.App
	changed bool // in the entry
	beside  bool // only what no entry holds: in force as it is written
	note    string
}

// steer writes a wish about traffic and waits until it is in force at the app's
// entry. One that changes nothing raises nothing, but waits all the same: it
// may be an earlier wish that is not in force yet.
func (c *Control) steer(ctx context.Context, actor plane.Actor, action, subject string, wish func(tx *store.Tx) (wished, error)) (Steered, error) {
	var w wished
	var generation int64
	err := c.store.Write(ctx, func(tx *store.Tx) (err error) {
		if w, err = wish(tx); err != nil {
			return err
		}
		if generation, err = wanted(ctx, tx, w); err != nil || !w.changed && !w.beside {
			return err
		}
		return c.audit(ctx, tx, actor, action, subject, w.note)
	})
	if err != nil {
		return Steered{}, err
	}
	if w.beside && !w.changed {
		return Steered{InForce: true}, nil
	}
	reason, err := c.inForce(ctx, w.app.ServerID, generation)
	if err != nil || reason == "" {
		return Steered{InForce: err == nil}, err
	}
	return c.keepWaiting(ctx, actor, w.app, generation, reason)
}

func wanted(ctx context.Context, tx *store.Tx, w wished) (int64, error) {
	if w.changed {
		return tx.RaiseTree(ctx, w.app.ServerID)
	}
	s, err := tx.Server(ctx, w.app.ServerID)
	return s.TreeWanted, err
}

// inForce waits, as long as a person may be kept waiting, until the generation is
// in force; otherwise it says why it is not.
func (c *Control) inForce(ctx context.Context, serverID string, generation int64) (reason string, err error) {
	hint, stop := c.hub.Subscribe(TopicSettled(serverID))
	defer stop()
	c.hub.Publish(TopicTree)
	patience, tick := time.NewTimer(c.patience), time.NewTicker(time.Second) // another panel's hints do not come here
	defer patience.Stop()
	defer tick.Stop()
	for {
		s, err := read(ctx, c.store, func(tx *store.Tx) (plane.Server, error) { return tx.Server(ctx, serverID) })
		switch {
		case err != nil:
			return "", fmt.Errorf("wait for nginx: %w", err)
		case s.TreeApplied >= generation:
			return "", nil
		case s.TreeError != "":
			return s.TreeError, nil
		}
		select {
		case <-hint:
		case <-tick.C:
		case <-patience.C:
			return fmt.Sprintf("Nginx on %s has not taken it within %s; the server is %s", s.Name, c.patience, s.State), nil
		case <-ctx.Done():
			return "", ctx.Err()
		}
	}
}

// keepWaiting queues the Run that goes on where the person's patience ended; one
// that waits for the same already is enough.
func (c *Control) keepWaiting(ctx context.Context, actor plane.Actor, a plane.App, generation int64, reason string) (Steered, error) {
	args, err := json.Marshal(map[string]any{"server": a.ServerID, "generation": generation})
	if err != nil {
		return Steered{}, fmt.Errorf("describe what is waited for: %w", err)
	}
	run := plane.Run{Kind: plane.RunSteer, AppID: a.ID, ServerID: a.ServerID, Servers: []string{a.ServerID}, Args: args}
	inForce := false
	err = c.store.Write(ctx, func(tx *store.Tx) error {
		s, err := tx.Server(ctx, a.ServerID)
		if inForce = s.TreeApplied >= generation; err != nil || inForce {
			return err // it came into force at the last moment
		}
		run, err = c.enqueueOnce(ctx, tx, actor, run)
		return err
	})
	if err != nil || inForce {
		return Steered{InForce: inForce}, err
	}
	c.hub.Publish(TopicQueue)
	return Steered{Run: &run, Reason: reason}, nil
}

// enqueueOnce writes a Run, unless one that is told the same has not ended.
func (c *Control) enqueueOnce(ctx context.Context, tx *store.Tx, actor plane.Actor, r plane.Run) (plane.Run, error) {
	open, err := openRuns(ctx, tx, store.RunFilter{AppID: r.AppID})
	if err != nil {
		return r, err
	}
	for _, o := range open {
		if o.Kind == r.Kind && bytes.Equal(o.Args, r.Args) {
			return o, nil
		}
	}
	return c.enqueue(ctx, tx, actor, r)
}

// openRuns are the Runs that fit and have not ended, however many have.
func openRuns(ctx context.Context, tx *store.Tx, f store.RunFilter) ([]plane.Run, error) {
	var open []plane.Run
	for _, state := range []plane.RunState{plane.RunQueued, plane.RunRunning} {
		f.State, f.Limit = state, 1000
		runs, err := tx.Runs(ctx, f)
		if err != nil {
			return nil, err
		}
		open = append(open, runs...)
	}
	return open, nil
}
