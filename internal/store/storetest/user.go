package storetest

import (
	"context"

	"github.com/serverplane/serverplane/internal/plane"
	"github.com/serverplane/serverplane/internal/store"
)

func createUser(u plane.User) work {
	return func(ctx context.Context, tx *store.Tx) error { return tx.CreateUser(ctx, u) }
}

func ann() plane.User {
	return plane.User{ID: "usr_1", Email: "Ann@example.com", Role: plane.RoleOwner, PasswordHash: "$argon2id$…", CreatedAt: day}
}

func users(k kit) {
	ann, bob := ann(), plane.User{ID: "usr_2", Email: "bob@example.com", Role: plane.RoleViewer}
	k.write(createUser(bob))
	k.write(createUser(ann))
	same(k, "by id", get(k, func(ctx context.Context, tx *store.Tx) (plane.User, error) { return tx.User(ctx, "usr_1") }), ann)
	same(k, "by mail in another case", get(k, func(ctx context.Context, tx *store.Tx) (plane.User, error) {
		return tx.UserByEmail(ctx, "ann@Example.com")
	}), ann)
	same(k, "all", get(k, func(ctx context.Context, tx *store.Tx) ([]plane.User, error) { return tx.Users(ctx) }), []plane.User{ann, bob})
	k.refuse(plane.CodeConflict, `user "ANN@example.com" exists already`,
		createUser(plane.User{ID: "usr_3", Email: "ANN@example.com", Role: plane.RoleAdmin}))
	k.broken("role", createUser(plane.User{ID: "usr_3", Email: "c@example.com", Role: "king"}))
	k.missing(func(ctx context.Context, tx *store.Tx) error { _, err := tx.User(ctx, "usr_3"); return err })
	k.missing(func(ctx context.Context, tx *store.Tx) error {
		_, err := tx.UserByEmail(ctx, "c@example.com")
		return err
	})
}
