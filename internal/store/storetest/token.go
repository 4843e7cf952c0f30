package storetest

import (
	"context"
	"time"

	"github.com/serverplane/serverplane/internal/plane"
	"github.com/serverplane/serverplane/internal/store"
)

func tokens(k kit) {
	k.write(createUser(ann()))
	create := func(v plane.Token) work {
		return func(ctx context.Context, tx *store.Tx) error { return tx.CreateToken(ctx, v) }
	}
	first := plane.Token{ID: "tok_1", UserID: "usr_1", Name: "laptop", Hash: "aa", CreatedAt: day}
	second := plane.Token{ID: "tok_2", UserID: "usr_1", Name: "laptop", Hash: "bb", CreatedAt: day.Add(time.Second), UsedAt: day}
	k.write(create(second))
	k.write(create(first))
	byHash := func(hash string) plane.Token {
		return get(k, func(ctx context.Context, tx *store.Tx) (plane.Token, error) { return tx.TokenByHash(ctx, hash) })
	}
	same(k, "by hash", byHash("aa"), first)
	same(k, "of a user", get(k, func(ctx context.Context, tx *store.Tx) ([]plane.Token, error) { return tx.Tokens(ctx, "usr_1") }),
		[]plane.Token{first, second})
	k.refuse(plane.CodeConflict, `token "ci" exists already`, create(plane.Token{ID: "tok_3", UserID: "usr_1", Name: "ci", Hash: "aa"}))
	k.broken("a token of nobody", create(plane.Token{ID: "tok_3", UserID: "usr_9", Hash: "cc"}))

	touch := func(ctx context.Context, tx *store.Tx) error { return tx.TouchToken(ctx, "tok_1", day.Add(time.Hour)) }
	k.write(touch)
	first.UsedAt = day.Add(time.Hour)
	same(k, "touched", byHash("aa"), first)
	gone := func(ctx context.Context, tx *store.Tx) error { return tx.DeleteToken(ctx, "tok_1") }
	k.write(gone)
	k.missing(gone)
	k.missing(touch)
	k.missing(func(ctx context.Context, tx *store.Tx) error { _, err := tx.TokenByHash(ctx, "aa"); return err })
}
