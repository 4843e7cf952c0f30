package storetest

import (
	"context"
	"net/netip"
	"time"

	"github.com/serverplane/serverplane/internal/plane"
	"github.com/serverplane/serverplane/internal/store"
)

func database(name, appID string) plane.Database {
	return plane.Database{
		ID: "dbs_" + name, Name: name, AppID: appID, ServerID: "srv_s1", Engine: plane.PostgreSQL, Password: []byte{0, 255},
		Revision: 1, RequireTLS: true, Pool: 10, State: plane.DatabaseCreating, Reason: "new", Since: day, CreatedAt: day,
		Backups: plane.BackupPlan{Keep: plane.KeepBackups},
	}
}

func createDatabase(d plane.Database) work {
	return func(ctx context.Context, tx *store.Tx) error { return tx.CreateDatabase(ctx, d) }
}

func databaseName(d plane.Database) string { return d.Name }

func databases(k kit) {
	k.site()
	k.write(createApp(app("shop", "srv_s2")))
	first, second, other := database("web", "app_web"), database("reports", "app_web"), database("shop", "app_shop")
	second.Prefix, second.Engine, second.CreatedAt, other.ServerID = "REPORTS", plane.MariaDB, day.Add(time.Hour), "srv_s2"
	for _, d := range []plane.Database{second, first, other} {
		k.write(createDatabase(d))
	}
	same(k, "by name", get(k, func(ctx context.Context, tx *store.Tx) (plane.Database, error) {
		return tx.DatabaseByName(ctx, "reports")
	}), second)
	same(k, "of an app by age", ids(get(k, func(ctx context.Context, tx *store.Tx) ([]plane.Database, error) {
		return tx.DatabasesOf(ctx, "app_web")
	}), databaseName), "web reports")
	same(k, "on a server", ids(get(k, func(ctx context.Context, tx *store.Tx) ([]plane.Database, error) {
		return tx.DatabasesOn(ctx, "srv_s2")
	}), databaseName), "shop")
	same(k, "all", ids(get(k, func(ctx context.Context, tx *store.Tx) ([]plane.Database, error) { return tx.Databases(ctx) }), databaseName), "reports shop web")

	taken := database("web", "app_shop")
	taken.ID = "dbs_x"
	k.refuse(plane.CodeConflict, `database "web" exists already`, createDatabase(taken))
	taken.Name, taken.AppID = "x", "app_web"
	k.refuse(plane.CodeConflict, "exists already", createDatabase(taken)) // a second one without a prefix
	taken.Prefix, taken.Engine = "X", "oracle"
	k.broken("engine", createDatabase(taken))

	first.State, first.Revision, first.Pool, first.RequireTLS = plane.DatabaseReady, 2, 20, false
	first.Stranger = plane.Proof{Verdict: plane.Fail, At: day, Vantage: "s3", Answer: "refused", TLS: "TLSv1.3", Latency: plane.Duration(time.Second)}
	k.write(func(ctx context.Context, tx *store.Tx) error { return tx.UpdateDatabase(ctx, first) })
	byID := func() plane.Database {
		return get(k, func(ctx context.Context, tx *store.Tx) (plane.Database, error) { return tx.Database(ctx, first.ID) })
	}
	first.Second, first.Next, first.Former, first.PasswordAt = true, []byte{1, 0}, []byte{0, 2}, day
	first.LastDump = "bkp_aaaaaaaaaaaaaaaa"
	first.Backups = plane.BackupPlan{Schedule: "daily@03:00", Keep: 14, DueSince: day, Trouble: "failed", At: day.Add(time.Hour)}
	k.write(func(ctx context.Context, tx *store.Tx) error { return tx.UpdateDatabase(ctx, first) })
	same(k, "updated", byID(), first)
	asked := func(ctx context.Context, tx *store.Tx) error {
		return tx.BackupAsked(ctx, first.ID, day, day.Add(2*time.Hour))
	}
	k.write(asked)
	k.missing(asked) // somebody else was faster
	first.Backups.DueSince, first.Backups.Trouble, first.Backups.At = day.Add(2*time.Hour), "", day.Add(3*time.Hour)
	k.write(func(ctx context.Context, tx *store.Tx) error {
		return tx.SetBackupTrouble(ctx, first.ID, "", first.Backups.At)
	})
	same(k, "asked for", byID(), first)
	first.State, first.Reason, first.Since, first.Stranger = plane.DatabaseRemoving, "going", day.Add(time.Minute), plane.Proof{}
	k.write(func(ctx context.Context, tx *store.Tx) error {
		if err := tx.SetStranger(ctx, first.ID, first.Stranger); err != nil {
			return err
		}
		return tx.SetDatabaseState(ctx, first.ID, first.State, first.Reason, first.Since)
	})
	same(k, "state", byID(), first)
	k.broken("an app that has a database", func(ctx context.Context, tx *store.Tx) error { return tx.DeleteApp(ctx, "app_shop") })
	gone := func(ctx context.Context, tx *store.Tx) error { return tx.DeleteDatabase(ctx, first.ID) }
	k.write(gone)
	k.missing(gone)
	k.missing(func(ctx context.Context, tx *store.Tx) error { _, err := tx.DatabaseByName(ctx, "web"); return err })
}

func databaseAccess(k kit) {
	k.site()
	k.write(createBackend(backend("web", "s1", true)))
	k.write(createBackend(backend("web", "s2", false)))
	k.write(createDatabase(database("web", "app_web")))
	seen := func(ctx context.Context, tx *store.Tx) (plane.DatabaseServer, error) {
		return tx.DatabaseServer(ctx, "srv_s1", plane.PostgreSQL)
	}
	k.missing(func(ctx context.Context, tx *store.Tx) error { _, err := seen(ctx, tx); return err })
	raise := func(ctx context.Context, tx *store.Tx) error {
		return tx.RaiseDatabaseServer(ctx, "srv_s1", plane.PostgreSQL)
	}
	k.missing(raise)
	s := plane.DatabaseServer{ServerID: "srv_s1", Engine: plane.PostgreSQL, Port: 5432, Certificate: []byte("c"), Key: []byte{0}}
	set := func() {
		k.write(func(ctx context.Context, tx *store.Tx) error { return tx.SetDatabaseServer(ctx, s) })
	}
	set()
	k.write(raise)
	s.Version, s.Open, s.TLS, s.MaxConnections, s.Reserved, s.WantedMax, s.SeenAt = "15.8", true, true, 100, 3, 200, day
	set()
	s.Generation = 1
	same(k, "what was seen leaves the generation", get(k, seen), s)
	k.write(func(ctx context.Context, tx *store.Tx) error {
		return tx.AmendEngine(ctx, "dbs_web", func(d *plane.Database, s *plane.DatabaseServer) { d.RequireTLS, s.WantedMax = false, 300 })
	})
	s.Generation, s.WantedMax = 2, 300
	same(k, "an amended engine", get(k, seen), s)
	same(k, "an amended database", get(k, func(ctx context.Context, tx *store.Tx) (plane.Database, error) { return tx.Database(ctx, "dbs_web") }).RequireTLS, false)
	k.missing(func(ctx context.Context, tx *store.Tx) error {
		return tx.AmendEngine(ctx, "dbs_none", func(*plane.Database, *plane.DatabaseServer) {})
	})

	near := plane.Access{DatabaseID: "dbs_web", BackendID: "bck_webs1", Address: netip.MustParseAddr("127.0.0.1")}
	far := plane.Access{DatabaseID: "dbs_web", BackendID: "bck_webs2", Address: netip.MustParseAddr("10.0.0.2")}
	put := func(a plane.Access) {
		k.write(func(ctx context.Context, tx *store.Tx) error { return tx.SetAccess(ctx, a) })
	}
	put(far)
	put(near)
	far.Proof = plane.Proof{Verdict: plane.Pass, At: day, Vantage: "s2", Answer: "ok", TLS: "TLSv1.3"}
	put(far)
	list := func(ctx context.Context, tx *store.Tx) ([]plane.Access, error) { return tx.AccessTo(ctx, "dbs_web") }
	same(k, "to a database", get(k, list), []plane.Access{near, far})
	same(k, "of a backend", get(k, func(ctx context.Context, tx *store.Tx) ([]plane.Access, error) {
		return tx.AccessOf(ctx, "bck_webs2")
	}), []plane.Access{far})
	k.broken("a backend that may still connect", func(ctx context.Context, tx *store.Tx) error { return tx.DeleteBackend(ctx, "bck_webs2") })
	k.write(func(ctx context.Context, tx *store.Tx) error { return tx.DeleteAccess(ctx, "bck_webs2") })
	same(k, "one less", get(k, list), []plane.Access{near})
	k.write(func(ctx context.Context, tx *store.Tx) error { return tx.DeleteDatabase(ctx, "dbs_web") })
	same(k, "gone with its database", get(k, list), nil)
}
