package storetest

import (
	"context"
	"net/netip"
	"time"

	"github.com/serverplane/serverplane/internal/plane"
	"github.com/serverplane/serverplane/internal/store"
)

func (k kit) backend(id string) plane.Backend {
	k.Helper()
	return get(k, func(ctx context.Context, tx *store.Tx) (plane.Backend, error) { return tx.Backend(ctx, id) })
}

func createBackend(b plane.Backend) work {
	return func(ctx context.Context, tx *store.Tx) error { return tx.CreateBackend(ctx, b) }
}

func updateBackend(b plane.Backend) work {
	return func(ctx context.Context, tx *store.Tx) error { return tx.UpdateBackend(ctx, b) }
}

func setHealth(id string, h plane.Health) work {
	return func(ctx context.Context, tx *store.Tx) error { return tx.SetHealth(ctx, id, h) }
}

func backendID(b plane.Backend) string { return b.ID }

func backends(k kit) {
	k.site()
	k.write(createServer(server("s3")))
	k.write(createApp(app("shop", "srv_s2")))
	second, first, third := backend("web", "s2", false), backend("web", "s1", true), backend("web", "s3", false)
	first.CreatedAt, third.CreatedAt = day.Add(time.Hour), day.Add(-time.Hour)
	shop := backend("shop", "s2", true)
	shop.CreatedAt = day.Add(time.Minute)
	for _, b := range []plane.Backend{second, first, third, shop} {
		k.write(createBackend(b))
	}
	same(k, "created", k.backend(second.ID), second)
	same(k, "of an app: primary, then by age", ids(get(k, func(ctx context.Context, tx *store.Tx) ([]plane.Backend, error) {
		return tx.BackendsOf(ctx, "app_web")
	}), backendID), "bck_webs1 bck_webs3 bck_webs2")
	same(k, "on a server", ids(get(k, func(ctx context.Context, tx *store.Tx) ([]plane.Backend, error) {
		return tx.BackendsOn(ctx, "srv_s2")
	}), backendID), "bck_webs2 bck_shops2")
	same(k, "all, app by app", ids(get(k, func(ctx context.Context, tx *store.Tx) ([]plane.Backend, error) {
		return tx.Backends(ctx)
	}), backendID), "bck_shops2 bck_webs1 bck_webs3 bck_webs2")
	same(k, "of an app on a server", get(k, func(ctx context.Context, tx *store.Tx) (plane.Backend, error) {
		return tx.BackendOf(ctx, "app_web", "srv_s2")
	}), second)

	changed := second
	changed.Enabled, changed.Placed, changed.Removing, changed.Backup, changed.Weight = false, true, true, true, 100
	changed.DeploymentID, changed.Runtime, changed.WishedAt, changed.TakenOut = "dep_1", "Node.js v22.1.0", day.Add(time.Hour), true
	changed.Ports.Shared, changed.Ports.SiteB, changed.SeenAs, changed.ReleaseID = 20001, 29999, netip.Addr{}, ""
	sent := changed
	sent.Health = plane.Health{State: plane.BackendUnhealthy, Failures: 9}
	k.write(updateBackend(sent))
	same(k, "updated, health untouched", k.backend(second.ID), changed)
	changed.Health = plane.Health{State: plane.BackendUnknown, Since: day, CheckedAt: day.Add(time.Second), Vantage: "s1, forwarded over SSH",
		Answer: "HTTP 404", Reason: "no path", Latency: plane.Duration(1234567 * time.Nanosecond), Passes: 1, Failures: 2}
	k.write(setHealth(second.ID, changed.Health))
	same(k, "health", k.backend(second.ID), changed)

	gone := func(ctx context.Context, tx *store.Tx) error { return tx.DeleteBackend(ctx, second.ID) }
	k.write(gone)
	for _, w := range []work{
		gone, updateBackend(second), setHealth(second.ID, plane.Health{}),
		func(ctx context.Context, tx *store.Tx) error { _, err := tx.Backend(ctx, second.ID); return err },
		func(ctx context.Context, tx *store.Tx) error {
			_, err := tx.BackendOf(ctx, "app_web", "srv_s2")
			return err
		},
	} {
		k.missing(w)
	}
}

func backendRules(k kit) {
	k.site()
	k.write(createBackend(backend("web", "s1", true)))
	again := backend("web", "s1", false)
	again.ID = "bck_again"
	k.refuse(plane.CodeConflict, `backend "srv_s1" exists already`, createBackend(again))
	k.refuse(plane.CodeConflict, "exists already", createBackend(backend("web", "s2", true))) // a second primary
	for what, spoil := range map[string]func(*plane.Backend){
		"weight 0":     func(b *plane.Backend) { b.Weight = 0 },
		"weight 101":   func(b *plane.Backend) { b.Weight = 101 },
		"health state": func(b *plane.Backend) { b.Health.State = plane.BackendOff },
		"no app":       func(b *plane.Backend) { b.AppID = "app_none" },
		"no server":    func(b *plane.Backend) { b.ServerID = "srv_none" },
	} {
		b := backend("web", "s2", false)
		spoil(&b)
		k.broken(what, createBackend(b))
	}
}
