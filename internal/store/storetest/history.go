package storetest

import (
	"context"
	"fmt"
	"time"

	"github.com/serverplane/serverplane/internal/plane"
	"github.com/serverplane/serverplane/internal/store"
)

func appendChange(id string, c plane.HealthChange) work {
	return func(ctx context.Context, tx *store.Tx) error { return tx.AppendHealthChange(ctx, id, c) }
}

func addMinute(id string, m plane.HealthMinute) work {
	return func(ctx context.Context, tx *store.Tx) error { return tx.AddHealthMinute(ctx, id, m) }
}

func (k kit) changes(id string, limit int) []plane.HealthChange {
	k.Helper()
	return get(k, func(ctx context.Context, tx *store.Tx) ([]plane.HealthChange, error) {
		return tx.HealthChanges(ctx, id, limit)
	})
}

func (k kit) minutes(id string, since time.Time) []plane.HealthMinute {
	k.Helper()
	return get(k, func(ctx context.Context, tx *store.Tx) ([]plane.HealthMinute, error) {
		return tx.HealthMinutes(ctx, id, since)
	})
}

// pair creates two backends of one app.
func (k kit) pair() (one, other string) {
	k.Helper()
	k.site()
	first, second := backend("web", "s1", true), backend("web", "s2", false)
	k.write(createBackend(first))
	k.write(createBackend(second))
	return first.ID, second.ID
}

func healthChanges(k kit) {
	one, other := k.pair()
	c := plane.HealthChange{At: day, Was: plane.BackendHealthy, Became: plane.BackendUnhealthy, Vantage: "s1, by curl", Answer: "HTTP\x00 500\xff", Reason: "answered 500"}
	k.write(appendChange(one, c))
	c.Answer = "HTTP\uFFFD 500\uFFFD"
	same(k, "the one line", k.changes(one, 0), []plane.HealthChange{c})
	same(k, "of the other", len(k.changes(other, 0)), 0)

	next := c
	next.Became, next.Reason = plane.BackendHealthy, "again"
	k.write(appendChange(one, next)) // of the same moment
	next.At = day.Add(time.Microsecond)
	same(k, "two of one moment", k.changes(one, 0), []plane.HealthChange{next, c})
	k.write(appendChange(one, plane.HealthChange{At: day.Add(-time.Hour), Reason: "after the clock was set back"}))
	same(k, "never before the last", k.changes(one, 1)[0].At, day.Add(2*time.Microsecond))

	k.write(appendChange(other, c))
	for i := range plane.KeptChanges {
		k.write(appendChange(one, plane.HealthChange{At: day.Add(time.Duration(i+1) * time.Second), Reason: fmt.Sprint(i)}))
	}
	all := k.changes(one, 1000)
	same(k, "kept", len(all), plane.KeptChanges)
	same(k, "the oldest kept", all[len(all)-1].Reason, "0")
	same(k, "the newest", all[0].Reason, fmt.Sprint(plane.KeptChanges-1))
	same(k, "the other keeps its own", len(k.changes(other, 0)), 1)
	k.write(func(ctx context.Context, tx *store.Tx) error { return tx.DeleteBackend(ctx, one) })
	same(k, "gone with the backend", len(k.changes(one, 0)), 0)
	k.broken("a change of no backend", appendChange(one, c))
}

func healthMinutes(k kit) {
	one, other := k.pair()
	at := func(n int) time.Time { return day.Truncate(time.Minute).Add(time.Duration(n) * time.Minute) }
	first := plane.HealthMinute{Minute: day, Probes: 5, Failures: 1, Blind: 2, Latency: 10 * time.Millisecond, Slowest: 15 * time.Millisecond}
	k.write(addMinute(one, first))
	first.Minute = at(0)
	same(k, "as stored", k.minutes(one, at(0)), []plane.HealthMinute{first})
	k.write(addMinute(one, plane.HealthMinute{Minute: at(0), Probes: 8, Failures: 2, Latency: 50 * time.Millisecond, Slowest: 90 * time.Millisecond}))
	first = plane.HealthMinute{Minute: at(0), Probes: 13, Failures: 3, Blind: 2, Latency: 40 * time.Millisecond, Slowest: 90 * time.Millisecond}
	same(k, "merged", k.minutes(one, at(0)), []plane.HealthMinute{first})
	later := plane.HealthMinute{Minute: at(3), Probes: 1}
	k.write(addMinute(one, later))
	k.write(addMinute(other, later))
	same(k, "in order", k.minutes(one, at(0)), []plane.HealthMinute{first, later})
	same(k, "since", k.minutes(one, at(1)), []plane.HealthMinute{later})

	k.write(addMinute(one, plane.HealthMinute{Minute: at(3).Add(plane.KeptMinutes), Probes: 2}))
	later.Probes = 1
	same(k, "a day later", k.minutes(one, at(0))[0], later)
	same(k, "only its own", k.minutes(other, at(0)), []plane.HealthMinute{later})
	k.write(func(ctx context.Context, tx *store.Tx) error { return tx.DeleteBackend(ctx, one) })
	same(k, "gone with the backend", len(k.minutes(one, at(0))), 0)
	k.missing(addMinute(one, later))
	same(k, "of the other", k.minutes(other, at(0)), []plane.HealthMinute{later})
}
