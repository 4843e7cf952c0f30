package api

import (
	"context"

	"github.com/serverplane/serverplane/client"
	"github.com/serverplane/serverplane/internal/auth"
	"github.com/serverplane/serverplane/internal/control"
	"github.com/serverplane/serverplane/internal/plane"
)

// BalancerVerbs are the verbs about an app's load balancer.
type BalancerVerbs interface {
	EnableBalancer(ctx context.Context, actor plane.Actor, app string, w control.BalancerWish) (plane.Run, error)
	Balancer(ctx context.Context, actor plane.Actor, app string) (control.BalancerView, error)
	DisableBalancer(ctx context.Context, actor plane.Actor, app string, w control.DisableWish) (plane.Run, error)
}

type balancerInput struct {
	NamePath
	Body client.BalancerWish
}
type disableInput struct {
	NamePath
	Body *client.DisableWish
}
type balancerOutput struct{ Body client.LoadBalancer }

func (a *API) routeBalancer() {
	register(a, auth.BalancerWrite, post("/apps/{name}/load-balancer", "Makes the app's primary its entry.", 202), a.enableBalancer)
	register(a, auth.BalancerWrite, post("/apps/{name}/load-balancer/disable", "Moves all traffic to the primary.", 202), a.disableBalancer)
	register(a, auth.BalancerRead, get("/apps/{name}/load-balancer", "An app's load balancer with its backends."), a.balancer)
}

func (a *API) enableBalancer(ctx context.Context, actor plane.Actor, in *balancerInput) (*workOutput, error) {
	run, err := a.control.EnableBalancer(ctx, actor, in.Name, control.BalancerWish{
		Method: plane.Method(in.Body.Method), Acknowledge: in.Body.Acknowledge,
	})
	if err != nil {
		return nil, err
	}
	return a.work(ctx, actor, run)
}

func (a *API) disableBalancer(ctx context.Context, actor plane.Actor, in *disableInput) (*workOutput, error) {
	var wish client.DisableWish
	if in.Body != nil {
		wish = *in.Body
	}
	run, err := a.control.DisableBalancer(ctx, actor, in.Name, control.DisableWish(wish))
	if err != nil {
		return nil, err
	}
	return a.work(ctx, actor, run)
}

func (a *API) balancer(ctx context.Context, actor plane.Actor, in *NamePath) (*balancerOutput, error) {
	v, err := a.control.Balancer(ctx, actor, in.Name)
	return &balancerOutput{Body: client.LoadBalancer{
		App: v.App, Method: string(v.Method), Status: string(v.Status), Reason: v.Reason,
		HealthCheck: client.HealthCheck{
			Path: v.Path, Interval: client.Duration(v.Health.Interval), Timeout: client.Duration(v.Health.Timeout),
			Fall: v.Health.Fall, Rise: v.Health.Rise, TakeOut: v.Health.TakeOut, Floor: max(v.Health.Floor, 1),
		},
		NameHeader: v.NameHeader,
		Pending:    v.Pending, PendingReason: v.PendingReason,
		Backends: each(v.Backends, wireBackend),
	}}, err
}
