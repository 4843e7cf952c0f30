package storetest

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"testing"

	"github.com/serverplane/serverplane/internal/store"
)

func put(key, value string) work {
	return func(ctx context.Context, tx *store.Tx) error { return tx.SetSetting(ctx, key, []byte(value)) }
}

func (k kit) setting(key string) string {
	k.Helper()
	return string(get(k, func(ctx context.Context, tx *store.Tx) ([]byte, error) { return tx.Setting(ctx, key) }))
}

func transactions(k kit) {
	k.write(put("a", "1"))
	stop := errors.New("stop")
	err := k.tryWrite(func(ctx context.Context, tx *store.Tx) error {
		return errors.Join(tx.SetSetting(ctx, "a", []byte("2")), stop)
	})
	if !errors.Is(err, stop) {
		k.Fatalf("got %v, want the function's own error", err)
	}
	same(k, "after a failed write", k.setting("a"), "1")
	cancelled, cancel := context.WithCancel(context.Background())
	err = k.s.Write(cancelled, func(tx *store.Tx) error {
		defer cancel()
		return tx.SetSetting(cancelled, "a", []byte("3"))
	})
	if err == nil {
		k.Fatalf("a write whose context ended was committed")
	}
	same(k, "after a cancelled write", k.setting("a"), "1")
	k.write(func(ctx context.Context, tx *store.Tx) error {
		if _, err := tx.Setting(ctx, "none"); !errors.Is(err, store.ErrNotFound) {
			return fmt.Errorf("got %w, want ErrNotFound", err)
		}
		return tx.SetSetting(ctx, "a", []byte("4"))
	})
	same(k, "after ErrNotFound inside a write", k.setting("a"), "4")
}

func panics(k kit) {
	func() {
		defer func() {
			if recover() == nil {
				k.Fatalf("the panic was swallowed")
			}
		}()
		_ = k.tryWrite(func(ctx context.Context, tx *store.Tx) error {
			if err := tx.SetSetting(ctx, "a", []byte("1")); err != nil {
				return err
			}
			panic("oops")
		})
	}()
	k.missing(func(ctx context.Context, tx *store.Tx) error {
		_, err := tx.Setting(ctx, "a")
		return err
	})
}

func reads(k kit) {
	k.write(put("a", "1"))
	ctx := context.Background()
	err := k.s.Read(ctx, func(tx *store.Tx) error {
		before, err := tx.Setting(ctx, "a")
		if err != nil {
			return err
		}
		k.write(put("a", "2"))
		after, err := tx.Setting(ctx, "a")
		same(k, "second look of one read", string(after), string(before))
		return err
	})
	if err != nil {
		k.Fatalf("read: %v", err)
	}
	same(k, "next read", k.setting("a"), "2")
	if err := k.s.Read(ctx, func(tx *store.Tx) error { return tx.SetSetting(ctx, "a", nil) }); err == nil {
		k.Fatalf("a read could write")
	}
}

func increments(k kit) { shareCounter(k, k.s) }

// ShareCounter lets eight writers, spread over the stores (all of one
// database), read a number and write the next one: an update is lost if two
// may read the same.
func ShareCounter(t *testing.T, stores ...*store.Store) {
	shareCounter(newKit(t, stores[0]), stores...)
}

func shareCounter(k kit, stores ...*store.Store) {
	k.write(put("n", "0"))
	var all sync.WaitGroup
	errs := make(chan error, 8*20)
	for i := range 8 {
		each := kit{failer: k.failer, s: stores[i%len(stores)]}
		all.Go(func() {
			for range 20 {
				errs <- each.tryWrite(increment)
			}
		})
	}
	all.Wait()
	close(errs)
	for err := range errs {
		if err != nil {
			k.Fatalf("increment: %v", err)
		}
	}
	same(k, "sum", k.setting("n"), "160")
}

func increment(ctx context.Context, tx *store.Tx) error {
	raw, err := tx.Setting(ctx, "n")
	if err != nil {
		return err
	}
	n, err := strconv.Atoi(string(raw))
	if err != nil {
		return err
	}
	return tx.SetSetting(ctx, "n", []byte(strconv.Itoa(n+1)))
}
