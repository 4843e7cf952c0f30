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
	CheckBackend(ctx context.Context, actor plane.Actor, app, server string) (plane.Probe, error)
	RepairBackend(ctx context.Context, actor plane.Actor, app, server string) (plane.Run, error)
	RemoveBackend(ctx context.Context, actor plane.Actor, app, server string, w control.RemoveWish) (plane.Run, error)
}

type backendAddInput struct {
	NamePath
	Body client.BackendWish
}
type backendRemoveInput struct {
	BackendPath
	Discard bool `query:"discard" doc:"do not pack the files that exist nowhere else"`
	Yes     bool `query:"yes" doc:"even if it is the last healthy one"`
}
type probeOutput struct{ Body client.Probe }
type backendOutput struct{ Body client.Backend }
type backendsOutput struct{ Body client.List[client.Backend] }

func (a *API) routeBackends() {
	register(a, auth.BalancerWrite, post("/apps/{name}/backends", "Adds a backend.", 202), a.addBackend)
	register(a, auth.BalancerRead, get("/apps/{name}/backends", "An app's backends."), a.backends)
	register(a, auth.BalancerWrite, post("/apps/{name}/backends/{server}/check", "Asks a backend once, now.", 200), a.checkBackend)
	register(a, auth.BalancerWrite, post("/apps/{name}/backends/{server}/repair", "Brings a backend to what is live.", 202), a.repairBackend)
	register(a, auth.BalancerWrite, remove("/apps/{name}/backends/{server}", "Removes a backend, or goes on with its removal.", 202), a.removeBackend)
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

func (a *API) backend(ctx context.Context, actor plane.Actor, in *BackendPath) (*backendOutput, error) {
	view, err := a.control.Backend(ctx, actor, in.Name, in.Server)
	return &backendOutput{Body: wireBackend(view)}, err
}

func wireBackend(v control.BackendView) client.Backend {
	return client.Backend{
		Server: v.ServerName, Role: v.Role(), Enabled: v.Enabled, State: string(v.State()), Since: v.Since().UTC(),
		Reason: v.Health.Reason, Address: v.Address, Weight: v.Weight, Backup: v.Backup, Release: v.ReleaseID, Deployment: v.DeploymentID, Runtime: v.Runtime, TakenOut: v.TakenOut,
		Vantage: v.Health.Vantage, Answer: v.Health.Answer, CheckedAt: v.Health.CheckedAt.UTC(), Latency: client.Duration(v.Health.Latency),
	}
}

func (a *API) checkBackend(ctx context.Context, actor plane.Actor, in *BackendPath) (*probeOutput, error) {
	p, err := a.control.CheckBackend(ctx, actor, in.Name, in.Server)
	return &probeOutput{Body: client.Probe{
		At: p.At.UTC(), Verdict: string(p.Verdict), Vantage: p.Vantage, Answer: p.Answer, Reason: p.Reason, Latency: client.Duration(p.Latency),
	}}, err
}

func (a *API) repairBackend(ctx context.Context, actor plane.Actor, in *BackendPath) (*workOutput, error) {
	run, err := a.control.RepairBackend(ctx, actor, in.Name, in.Server)
	if err != nil {
		return nil, err
	}
	return a.work(ctx, actor, run)
}

func (a *API) removeBackend(ctx context.Context, actor plane.Actor, in *backendRemoveInput) (*workOutput, error) {
	run, err := a.control.RemoveBackend(ctx, actor, in.Name, in.Server, control.RemoveWish{Discard: in.Discard, Yes: in.Yes})
	if err != nil {
		return nil, err
	}
	return a.work(ctx, actor, run)
}
