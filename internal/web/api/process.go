package api

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/serverplane/serverplane/client"
	"github.com/serverplane/serverplane/internal/auth"
	"github.com/serverplane/serverplane/internal/control"
	"github.com/serverplane/serverplane/internal/plane"
)

// ProcessVerbs are the verbs about an app's processes and cron entries.
type ProcessVerbs interface {
	SetProcess(ctx context.Context, actor plane.Actor, kind plane.ProcessKind, app, name string, w control.ProcessWish) (*plane.Run, error)
	MoveProcess(ctx context.Context, actor plane.Actor, kind plane.ProcessKind, app, name string, w control.MoveWish) (*plane.Run, error)
	RemoveProcess(ctx context.Context, actor plane.Actor, kind plane.ProcessKind, app, name string) (*plane.Run, error)
	Processes(ctx context.Context, actor plane.Actor, kind plane.ProcessKind, app string) ([]control.ProcessView, error)
	CheckProcesses(ctx context.Context, actor plane.Actor, app string) error
}

// ProcessPath names an app and one of its processes or cron entries.
type ProcessPath struct {
	NamePath
	Process string `path:"process" doc:"name of the process or cron entry"`
}
type processInput struct {
	ProcessPath
	Body client.ProcessWish
}
type processMoveInput struct {
	ProcessPath
	Body client.ProcessMove
}
type processesOutput struct{ Body client.List[client.Process] }

func (a *API) routeProcesses() {
	for _, kind := range []plane.ProcessKind{plane.Worker, plane.Cron} {
		d, noun, at := processDoor{a, kind}, kind.Noun(), "/apps/{name}/processes"
		if kind == plane.Cron {
			at = "/apps/{name}/cron"
		}
		register(a, auth.ProcessRead, get(at, "Every "+noun+" of an app, and how it was last seen."), d.list)
		register(a, auth.ProcessWrite, put(at+"/{process}", "Makes or changes a "+noun+" (202), before the first deployment without a Run (200).", 202), d.set)
		register(a, auth.ProcessWrite, remove(at+"/{process}", "Removes a "+noun+" from every server.", 202), d.remove)
		register(a, auth.ProcessWrite, post(at+"/{process}/move", "Makes another backend the owner of a "+noun+".", 202), d.move)
	}
	register(a, auth.ProcessWrite, post("/apps/{name}/processes/check", "Looks at processes and cron entries on their servers, now.", 204), a.checkProcesses)
}

func put(path, summary string, status int) huma.Operation {
	return huma.Operation{Method: http.MethodPut, Path: path, Summary: summary, DefaultStatus: status}
}

// processDoor is the same door for processes and for cron entries.
type processDoor struct {
	api  *API
	kind plane.ProcessKind
}

func (d processDoor) list(ctx context.Context, actor plane.Actor, in *NamePath) (*processesOutput, error) {
	views, err := d.api.control.Processes(ctx, actor, d.kind, in.Name)
	return &processesOutput{Body: list(views, wireProcess)}, err
}

func (d processDoor) set(ctx context.Context, actor plane.Actor, in *processInput) (*maybeWorkOutput, error) {
	b := in.Body
	run, err := d.api.control.SetProcess(ctx, actor, d.kind, in.Name, in.Process, control.ProcessWish{
		Command: b.Command, On: plane.Placement(b.On), Count: b.Count, Stop: plane.Duration(b.Stop), Schedule: b.Schedule,
	})
	return d.api.maybeWork(ctx, actor, run, err)
}

func (d processDoor) move(ctx context.Context, actor plane.Actor, in *processMoveInput) (*maybeWorkOutput, error) {
	run, err := d.api.control.MoveProcess(ctx, actor, d.kind, in.Name, in.Process, control.MoveWish(in.Body))
	return d.api.maybeWork(ctx, actor, run, err)
}

func (d processDoor) remove(ctx context.Context, actor plane.Actor, in *ProcessPath) (*maybeWorkOutput, error) {
	run, err := d.api.control.RemoveProcess(ctx, actor, d.kind, in.Name, in.Process)
	return d.api.maybeWork(ctx, actor, run, err)
}

func (a *API) checkProcesses(ctx context.Context, actor plane.Actor, in *NamePath) (*struct{}, error) {
	return nil, a.control.CheckProcesses(ctx, actor, in.Name)
}

// maybeWork answers with the Run, or without one where there was nothing to do.
func (a *API) maybeWork(ctx context.Context, actor plane.Actor, run *plane.Run, err error) (*maybeWorkOutput, error) {
	if err != nil || run == nil {
		return &maybeWorkOutput{Status: 200}, err
	}
	work, err := a.work(ctx, actor, *run)
	if err != nil {
		return nil, err
	}
	return &maybeWorkOutput{Status: 202, Body: client.MaybeWork{Run: &work.Body.Run}}, nil
}

func wireProcess(v control.ProcessView) client.Process {
	out := client.Process{
		Name: v.Name, Command: v.Command, On: string(v.On), Count: v.Count, Stop: client.Duration(v.Stop), Schedule: v.Schedule, Timezone: v.Zone,
		Owner: v.Owner, Removing: v.Removing, CreatedAt: v.CreatedAt.UTC(), ChangedAt: v.ChangedAt.UTC(), States: []client.ProcessState{},
	}
	if !v.Next.IsZero() {
		next := v.Next.UTC()
		out.Next = &next
	}
	for _, s := range v.States {
		out.States = append(out.States, client.ProcessState{
			Server: s.ServerName, State: string(s.State), Since: s.Since.UTC(), CheckedAt: s.CheckedAt.UTC(), Reason: s.Reason, Answer: s.Answer,
			Release: s.Release, Behind: s.Behind, Lines: s.Lines,
		})
	}
	return out
}
