package api

import (
	"context"
	"time"

	"github.com/serverplane/serverplane/client"
	"github.com/serverplane/serverplane/internal/auth"
	"github.com/serverplane/serverplane/internal/control"
	"github.com/serverplane/serverplane/internal/plane"
)

// ServedVerbs are the verbs about who served what.
type ServedVerbs interface {
	Served(ctx context.Context, actor plane.Actor, app string) (control.ServedView, error)
	BackendServed(ctx context.Context, actor plane.Actor, app, server string, day bool) (control.ServedHistory, error)
}

type servedInput struct {
	BackendPath
	Reach string `query:"reach" enum:"1h,24h" default:"1h" doc:"1h by minutes, 24h by quarters of an hour"`
}
type servedOutput struct{ Body client.Served }
type servedHistoryOutput struct{ Body client.ServedHistory }

func (a *API) routeServed() {
	register(a, auth.BalancerRead, get("/apps/{name}/traffic", "Who served what of the app's requests in the last hour and 24 hours."), a.served)
	register(a, auth.BalancerRead, get("/apps/{name}/backends/{server}/traffic", "What a backend served, piece by piece."), a.backendServed)
}

func (a *API) served(ctx context.Context, actor plane.Actor, in *NamePath) (*servedOutput, error) {
	v, err := a.control.Served(ctx, actor, in.Name)
	return &servedOutput{Body: client.Served{
		App: v.App, State: string(v.State), Reason: v.Reason, Since: moment(v.Since), ReadAt: moment(v.ReadAt), Gap: v.Gap, GapAt: moment(v.GapAt),
		Backends: each(v.Lines, wireServedBackend), Entry: wireReach(v.Entry),
	}}, err
}

func (a *API) backendServed(ctx context.Context, actor plane.Actor, in *servedInput) (*servedHistoryOutput, error) {
	h, err := a.control.BackendServed(ctx, actor, in.Name, in.Server, in.Reach == "24h")
	return &servedHistoryOutput{Body: client.ServedHistory{
		Length: client.Duration(h.Length), From: moment(h.From), To: moment(h.To), Pieces: each(h.Pieces, wirePiece),
	}}, err
}

// moment leaves out the time of what never was.
func moment(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC()
	return &t
}

func wireServedBackend(l control.ServedLine) client.ServedBackend {
	return client.ServedBackend{Server: l.ServerName, Role: l.Role, ServedReach: wireReach(l)}
}

func wireReach(l control.ServedLine) client.ServedReach {
	return client.ServedReach{Hour: wireFigures(l.Hour), Day: wireFigures(l.Day)}
}

func wireFigures(f control.ServedFigures) client.ServedFigures {
	return client.ServedFigures{
		Requests: f.Requests, PerSecond: f.PerSecond, Share: f.Share, Errors: f.Errors, ErrorShare: f.ErrorShare(), PassedOn: f.PassedOn,
		P50: within(f.Latency, 0.5), P95: within(f.Latency, 0.95),
	}
}

func wirePiece(p plane.ServedPiece) client.ServedPiece {
	return client.ServedPiece{
		Begin: p.Begin.UTC(), Requests: p.Requests, Errors: p.Errors, PassedOn: p.PassedOn, P50: within(p.Latency, 0.5), P95: within(p.Latency, 0.95),
	}
}

func within(l plane.Latencies, share float64) *client.Duration {
	took, ok := l.Within(share)
	if !ok {
		return nil
	}
	return (*client.Duration)(&took)
}
