package storetest

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/serverplane/serverplane/internal/store"
)

func leases(k kit) {
	lease := func(name, owner string, at time.Time) (held bool) {
		k.write(func(ctx context.Context, tx *store.Tx) (err error) {
			held, err = tx.Lease(ctx, name, owner, at, 10*time.Second)
			return err
		})
		return held
	}
	release := func(owner string) {
		k.write(func(ctx context.Context, tx *store.Tx) error { return tx.Release(ctx, "s1", owner) })
	}
	at := func(seconds int) time.Time { return day.Add(time.Duration(seconds) * time.Second) }
	for _, step := range []struct {
		what, name, owner string
		second            int
		held              bool
	}{
		{"taken", "s1", "a", 0, true},
		{"held by another", "s1", "b", 9, false},
		{"another name", "s2", "b", 9, true},
		{"renewed", "s1", "a", 9, true},
		{"the renewal holds", "s1", "b", 18, false},
		{"over", "s1", "b", 19, true},
		{"lost", "s1", "a", 20, false},
	} {
		same(k, step.what, lease(step.name, step.owner, at(step.second)), step.held)
	}
	release("a")
	same(k, "a stranger's release", lease("s1", "a", at(21)), false)
	release("b")
	same(k, "released", lease("s1", "a", at(21)), true)

	var won atomic.Int32
	var all sync.WaitGroup
	for _, owner := range []string{"a", "b", "c", "d"} {
		all.Go(func() {
			_ = k.tryWrite(func(ctx context.Context, tx *store.Tx) error {
				held, err := tx.Lease(ctx, "race", owner, day, time.Minute)
				if held {
					won.Add(1)
				}
				return err
			})
		})
	}
	all.Wait()
	same(k, "winners", won.Load(), 1)
}
