package api

import (
	"context"
	"time"

	"github.com/serverplane/serverplane/client"
	"github.com/serverplane/serverplane/internal/auth"
	"github.com/serverplane/serverplane/internal/control"
	"github.com/serverplane/serverplane/internal/plane"
)

// DeploymentVerbs are the verbs about making a commit live.
type DeploymentVerbs interface {
	Deploy(ctx context.Context, actor plane.Actor, app string, w control.DeployWish) (plane.Deployment, plane.Run, error)
	Deployments(ctx context.Context, actor plane.Actor, app, before string, limit int) ([]plane.Deployment, error)
	Deployment(ctx context.Context, actor plane.Actor, id string) (control.DeploymentView, error)
	Rollback(ctx context.Context, actor plane.Actor, app string, w control.RollbackWish) (plane.Deployment, plane.Run, error)
	CancelDeployment(ctx context.Context, actor plane.Actor, id string) (plane.Run, error)
}

// IDPath takes the id in the path.
type IDPath struct {
	ID string `path:"id"`
}
type deployInput struct {
	NamePath
	Body client.DeployWish
}
type rollbackInput struct {
	NamePath
	Body client.RollbackWish
}

// consentInput is for what starts the live release anew; there may be nothing to acknowledge.
type consentInput struct {
	NamePath
	Body *client.Consent
}

func (in *consentInput) read() []string {
	if in.Body == nil {
		return nil
	}
	return in.Body.Acknowledge
}

type deploymentsInput struct {
	NamePath
	PageQuery
}
type deployedOutput struct{ Body client.Deployed }
type deploymentOutput struct{ Body client.Deployment }
type deploymentsOutput struct {
	Body client.List[client.Deployment]
}

func (a *API) routeDeployments() {
	register(a, auth.DeploymentWrite, post("/apps/{name}/deployments", "Starts a deployment.", 202), a.deploy)
	register(a, auth.DeploymentWrite, post("/apps/{name}/rollback", "Goes back to the deployment that was live before, or to the one named.", 202), a.rollback)
	register(a, auth.DeploymentRead, get("/apps/{name}/deployments", "An app's deployments, newest first."), a.deployments)
	register(a, auth.DeploymentRead, get("/deployments/{id}", "One deployment."), a.deployment)
	register(a, auth.DeploymentWrite, post("/deployments/{id}/cancel", "Asks a deployment to stop.", 202), a.cancelDeployment)
}

func (a *API) deploy(ctx context.Context, actor plane.Actor, in *deployInput) (*deployedOutput, error) {
	d, run, err := a.control.Deploy(ctx, actor, in.Name, control.DeployWish(in.Body))
	if err != nil {
		return nil, err
	}
	return a.deployed(ctx, actor, d, run)
}

func (a *API) rollback(ctx context.Context, actor plane.Actor, in *rollbackInput) (*deployedOutput, error) {
	d, run, err := a.control.Rollback(ctx, actor, in.Name, control.RollbackWish(in.Body))
	if err != nil {
		return nil, err
	}
	return a.deployed(ctx, actor, d, run)
}

func (a *API) deployed(ctx context.Context, actor plane.Actor, d plane.Deployment, run plane.Run) (*deployedOutput, error) {
	work, err := a.work(ctx, actor, run)
	if err != nil {
		return nil, err
	}
	return &deployedOutput{Body: client.Deployed{Deployment: wireDeployment(d), Run: work.Body.Run}}, nil
}

func (a *API) deployments(ctx context.Context, actor plane.Actor, in *deploymentsInput) (*deploymentsOutput, error) {
	all, err := a.control.Deployments(ctx, actor, in.Name, in.Before, in.Limit)
	id := func(d plane.Deployment) string { return d.ID }
	return &deploymentsOutput{Body: paged(all, in.Limit, wireDeployment, id)}, err
}

func (a *API) deployment(ctx context.Context, actor plane.Actor, in *IDPath) (*deploymentOutput, error) {
	view, err := a.control.Deployment(ctx, actor, in.ID)
	return &deploymentOutput{Body: wireDeploymentView(view)}, err
}

func (a *API) cancelDeployment(ctx context.Context, actor plane.Actor, in *IDPath) (*workOutput, error) {
	run, err := a.control.CancelDeployment(ctx, actor, in.ID)
	if err != nil {
		return nil, err
	}
	return a.work(ctx, actor, run)
}

// wireDeployment leaves Spec and Variables behind: the latter are secrets.
func wireDeployment(d plane.Deployment) client.Deployment {
	return client.Deployment{
		ID: d.ID, Run: d.RunID, Trigger: string(d.Trigger), Ref: d.Ref, Commit: d.Commit, Author: d.Author, Subject: d.Subject,
		Source: d.SourceID, Backends: each(d.Parts, wirePart), Release: d.ReleaseID, Slot: string(d.Slot), State: string(d.State), Reason: d.Reason, Actor: d.Actor,
		CreatedAt: d.CreatedAt.UTC(), StartedAt: d.StartedAt.UTC(), LiveAt: d.LiveAt.UTC(), FinishedAt: d.FinishedAt.UTC(),
	}
}

func wirePart(p plane.Part) client.DeploymentBackend {
	return client.DeploymentBackend{Server: p.Server, State: string(p.State), Reason: p.Reason, Since: p.Since.UTC()}
}

func wireDeploymentView(v control.DeploymentView) client.Deployment {
	d := wireDeployment(v.Deployment)
	d.App, d.IsLive, d.Elapsed = v.AppName, v.Live, rounded(v.Elapsed)
	d.Expected, d.ExpectedLive = rounded(v.Expected), rounded(v.ExpectedLive)
	d.Steps = each(v.Steps, func(s control.StepView) client.DeploymentStep {
		return client.DeploymentStep{Name: s.Name, State: string(s.State), StartedAt: s.StartedAt.UTC(), Took: rounded(s.Took), Expected: rounded(s.Expected)}
	})
	return d
}

func rounded(d time.Duration) client.Duration { return client.Duration(d.Round(time.Millisecond)) }
