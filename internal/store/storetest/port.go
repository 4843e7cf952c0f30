package storetest

import (
	"context"

	"github.com/serverplane/serverplane/internal/plane"
	"github.com/serverplane/serverplane/internal/store"
)

// take takes ports and, like control does, stores the backend afterwards.
func (k kit) take(b plane.Backend, n int, avoid ...int) []int {
	k.Helper()
	var got []int
	k.write(func(ctx context.Context, tx *store.Tx) (err error) {
		if got, err = tx.TakePorts(ctx, b.ServerID, b.ID, n, avoid); err != nil {
			return err
		}
		return tx.CreateBackend(ctx, b)
	})
	return got
}

func ports(k kit) {
	k.site()
	k.write(func(ctx context.Context, tx *store.Tx) error { return tx.CreateApp(ctx, app("shop", "srv_s2")) })
	first := plane.FirstPort
	same(k, "first four, two in use by strangers", k.take(backend("web", "s1", true), 4, first+1, first+3),
		[]int{first, first + 2, first + 4, first + 5})
	same(k, "the gaps are taken next", k.take(backend("shop", "s1", false), 4), []int{first + 1, first + 3, first + 6, first + 7})
	same(k, "another server begins anew", k.take(backend("web", "s2", false), 4), []int{first, first + 1, first + 2, first + 3})

	k.write(func(ctx context.Context, tx *store.Tx) error { return tx.FreePorts(ctx, "bck_webs1") })
	again := func(n int) (got []int) {
		k.write(func(ctx context.Context, tx *store.Tx) (err error) {
			got, err = tx.TakePorts(ctx, "srv_s1", "bck_webs1", n, nil)
			return err
		})
		return got
	}
	same(k, "freed ports", again(2), []int{first, first + 2})
	k.write(func(ctx context.Context, tx *store.Tx) error { return tx.DeleteBackend(ctx, "bck_shops1") })
	same(k, "ports of a deleted backend", again(2), []int{first + 1, first + 3})

	k.refuse(plane.CodeConflict, "no free ports", func(ctx context.Context, tx *store.Tx) error {
		_, err := tx.TakePorts(ctx, "srv_s2", "bck_webs2", plane.LastPort-plane.FirstPort-2, nil)
		return err
	})
	k.broken("ports of no backend", func(ctx context.Context, tx *store.Tx) error {
		_, err := tx.TakePorts(ctx, "srv_s2", "bck_none", 1, nil)
		return err
	})
}
