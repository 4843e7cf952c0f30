package storetest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/serverplane/serverplane/internal/plane"
	"github.com/serverplane/serverplane/internal/store"
)

// crew is eight workers at one queue and what they saw of each other.
type crew struct {
	mu      sync.Mutex
	woken   *sync.Cond
	turn    int // raised with every end, so that no wake-up is missed
	left    int
	idle    int               // workers that found nothing to claim since the last end
	holders map[string]string // lock -> who works under it
	done    map[string]int
	errs    []error
}

const workers, jobs = 8, 400

// ShareWork lets eight workers, spread over the stores (all of one database),
// do several hundred Runs with overlapping locks: none may be lost, done
// twice, or done while another holds one of its locks.
func ShareWork(t *testing.T, stores ...*store.Store) {
	k := newKit(t, stores[0])
	k.write(func(ctx context.Context, tx *store.Tx) error {
		for i := range jobs {
			if err := tx.Enqueue(ctx, job(i)); err != nil {
				return err
			}
		}
		return nil
	})
	c := &crew{left: jobs, holders: map[string]string{}, done: map[string]int{}}
	c.woken = sync.NewCond(&c.mu)
	var all sync.WaitGroup
	for i := range workers {
		all.Go(func() { c.work(fmt.Sprintf("p%d", i), kit{failer: t, s: stores[i%len(stores)]}) })
	}
	all.Wait()
	if err := errors.Join(c.errs...); err != nil {
		t.Fatal(err)
	}
	for i := range jobs {
		same(k, "times done: "+job(i).ID, c.done[job(i).ID], 1)
	}
	succeeded := store.RunFilter{State: plane.RunSucceeded, Limit: 2 * jobs}
	same(k, "jobs done", len(get(k, func(ctx context.Context, tx *store.Tx) ([]plane.Run, error) { return tx.Runs(ctx, succeeded) })), jobs)
	same(k, "events", len(k.events("run_0", 0, 0)), 1)
}

func job(i int) plane.Run {
	r := plane.Run{ID: fmt.Sprintf("run_%d", i), CreatedAt: day.Add(time.Duration(i) * time.Microsecond)}
	if i%7 != 0 {
		r.Locks = []string{fmt.Sprint("app:", i%5), fmt.Sprint("packages:", i%3)}
	}
	return r
}

func (c *crew) work(owner string, k kit) {
	for {
		c.mu.Lock()
		turn, left := c.turn, c.left
		c.mu.Unlock()
		if left <= 0 {
			return
		}
		did, err := c.one(owner, k)
		if err != nil {
			c.fail(fmt.Errorf("%s: %w", owner, err))
			return
		}
		if !did {
			c.wait(turn)
		}
	}
}

// one does one job, if one is free.
func (c *crew) one(owner string, k kit) (bool, error) {
	var r plane.Run
	var got bool
	err := k.tryWrite(func(ctx context.Context, tx *store.Tx) (err error) {
		r, got, err = tx.Claim(ctx, owner, day, time.Minute)
		return err
	})
	if err != nil || !got {
		return false, err
	}
	if err := c.begin(owner, r); err != nil {
		return false, err
	}
	err = k.tryWrite(func(ctx context.Context, tx *store.Tx) error {
		_, err := tx.AppendEvents(ctx, r.ID, []plane.Event{{Time: day, Kind: plane.EventEnd}})
		return err
	})
	if err != nil {
		return false, err
	}
	c.stop(r)
	err = k.tryWrite(finish(r.ID, owner, r.Attempt, plane.RunSucceeded, "", day))
	c.ended()
	return true, err
}

func (c *crew) begin(owner string, r plane.Run) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.done[r.ID]++
	for _, l := range r.Locks {
		if other := c.holders[l]; other != "" {
			return fmt.Errorf("claimed %s under lock %s of %s", r.ID, l, other)
		}
		c.holders[l] = owner + " at " + r.ID
	}
	return nil
}

// stop forgets the locks before the store frees them.
func (c *crew) stop(r plane.Run) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, l := range r.Locks {
		delete(c.holders, l)
	}
}

func (c *crew) ended() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.left--
	c.turn++
	c.idle = 0
	c.woken.Broadcast()
}

// wait returns when a job ended since the turn. When nobody works and nobody
// finds a job, the rest is lost.
func (c *crew) wait(turn int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.turn != turn {
		return
	}
	if c.idle++; c.idle == workers && c.left > 0 {
		c.errs, c.left = append(c.errs, fmt.Errorf("%d jobs cannot be claimed", c.left)), 0
		c.woken.Broadcast()
	}
	for c.turn == turn && c.left > 0 {
		c.woken.Wait()
	}
}

func (c *crew) fail(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.errs, c.left = append(c.errs, err), 0
	c.woken.Broadcast()
}
