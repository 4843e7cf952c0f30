package storetest

import (
	"context"
	"time"

	"github.com/serverplane/serverplane/internal/plane"
	"github.com/serverplane/serverplane/internal/store"
)

func databaseBackups(k kit) {
	k.site()
	k.write(createDatabase(database("web", "app_web")))
	older := plane.Backup{ID: "bkp_1", DatabaseID: "dbs_web", File: "a.dump", Path: "/b/a.dump", Bytes: 7, Rows: map[string]int64{"t": 2}, Actor: "ann", CreatedAt: day}
	newer := plane.Backup{ID: "bkp_2", DatabaseID: "dbs_web", File: "b.dump", CreatedAt: day.Add(time.Hour)}
	for _, b := range []plane.Backup{older, newer} {
		k.write(func(ctx context.Context, tx *store.Tx) error { return tx.CreateBackup(ctx, b) })
	}
	list := func(ctx context.Context, tx *store.Tx) ([]plane.Backup, error) { return tx.Backups(ctx, "dbs_web") }
	same(k, "newest first", get(k, list), []plane.Backup{newer, older})
	same(k, "one", get(k, func(ctx context.Context, tx *store.Tx) (plane.Backup, error) { return tx.Backup(ctx, "bkp_1") }), older)
	gone := func(ctx context.Context, tx *store.Tx) error { return tx.DeleteBackup(ctx, "bkp_2") }
	k.write(gone)
	k.missing(gone)
	k.write(func(ctx context.Context, tx *store.Tx) error { return tx.DeleteDatabase(ctx, "dbs_web") })
	same(k, "gone with its database", get(k, list), nil)
}
