package storetest

import (
	"context"
	"fmt"
	"time"

	"github.com/serverplane/serverplane/internal/plane"
	"github.com/serverplane/serverplane/internal/store"
)

func deployment(id, appID string, at time.Time) plane.Deployment {
	return plane.Deployment{ID: id, AppID: appID, Trigger: plane.TriggerManual, State: plane.DeploymentQueued, CreatedAt: at}
}

func deploymentID(d plane.Deployment) string { return d.ID }

func deployments(k kit) {
	k.site()
	k.write(createApp(app("shop", "srv_s1")))
	create := func(d plane.Deployment) {
		k.write(func(ctx context.Context, tx *store.Tx) error { return tx.CreateDeployment(ctx, d) })
	}
	for i := range 5 {
		create(deployment(fmt.Sprintf("dep_%d", i), "app_web", day.Add(time.Duration(i/2)*time.Second)))
	}
	create(deployment("dep_shop", "app_shop", day))
	list := func(before string, limit int) string {
		return ids(get(k, func(ctx context.Context, tx *store.Tx) ([]plane.Deployment, error) {
			return tx.Deployments(ctx, "app_web", before, limit)
		}), deploymentID)
	}
	same(k, "newest first", list("", 0), "dep_4 dep_3 dep_2 dep_1 dep_0")
	same(k, "first page", list("", 2), "dep_4 dep_3")
	same(k, "second page", list("dep_3", 2), "dep_2 dep_1")
	same(k, "last page", list("dep_1", 2), "dep_0")
	same(k, "after a cursor nobody knows", list("dep_none", 2), "")

	full := plane.Deployment{
		ID: "dep_2", AppID: "app_web", RunID: "run_1", Trigger: plane.TriggerRollback, Ref: "v1", Commit: "abcdef0123", Author: "Ann",
		Subject: "fix: it’s", ReleaseID: "20260301120000-abcdef0", Slot: plane.SlotB, Spec: app("x", "").Spec, Variables: []byte{0, 254},
		State: plane.DeploymentCompleted, Reason: "r", Actor: "ann@example.com", CreatedAt: day, StartedAt: day.Add(time.Second),
		LiveAt: day.Add(time.Minute), FinishedAt: day.Add(time.Hour), SourceID: "dep_1", Parts: []plane.Part{}, Databases: []plane.DatabaseUse{{ID: "dbs_1", Revision: 3}},
	}
	update := func(d plane.Deployment) work {
		return func(ctx context.Context, tx *store.Tx) error { return tx.UpdateDeployment(ctx, d) }
	}
	k.write(update(full))
	same(k, "updated", get(k, func(ctx context.Context, tx *store.Tx) (plane.Deployment, error) { return tx.Deployment(ctx, "dep_2") }), full)
	full.Parts = []plane.Part{{Server: "s1", State: plane.PartLive, Since: day}, {Server: "s2", State: plane.PartFailed, Reason: "it’s full", Since: day}}
	parts := func(id string) work {
		return func(ctx context.Context, tx *store.Tx) error { return tx.SetParts(ctx, id, full.Parts) }
	}
	k.write(parts("dep_2"))
	k.missing(parts("dep_none"))
	bare := full
	bare.Parts = nil
	k.write(update(bare)) // a deployment is stored without its parts, which stay
	same(k, "with parts", get(k, func(ctx context.Context, tx *store.Tx) (plane.Deployment, error) { return tx.Deployment(ctx, "dep_2") }), full)
	same(k, "unfinished, oldest first", ids(get(k, func(ctx context.Context, tx *store.Tx) ([]plane.Deployment, error) {
		return tx.UnfinishedDeployments(ctx, "app_web")
	}), deploymentID), "dep_0 dep_1 dep_3 dep_4")

	full.State = "lost"
	k.broken("deployment state", update(full))
	k.missing(update(deployment("dep_none", "app_web", day)))
	k.missing(func(ctx context.Context, tx *store.Tx) error { _, err := tx.Deployment(ctx, "dep_none"); return err })
	k.broken("a deployment of no app", func(ctx context.Context, tx *store.Tx) error {
		return tx.CreateDeployment(ctx, deployment("dep_9", "app_none", day))
	})
}
