package runner

import (
	"context"
	"sync"
	"time"

	"github.com/serverplane/serverplane/internal/plane"
	"github.com/serverplane/serverplane/internal/store"
)

// journal brings a Run's lines to the store, several at once and in order.
type journal struct {
	r     *Runner
	runID string

	mu      sync.Mutex
	pending []plane.Event
}

// flushEvery is how long a line waits for others before it is stored.
const flushEvery = 100 * time.Millisecond

func (j *journal) add(e plane.Event) {
	e.RunID, e.Time = j.runID, j.r.Now().UTC()
	j.mu.Lock()
	defer j.mu.Unlock()
	j.pending = append(j.pending, e)
}

func (j *journal) take() []plane.Event {
	j.mu.Lock()
	defer j.mu.Unlock()
	events := j.pending
	j.pending = nil
	return events
}

// giveBack keeps lines that could not be stored for the next try.
func (j *journal) giveBack(events []plane.Event) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.pending = append(events, j.pending...)
}

func (j *journal) flush(ctx context.Context) {
	events := j.take()
	if len(events) == 0 {
		return
	}
	err := j.r.Store.Write(ctx, func(tx *store.Tx) error {
		_, err := tx.AppendEvents(ctx, j.runID, events)
		return err
	})
	if err != nil {
		j.giveBack(events)
		j.r.Log.Error("store lines of a run", "run", j.runID, "err", err)
		return
	}
	j.r.Hub.Publish(topicRun(j.runID))
}

// keep flushes until ctx ends.
func (j *journal) keep(ctx context.Context) {
	tick := time.NewTicker(flushEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			j.flush(ctx)
		}
	}
}
