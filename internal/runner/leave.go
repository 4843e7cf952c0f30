package runner

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/serverplane/serverplane/internal/plane"
	"github.com/serverplane/serverplane/internal/recipe"
	"github.com/serverplane/serverplane/internal/store"
)

// leave takes one backend away: out of the upstream, drained, then everything of
// the app on its server. Every step may be repeated; the backend stays in state
// removing until all of it is gone.
type leave struct {
	*job
	crew crew
	seat recipe.Seat
}

func (l *leave) do(ctx context.Context) error {
	l.steps(3)
	a, err := l.args()
	if err != nil {
		return err
	}
	if err := l.step(ctx, "take it out of the upstream"); err != nil {
		return err
	}
	var wanted map[string]int64
	err = l.Store.Write(ctx, func(tx *store.Tx) (err error) {
		wanted, err = l.begin(ctx, tx)
		return err
	})
	if err != nil {
		return err
	}
	if l.seat.Backend.ID == "" {
		l.say("", "the backend is gone already")
		return nil
	}
	if err := l.emptyOut(ctx, l.crew, []recipe.Seat{l.seat}, wanted); err != nil {
		return err
	}
	if err := l.step(ctx, "remove what the app left on "+l.seat.Server.Name); err != nil {
		return err
	}
	return l.clear(ctx, l.crew, l.seat, a.Discard)
}

// begin finds the backend and marks it as going, should that have been undone.
func (l *leave) begin(ctx context.Context, tx *store.Tx) (map[string]int64, error) {
	var err error
	if l.crew, err = loadCrew(ctx, tx, l.run.AppID); err != nil {
		return nil, err
	}
	for _, s := range l.crew.seats {
		if s.Backend.ID == l.run.BackendID {
			l.seat = s
		}
	}
	if l.seat.Backend.ID == "" {
		return nil, nil
	}
	if l.seat.Backend.Primary {
		return nil, plane.Conflict("the primary's own backend cannot be removed", "backend off takes it out, app remove takes the app away")
	}
	return markLeaving(ctx, tx, l.crew, []recipe.Seat{l.seat})
}

// markLeaving takes backends out of the upstream for good.
func markLeaving(ctx context.Context, tx *store.Tx, c crew, seats []recipe.Seat) (map[string]int64, error) {
	for _, s := range seats {
		if err := change(ctx, tx, s.Backend.ID, func(b *plane.Backend) { b.Removing = true }); err != nil {
			return nil, err
		}
	}
	return raise(ctx, tx, []string{c.primary().Server.ID})
}

// emptyOut waits until the entry sends nobody to the seats any more, and until what
// they are at is answered. Until then their local sites stay.
func (j *job) emptyOut(ctx context.Context, c crew, seats []recipe.Seat, wanted map[string]int64) error {
	err := j.await(ctx, wanted)
	for _, s := range seats {
		line := plane.ReceiptLine{Server: s.Server.Name, What: partPlace, Done: err == nil}
		if err != nil {
			line.Detail = firstLine(err.Error())
		}
		j.note(line)
	}
	if err != nil {
		return fmt.Errorf("the entry still sends visitors there, so nothing was removed: %w", err)
	}
	if err := j.step(ctx, "let requests finish"); err != nil {
		return err
	}
	if err := j.drain(ctx, c, seats); err != nil {
		return err
	}
	return j.Store.Write(ctx, func(tx *store.Tx) error {
		for _, s := range seats {
			if err := change(ctx, tx, s.Backend.ID, func(b *plane.Backend) { b.Placed = false }); err != nil {
				return err
			}
		}
		return nil
	})
}

// drain waits as long as the seats may still be at a request.
func (j *job) drain(ctx context.Context, c crew, seats []recipe.Seat) error {
	var longest time.Duration
	for _, s := range seats {
		longest = max(longest, stillDraining(c.app, s.Backend, j.Now()))
	}
	return pause(ctx, longest)
}

// stillDraining is how long a backend that leaves the upstream now may still be
// at a request: not at all where it was never in, or has been off long enough.
func stillDraining(a plane.App, b plane.Backend, now time.Time) time.Duration {
	whole := a.Spec.Drain()
	switch {
	case !b.Placed, b.DeploymentID != "" && !b.Current(a):
		return 0
	case b.Enabled || b.WishedAt.IsZero():
		return whole
	}
	return min(whole, max(0, whole-now.Sub(b.WishedAt)))
}

func pause(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return nil
	}
	wait := time.NewTimer(d)
	defer wait.Stop()
	select {
	case <-wait.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// clear removes everything of the app from one server and notes line by line
// what is gone and what is left.
func (j *job) clear(ctx context.Context, c crew, s recipe.Seat, discard bool) error {
	shut := j.closeDatabases(ctx, c, s) // also for a server that is away: what runs there must not get at the data
	if err := j.refuseUnreachable(ctx, []recipe.Seat{s}); err != nil {
		j.noteLeft(s, firstLine(err.Error()), partSite, partRest)
		return errors.Join(err, shut)
	}
	site := j.clearSite(ctx, s)
	if cause := context.Cause(ctx); cause != nil {
		j.noteLeft(s, cause.Error(), partRest)
		return cause
	}
	play, err := recipe.Remove(j.run.ID, c.app, discard, []recipe.Seat{s})
	if err != nil {
		return err
	}
	before := len(j.receipt)
	err = j.play(ctx, play)
	if err != nil && len(j.receipt) == before {
		j.noteLeft(s, firstLine(err.Error()), partRest)
	}
	return errors.Join(site, err, shut)
}

// clearSite takes the app's local sites away. One that stays, because someone
// else's broken file is in the way, does no harm: nobody is sent there any more.
func (j *job) clearSite(ctx context.Context, s recipe.Seat) error {
	err := j.steerSeat(ctx, s.Server.ID)
	if err != nil {
		j.noteLeft(s, firstLine(err.Error()), partSite)
		return fmt.Errorf("%s: %w", s.Server.Name, err)
	}
	j.note(plane.ReceiptLine{Server: s.Server.Name, What: partSite, Done: true})
	return nil
}

func (j *job) noteLeft(s recipe.Seat, why string, parts ...string) {
	for _, part := range parts {
		j.note(plane.ReceiptLine{Server: s.Server.Name, What: part, Detail: why})
	}
}

func (l *leave) undo(context.Context, error) {}

func (l *leave) done(ctx context.Context, tx *store.Tx) error {
	if l.seat.Backend.ID == "" {
		return nil
	}
	return tx.DeleteBackend(ctx, l.seat.Backend.ID)
}

func (l *leave) failed(ctx context.Context, tx *store.Tx, state plane.RunState, reason string) error {
	return l.keepLeft(ctx, tx, l.run.BackendID, state, reason)
}

// keepLeft says at the backend what a removal left and how to go on. A backend
// that is no longer marked as going lost nothing.
func (j *job) keepLeft(ctx context.Context, tx *store.Tx, backendID string, state plane.RunState, reason string) error {
	b, err := tx.Backend(ctx, backendID)
	if errors.Is(err, store.ErrNotFound) {
		return nil // it went with something else
	}
	if err != nil || !b.Removing {
		return err
	}
	s, err := tx.Server(ctx, b.ServerID)
	if err != nil {
		return err
	}
	app, err := tx.App(ctx, b.AppID)
	if err != nil {
		return err
	}
	text := fmt.Sprintf("removal %s: %s", state, reason)
	if left := j.left(s.Name); len(left) > 0 {
		text += "; left on " + s.Name + ": " + strings.Join(left, ", ")
	}
	h := b.Health
	h.Reason = fmt.Sprintf("%s; backend remove %s %s again continues", text, app.Name, s.Name)
	return tx.SetHealth(ctx, b.ID, h)
}
