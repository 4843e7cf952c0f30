package storetest

import (
	"context"
	"time"

	"github.com/serverplane/serverplane/internal/plane"
	"github.com/serverplane/serverplane/internal/store"
)

func addServed(appID, backendID string, at, now time.Time, s plane.Served) work {
	return func(ctx context.Context, tx *store.Tx) error {
		return tx.AddServed(ctx, appID, plane.ServedPiece{BackendID: backendID, Begin: at, Served: s}, now)
	}
}

func setEntryLog(l plane.EntryLog, now time.Time) work {
	return func(ctx context.Context, tx *store.Tx) error { return tx.SetEntryLog(ctx, l, now) }
}

func (k kit) served(appID string, length time.Duration, since time.Time) []plane.ServedPiece {
	k.Helper()
	return get(k, func(ctx context.Context, tx *store.Tx) ([]plane.ServedPiece, error) {
		return tx.ServedPieces(ctx, appID, length, since)
	})
}

func served(k kit) {
	one, other := k.pair()
	const web = "app_web"
	quarter := day.Truncate(plane.ServedQuarter)
	at := func(minute int) time.Time { return quarter.Add(time.Duration(minute) * time.Minute) }
	some := plane.Served{Requests: 10, Errors: 2, PassedOn: 1, Latency: plane.Latencies{3, 0, 5}}
	more := plane.Served{Requests: 5, Latency: plane.Latencies{0, 0, 0, 4}}
	both := plane.Served{Requests: 15, Errors: 2, PassedOn: 1, Latency: plane.Latencies{3, 0, 5, 4}}
	now := at(3)
	k.write(addServed(web, one, at(0).Add(59*time.Second), now, some))
	k.write(addServed(web, one, at(0), now, more))
	k.write(addServed(web, one, at(1), now, more))
	k.write(addServed(web, other, at(1), now, some))
	k.write(addServed(web, "", at(1), now, plane.Served{Requests: 1}))
	same(k, "minutes, in order", k.served(web, plane.ServedMinute, at(0)), []plane.ServedPiece{
		{BackendID: one, Begin: at(0), Served: both}, {Begin: at(1), Served: plane.Served{Requests: 1}},
		{BackendID: one, Begin: at(1), Served: more}, {BackendID: other, Begin: at(1), Served: some},
	})
	same(k, "since", len(k.served(web, plane.ServedMinute, at(1))), 3)
	quarters := k.served(web, plane.ServedQuarter, at(0))
	same(k, "quarters", len(quarters), 3)
	same(k, "of one", quarters[1], plane.ServedPiece{BackendID: one, Begin: quarter, Served: both.Merge(more)})
	same(k, "of another app", len(k.served("app_none", plane.ServedMinute, at(0))), 0)

	late := at(0).Add(3 * time.Hour)
	k.write(addServed(web, one, at(2), late, some)) // too old for a minute
	same(k, "no minute of long ago", len(k.served(web, plane.ServedMinute, at(2))), 0)
	same(k, "but its quarter", k.served(web, plane.ServedQuarter, at(0))[1].Requests, 30)
	k.write(addServed(web, one, at(-2000), late, some))
	same(k, "nothing of last week", len(k.served(web, plane.ServedQuarter, at(-3000))), 3)

	k.write(setEntryLog(plane.EntryLog{AppID: web}, late))
	same(k, "old minutes are forgotten", len(k.served(web, plane.ServedMinute, at(-3000))), 0)
	same(k, "quarters are not", len(k.served(web, plane.ServedQuarter, at(0))), 3)
	k.write(setEntryLog(plane.EntryLog{AppID: web}, late.Add(24*time.Hour)))
	same(k, "a day later they are", len(k.served(web, plane.ServedQuarter, at(-3000))), 0)

	now = late.Add(24 * time.Hour)
	for _, b := range []string{one, other, ""} {
		k.write(addServed(web, b, now, now, some))
	}
	k.write(func(ctx context.Context, tx *store.Tx) error { return tx.DeleteBackend(ctx, other) })
	same(k, "gone with the backend", len(k.served(web, plane.ServedMinute, at(0))), 2)
	k.broken("of no app", addServed("app_none", one, now, now, some))
	k.write(func(ctx context.Context, tx *store.Tx) error { return tx.DeleteApp(ctx, web) })
	same(k, "gone with the app", len(k.served(web, plane.ServedMinute, at(0))), 0)
}

func entryLogs(k kit) {
	k.pair()
	read := func(id string) work {
		return func(ctx context.Context, tx *store.Tx) error { _, err := tx.EntryLog(ctx, id); return err }
	}
	k.missing(read("app_web"))
	l := plane.EntryLog{
		AppID: "app_web", Since: day, ReadAt: day.Add(time.Hour), Reason: "s1 is\x00 away", GapAt: day, Gap: "3 MB",
		Places: []plane.LogPlace{{Inode: 1<<64 - 1, Offset: 1 << 40, Head: "0a"}, {Inode: 7}},
	}
	stored := func() plane.EntryLog {
		return get(k, func(ctx context.Context, tx *store.Tx) (plane.EntryLog, error) { return tx.EntryLog(ctx, l.AppID) })
	}
	k.write(setEntryLog(l, day))
	l.Reason = "s1 is\uFFFD away"
	same(k, "as stored", stored(), l)
	l.Reason, l.Places, l.ReadAt = "", nil, time.Time{}
	k.write(setEntryLog(l, day))
	same(k, "as stored over it", stored(), l)
	k.broken("of no app", setEntryLog(plane.EntryLog{AppID: "app_none"}, day))
	k.write(func(ctx context.Context, tx *store.Tx) error { return tx.DeleteApp(ctx, "app_web") })
	k.missing(read("app_web"))
}
