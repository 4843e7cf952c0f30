package health

import (
	"context"
	"slices"
	"time"

	"github.com/serverplane/serverplane/internal/plane"
	"github.com/serverplane/serverplane/internal/store"
)

// minutes gathers what probes said until their minute is over: one write for
// each minute instead of one for each probe.
type minutes map[minuteOf]plane.HealthMinute

type minuteOf struct {
	backend string
	begin   time.Time
}

func (m minutes) add(backend string, p plane.Probe) {
	of := minuteOf{backend: backend, begin: plane.Minute(p.At)}
	one := m[of]
	one.Minute = of.begin
	m[of] = one.Add(p)
}

// over lists the minutes that began before; the zero time means all.
func (m minutes) over(before time.Time) []minuteOf {
	var all []minuteOf
	for of := range m {
		if before.IsZero() || of.begin.Before(before) {
			all = append(all, of)
		}
	}
	return all
}

// flushAtOnce bounds how long one transaction holds up other writers.
const flushAtOnce = 100

// heldBack is how long minutes wait in memory for a store that takes none.
const heldBack = time.Hour

// forget drops the minutes that began before.
func (m minutes) forget(before time.Time) {
	for of := range m {
		if of.begin.Before(before) {
			delete(m, of)
		}
	}
}

// flush writes the minutes that are over. What the store does not take now
// stays for the next time, up to an hour; a probe that comes later than its minute was written
// is counted in by the store.
func (k *Keeper) flush(ctx context.Context, before time.Time) {
	for some := range slices.Chunk(k.minutes.over(before), flushAtOnce) {
		err := k.Store.Write(ctx, func(tx *store.Tx) error {
			for _, of := range some {
				if err := ignoreGone(tx.AddHealthMinute(ctx, of.backend, k.minutes[of])); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			if ctx.Err() == nil {
				k.Log.Error("record the latency of backends", "err", err)
			}
			k.minutes.forget(k.Now().Add(-heldBack))
			return
		}
		for _, of := range some {
			delete(k.minutes, of)
		}
	}
}
