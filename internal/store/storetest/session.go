package storetest

import (
	"context"
	"time"

	"github.com/serverplane/serverplane/internal/plane"
	"github.com/serverplane/serverplane/internal/store"
)

func sessions(k kit) {
	bob := plane.User{ID: "usr_2", Email: "bob@example.com", Role: plane.RoleViewer}
	session := func(id, user string, used time.Time) plane.Session {
		return plane.Session{ID: id, UserID: user, Hash: "hash of " + id, From: "192.0.2.1", Agent: "Firefox", CreatedAt: day, UsedAt: used}
	}
	create := func(s plane.Session) work {
		return func(ctx context.Context, tx *store.Tx) error { return tx.CreateSession(ctx, s) }
	}
	list := func(user string) []plane.Session {
		return get(k, func(ctx context.Context, tx *store.Tx) ([]plane.Session, error) { return tx.Sessions(ctx, user) })
	}
	one, two, other := session("ses_1", "usr_1", day), session("ses_2", "usr_1", day.Add(time.Hour)), session("ses_3", "usr_2", day)
	k.write(createUser(ann()))
	k.write(createUser(bob))
	for _, s := range []plane.Session{one, two, other} {
		k.write(create(s))
	}
	same(k, "the one used last first", list("usr_1"), []plane.Session{two, one})
	same(k, "by hash", get(k, func(ctx context.Context, tx *store.Tx) (plane.Session, error) {
		return tx.SessionByHash(ctx, other.Hash)
	}), other)
	k.missing(func(ctx context.Context, tx *store.Tx) error { _, err := tx.SessionByHash(ctx, "x"); return err })
	k.missing(func(ctx context.Context, tx *store.Tx) error { return tx.TouchSession(ctx, "ses_9", day) })
	k.write(func(ctx context.Context, tx *store.Tx) error {
		return tx.TouchSession(ctx, one.ID, day.Add(2*time.Hour))
	})
	one.UsedAt = day.Add(2 * time.Hour)
	same(k, "touched", list("usr_1"), []plane.Session{one, two})
	k.write(func(ctx context.Context, tx *store.Tx) error { return tx.DeleteSessionsBut(ctx, "usr_1", one.ID) })
	same(k, "all but one", list("usr_1"), []plane.Session{one})
	k.write(func(ctx context.Context, tx *store.Tx) error { return tx.SweepSessions(ctx, day, day.Add(-time.Hour)) })
	same(k, "an unused one is swept", list("usr_2"), nil)
	k.write(func(ctx context.Context, tx *store.Tx) error { return tx.SweepSessions(ctx, day, day) })
	same(k, "an old one is swept", list("usr_1"), nil)
	k.write(create(one))
	k.write(func(ctx context.Context, tx *store.Tx) error { return tx.DeleteUser(ctx, "usr_1") })
	k.missing(func(ctx context.Context, tx *store.Tx) error { _, err := tx.SessionByHash(ctx, one.Hash); return err })
}
