package api

import (
	"context"

	"github.com/serverplane/serverplane/client"
	"github.com/serverplane/serverplane/internal/auth"
	"github.com/serverplane/serverplane/internal/control"
	"github.com/serverplane/serverplane/internal/plane"
)

// AppVerbs are the verbs about apps.
type AppVerbs interface {
	CreateApp(ctx context.Context, actor plane.Actor, w control.AppWish) (plane.App, *plane.Run, error)
	ProposeKind(ctx context.Context, actor plane.Actor, w control.AppWish) (plane.Proposal, error)
	Apps(ctx context.Context, actor plane.Actor) ([]control.AppView, error)
	App(ctx context.Context, actor plane.Actor, name string) (control.AppView, error)
	ChangeApp(ctx context.Context, actor plane.Actor, name string, c control.AppChange) (plane.App, error)
	RemoveApp(ctx context.Context, actor plane.Actor, name string) (plane.Run, error)
}

type appInput struct{ Body client.AppWish }
type appChangeInput struct {
	NamePath
	Body client.AppChange
}
type appOutput struct{ Body client.App }
type proposalOutput struct{ Body client.Proposal }
type appsOutput struct{ Body client.List[client.App] }
type appCreatedOutput struct {
	Status int
	Body   client.AppCreated
}

func (a *API) routeApps() {
	register(a, auth.AppWrite, post("/apps", "Creates an app and starts its first deployment (202), or not (201).", 202), a.createApp)
	register(a, auth.AppWrite, post("/apps/proposal", "Looks at a repository and proposes a kind for an app of it; creates nothing.", 200), a.proposeKind)
	register(a, auth.AppRead, get("/apps", "All apps."), a.apps)
	register(a, auth.AppRead, get("/apps/{name}", "One app."), a.app)
	register(a, auth.AppWrite, patch("/apps/{name}", "Changes an app; in force with the next deployment, the health path at once.", 200), a.changeApp)
	register(a, auth.AppWrite, remove("/apps/{name}", "Removes an app from all its servers.", 202), a.removeApp)
}

func (a *API) createApp(ctx context.Context, actor plane.Actor, in *appInput) (*appCreatedOutput, error) {
	app, run, err := a.control.CreateApp(ctx, actor, appWish(in.Body))
	if err != nil {
		return nil, err
	}
	view, err := a.control.App(ctx, actor, app.Name)
	if err != nil {
		return nil, err
	}
	out := &appCreatedOutput{Status: 201, Body: client.AppCreated{App: wireApp(view)}}
	if run == nil {
		return out, nil
	}
	work, err := a.work(ctx, actor, *run)
	if err != nil {
		return nil, err
	}
	out.Status, out.Body.Run = 202, &work.Body.Run
	return out, nil
}

func (a *API) proposeKind(ctx context.Context, actor plane.Actor, in *appInput) (*proposalOutput, error) {
	p, err := a.control.ProposeKind(ctx, actor, appWish(in.Body))
	return &proposalOutput{Body: client.Proposal{
		Kind: string(p.Kind), Evidence: some(p.Evidence), Others: p.Others, Build: some(p.Spec.Build), Start: p.Spec.Start, RunOnce: some(p.Spec.RunOnce),
		HealthPath: p.Spec.HealthPath, Options: p.Spec.Options,
	}}, err
}

func (a *API) apps(ctx context.Context, actor plane.Actor, _ *struct{}) (*appsOutput, error) {
	views, err := a.control.Apps(ctx, actor)
	return &appsOutput{Body: list(views, wireApp)}, err
}

func (a *API) app(ctx context.Context, actor plane.Actor, in *NamePath) (*appOutput, error) {
	view, err := a.control.App(ctx, actor, in.Name)
	return &appOutput{Body: wireApp(view)}, err
}

func (a *API) changeApp(ctx context.Context, actor plane.Actor, in *appChangeInput) (*appOutput, error) {
	if _, err := a.control.ChangeApp(ctx, actor, in.Name, control.AppChange(in.Body)); err != nil {
		return nil, err
	}
	return a.app(ctx, actor, &in.NamePath)
}

func (a *API) removeApp(ctx context.Context, actor plane.Actor, in *NamePath) (*workOutput, error) {
	run, err := a.control.RemoveApp(ctx, actor, in.Name)
	if err != nil {
		return nil, err
	}
	return a.work(ctx, actor, run)
}

func appWish(w client.AppWish) control.AppWish {
	return control.AppWish{
		Name: w.Name, Server: w.Server, Kind: plane.Kind(w.Kind), Repository: w.Repository, Branch: w.Branch,
		Domains: w.Domains, NoDeploy: w.NoDeploy, Acknowledge: w.Acknowledge,
		Spec: plane.Spec{
			Root: w.Root, Build: w.Build, Start: w.Start, RunOnce: w.RunOnce, HealthPath: w.HealthPath, Options: w.Options,
		},
	}
}

func wireApp(v control.AppView) client.App {
	out := client.App{
		ID: v.ID, Name: v.Name, Kind: string(v.Kind), Server: v.ServerName, Repository: v.Repository, Branch: v.Branch,
		Domains: some(v.Domains), Root: v.Spec.Root, Build: some(v.Spec.Build), Start: v.Spec.Start, RunOnce: some(v.Spec.RunOnce),
		HealthPath: v.Spec.HealthPath, Options: v.Spec.Options, Shared: v.Shared, Beside: v.Beside, DeployKey: v.DeployKey, State: string(v.State), Reason: v.Reason,
		Since: v.Since.UTC(), Unapplied: v.Unapplied, Balancer: string(v.Balancer.Status), CreatedAt: v.CreatedAt.UTC(),
	}
	out.Switch = plane.SwitchBeside
	if v.Spec.Restarts() {
		out.Switch, out.SwitchCost = plane.SwitchRestart, v.RestartCost
	}
	if v.Live != nil {
		live := wireDeployment(*v.Live)
		out.Live = &live
	}
	return out
}
