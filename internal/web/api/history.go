package api

import (
	"context"
	"time"

	"github.com/serverplane/serverplane/client"
	"github.com/serverplane/serverplane/internal/auth"
	"github.com/serverplane/serverplane/internal/control"
	"github.com/serverplane/serverplane/internal/plane"
)

// HistoryVerbs are the verbs about the past.
type HistoryVerbs interface {
	BackendHistory(ctx context.Context, actor plane.Actor, app, server string, w control.HistoryWish) (control.HistoryView, error)
}

type historyInput struct {
	BackendPath
	Changes int `query:"changes" minimum:"1" maximum:"200" default:"100" doc:"how many, the newest"`
	Minutes int `query:"minutes" minimum:"1" maximum:"1440" default:"60" doc:"how many, up to now"`
}
type historyOutput struct{ Body client.BackendHistory }

func (a *API) routeHistory() {
	register(a, auth.BalancerRead, get("/apps/{name}/backends/{server}/history", "How a backend fared: changes of its state, and its latency by minute."), a.backendHistory)
}

func (a *API) backendHistory(ctx context.Context, actor plane.Actor, in *historyInput) (*historyOutput, error) {
	view, err := a.control.BackendHistory(ctx, actor, in.Name, in.Server, control.HistoryWish{
		Changes: in.Changes, Reach: time.Duration(in.Minutes) * time.Minute,
	})
	return &historyOutput{Body: client.BackendHistory{Changes: each(view.Changes, wireChange), Minutes: each(view.Minutes, wireMinute)}}, err
}

func wireChange(c plane.HealthChange) client.HealthChange {
	return client.HealthChange{
		At: c.At.UTC(), Was: string(c.Was), Became: string(c.Became), Vantage: c.Vantage, Answer: c.Answer, Reason: c.Reason,
	}
}

func wireMinute(m plane.HealthMinute) client.HealthMinute {
	return client.HealthMinute{
		Minute: m.Minute.UTC(), Probes: m.Probes, Failures: m.Failures, Unknown: m.Blind,
		Latency: client.Duration(m.Latency), Slowest: client.Duration(m.Slowest),
	}
}
