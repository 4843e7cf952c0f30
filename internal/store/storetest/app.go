package storetest

import (
	"context"
	"errors"
	"time"

	"github.com/serverplane/serverplane/internal/plane"
	"github.com/serverplane/serverplane/internal/store"
)

func (k kit) app(id string) plane.App {
	k.Helper()
	return get(k, func(ctx context.Context, tx *store.Tx) (plane.App, error) { return tx.App(ctx, id) })
}

func createApp(a plane.App) work {
	return func(ctx context.Context, tx *store.Tx) error { return tx.CreateApp(ctx, a) }
}

func updateApp(a plane.App) work {
	return func(ctx context.Context, tx *store.Tx) error { return tx.UpdateApp(ctx, a) }
}

func setAppState(id string, state plane.AppState, reason string, at time.Time) work {
	return func(ctx context.Context, tx *store.Tx) error { return tx.SetAppState(ctx, id, state, reason, at) }
}

func setLive(id string, slot plane.Slot, deploymentID string) work {
	return func(ctx context.Context, tx *store.Tx) error { return tx.SetLive(ctx, id, slot, deploymentID) }
}

func deleteApp(id string) work {
	return func(ctx context.Context, tx *store.Tx) error { return tx.DeleteApp(ctx, id) }
}

func appID(a plane.App) string { return a.ID }

func apps(k kit) {
	k.site()
	web := app("web", "srv_s1")
	bare := plane.App{ID: "app_bare", Name: "bare", ServerID: "srv_s2", State: plane.AppNew, Balancer: plane.NewLoadBalancer()}
	bare.Balancer.NameHeader = true
	k.write(createApp(bare))
	same(k, "full app", k.app(web.ID), web)
	same(k, "bare app", k.app(bare.ID), bare)
	same(k, "by name", get(k, func(ctx context.Context, tx *store.Tx) (plane.App, error) { return tx.AppByName(ctx, "web") }), web)
	same(k, "all", get(k, func(ctx context.Context, tx *store.Tx) ([]plane.App, error) { return tx.Apps(ctx) }), []plane.App{bare, web})

	k.write(func(ctx context.Context, tx *store.Tx) error {
		return tx.CreateBackend(ctx, backend("web", "s2", false))
	})
	on := func(server string) string {
		return ids(get(k, func(ctx context.Context, tx *store.Tx) ([]plane.App, error) { return tx.AppsOn(ctx, server) }), appID)
	}
	same(k, "on s1", on("srv_s1"), "app_web")
	same(k, "on s2", on("srv_s2"), "app_bare app_web")

	changed := web
	changed.Name, changed.Branch, changed.Domains, changed.ServerID = "web2", "next", []string{"z.example.com", "web.example.com"}, "srv_s2"
	changed.Balancer.NameHeader = true
	changed.Balancer.Status, changed.Spec.Start, changed.DeployKeyPEM = plane.BalancerOn, "node x.js", []byte("other")
	sent := changed
	sent.State, sent.Reason, sent.Since, sent.LiveSlot, sent.LiveID = plane.AppFailed, "?", day.Add(time.Hour), plane.SlotB, "dep_x"
	k.write(updateApp(sent))
	same(k, "updated", k.app(web.ID), changed)

	k.write(setLive(web.ID, plane.SlotA, "dep_1"))
	changed.LiveSlot, changed.LiveID = plane.SlotA, "dep_1"
	k.write(setAppState(web.ID, plane.AppLive, "", day.Add(time.Minute)))
	k.write(setAppState(web.ID, plane.AppLive, "again", day.Add(time.Hour)))
	changed.State, changed.Reason, changed.Since = plane.AppLive, "again", day.Add(time.Minute)
	changed.Balancer = plane.LoadBalancer{Status: plane.BalancerFailed, Reason: "no room", Method: plane.IPHash,
		Health: plane.HealthCheck{Interval: plane.Duration(time.Minute), Timeout: plane.Duration(time.Second), Fall: 3, Rise: 4}}
	k.write(func(ctx context.Context, tx *store.Tx) error { return tx.SetBalancer(ctx, web.ID, changed.Balancer) })
	same(k, "live", k.app(web.ID), changed)
	k.write(setLive(web.ID, "", ""))
	same(k, "nothing live", k.app(web.ID).LiveSlot, "")

	k.write(deleteApp(web.ID))
	for _, w := range []work{
		deleteApp(web.ID), updateApp(web), setAppState(web.ID, plane.AppLive, "", day), setLive(web.ID, "", ""),
		func(ctx context.Context, tx *store.Tx) error { return tx.SetBalancer(ctx, web.ID, web.Balancer) },
		func(ctx context.Context, tx *store.Tx) error { _, err := tx.App(ctx, web.ID); return err },
		func(ctx context.Context, tx *store.Tx) error { _, err := tx.AppByName(ctx, "web2"); return err },
	} {
		k.missing(w)
	}
}

func appRules(k kit) {
	k.site()
	twin := app("web", "srv_s2")
	twin.ID = "app_twin"
	k.refuse(plane.CodeConflict, `app "web" exists already`, createApp(twin))

	shop := app("shop", "srv_s1")
	shop.Domains = []string{"shop.example.com", "web.example.com"}
	k.refuse(plane.CodeConflict, `domain "web.example.com" exists already`, createApp(shop))
	k.missing(func(ctx context.Context, tx *store.Tx) error { _, err := tx.App(ctx, shop.ID); return err })
	shop.ServerID = "srv_s2"
	k.write(createApp(shop))
	shop.ServerID = "srv_s1"
	k.refuse(plane.CodeConflict, `domain "web.example.com" exists already`, updateApp(shop))
	same(k, "domains after a refused update", k.app(shop.ID).Domains, []string{"shop.example.com", "web.example.com"})

	k.broken("app state", setAppState("app_web", "asleep", "", day))
	k.broken("slot", setLive("app_web", "c", "dep_1"))
	k.broken("a live slot without a deployment", setLive("app_web", plane.SlotA, ""))
	k.broken("no such server", createApp(app("lost", "srv_none")))
	k.broken("balancer", func(ctx context.Context, tx *store.Tx) error {
		return tx.SetBalancer(ctx, "app_web", plane.LoadBalancer{Status: plane.BalancerOn, Method: "random"})
	})
}

func appRemoval(k kit) {
	k.site()
	b, run := backend("web", "s1", true), plane.Run{ID: "run_1", AppID: "app_web", CreatedAt: day}
	k.take(b, 4)
	k.write(func(ctx context.Context, tx *store.Tx) error {
		return errors.Join(
			tx.SetVariable(ctx, plane.Variable{AppID: "app_web", Name: "KEY", UpdatedAt: day}),
			tx.CreateDeployment(ctx, deployment("dep_1", "app_web", day)), tx.Enqueue(ctx, run))
	})
	k.write(deleteApp("app_web"))
	k.missing(func(ctx context.Context, tx *store.Tx) error { _, err := tx.Backend(ctx, b.ID); return err })
	k.missing(func(ctx context.Context, tx *store.Tx) error { _, err := tx.Deployment(ctx, "dep_1"); return err })
	same(k, "variables", len(k.variables("app_web")), 0)
	same(k, "the run stays", k.run("run_1").AppID, "app_web")
	k.write(createApp(app("web", "srv_s1"))) // name and domains are free again
	same(k, "ports are free again", k.take(b, 1), []int{plane.FirstPort})
	k.write(deleteApp("app_web"))
	k.write(deleteServer("srv_s1")) // nothing refers to the server any more
}
