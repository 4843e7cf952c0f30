package api

import (
	"context"
	"net/http"

	"github.com/serverplane/serverplane/client"
	"github.com/serverplane/serverplane/internal/auth"
	"github.com/serverplane/serverplane/internal/control"
	"github.com/serverplane/serverplane/internal/plane"
)

// TrafficVerbs are the verbs that steer visitors.
type TrafficVerbs interface {
	SwitchOff(ctx context.Context, actor plane.Actor, app, server string, yes bool) (control.Steered, error)
	SwitchOn(ctx context.Context, actor plane.Actor, app, server string) (control.Steered, error)
	SetBackend(ctx context.Context, actor plane.Actor, app, server string, ch control.BackendChange) (control.Steered, error)
	SetBalancer(ctx context.Context, actor plane.Actor, app string, ch control.BalancerChange) (control.Steered, error)
	PreviewBalancer(ctx context.Context, actor plane.Actor, app string, method plane.Method) (control.Preview, error)
}

// BackendPath names one backend.
type BackendPath struct {
	NamePath
	Server string `path:"server"`
}

type offInput struct {
	BackendPath
	Body *client.BackendOff
}
type backendChangeInput struct {
	BackendPath
	Body client.BackendChange
}
type balancerChangeInput struct {
	NamePath
	Body client.BalancerChange
}
type previewInput struct {
	NamePath
	Method string `query:"method" doc:"the one it has if left out"`
}
type previewOutput struct{ Body client.Preview }

// steeredOutput answers 200 when the wish is in force and 202 when a Run waits.
type steeredOutput struct {
	Status int
	Body   client.Steered
}

func (a *API) routeTraffic() {
	register(a, auth.BalancerWrite, post("/apps/{name}/backends/{server}/off", "Keeps visitors from a backend. 200: in force; 202: wished, a Run waits for it.", 200), a.switchOff)
	register(a, auth.BalancerWrite, post("/apps/{name}/backends/{server}/on", "Lets visitors reach a backend. 200: in force; 202: a Run catches up or waits.", 200), a.switchOn)
	register(a, auth.BalancerWrite, patch("/apps/{name}/backends/{server}", "Changes a backend's share of visitors.", 200), a.setBackend)
	register(a, auth.BalancerWrite, patch("/apps/{name}/load-balancer", "Changes method and health check.", 200), a.setBalancer)
	register(a, auth.BalancerRead, get("/apps/{name}/load-balancer/preview", "The app's Nginx file as wished, or with another method."), a.previewBalancer)
}

func (a *API) switchOff(ctx context.Context, actor plane.Actor, in *offInput) (*steeredOutput, error) {
	return a.steerBackend(ctx, actor, in.BackendPath, func(ctx context.Context) (control.Steered, error) {
		return a.control.SwitchOff(ctx, actor, in.Name, in.Server, in.Body != nil && in.Body.Yes)
	})
}

func (a *API) switchOn(ctx context.Context, actor plane.Actor, in *BackendPath) (*steeredOutput, error) {
	return a.steerBackend(ctx, actor, *in, func(ctx context.Context) (control.Steered, error) {
		return a.control.SwitchOn(ctx, actor, in.Name, in.Server)
	})
}

func (a *API) setBackend(ctx context.Context, actor plane.Actor, in *backendChangeInput) (*steeredOutput, error) {
	return a.steerBackend(ctx, actor, in.BackendPath, func(ctx context.Context) (control.Steered, error) {
		return a.control.SetBackend(ctx, actor, in.Name, in.Server, control.BackendChange{Weight: in.Body.Weight, Backup: in.Body.Backup, Yes: in.Body.Yes})
	})
}

func (a *API) steerBackend(ctx context.Context, actor plane.Actor, in BackendPath, wish func(context.Context) (control.Steered, error)) (*steeredOutput, error) {
	out, err := a.steered(ctx, actor, wish)
	if err != nil {
		return nil, err
	}
	view, err := a.control.Backend(ctx, actor, in.Name, in.Server)
	now := wireBackend(view)
	out.Body.Backend = &now
	return out, err
}

func (a *API) setBalancer(ctx context.Context, actor plane.Actor, in *balancerChangeInput) (*steeredOutput, error) {
	b := in.Body
	out, err := a.steered(ctx, actor, func(ctx context.Context) (control.Steered, error) {
		return a.control.SetBalancer(ctx, actor, in.Name, control.BalancerChange{
			Method: (*plane.Method)(b.Method), HealthPath: b.HealthPath, Interval: (*plane.Duration)(b.Interval),
			Timeout: (*plane.Duration)(b.Timeout), Fall: b.Fall, Rise: b.Rise, TakeOut: b.TakeOut, Floor: b.Floor,
			NameHeader: b.NameHeader,
		})
	})
	if err != nil {
		return nil, err
	}
	now, err := a.balancer(ctx, actor, &in.NamePath)
	out.Body.LoadBalancer = &now.Body
	return out, err
}

func (a *API) previewBalancer(ctx context.Context, actor plane.Actor, in *previewInput) (*previewOutput, error) {
	p, err := a.control.PreviewBalancer(ctx, actor, in.Name, plane.Method(in.Method))
	return &previewOutput{Body: client.Preview(p)}, err
}

// steered waits for a wish, but not longer than the panel runs, and shows the Run
// that goes on waiting, if there is one, as a person sees it.
func (a *API) steered(ctx context.Context, actor plane.Actor, wish func(context.Context) (control.Steered, error)) (*steeredOutput, error) {
	waiting, stop := a.untilStop(ctx)
	defer stop()
	done, err := wish(waiting)
	if err != nil {
		return nil, err
	}
	out := &steeredOutput{Status: http.StatusOK, Body: client.Steered{InForce: done.InForce, Reason: done.Reason}}
	if done.Run == nil {
		return out, nil
	}
	work, err := a.work(ctx, actor, *done.Run)
	if err != nil {
		return nil, err
	}
	out.Status, out.Body.Run = http.StatusAccepted, &work.Body.Run
	return out, nil
}
