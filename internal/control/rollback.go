package control

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/serverplane/serverplane/internal/plane"
	"github.com/serverplane/serverplane/internal/store"
)

// Rollback queues a deployment of what was live before, or of a deployment that
// is named (docs/adr/0010): that code and the commands that belong to it, with
// today's variables. While the live one still lets its old slot finish, that is
// cut short, and going back to that slot takes the switch alone.
func (c *Control) Rollback(ctx context.Context, actor plane.Actor, app string, w RollbackWish) (plane.Deployment, plane.Run, error) {
	var deployment plane.Deployment
	var run, draining plane.Run
	err := c.changeNoting(ctx, actor, "app.rollback", app, func(tx *store.Tx) (string, error) {
		a, err := appByName(ctx, tx, app)
		if err != nil {
			return "", err
		}
		target, err := rollbackTarget(ctx, tx, a, w.Deployment)
		if err != nil {
			return "", err
		}
		without, err := mayDeployWithout(ctx, tx, a, w.Without)
		if err != nil {
			return "", err
		}
		order := deployOrder{trigger: plane.TriggerRollback, ref: target.Commit, spec: specOf(a, target), from: &target, without: w.Without, acknowledged: w.Acknowledge}
		if deployment, run, err = c.deploy(ctx, tx, actor, a, order); err != nil {
			return "", err
		}
		draining, err = c.cutShort(ctx, tx, a)
		return strings.Join(strings.Fields(fmt.Sprintf("to %s (%.7s) %s %s", target.ID, target.Commit, without, acknowledged(w.Acknowledge))), " "), err
	})
	if err != nil {
		return plane.Deployment{}, plane.Run{}, err
	}
	if draining.ID != "" {
		c.hub.Publish(TopicCancel(draining.ID))
	}
	c.hub.Publish(TopicQueue)
	return deployment, run, nil
}

// specOf is how an older deployment is run today: what belongs to its code is as
// it was, what is the app's own is as it is now.
func specOf(a plane.App, target plane.Deployment) plane.Spec {
	spec := a.Spec
	spec.Root, spec.Build, spec.Start = target.Spec.Root, target.Spec.Build, target.Spec.Start
	return spec
}

// rollbackTarget finds the deployment to go back to.
func rollbackTarget(ctx context.Context, tx *store.Tx, a plane.App, id string) (plane.Deployment, error) {
	if a.LiveID == "" {
		return plane.Deployment{}, plane.Conflict("nothing is deployed yet", "deploy "+a.Name+" first")
	}
	live, err := tx.Deployment(ctx, a.LiveID)
	if err != nil {
		return plane.Deployment{}, fmt.Errorf("find what is live: %w", err)
	}
	if id != "" {
		return namedTarget(ctx, tx, a, live, id)
	}
	if err := refuseUnderWay(ctx, tx, a); err != nil {
		return plane.Deployment{}, err
	}
	return liveBefore(ctx, tx, a, live)
}

// namedTarget holds that the deployment is one of the app's and was live once.
func namedTarget(ctx context.Context, tx *store.Tx, a plane.App, live plane.Deployment, id string) (plane.Deployment, error) {
	if !plane.IsID(plane.PrefixDeployment, id) {
		return plane.Deployment{}, inField("deployment", plane.NotFound("deployment", id))
	}
	d, err := tx.Deployment(ctx, id)
	if err == nil && d.AppID != a.ID {
		err = store.ErrNotFound
	}
	hint := "see deployment list " + a.Name
	switch {
	case err != nil:
		return d, inField("deployment", orNotFound(err, "deployment", id))
	case d.ReleaseID != "" && d.ReleaseID == live.ReleaseID:
		return d, plane.Conflict(fmt.Sprintf("release %s is live already", d.ReleaseID), "changed variables are put in force with: env apply "+a.Name)
	case d.State != plane.DeploymentCompleted:
		return d, plane.Conflict(fmt.Sprintf("deployment %s is %s; only a completed one can be gone back to", id, d.State), hint)
	}
	return d, nil
}

// refuseUnderWay holds that it is clear what "before" means. The live deployment
// itself may be under way: it is, until its old slot is stopped.
func refuseUnderWay(ctx context.Context, tx *store.Tx, a plane.App) error {
	open, err := tx.UnfinishedDeployments(ctx, a.ID)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(open, func(d plane.Deployment) bool { return d.ID != a.LiveID })
	if i < 0 {
		return nil
	}
	return plane.Conflict(fmt.Sprintf("deployment %s is %s, so what was live before may change", open[i].ID, open[i].State),
		"deployment cancel "+open[i].ID+", or name the deployment to go back to")
}

// liveBefore is the newest deployment before the live one that completed and ran
// another release: an application of variables to the same release is no step back.
func liveBefore(ctx context.Context, tx *store.Tx, a plane.App, live plane.Deployment) (plane.Deployment, error) {
	const page = 100
	for before := live.ID; ; {
		older, err := tx.Deployments(ctx, a.ID, before, page)
		if err != nil {
			return plane.Deployment{}, err
		}
		for _, d := range older {
			if d.State == plane.DeploymentCompleted && d.ReleaseID != live.ReleaseID {
				return d, nil
			}
		}
		if len(older) < page {
			return plane.Deployment{}, plane.Conflict("no other release was live before", "deploy another commit: deploy "+a.Name+" --ref COMMIT")
		}
		before = older[len(older)-1].ID
	}
}

// cutShort asks the live deployment not to wait any longer for its old slot, if
// it still does. One that is not verified yet goes back by itself.
func (c *Control) cutShort(ctx context.Context, tx *store.Tx, a plane.App) (plane.Run, error) {
	live, err := tx.Deployment(ctx, a.LiveID)
	if err != nil || live.State.Ended() {
		return plane.Run{}, err
	}
	r, err := tx.Run(ctx, live.RunID)
	if err != nil || r.State != plane.RunRunning {
		return plane.Run{}, err // queued: it carries an interrupted one forward and comes first
	}
	return r, tx.RequestCancel(ctx, r.ID, c.now().UTC())
}
