package storetest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/serverplane/serverplane/internal/plane"
	"github.com/serverplane/serverplane/internal/store"
	"pgregory.net/rapid"
)

// machine is what the Runs of one random story should look like.
type machine struct {
	kit
	rt    *rapid.T
	now   time.Time
	order []string // ids by age
	runs  map[string]plane.Run
}

// runMachine plays random stories of several owners against the rules of
// product and domain written down once more, without SQL.
func runMachine(k kit) {
	t, ok := k.failer.(rapid.TB)
	if !ok {
		k.Fatalf("%T is no test", k.failer)
	}
	story := 0
	rapid.Check(t, func(rt *rapid.T) {
		story++
		m := &machine{kit: kit{failer: rt, s: k.s}, rt: rt, now: day.Add(time.Duration(story) * 24 * time.Hour), runs: map[string]plane.Run{}}
		defer m.clear()
		rt.Repeat(map[string]func(*rapid.T){
			"":          func(*rapid.T) { m.check() },
			"enqueue":   func(*rapid.T) { m.enqueueOne(story) },
			"claim":     func(*rapid.T) { m.claimOne() },
			"heartbeat": func(*rapid.T) { m.heartbeatOne() },
			"finish":    func(*rapid.T) { m.finishOne() },
			"cancel":    func(*rapid.T) { m.cancelOne() },
			"interrupt": func(*rapid.T) { m.interruptSome() },
			"restart":   func(*rapid.T) { m.restartOwner() },
			"wait": func(*rapid.T) {
				m.now = m.now.Add(time.Duration(rapid.IntRange(1, 30).Draw(rt, "seconds")) * time.Second)
			},
		})
	})
}

// clear ends what the story left, so that the next begins with free locks.
func (m *machine) clear() {
	m.write(func(ctx context.Context, tx *store.Tx) error {
		if _, err := tx.Interrupt(ctx, m.now.Add(time.Hour)); err != nil {
			return err
		}
		for id, r := range m.runs {
			if r.State == plane.RunQueued {
				if err := tx.RequestCancel(ctx, id, m.now); err != nil {
					return err
				}
			}
		}
		return nil
	})
}

func (m *machine) owner() string {
	return rapid.SampledFrom([]string{"p1", "p2", "p3"}).Draw(m.rt, "owner")
}

// any draws a Run, its owner or a stranger, and its attempt or another one.
func (m *machine) any() (id, owner string, attempt int, mine bool) {
	if len(m.order) == 0 {
		m.rt.Skip("no run yet")
	}
	r := m.runs[rapid.SampledFrom(m.order).Draw(m.rt, "run")]
	owner, attempt = m.owner(), r.Attempt
	if rapid.Bool().Draw(m.rt, "owner's") {
		owner = r.Owner
	}
	if rapid.IntRange(0, 4).Draw(m.rt, "stale") == 0 {
		attempt--
	}
	mine = r.State == plane.RunRunning && owner == r.Owner && attempt == r.Attempt
	return r.ID, owner, attempt, mine
}

func (m *machine) enqueueOne(story int) {
	m.now = m.now.Add(time.Millisecond)
	locks := rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"a", "b", "c", "d"}), 0, 3, rapid.ID[string]).Draw(m.rt, "locks")
	for i := range locks {
		if rapid.Bool().Draw(m.rt, "shared") {
			locks[i] = plane.Shared(locks[i])
		}
	}
	r := plane.Run{ID: fmt.Sprintf("run_%d_%d", story, len(m.order)), CreatedAt: m.now, Locks: plane.SortLocks(locks...), State: plane.RunQueued}
	m.enqueue(r)
	m.runs[r.ID], m.order = r, append(m.order, r.ID)
}

// holders are the running Runs that hold a lock, and whether they share it.
type holders struct {
	ids   []string
	share bool
}

// held returns who holds each lock; two holders that do not both share fail the test.
func (m *machine) held(runs map[string]plane.Run) map[string]holders {
	held := map[string]holders{}
	for id, r := range runs {
		for _, l := range r.Locks {
			if r.State != plane.RunRunning {
				continue
			}
			name, share := plane.CutShared(l)
			h := held[name]
			if len(h.ids) > 0 && (!h.share || !share) {
				m.Fatalf("lock %s is held by %s and %s", name, h.ids, id)
			}
			held[name] = holders{ids: append(h.ids, id), share: share}
		}
	}
	return held
}

// next is the oldest whose locks are free and that shares none which an older
// one waits to have alone.
func (m *machine) next() string {
	held, awaited := m.held(m.runs), map[string]bool{}
	for _, id := range m.order {
		r := m.runs[id]
		if r.State != plane.RunQueued {
			continue
		}
		if !slices.ContainsFunc(r.Locks, func(l string) bool {
			name, share := plane.CutShared(l)
			taken := len(held[name].ids) > 0 && (!held[name].share || !share)
			return taken || share && awaited[name]
		}) {
			return id
		}
		for _, l := range r.Locks {
			if name, share := plane.CutShared(l); !share {
				awaited[name] = true
			}
		}
	}
	return ""
}

func (m *machine) claimOne() {
	owner, want := m.owner(), m.next()
	same(m.kit, "claimed", m.claim(owner, m.now), want)
	if want != "" {
		m.change(want, plane.RunRunning, func(r *plane.Run) {
			r.Owner, r.Attempt, r.StartedAt, r.LeaseUntil = owner, r.Attempt+1, m.now, m.now.Add(lease)
		})
	}
}

func (m *machine) heartbeatOne() {
	id, owner, attempt, mine := m.any()
	var asked bool
	beat := func(ctx context.Context, tx *store.Tx) (err error) {
		asked, err = tx.Heartbeat(ctx, id, owner, attempt, m.now, lease)
		return err
	}
	if !mine {
		m.lost("heartbeat", id, beat)
		return
	}
	m.write(beat)
	r := m.runs[id]
	same(m.kit, "cancel asked", asked, r.Cancel)
	r.LeaseUntil = m.now.Add(lease)
	m.runs[id] = r
}

func (m *machine) finishOne() {
	id, owner, attempt, mine := m.any()
	state := rapid.SampledFrom([]plane.RunState{plane.RunSucceeded, plane.RunFailed, plane.RunCancelled, plane.RunQueued, plane.RunRunning}).Draw(m.rt, "state")
	w := finish(id, owner, attempt, state, "why", m.now)
	switch {
	case !plane.RunRunning.MayBecome(state):
		m.broken("finish as "+string(state), w)
	case !mine:
		m.lost("finish", id, w)
	default:
		m.write(w)
		m.end(id, state, "why")
	}
}

func (m *machine) cancelOne() {
	id, _, _, _ := m.any()
	r := m.runs[id]
	switch {
	case r.State.Ended():
		m.refuse(plane.CodeConflict, "over", cancel(id, m.now))
	case r.State == plane.RunRunning:
		m.write(cancel(id, m.now))
		r.Cancel = true
		m.runs[id] = r
	default:
		m.write(cancel(id, m.now))
		m.end(id, plane.RunCancelled, "cancelled before it began")
		m.flag(id)
	}
}

func (m *machine) flag(id string) {
	r := m.runs[id]
	r.Cancel = true
	m.runs[id] = r
}

func (m *machine) interruptSome() {
	m.interrupted(func(ctx context.Context, tx *store.Tx) ([]plane.Run, error) { return tx.Interrupt(ctx, m.now) },
		func(r plane.Run) bool { return !r.LeaseUntil.After(m.now) })
}

func (m *machine) restartOwner() {
	owner := m.owner()
	m.interrupted(func(ctx context.Context, tx *store.Tx) ([]plane.Run, error) {
		return tx.InterruptOwner(ctx, owner, m.now)
	},
		func(r plane.Run) bool { return r.Owner == owner })
}

func (m *machine) interrupted(do func(ctx context.Context, tx *store.Tx) ([]plane.Run, error), which func(plane.Run) bool) {
	var want []plane.Run
	for _, id := range m.order {
		if r := m.runs[id]; r.State == plane.RunRunning && which(r) {
			m.end(id, plane.RunInterrupted, "its panel stopped")
			want = append(want, m.runs[id])
		}
	}
	m.write(func(ctx context.Context, tx *store.Tx) error {
		got, err := do(ctx, tx)
		same(m.kit, "interrupted", got, want)
		return err
	})
}

func (m *machine) end(id string, state plane.RunState, reason string) {
	m.change(id, state, func(r *plane.Run) {
		r.Reason, r.FinishedAt, r.LeaseUntil = reason, m.now, time.Time{}
	})
}

// change moves the model, which must keep the domain's rules itself.
func (m *machine) change(id string, state plane.RunState, more func(r *plane.Run)) {
	r := m.runs[id]
	if !r.State.MayBecome(state) {
		m.Fatalf("the model moves %s from %s to %s", id, r.State, state)
	}
	r.State = state
	more(&r)
	m.runs[id] = r
}

// check compares all Runs of the story with the store's.
func (m *machine) check() {
	stored := map[string]plane.Run{}
	ctx := context.Background()
	err := m.s.Read(ctx, func(tx *store.Tx) error {
		all, err := tx.Runs(ctx, store.RunFilter{Limit: max(1, len(m.order))})
		for _, r := range all {
			if _, ours := m.runs[r.ID]; ours {
				stored[r.ID] = r
			}
		}
		return err
	})
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		m.Fatalf("read runs: %v", err)
	}
	m.held(stored)
	same(m.kit, "runs", maps.Clone(stored), m.runs)
}
