package api

import (
	"context"

	"github.com/serverplane/serverplane/client"
	"github.com/serverplane/serverplane/internal/auth"
	"github.com/serverplane/serverplane/internal/control"
	"github.com/serverplane/serverplane/internal/plane"
)

// BackendVerbs are the verbs about an app's backends.
type BackendVerbs interface {
	AddBackend(ctx context.Context, actor plane.Actor, app string, w control.BackendWish) (plane.Run, error)
	Backends(ctx context.Context, actor plane.Actor, app string) ([]control.BackendView, error)
	Backend(ctx context.Context, actor plane.Actor, app, server string) (control.BackendView, error)
}

type backendAddInput struct {
	NamePath
	Body client.BackendWish
}
type backendInput struct {
	NamePath
	Server string `path:"server"`
}
type backendOutput struct{ Body client.Backend }
type backendsOutput struct{ Body client.List[client.Backend] }

func (a *API) routeBackends() {
	register(a, auth.BalancerWrite, post("/apps/{name}/backends", "Adds a backend.", 202), a.addBackend)
	register(a, auth.BalancerRead, get("/apps/{name}/backends", "An app's backends."), a.backends)
	register(a, auth.BalancerRead, get("/apps/{name}/backends/{server}", "One backend."), a.backend)
}

func (a *API) addBackend(ctx context.Context, actor plane.Actor, in *backendAddInput) (*workOutput, error) {
	run, err := a.control.AddBackend(ctx, actor, in.Name, control.BackendWish(in.Body))
	if err != nil {
		return nil, err
	}
	return a.work(ctx, actor, run)
}

func (a *API) backends(ctx context.Context, actor plane.Actor, in *NamePath) (*backendsOutput, error) {
	views, err := a.control.Backends(ctx, actor, in.Name)
	return &backendsOutput{Body: list(views, wireBackend)}, err
}

func (a *API) backend(ctx context.Context, actor plane.Actor, in *backendInput) (*backendOutput, error) {
	view, err := a.control.Backend(ctx, actor, in.Name, in.Server)
	return &backendOutput{Body: wireBackend(view)}, err
}

func wireBackend(v control.BackendView) client.Backend {
	return client.Backend{
		Server: v.ServerName, Role: v.Role(), Enabled: v.Enabled, State: string(v.State()), Since: v.Health.Since.UTC(),
		Reason: v.Health.Reason, Address: v.Address, Weight: v.Weight, Backup: v.Backup, Release: v.ReleaseID,
		Vantage: v.Health.Vantage, Answer: v.Health.Answer, CheckedAt: v.Health.CheckedAt.UTC(), Latency: client.Duration(v.Health.Latency),
	}
}
