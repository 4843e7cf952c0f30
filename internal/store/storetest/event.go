package storetest

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/serverplane/serverplane/internal/plane"
	"github.com/serverplane/serverplane/internal/store"
)

func (k kit) append(runID string, events ...plane.Event) (numbered []plane.Event) {
	k.Helper()
	k.write(func(ctx context.Context, tx *store.Tx) (err error) {
		numbered, err = tx.AppendEvents(ctx, runID, events)
		return err
	})
	return numbered
}

func (k kit) events(runID string, after int64, limit int) []plane.Event {
	k.Helper()
	return get(k, func(ctx context.Context, tx *store.Tx) ([]plane.Event, error) {
		return tx.Events(ctx, runID, after, limit)
	})
}

func events(k kit) {
	k.enqueue(plane.Run{ID: "run_1"})
	k.enqueue(plane.Run{ID: "run_2"})
	given := []plane.Event{
		{Time: day, Kind: plane.EventStep, Server: "s1", Step: "build", Text: "it’s"},
		{Time: day.Add(time.Second), Kind: plane.EventOutput, Text: "half a rune \xe2\x80 and \x00"},
	}
	first := k.append("run_1", given...)
	want := []plane.Event{given[0], given[1]}
	want[0].RunID, want[0].Seq, want[1].RunID, want[1].Seq = "run_1", 1, "run_1", 2
	same(k, "numbered", first, want)
	same(k, "the caller's slice", given[0].Seq, 0)
	same(k, "another run", k.append("run_2", given[0])[0].Seq, 1)
	many := make([]plane.Event, 450) // more than one statement holds
	for i := range many {
		many[i].Text = fmt.Sprint(i)
	}
	same(k, "the last of many", k.append("run_1", many...)[449].Seq, 452)
	same(k, "none", k.append("run_1"), nil)

	want[1].Text = "half a rune \uFFFD and \uFFFD"
	same(k, "from the start", k.events("run_1", 0, 2), want)
	same(k, "from where one left off", k.events("run_1", 451, 2)[0].Text, "449")
	same(k, "at the end", k.events("run_1", 452, 2), nil)
	last := func(ctx context.Context, tx *store.Tx) (int64, error) { return tx.LastEvent(ctx, "run_1") }
	same(k, "the last one", get(k, last), 452)
	k.missing(func(ctx context.Context, tx *store.Tx) error { _, err := tx.LastEvent(ctx, "run_none"); return err })
	same(k, "default limit", len(k.events("run_1", 0, 0)), 100)
	k.missing(func(ctx context.Context, tx *store.Tx) error {
		_, err := tx.AppendEvents(ctx, "run_none", given)
		return err
	})
}

func eventsAtOnce(k kit) { shareLog(k, k.s) }

// ShareLog lets eight writers, spread over the stores (all of one database),
// append to one Run's log and give up now and then: no hole, no Seq twice.
func ShareLog(t *testing.T, stores ...*store.Store) { shareLog(newKit(t, stores[0]), stores...) }

func shareLog(k kit, stores ...*store.Store) {
	k.enqueue(plane.Run{ID: "run_log"})
	var all sync.WaitGroup
	var mu sync.Mutex
	returned, appended := map[int64]string{}, 0
	for writer := range 8 {
		each := kit{failer: k.failer, s: stores[writer%len(stores)]}
		all.Go(func() {
			for turn := range 20 {
				text := fmt.Sprintf("%d.%d", writer, turn)
				var numbered []plane.Event
				err := each.tryWrite(func(ctx context.Context, tx *store.Tx) (err error) {
					numbered, err = tx.AppendEvents(ctx, "run_log", make([]plane.Event, 1+turn%3))
					if err == nil && turn%5 == 4 {
						return context.Canceled // rolled back: leaves no hole
					}
					return err
				})
				if err != nil {
					continue
				}
				mu.Lock()
				appended += 1 + turn%3
				for _, e := range numbered {
					returned[e.Seq] += text
				}
				mu.Unlock()
			}
		})
	}
	all.Wait()
	stored := k.events("run_log", 0, 1000)
	same(k, "lines of the writes that did not give up", appended, 8*31)
	same(k, "as many as returned", len(stored), len(returned))
	same(k, "as many as appended", len(stored), appended)
	for i, e := range stored {
		same(k, "no hole", e.Seq, int64(i+1))
		if strings.Count(returned[e.Seq], ".") != 1 {
			k.Fatalf("seq %d was given to %q", e.Seq, returned[e.Seq])
		}
	}
}
