package storetest

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/serverplane/serverplane/internal/plane"
	"github.com/serverplane/serverplane/internal/store"
)

const lease = 40 * time.Second

func (k kit) run(id string) plane.Run {
	k.Helper()
	return get(k, func(ctx context.Context, tx *store.Tx) (plane.Run, error) { return tx.Run(ctx, id) })
}

func (k kit) enqueue(r plane.Run) {
	k.Helper()
	if r.CreatedAt.IsZero() {
		r.CreatedAt = day
	}
	k.write(func(ctx context.Context, tx *store.Tx) error { return tx.Enqueue(ctx, r) })
}

// claim returns the id of the claimed Run, or "".
func (k kit) claim(owner string, at time.Time) string {
	k.Helper()
	return k.claimed(owner, at).ID
}

func (k kit) claimed(owner string, at time.Time) (r plane.Run) {
	k.Helper()
	k.write(func(ctx context.Context, tx *store.Tx) error {
		got, ok, err := tx.Claim(ctx, owner, at, lease)
		if ok != (got.ID != "") {
			return fmt.Errorf("claim says %t and returns run %q", ok, got.ID)
		}
		r = got
		return err
	})
	return r
}

func finish(id, owner string, attempt int, state plane.RunState, reason string, at time.Time) work {
	return func(ctx context.Context, tx *store.Tx) error {
		return tx.Finish(ctx, id, owner, attempt, state, reason, at)
	}
}

func cancel(id string, at time.Time) work {
	return func(ctx context.Context, tx *store.Tx) error { return tx.RequestCancel(ctx, id, at) }
}

// lost expects ErrLost and that the Write had no effect.
func (k kit) lost(what, id string, w work) {
	k.Helper()
	before := k.run(id)
	err := k.tryWrite(func(ctx context.Context, tx *store.Tx) error {
		if err := tx.SetSetting(ctx, "effect", []byte(what)); err != nil {
			return err
		}
		return w(ctx, tx)
	})
	if !errors.Is(err, store.ErrLost) {
		k.Fatalf("%s: got %v, want ErrLost", what, err)
	}
	same(k, what+": the run", k.run(id), before)
	k.missing(func(ctx context.Context, tx *store.Tx) error { _, err := tx.Setting(ctx, "effect"); return err })
}

func runID(r plane.Run) string { return r.ID }

func (k kit) blocking(id string) string {
	k.Helper()
	return ids(get(k, func(ctx context.Context, tx *store.Tx) ([]plane.Run, error) { return tx.Blocking(ctx, id) }), runID)
}

func runs(k kit) {
	want := plane.Run{
		ID: "run_1", Kind: plane.RunDeploy, AppID: "app_1", ServerID: "srv_1", BackendID: "bck_1", DeploymentID: "dep_1",
		Servers: []string{"srv_1", "srv_2"}, Locks: []string{"b", "a", "b"}, Args: []byte(`{"a": "it’s"}`), State: plane.RunSucceeded,
		Step: "waiting", Total: 3, Reason: "queued by hand", Actor: "ann@example.com", Owner: "stray", Attempt: 9, Cancel: true,
		CreatedAt: day, StartedAt: day, FinishedAt: day, LeaseUntil: day,
	}
	k.enqueue(want)
	want.Locks, want.State = []string{"a", "b"}, plane.RunQueued
	want.Owner, want.Attempt, want.Cancel = "", 0, false
	want.StartedAt, want.FinishedAt, want.LeaseUntil = time.Time{}, time.Time{}, time.Time{}
	same(k, "queued", k.run("run_1"), want)
	k.enqueue(plane.Run{ID: "run_2"})
	same(k, "bare", k.run("run_2"), plane.Run{ID: "run_2", State: plane.RunQueued, CreatedAt: day})

	want.State, want.Owner, want.Attempt = plane.RunRunning, "p1", 1
	want.StartedAt, want.LeaseUntil = day.Add(time.Minute), day.Add(time.Minute+lease)
	same(k, "claimed", k.claimed("p1", day.Add(time.Minute)), want)
	same(k, "running", k.run("run_1"), want)

	k.write(func(ctx context.Context, tx *store.Tx) error {
		return tx.Progress(ctx, "run_1", "p1", 1, "build", 1, 4)
	})
	want.Step, want.Done, want.Total = "build", 1, 4
	same(k, "progress", k.run("run_1"), want)
	k.write(finish("run_1", "p1", 1, plane.RunFailed, "npm said no", day.Add(time.Hour)))
	want.State, want.Reason, want.FinishedAt, want.LeaseUntil = plane.RunFailed, "npm said no", day.Add(time.Hour), time.Time{}
	same(k, "failed", k.run("run_1"), want)

	k.refuse(plane.CodeConflict, `run "run_1" exists already`, func(ctx context.Context, tx *store.Tx) error {
		return tx.Enqueue(ctx, plane.Run{ID: "run_1", CreatedAt: day})
	})
	k.broken("a lock name with a blank", func(ctx context.Context, tx *store.Tx) error {
		return tx.Enqueue(ctx, plane.Run{ID: "run_3", CreatedAt: day, Locks: []string{"a b"}})
	})
	k.missing(func(ctx context.Context, tx *store.Tx) error { _, err := tx.Run(ctx, "run_3"); return err })
}

func runFilters(k kit) {
	for i, r := range []plane.Run{
		{AppID: "app_1", ServerID: "srv_1"},
		{AppID: "app_1", Servers: []string{"srv_1", "srv_2"}},
		{AppID: "app_2", ServerID: "srv_2"},
		{AppID: "app_2"},
	} {
		r.ID, r.CreatedAt = fmt.Sprintf("run_%d", i), day.Add(time.Duration(i/2)*time.Second)
		k.enqueue(r)
	}
	same(k, "claimed", k.claim("p1", day.Add(time.Minute)), "run_0")
	for _, c := range []struct {
		want   string
		filter store.RunFilter
	}{
		{"run_3 run_2 run_1 run_0", store.RunFilter{}},
		{"run_1 run_0", store.RunFilter{AppID: "app_1"}},
		{"run_1 run_0", store.RunFilter{ServerID: "srv_1"}},
		{"run_2 run_1", store.RunFilter{ServerID: "srv_2"}},
		{"", store.RunFilter{ServerID: "srv_"}},
		{"run_0", store.RunFilter{State: plane.RunRunning}},
		{"run_1", store.RunFilter{State: plane.RunQueued, AppID: "app_1"}},
		{"run_3 run_2", store.RunFilter{Limit: 2}},
		{"run_1", store.RunFilter{Limit: 1, Before: "run_2"}},
		{"", store.RunFilter{Before: "run_none"}},
	} {
		got := get(k, func(ctx context.Context, tx *store.Tx) ([]plane.Run, error) { return tx.Runs(ctx, c.filter) })
		same(k, fmt.Sprintf("%+v", c.filter), ids(got, runID), c.want)
	}
}

func troubledRuns(k kit) {
	at := func(i int) time.Time { return day.Add(time.Duration(i) * time.Minute) }
	for i, c := range []struct {
		run   plane.Run
		state plane.RunState
	}{
		{plane.Run{Kind: plane.RunDeploy, AppID: "app_1"}, plane.RunFailed},                        // 0: tried again by 2
		{plane.Run{Kind: plane.RunDeploy, AppID: "app_2"}, plane.RunFailed},                        // 1: nobody did
		{plane.Run{Kind: plane.RunDeploy, AppID: "app_1"}, plane.RunSucceeded},                     // 2
		{plane.Run{Kind: plane.RunProvision, ServerID: "srv_1"}, plane.RunInterrupted},             // 3
		{plane.Run{Kind: plane.RunRepair, AppID: "app_2", BackendID: "bck_1"}, plane.RunFailed},    // 4: 5 was another backend
		{plane.Run{Kind: plane.RunRepair, AppID: "app_2", BackendID: "bck_2"}, plane.RunSucceeded}, // 5
		{plane.Run{Kind: plane.RunEnable, AppID: "app_3"}, plane.RunCancelled},                     // 6: a person wished that
	} {
		c.run.ID, c.run.CreatedAt = fmt.Sprintf("run_%d", i), at(i)
		k.enqueue(c.run)
		same(k, "claimed", k.claim("p1", at(i)), c.run.ID)
		k.write(finish(c.run.ID, "p1", 1, c.state, "why", at(i)))
	}
	troubled := func(since time.Time) []plane.Run {
		return get(k, func(ctx context.Context, tx *store.Tx) ([]plane.Run, error) { return tx.Troubled(ctx, since) })
	}
	same(k, "all", ids(troubled(day), runID), "run_4 run_3 run_1")
	same(k, "lately", ids(troubled(at(2)), runID), "run_4 run_3")
	k.enqueue(plane.Run{ID: "run_9", Kind: plane.RunDeploy, AppID: "app_2", CreatedAt: at(9)})
	same(k, "one is tried again right now", ids(troubled(day), runID), "run_4 run_3")
}

func claims(k kit) {
	at := func(i int) time.Time { return day.Add(time.Duration(i) * time.Second) }
	for i, locks := range [][]string{{"a"}, {"a", "b"}, {"b"}, nil, {"c", "b"}} {
		k.enqueue(plane.Run{ID: fmt.Sprintf("run_%d", i), CreatedAt: at(i), Locks: locks})
	}
	now := at(60)
	same(k, "the oldest", k.claim("p1", now), "run_0")
	same(k, "the oldest whose locks are free", k.claim("p2", now), "run_2")
	same(k, "one without locks", k.claim("p1", now), "run_3")
	same(k, "none is free", k.claim("p1", now), "")
	same(k, "who blocks 1", k.blocking("run_1"), "run_0 run_2")
	same(k, "who blocks 4", k.blocking("run_4"), "run_2")
	same(k, "nobody blocks a running one", k.blocking("run_0"), "")
	k.write(finish("run_2", "p2", 1, plane.RunSucceeded, "", now))
	same(k, "one lock is not enough", k.claim("p1", now), "run_4")
	k.write(finish("run_4", "p1", 1, plane.RunFailed, "", now))
	same(k, "a is still held", k.claim("p1", now), "")
	k.write(finish("run_0", "p1", 1, plane.RunCancelled, "", now))
	same(k, "both are free", k.claim("p3", now), "run_1")
	same(k, "who blocks 1 now", k.blocking("run_1"), "")
}

// sharedLocks: together or alone, never both.
func sharedLocks(k kit) {
	at := func(i int) time.Time { return day.Add(time.Duration(i) * time.Second) }
	for i, locks := range [][]string{{plane.Shared("app"), "b1"}, {plane.Shared("app"), "b2"}, {plane.Shared("app"), "b1"}, {"app"}, {plane.Shared("app"), "b4"}} {
		k.enqueue(plane.Run{ID: fmt.Sprintf("run_%d", i), CreatedAt: at(i), Locks: locks})
	}
	same(k, "as asked", k.run("run_0").Locks, []string{plane.Shared("app"), "b1"})
	now := at(60)
	same(k, "the first", k.claim("p1", now), "run_0")
	same(k, "one that shares", k.claim("p2", now), "run_1")
	same(k, "the rest waits", k.claim("p1", now), "")
	same(k, "sharing helps nobody to a lock of its own", k.blocking("run_2"), "run_0")
	same(k, "alone it waits for all", k.blocking("run_3"), "run_0 run_1")
	k.write(finish("run_0", "p1", 1, plane.RunSucceeded, "", now))
	same(k, "the other lock is free now", k.claim("p1", now), "run_2")
	same(k, "still not alone", k.claim("p1", now), "")
	same(k, "who is left", k.blocking("run_3"), "run_1 run_2")
	k.write(func(ctx context.Context, tx *store.Tx) error { _, err := tx.InterruptOwner(ctx, "p2", now); return err })
	same(k, "the rescue freed one share", k.blocking("run_3"), "run_2")
	same(k, "and only that", k.claim("p1", now), "")
	k.write(func(ctx context.Context, tx *store.Tx) error { _, err := tx.Interrupt(ctx, now.Add(lease)); return err })
	same(k, "alone at last", k.claim("p1", now), "run_3")
	same(k, "nobody shares with it", k.claim("p2", now), "")
	same(k, "it is named", k.blocking("run_4"), "run_3")
	k.write(finish("run_3", "p1", 1, plane.RunFailed, "", now))
	same(k, "after it", k.claim("p2", now), "run_4")
}

// queuesBehind: those that share would keep one that waits to be alone out for
// ever if newer ones came before it.
func queuesBehind(k kit) {
	at := func(i int) time.Time { return day.Add(time.Duration(i) * time.Second) }
	for i, locks := range [][]string{{plane.Shared("app")}, {"app", "x"}, {plane.Shared("app")}, {plane.Shared("other")}, nil} {
		k.enqueue(plane.Run{ID: fmt.Sprintf("run_%d", i), CreatedAt: at(i), Locks: locks})
	}
	now := at(60)
	same(k, "the first", k.claim("p1", now), "run_0")
	same(k, "not the newer that shares", k.claim("p1", now), "run_3")
	same(k, "nor now", k.claim("p1", now), "run_4")
	same(k, "nor later", k.claim("p1", now), "")
	same(k, "the older one waits for", k.blocking("run_1"), "run_0")
	same(k, "the newer one waits for", k.blocking("run_2"), "run_1")
	same(k, "a running one waits for nobody", k.blocking("run_3"), "")
	k.write(cancel("run_1", now))
	same(k, "nobody in between any more", k.blocking("run_2"), "")
	same(k, "together with the first", k.claim("p2", now), "run_2")
}

func receipts(k kit) {
	k.enqueue(plane.Run{ID: "run_1"})
	lines := []plane.ReceiptLine{{Server: "s2", What: "process and units", Done: true}, {Server: "s3", What: "files", Detail: "it’s off"}}
	note := func(owner string, attempt int) work {
		return func(ctx context.Context, tx *store.Tx) error {
			return tx.SetReceipt(ctx, "run_1", owner, attempt, lines)
		}
	}
	same(k, "none yet", k.run("run_1").Receipt, nil)
	k.lost("queued", "run_1", note("", 0))
	k.claim("p1", day)
	k.lost("another owner", "run_1", note("p2", 1))
	k.lost("another attempt", "run_1", note("p1", 2))
	k.write(note("p1", 1))
	same(k, "noted", k.run("run_1").Receipt, lines)
	lines = lines[:1]
	k.write(note("p1", 1))
	k.write(finish("run_1", "p1", 1, plane.RunFailed, "", day))
	same(k, "the last one stays", k.run("run_1").Receipt, lines)
	k.lost("over", "run_1", note("p1", 1))
}

func owners(k kit) {
	k.enqueue(plane.Run{ID: "run_1"})
	beat := func(owner string, attempt int) work {
		return func(ctx context.Context, tx *store.Tx) error {
			_, err := tx.Heartbeat(ctx, "run_1", owner, attempt, day, lease)
			return err
		}
	}
	progress := func(owner string, attempt int) work {
		return func(ctx context.Context, tx *store.Tx) error {
			return tx.Progress(ctx, "run_1", owner, attempt, "x", 1, 2)
		}
	}
	strangers := func(when, owner string, attempt int) {
		k.lost(when+": heartbeat", "run_1", beat(owner, attempt))
		k.lost(when+": progress", "run_1", progress(owner, attempt))
		k.lost(when+": finish", "run_1", finish("run_1", owner, attempt, plane.RunSucceeded, "", day))
	}
	strangers("queued", "p1", 0)
	k.claim("p1", day)
	strangers("another owner", "p2", 1)
	strangers("another attempt", "p1", 2)

	renew := func(at time.Time) (asked bool) {
		k.write(func(ctx context.Context, tx *store.Tx) (err error) {
			asked, err = tx.Heartbeat(ctx, "run_1", "p1", 1, at, lease)
			return err
		})
		return asked
	}
	same(k, "cancel asked", renew(day.Add(time.Minute)), false)
	same(k, "lease", k.run("run_1").LeaseUntil, day.Add(time.Minute+lease))
	k.write(cancel("run_1", day))
	same(k, "cancel asked", renew(day.Add(2*time.Minute)), true)
	k.write(finish("run_1", "p1", 1, plane.RunSucceeded, "", day))
	strangers("over", "p1", 1)
}

func finishes(k kit) {
	for _, state := range []plane.RunState{plane.RunSucceeded, plane.RunFailed, plane.RunCancelled, plane.RunInterrupted} {
		id := "run_" + string(state)
		k.enqueue(plane.Run{ID: id, Locks: []string{"a"}})
		same(k, "claimed", k.claim("p1", day), id)
		for _, wrong := range []plane.RunState{plane.RunQueued, plane.RunRunning} {
			k.broken("finish as "+string(wrong), finish(id, "p1", 1, wrong, "", day))
		}
		k.write(func(ctx context.Context, tx *store.Tx) error {
			return errors.Join(tx.SetSetting(ctx, "effect", []byte(id)), tx.Finish(ctx, id, "p1", 1, state, "why", day))
		})
		same(k, "effect", k.setting("effect"), id)
		got := k.run(id)
		same(k, "end", []any{got.State, got.Reason, got.FinishedAt}, []any{state, "why", day})
	}
}

func cancels(k kit) {
	k.enqueue(plane.Run{ID: "run_1", Locks: []string{"a"}})
	k.write(cancel("run_1", day))
	got := k.run("run_1")
	same(k, "queued", []any{got.State, got.Cancel, got.FinishedAt}, []any{plane.RunCancelled, true, day})
	same(k, "a cancelled run is not claimed", k.claim("p1", day), "")
	k.refuse(plane.CodeConflict, "the run is over: cancelled", cancel("run_1", day))

	k.enqueue(plane.Run{ID: "run_2", Locks: []string{"a"}})
	k.claim("p1", day)
	k.write(cancel("run_2", day))
	k.write(cancel("run_2", day))
	got = k.run("run_2")
	same(k, "running", []any{got.State, got.Cancel}, []any{plane.RunRunning, true})
	k.missing(cancel("run_none", day))
}

func interrupts(k kit) {
	for i := range 4 {
		k.enqueue(plane.Run{ID: fmt.Sprintf("run_%d", i), CreatedAt: day.Add(time.Duration(i)), Locks: []string{fmt.Sprint(i)}})
	}
	k.claim("p1", day)
	k.claim("p2", day.Add(time.Second))
	k.claim("p1", day.Add(time.Second))
	k.write(func(ctx context.Context, tx *store.Tx) error {
		return tx.Progress(ctx, "run_0", "p1", 1, "build on s2", 0, 0)
	})
	interrupt := func(at time.Time) (got []plane.Run) {
		k.write(func(ctx context.Context, tx *store.Tx) (err error) {
			got, err = tx.Interrupt(ctx, at)
			return err
		})
		return got
	}
	same(k, "no lease is over", len(interrupt(day.Add(lease-time.Microsecond))), 0)
	got := interrupt(day.Add(lease))
	same(k, "whose lease is over", ids(got, runID), "run_0")
	same(k, "as stored", got[0], k.run("run_0"))
	same(k, "state", []any{got[0].State, got[0].Reason, got[0].FinishedAt},
		[]any{plane.RunInterrupted, "its panel stopped while it was at: build on s2", day.Add(lease)})
	k.lost("the former owner", "run_0", finish("run_0", "p1", 1, plane.RunSucceeded, "", day))

	k.enqueue(plane.Run{ID: "run_repeated", CreatedAt: day.Add(-time.Hour), Locks: []string{"0"}})
	same(k, "its locks are free", k.claim("p3", day.Add(lease)), "run_repeated")
	k.write(func(ctx context.Context, tx *store.Tx) (err error) {
		got, err = tx.InterruptOwner(ctx, "p1", day.Add(time.Second))
		return err
	})
	same(k, "of an owner's former life", ids(got, runID), "run_2")
	same(k, "reason", got[0].Reason, "its panel stopped")
	same(k, "not the other's", k.run("run_1").State, plane.RunRunning)
	same(k, "not a queued one", k.run("run_3").State, plane.RunQueued)
}

// runRules are what the schema refuses by itself, reached through times that
// no caller passes.
func runRules(k kit) {
	k.enqueue(plane.Run{ID: "run_1"})
	claim := func(owner string, at time.Time) work {
		return func(ctx context.Context, tx *store.Tx) error {
			_, _, err := tx.Claim(ctx, owner, at, lease)
			return err
		}
	}
	k.broken("running without an owner", claim("", day))
	k.broken("running since never", claim("p1", time.Time{}))
	k.claim("p1", day)
	k.broken("running without a lease", func(ctx context.Context, tx *store.Tx) error {
		_, err := tx.Heartbeat(ctx, "run_1", "p1", 1, time.UnixMicro(0), 0)
		return err
	})
	k.broken("over at no time", finish("run_1", "p1", 1, plane.RunSucceeded, "", time.Time{}))
	same(k, "state", k.run("run_1").State, plane.RunRunning)
}
