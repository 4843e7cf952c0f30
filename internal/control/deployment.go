package control

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/serverplane/serverplane/internal/plane"
	"github.com/serverplane/serverplane/internal/store"
)

// Deploy queues a deployment of a commit, tag or branch to every backend.
func (c *Control) Deploy(ctx context.Context, actor plane.Actor, app string, w DeployWish) (plane.Deployment, plane.Run, error) {
	if w.Ref != "" {
		if err := plane.CheckBranch("ref", w.Ref); err != nil {
			return plane.Deployment{}, plane.Run{}, err
		}
	}
	var deployment plane.Deployment
	var run plane.Run
	err := c.change(ctx, actor, "app.deploy", app, func(tx *store.Tx) error {
		a, err := appByName(ctx, tx, app)
		if err != nil {
			return err
		}
		if w.Ref == "" {
			w.Ref = a.Branch
		}
		deployment, run, err = c.deploy(ctx, tx, actor, a, deployOrder{trigger: plane.TriggerManual, ref: w.Ref})
		return err
	})
	if err != nil {
		return plane.Deployment{}, plane.Run{}, err
	}
	c.hub.Publish(TopicQueue)
	return deployment, run, nil
}

// deployOrder says what a deployment is to make live; from is the deployment
// whose release is started again instead of building one.
type deployOrder struct {
	trigger plane.Trigger
	ref     string
	from    *plane.Deployment
}

// deploy writes a deployment with its own copy of spec and variables, and its Run.
func (c *Control) deploy(ctx context.Context, tx *store.Tx, actor plane.Actor, a plane.App, o deployOrder) (plane.Deployment, plane.Run, error) {
	if err := refuseLeaving(a); err != nil {
		return plane.Deployment{}, plane.Run{}, err
	}
	d := plane.Deployment{
		ID: plane.NewID(plane.PrefixDeployment), AppID: a.ID, Trigger: o.trigger, Ref: o.ref, Spec: a.Spec,
		State: plane.DeploymentQueued, Actor: actor.Email, CreatedAt: c.now().UTC(),
	}
	if o.from != nil {
		d.Commit, d.Author, d.Subject, d.ReleaseID = o.from.Commit, o.from.Author, o.from.Subject, o.from.ReleaseID
	}
	var err error
	if d.Variables, err = c.sealVariables(ctx, tx, a.ID, d.ID); err != nil {
		return plane.Deployment{}, plane.Run{}, err
	}
	servers, err := serversOf(ctx, tx, a.ID)
	if err != nil {
		return plane.Deployment{}, plane.Run{}, err
	}
	run, err := c.enqueue(ctx, tx, actor, plane.Run{
		Kind: plane.RunDeploy, AppID: a.ID, DeploymentID: d.ID, Servers: servers, Locks: []string{plane.AppLock(a.ID)},
	})
	if err != nil {
		return plane.Deployment{}, plane.Run{}, err
	}
	d.RunID = run.ID
	return d, run, tx.CreateDeployment(ctx, d)
}

func (c *Control) sealVariables(ctx context.Context, tx *store.Tx, appID, deploymentID string) ([]byte, error) {
	values, err := c.values(ctx, tx, appID)
	if err != nil {
		return nil, err
	}
	raw, err := json.Marshal(values)
	if err != nil {
		return nil, fmt.Errorf("encode variables: %w", err)
	}
	return c.box.Seal(raw, plane.SealDeployment(deploymentID))
}

// Deployments lists an app's deployments, newest first.
func (c *Control) Deployments(ctx context.Context, _ plane.Actor, app, before string, limit int) ([]plane.Deployment, error) {
	return read(ctx, c.store, func(tx *store.Tx) ([]plane.Deployment, error) {
		a, err := appByName(ctx, tx, app)
		if err != nil {
			return nil, err
		}
		return tx.Deployments(ctx, a.ID, before, limit)
	})
}

// Deployment shows one deployment.
func (c *Control) Deployment(ctx context.Context, _ plane.Actor, id string) (plane.Deployment, error) {
	return read(ctx, c.store, func(tx *store.Tx) (plane.Deployment, error) {
		d, err := tx.Deployment(ctx, id)
		return d, orNotFound(err, "deployment", id)
	})
}

// CancelDeployment asks the deployment's Run to stop.
func (c *Control) CancelDeployment(ctx context.Context, actor plane.Actor, id string) (plane.Run, error) {
	d, err := c.Deployment(ctx, actor, id)
	if err != nil {
		return plane.Run{}, err
	}
	view, err := c.CancelRun(ctx, actor, d.RunID)
	return view.Run, err
}
