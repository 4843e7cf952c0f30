package runner

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/serverplane/serverplane/internal/plane"
	"github.com/serverplane/serverplane/internal/probe"
	"github.com/serverplane/serverplane/internal/recipe"
	"github.com/serverplane/serverplane/internal/remote"
	"github.com/serverplane/serverplane/internal/store"
)

// crew is an app with all its seats as they are when a step begins.
type crew struct {
	app   plane.App
	seats []recipe.Seat // the primary first
}

func (c crew) primary() recipe.Seat { return c.seats[0] }

func servers(seats []recipe.Seat) []plane.Server {
	out := make([]plane.Server, len(seats))
	for i, s := range seats {
		out[i] = s.Server
	}
	return out
}

func ids(seats []recipe.Seat) []string {
	out := make([]string, len(seats))
	for i, s := range seats {
		out[i] = s.Server.ID
	}
	return out
}

func loadCrew(ctx context.Context, tx *store.Tx, appID string) (c crew, err error) {
	if c.app, err = tx.App(ctx, appID); err != nil {
		return c, err
	}
	if c.seats, err = seats(ctx, tx, appID); err != nil {
		return c, err
	}
	if len(c.seats) == 0 || !c.seats[0].Backend.Primary {
		return c, fmt.Errorf("app %s has no primary", c.app.Name)
	}
	return c, nil
}

// variables opens a deployment's copy of the variables.
func (r *Runner) variables(d plane.Deployment) (map[string]string, error) {
	raw, err := r.Box.Unseal(d.Variables, plane.SealDeployment(d.ID))
	if err != nil {
		return nil, fmt.Errorf("open the variables of %s: %w", d.ID, err)
	}
	var values map[string]string
	if err := json.Unmarshal(raw, &values); err != nil {
		return nil, fmt.Errorf("read the variables of %s: %w", d.ID, err)
	}
	return values, nil
}

// unreachable asks every server at once for a sign of life and tells, by name,
// who gave none.
func (j *job) unreachable(ctx context.Context, seats []recipe.Seat) map[string]error {
	return eachSeat(seats, func(s recipe.Seat) error {
		if err := j.signOfLife(ctx, s.Server); err != nil {
			return fmt.Errorf("server %s cannot be reached, nothing was changed there: %w", s.Server.Name, err)
		}
		return nil
	})
}

// signOfLife asks again while there is time when signing in was not answered: a
// connection begun just before a server rebooted is never answered, one begun
// after is.
func (j *job) signOfLife(ctx context.Context, s plane.Server) error {
	ctx, cancel := context.WithTimeout(ctx, 15*time.Second)
	defer cancel()
	again := time.NewTicker(time.Second)
	defer again.Stop()
	for {
		_, err := j.Pool.Exec(ctx, recipe.Target(s), remote.Command{Args: []string{"true"}})
		if err == nil || !errors.Is(err, context.DeadlineExceeded) {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-again.C:
		}
	}
}

// eachSeat does something for all seats at once and tells, by the server's name,
// where it failed.
func eachSeat(seats []recipe.Seat, do func(s recipe.Seat) error) map[string]error {
	errs := make([]error, len(seats))
	var all sync.WaitGroup
	for i, s := range seats {
		all.Go(func() { errs[i] = do(s) })
	}
	all.Wait()
	failed := map[string]error{}
	for i, s := range seats {
		if errs[i] != nil {
			failed[s.Server.Name] = errs[i]
		}
	}
	return failed
}

// joined makes one error of those of several servers, in the order of names.
func joined(failed map[string]error) error {
	var errs []error
	for _, name := range slices.Sorted(maps.Keys(failed)) {
		errs = append(errs, failed[name])
	}
	return errors.Join(errs...)
}

func (j *job) refuseUnreachable(ctx context.Context, seats []recipe.Seat) error {
	return joined(j.unreachable(ctx, seats))
}

// Probing a slot that was just started: how long it may take to pass, and how
// long one answer may take.
const (
	startLimit   = 60 * time.Second
	startTimeout = 10 * time.Second
	startEvery   = 500 * time.Millisecond
)

// probeSlot asks each seat's slot, through its local site and from the entry's
// place, until all pass.
func (j *job) probeSlot(ctx context.Context, c crew, seats []recipe.Seat, slot plane.Slot, path string) error {
	return joined(j.probeEach(ctx, c, seats, slot, path))
}

func (j *job) probeEach(ctx context.Context, c crew, seats []recipe.Seat, slot plane.Slot, path string) map[string]error {
	return eachSeat(seats, func(s recipe.Seat) error {
		return j.untilPass(ctx, s.Server.Name, recipe.Question(c.app, c.primary(), s, slot, path, startTimeout))
	})
}

// probeDoor asks the entry itself, as a visitor would.
func (j *job) probeDoor(ctx context.Context, c crew, path string) error {
	return j.untilPass(ctx, "entry on "+c.primary().Server.Name, recipe.DoorQuestion(c.app, c.primary(), path, startTimeout))
}

func (j *job) untilPass(ctx context.Context, name string, q probe.Question) error {
	ctx, cancel := context.WithTimeout(ctx, startLimit)
	defer cancel()
	tick := time.NewTicker(startEvery)
	defer tick.Stop()
	for {
		last := j.Prober.Ask(ctx, q)
		if last.Verdict == plane.Pass {
			j.say(name, "%s%s %s in %s", q.Address, q.Path, last.Reason, last.Latency.Round(time.Millisecond))
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s: health check %s did not pass within %s: %s (%s)", name, q.Path, startLimit, last.Reason, last.Answer)
		case <-tick.C:
		}
	}
}
