package storetest

import (
	"context"
	"net/netip"
	"time"

	"github.com/serverplane/serverplane/internal/plane"
	"github.com/serverplane/serverplane/internal/store"
)

func (k kit) server(id string) plane.Server {
	k.Helper()
	return get(k, func(ctx context.Context, tx *store.Tx) (plane.Server, error) { return tx.Server(ctx, id) })
}

func createServer(s plane.Server) work {
	return func(ctx context.Context, tx *store.Tx) error { return tx.CreateServer(ctx, s) }
}

func updateServer(s plane.Server) work {
	return func(ctx context.Context, tx *store.Tx) error { return tx.UpdateServer(ctx, s) }
}

func setServerState(id string, state plane.ServerState, reason string, at time.Time) work {
	return func(ctx context.Context, tx *store.Tx) error { return tx.SetServerState(ctx, id, state, reason, at) }
}

func deleteServer(id string) work {
	return func(ctx context.Context, tx *store.Tx) error { return tx.DeleteServer(ctx, id) }
}

func servers(k kit) {
	bare := plane.Server{ID: "srv_bare", Name: "bare", State: plane.ServerPending}
	full := server("s1")
	k.write(createServer(full))
	k.write(createServer(bare))
	same(k, "full server", k.server(full.ID), full)
	same(k, "bare server", k.server(bare.ID), bare)
	same(k, "by name", get(k, func(ctx context.Context, tx *store.Tx) (plane.Server, error) { return tx.ServerByName(ctx, "s1") }), full)
	same(k, "all", get(k, func(ctx context.Context, tx *store.Tx) ([]plane.Server, error) { return tx.Servers(ctx) }), []plane.Server{bare, full})

	changed := full
	changed.Name, changed.Address, changed.Firewall, changed.Adopt = "s9", netip.MustParseAddr("203.0.113.99"), plane.FirewallLeave, false
	changed.State, changed.Since, changed.Survey.Node, changed.TreeWanted = plane.ServerReady, day.Add(time.Hour), "v22", 7
	k.write(updateServer(changed))
	changed.TreeWanted = 0
	same(k, "updated", k.server(full.ID), changed)

	later := changed.Since.Add(time.Hour)
	k.write(setServerState(full.ID, plane.ServerReady, "still", later))
	changed.Reason = "still"
	same(k, "same state keeps its time", k.server(full.ID), changed)
	k.write(setServerState(full.ID, plane.ServerUnreachable, "timed out", later))
	changed.State, changed.Reason, changed.Since = plane.ServerUnreachable, "timed out", later
	same(k, "new state", k.server(full.ID), changed)

	k.write(deleteServer(full.ID))
	for _, w := range []work{
		deleteServer(full.ID), updateServer(full), setServerState(full.ID, plane.ServerReady, "", day),
		func(ctx context.Context, tx *store.Tx) error { _, err := tx.Server(ctx, full.ID); return err },
		func(ctx context.Context, tx *store.Tx) error { _, err := tx.ServerByName(ctx, "s9"); return err },
		func(ctx context.Context, tx *store.Tx) error { _, err := tx.RaiseTree(ctx, full.ID); return err },
		func(ctx context.Context, tx *store.Tx) error { return tx.SettleTree(ctx, full.ID, 1, "") },
	} {
		k.missing(w)
	}
}

func serverRules(k kit) {
	k.write(createServer(server("s1")))
	k.write(createServer(server("s2")))
	twin := server("s1")
	twin.ID = "srv_other"
	k.refuse(plane.CodeConflict, `server "s1" exists already`, createServer(twin))
	renamed := server("s2")
	renamed.Name = "s1"
	k.refuse(plane.CodeConflict, `server "s1" exists already`, updateServer(renamed))
	k.broken("server state", setServerState("srv_s1", "asleep", "", day))
	odd := server("s3")
	odd.Firewall = "iron"
	k.broken("firewall", createServer(odd))

	k.write(func(ctx context.Context, tx *store.Tx) error { return tx.CreateApp(ctx, app("web", "srv_s1")) })
	k.write(func(ctx context.Context, tx *store.Tx) error {
		return tx.CreateBackend(ctx, backend("web", "s2", false))
	})
	k.refuse(plane.CodeConflict, "still carries", deleteServer("srv_s1"))
	k.refuse(plane.CodeConflict, "still carries", deleteServer("srv_s2"))
}

func trees(k kit) {
	k.write(createServer(server("s1")))
	k.write(createServer(server("s2")))
	pending := func() string {
		return ids(get(k, func(ctx context.Context, tx *store.Tx) ([]plane.Server, error) { return tx.ServersWithPendingTree(ctx) }),
			func(s plane.Server) string { return s.ID })
	}
	same(k, "pending at first", pending(), "")
	for want := range int64(3) {
		k.write(func(ctx context.Context, tx *store.Tx) error {
			got, err := tx.RaiseTree(ctx, "srv_s1")
			same(k, "generation", got, want+1)
			return err
		})
	}
	same(k, "pending after raising", pending(), "srv_s1")
	for _, step := range []struct {
		name       string
		generation int64
		failure    string
		applied    int64
		err        string
	}{
		{"an older one fails", 1, "boom", 0, ""},
		{"the newest fails", 3, "nginx -t", 0, "nginx -t"},
		{"an older one works", 2, "", 2, "nginx -t"},
		{"an older one works late", 1, "", 2, "nginx -t"},
		{"the newest works", 3, "", 3, ""},
	} {
		k.write(func(ctx context.Context, tx *store.Tx) error {
			return tx.SettleTree(ctx, "srv_s1", step.generation, step.failure)
		})
		s := k.server("srv_s1")
		same(k, step.name, []any{s.TreeWanted, s.TreeApplied, s.TreeError}, []any{int64(3), step.applied, step.err})
	}
	same(k, "pending at last", pending(), "")
	for _, lift := range []struct {
		server string
		above  int64
		lifted bool
	}{{"srv_s1", 2, false}, {"srv_s2", 40, true}, {"srv_s2", 40, false}} {
		k.write(func(ctx context.Context, tx *store.Tx) error {
			lifted, err := tx.LiftTree(ctx, lift.server, lift.above)
			same(k, "lifted", lifted, lift.lifted)
			return err
		})
	}
	same(k, "wanted after lifting", k.server("srv_s2").TreeWanted, int64(41))
	same(k, "left alone by lifting", k.server("srv_s1").TreeWanted, int64(3))
	k.write(func(ctx context.Context, tx *store.Tx) error {
		if err := tx.SettleTree(ctx, "srv_s1", 3, "boom"); err != nil {
			return err
		}
		_, err := tx.RaiseTree(ctx, "srv_s1")
		return err
	})
	same(k, "a new wish forgets the error", k.server("srv_s1").TreeError, "")
	k.broken("a generation nobody wanted", func(ctx context.Context, tx *store.Tx) error {
		return tx.SettleTree(ctx, "srv_s1", 5, "")
	})
}

func nginxLooks(k kit) {
	k.write(createServer(server("s1")))
	look := func(id, refusal string, at time.Time) work {
		return func(ctx context.Context, tx *store.Tx) error { return tx.SetNginx(ctx, id, refusal, at) }
	}
	want := server("s1")
	same(k, "never looked", k.server("srv_s1"), want)
	for _, refusal := range []string{"/etc/nginx/conf.d/x.conf:3: unknown directive", ""} {
		want.NginxError, want.NginxCheckedAt = refusal, day
		k.write(look("srv_s1", refusal, day))
		same(k, "looked", k.server("srv_s1"), want)
	}
	k.write(look("srv_s1", "x", day))
	k.write(updateServer(want))
	same(k, "no business of an update", k.server("srv_s1").NginxError, "x")
	k.missing(look("srv_none", "", day))
}
