package api

import (
	"context"
	"time"

	"github.com/serverplane/serverplane/client"
	"github.com/serverplane/serverplane/internal/auth"
	"github.com/serverplane/serverplane/internal/control"
	"github.com/serverplane/serverplane/internal/plane"
)

// longestWait is less than what proxies commonly allow a silent answer.
const longestWait = 25 * time.Second

// RunVerbs are the verbs about Runs and their logs.
type RunVerbs interface {
	Runs(ctx context.Context, actor plane.Actor, f control.RunFilter) ([]control.RunView, error)
	Run(ctx context.Context, actor plane.Actor, id string) (control.RunView, error)
	CancelRun(ctx context.Context, actor plane.Actor, id string) (control.RunView, error)
	Events(ctx context.Context, actor plane.Actor, runID string, after int64, wait time.Duration) ([]plane.Event, error)
}

type runsInput struct {
	App string `query:"app" doc:"only those of the app of this name"`
	PageQuery
}
type eventsInput struct {
	IDPath
	After int64  `query:"after" minimum:"0" doc:"seq of the last line seen"`
	Wait  string `query:"wait" default:"0s" doc:"how long to wait for a new line, for example 20s; at most 25s"`
}
type runOutput struct{ Body client.Run }
type runsOutput struct{ Body client.List[client.Run] }
type workOutput struct{ Body client.Work }
type eventsOutput struct{ Body client.List[client.Event] }

func (a *API) routeRuns() {
	register(a, auth.RunRead, get("/runs", "Runs, newest first."), a.runs)
	register(a, auth.RunRead, get("/runs/{id}", "One Run."), a.run)
	register(a, auth.RunRead, get("/runs/{id}/events", "Lines of a Run's log; waits for new ones."), a.events)
	register(a, auth.RunCancel, post("/runs/{id}/cancel", "Asks a Run to stop.", 202), a.cancelRun)
}

func (a *API) runs(ctx context.Context, actor plane.Actor, in *runsInput) (*runsOutput, error) {
	views, err := a.control.Runs(ctx, actor, control.RunFilter{App: in.App, Before: in.Before, Limit: in.Limit})
	id := func(v control.RunView) string { return v.ID }
	return &runsOutput{Body: paged(views, in.Limit, wireRun, id)}, err
}

func (a *API) run(ctx context.Context, actor plane.Actor, in *IDPath) (*runOutput, error) {
	view, err := a.control.Run(ctx, actor, in.ID)
	return &runOutput{Body: wireRun(view)}, err
}

func (a *API) cancelRun(ctx context.Context, actor plane.Actor, in *IDPath) (*workOutput, error) {
	view, err := a.control.CancelRun(ctx, actor, in.ID)
	return &workOutput{Body: client.Work{Run: wireRun(view)}}, err
}

// events ends its wait when the panel stops: the reader then asks the panel
// that comes after, from the line it has seen.
func (a *API) events(ctx context.Context, actor plane.Actor, in *eventsInput) (*eventsOutput, error) {
	wait, err := time.ParseDuration(in.Wait)
	if err != nil || wait < 0 || wait > longestWait {
		return nil, plane.Invalid("wait", "must be 0s to 25s", "for example 20s")
	}
	ctx, stop := a.untilStop(ctx)
	defer stop()
	events, err := a.control.Events(ctx, actor, in.ID, in.After, wait)
	return &eventsOutput{Body: list(events, wireEvent)}, err
}

// untilStop ends a wait when the panel stops.
func (a *API) untilStop(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, stop := context.WithCancel(ctx)
	go func() {
		select {
		case <-a.stopping:
			stop()
		case <-ctx.Done():
		}
	}()
	return ctx, stop
}

// work answers with the Run as a person sees it.
func (a *API) work(ctx context.Context, actor plane.Actor, run plane.Run) (*workOutput, error) {
	view, err := a.control.Run(ctx, actor, run.ID)
	if err != nil {
		return nil, err
	}
	return &workOutput{Body: client.Work{Run: wireRun(view)}}, nil
}

func wireRun(v control.RunView) client.Run {
	return client.Run{
		ID: v.ID, Kind: string(v.Kind), App: v.AppName, Servers: some(v.ServerNames), Deployment: v.DeploymentID,
		State: string(v.State), Step: v.Step, Done: v.Done, Total: v.Total, Reason: v.Reason, WaitsFor: v.WaitsFor,
		Cancelling: v.Cancel && !v.State.Ended(), Actor: v.Actor, Attempt: v.Attempt, Receipt: wireReceipt(v.Receipt),
		CreatedAt: v.CreatedAt.UTC(), StartedAt: v.StartedAt.UTC(), FinishedAt: v.FinishedAt.UTC(),
	}
}

func wireEvent(e plane.Event) client.Event {
	return client.Event{
		Seq: e.Seq, Time: e.Time.UTC(), Kind: string(e.Kind), Server: e.Server, Step: e.Step, Text: e.Text,
	}
}

func wireReceipt(lines []plane.ReceiptLine) []client.ReceiptLine {
	return each(lines, func(l plane.ReceiptLine) client.ReceiptLine { return client.ReceiptLine(l) })
}
