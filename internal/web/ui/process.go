package ui

import (
	"context"
	"fmt"
	"net/url"
	"slices"
	"time"

	"github.com/serverplane/serverplane/internal/control"
	"github.com/serverplane/serverplane/internal/plane"
)

// ProcessVerbs are the verbs about an app's processes and cron entries.
type ProcessVerbs interface {
	Processes(ctx context.Context, actor plane.Actor, kind plane.ProcessKind, app string) ([]control.ProcessView, error)
	SetProcess(ctx context.Context, actor plane.Actor, kind plane.ProcessKind, app, name string, w control.ProcessWish) (*plane.Run, error)
	MoveProcess(ctx context.Context, actor plane.Actor, kind plane.ProcessKind, app, name string, w control.MoveWish) (*plane.Run, error)
	RemoveProcess(ctx context.Context, actor plane.Actor, kind plane.ProcessKind, app, name string) (*plane.Run, error)
	CheckProcesses(ctx context.Context, actor plane.Actor, app string) error
}

// topicProcesses is the hint that an app's processes were seen.
const topicProcesses = "processes"

func processesHome(app string) string { return appHome(app) + "/processes" }

func processHome(app string, p control.ProcessView) string {
	return processesHome(app) + "/" + string(p.Kind) + "/" + url.PathEscape(p.Name)
}

type processesView struct {
	page
	Tabs    tabs
	App     control.AppView
	Workers []control.ProcessView
	Crons   []control.ProcessView
}

// Home is the address of one of the list.
func (s *processesView) Home(p control.ProcessView) string { return processHome(s.App.Name, p) }

// card is one process of the list, for its template.
type card struct {
	P     control.ProcessView
	Home  string
	Write bool
}

func processCard(s *processesView, p control.ProcessView) card {
	return card{P: p, Home: s.Home(p), Write: s.May("process.write")}
}

func (u *UI) processes(v *visit) error {
	shown, err := u.loadProcesses(v, v.path("name"))
	if err != nil {
		return err
	}
	shown.base().Stream = streamOf("processes", v.path("name"), 0)
	return u.show(v, "processes.html", shown)
}

func (u *UI) loadProcesses(v *visit, name string) (view, error) {
	app, err := u.control.App(v.ctx(), v.actor, name)
	if err != nil {
		return nil, err
	}
	shown := &processesView{page: u.page(v, "Processes of "+app.Name), Tabs: tabs{app.Name, "processes"}, App: app}
	shown.Area = "apps"
	if shown.Workers, err = u.control.Processes(v.ctx(), v.actor, plane.Worker, name); err != nil {
		return nil, err
	}
	shown.Crons, err = u.control.Processes(v.ctx(), v.actor, plane.Cron, name)
	return shown, err
}

func (u *UI) checkProcesses(v *visit) error {
	if err := u.control.CheckProcesses(v.ctx(), v.actor, v.path("name")); err != nil {
		return v.again(err, u.processes)
	}
	return v.see(processesHome(v.path("name")), "looked")
}

// processView is the form of one process or cron entry, and what can be done to it.
type processView struct {
	page
	Tabs     tabs
	App      control.AppView
	Kind     plane.ProcessKind
	P        control.ProcessView // its zero value for a new one
	Backends []control.BackendView
	Away     bool // its owner cannot be seen
}

// IsNew tells whether there is nothing to change yet.
func (s *processView) IsNew() bool { return s.P.ID == "" }

// Here is the address of the one shown, or of the form of a new one.
func (s *processView) Here() string {
	if s.IsNew() {
		return processesHome(s.App.Name) + "/new/" + string(s.Kind)
	}
	return processHome(s.App.Name, s.P)
}

// Set is the form of what it is, Moving that of where it runs: what was typed in
// one says nothing of the other.
func (s *processView) Set() Form    { return s.only("command") }
func (s *processView) Moving() Form { return s.only("server") }

func (s *processView) only(field string) Form {
	if s.Form.Values.Has(field) {
		return s.Form
	}
	return Form{}
}

// Others are the backends it may move to.
func (s *processView) Others() []control.BackendView {
	return slices.DeleteFunc(slices.Clone(s.Backends), func(b control.BackendView) bool {
		return b.ServerName == s.P.Owner || !b.Placed || b.Removing
	})
}

// StopText is how long it may finish what it is at, as it is typed.
func (s *processView) StopText() string { return short(time.Duration(s.P.Stop)) }

// short leaves out the zeros of Go's text for durations.
func short(d time.Duration) string {
	switch {
	case d == 0:
		d = plane.DefaultStop.Std()
		fallthrough
	case d%time.Minute == 0:
		return fmt.Sprintf("%dm", d/time.Minute)
	}
	return d.String()
}

func (u *UI) processForm(v *visit, kind plane.ProcessKind, name string) (*processView, error) {
	if kind != plane.Worker && kind != plane.Cron {
		return nil, plane.NotFound("kind of process", string(kind))
	}
	app, err := u.control.App(v.ctx(), v.actor, v.path("name"))
	if err != nil {
		return nil, err
	}
	title := "New " + kind.Noun()
	if name != "" {
		title = name
	}
	shown := &processView{page: u.page(v, title+" of "+app.Name), Tabs: tabs{app.Name, "processes"}, App: app, Kind: kind}
	shown.Area = "apps"
	if shown.Backends, err = u.control.Backends(v.ctx(), v.actor, app.Name); err != nil || name == "" {
		return shown, err
	}
	all, err := u.control.Processes(v.ctx(), v.actor, kind, app.Name)
	if err != nil {
		return nil, err
	}
	i := slices.IndexFunc(all, func(p control.ProcessView) bool { return p.Name == name })
	if i < 0 {
		return nil, plane.NotFound(kind.Noun(), name)
	}
	shown.P = all[i]
	for _, s := range shown.P.States {
		shown.Away = shown.Away || s.ServerName == shown.P.Owner && s.State == plane.ProcessUnknown
	}
	return shown, nil
}

func kindOf(v *visit) plane.ProcessKind { return plane.ProcessKind(v.path("kind")) }

func (u *UI) newProcess(v *visit) error {
	shown, err := u.processForm(v, kindOf(v), "")
	if err != nil {
		return err
	}
	return u.show(v, "process.html", shown)
}

func (u *UI) process(v *visit) error {
	shown, err := u.processForm(v, kindOf(v), v.path("process"))
	if err != nil {
		return err
	}
	return u.show(v, "process.html", shown)
}

func (u *UI) createProcess(v *visit) error {
	return u.keepProcess(v, word(v.form, "process"), u.newProcess)
}
func (u *UI) setProcess(v *visit) error { return u.keepProcess(v, v.path("process"), u.process) }

func (u *UI) keepProcess(v *visit, name string, form func(*visit) error) error {
	if _, err := u.processForm(v, kindOf(v), v.path("process")); err != nil {
		return err
	}
	w := control.ProcessWish{Command: v.form.Value("command"), On: plane.Placement(v.form.Value("on")), Schedule: word(v.form, "schedule")}
	if kindOf(v) == plane.Worker {
		count, err := v.form.number("count")
		if err != nil {
			return v.again(err, form)
		}
		w.Count = *count
	}
	if text := word(v.form, "stop"); text != "" {
		stop, err := time.ParseDuration(text)
		if err != nil {
			return v.again(plane.Invalid("stop", "must be a time such as 30s or 5m", "1s to 1h"), form)
		}
		w.Stop = plane.Duration(stop)
	}
	run, err := u.control.SetProcess(v.ctx(), v.actor, kindOf(v), v.path("name"), name, w)
	if told := told(err); told != nil && told.Field == "name" {
		err = plane.Invalid("process", told.Message, told.Hint)
	}
	return v.arranged(run, err, form)
}

// arranged goes to the Run that carries out the wish, or back to the list where
// none is needed.
func (v *visit) arranged(run *plane.Run, err error, form func(*visit) error) error {
	switch {
	case err != nil:
		return v.again(err, form)
	case run == nil:
		return v.see(processesHome(v.path("name")), "first-deployment")
	}
	return v.see("/runs/"+url.PathEscape(run.ID), "")
}

func (u *UI) moveProcess(v *visit) error {
	if _, err := u.processForm(v, kindOf(v), v.path("process")); err != nil {
		return err
	}
	run, err := u.control.MoveProcess(v.ctx(), v.actor, kindOf(v), v.path("name"), v.path("process"), control.MoveWish{
		Server: v.form.Value("server"), Anyway: v.form.Checked("anyway"), Confirm: word(v.form, "confirm"),
	})
	return v.arranged(run, err, u.process)
}

func (u *UI) removeProcess(v *visit) error {
	if _, err := u.processForm(v, kindOf(v), v.path("process")); err != nil {
		return err
	}
	run, err := u.control.RemoveProcess(v.ctx(), v.actor, kindOf(v), v.path("name"), v.path("process"))
	return v.arranged(run, err, u.process)
}
