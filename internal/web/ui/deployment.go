package ui

import (
	"context"
	"net/url"
	"slices"
	"strings"

	"github.com/serverplane/serverplane/internal/control"
	"github.com/serverplane/serverplane/internal/plane"
)

// DeploymentVerbs are the verbs about deployments.
type DeploymentVerbs interface {
	Deploy(ctx context.Context, actor plane.Actor, app string, w control.DeployWish) (plane.Deployment, plane.Run, error)
	Deployments(ctx context.Context, actor plane.Actor, app, before string, limit int) ([]plane.Deployment, error)
	Rollback(ctx context.Context, actor plane.Actor, app string, w control.RollbackWish) (plane.Deployment, plane.Run, error)
	CancelDeployment(ctx context.Context, actor plane.Actor, id string) (plane.Run, error)
}

func deploymentAt(app, id string) string { return appHome(app) + "/deployments/" + id }

const deploymentsShown = 30 // on one page of the list

type deploymentsView struct {
	page
	Tabs        tabs
	App         control.AppView
	Deployments []plane.Deployment
	Next        string // address of the older ones, or empty
	Older       bool   // this is not the first page
}

func (u *UI) deployments(v *visit) error {
	shown, err := u.loadDeployments(v, v.path("name"))
	if err != nil {
		return err
	}
	if v.query("before") == "" {
		shown.base().Stream = streamOf("deployments", v.path("name"), 0)
	}
	return u.show(v, "deployments.html", shown)
}

func (u *UI) loadDeployments(v *visit, app string) (view, error) {
	a, err := u.control.App(v.ctx(), v.actor, app)
	if err != nil {
		return nil, err
	}
	before := ""
	if v.path("name") != "" { // the stream's own query is another
		before = v.query("before")
	}
	all, err := u.control.Deployments(v.ctx(), v.actor, app, before, deploymentsShown+1)
	if err != nil {
		return nil, err
	}
	shown := &deploymentsView{page: u.page(v, "Deployments of "+a.Name), Tabs: tabs{a.Name, "deployments"}, App: a, Deployments: all, Older: before != ""}
	shown.Area = "apps"
	if len(all) > deploymentsShown {
		shown.Deployments = all[:deploymentsShown]
		shown.Next = appHome(a.Name) + "/deployments?before=" + all[deploymentsShown-1].ID
	}
	return shown, nil
}

func (u *UI) deploy(v *visit) error {
	app := v.path("name")
	d, _, err := u.control.Deploy(v.ctx(), v.actor, app, control.DeployWish{Ref: word(v.form, "ref"), Rebuild: v.form.Checked("rebuild"), Acknowledge: v.form.Values["acknowledge"]})
	if err != nil {
		return v.again(err, u.deployments)
	}
	return v.see(deploymentAt(app, d.ID), "")
}

type deploymentView struct {
	page
	Tabs    tabs
	App     control.AppView
	D       control.DeploymentView
	Steps   []Step
	Percent int  // of the steps
	Cancel  bool // it can be asked to stop
	Back    bool // the app can go back to it
	Lines   []plane.Event
	Skipped bool     // lines before the first that is shown
	Servers []choice // whose lines are shown
}

func (u *UI) deployment(v *visit) error {
	read, err := u.loadDeployment(v, deploymentOf{app: v.path("name"), id: v.path("id")}.String())
	if err != nil {
		return err
	}
	shown := read.(*deploymentView) //nolint:forcetypeassert // made a line before
	of := deploymentOf{app: shown.App.Name, id: shown.D.ID, run: shown.D.RunID, server: v.query("server")}
	shown.Servers = logChoices(shown.D, of.server)
	seen := int64(0)
	if of.run != "" {
		lines, last, err := u.lastLines(v, of.run)
		if err != nil {
			return err
		}
		seen, shown.Skipped, shown.Lines = last, skipped(lines), of.lines(lines)
	}
	shown.Stream = streamOf("deployment", of.String(), seen)
	return u.show(v, "deployment.html", shown)
}

// deploymentOf names what a deployment's page shows: the lines of one server of
// it, or of all, from the log of the Run that works on it.
type deploymentOf struct{ app, id, run, server string }

func (of deploymentOf) String() string {
	return strings.Join([]string{of.app, of.id, of.run, of.server}, " ")
}

func readDeploymentOf(text string) deploymentOf {
	parts := append(strings.Split(text, " "), "", "", "", "")
	return deploymentOf{parts[0], parts[1], parts[2], parts[3]}
}

// topics are the hints upon which a deployment's page may have changed.
func (of deploymentOf) topics() []string {
	return []string{control.TopicQueue, control.TopicRun(of.run)}
}

// lines are those of the server, and the steps all servers take together.
func (of deploymentOf) lines(all []plane.Event) []plane.Event {
	if of.server == "" {
		return all
	}
	return slices.DeleteFunc(slices.Clone(all), func(e plane.Event) bool {
		return e.Server != of.server && (e.Server != "" || e.Kind != plane.EventStep)
	})
}

func logChoices(d control.DeploymentView, here string) []choice {
	at := "/apps/" + url.PathEscape(d.AppName) + "/deployments/" + url.PathEscape(d.ID)
	all := []choice{{Text: "all servers", Address: at, Here: here == ""}}
	for _, p := range d.Parts {
		all = append(all, choice{Text: p.Server, Address: at + "?server=" + url.QueryEscape(p.Server), Here: here == p.Server})
	}
	return all
}

// tailDeployment is what the log got since, for the stream. A deployment that a
// new Run carries on begins a new log: the page is loaded anew.
func (u *UI) tailDeployment(v *visit, text string, seen int64) (any, int64, error) {
	of := readDeploymentOf(text)
	d, err := u.control.Deployment(v.ctx(), v.actor, of.id)
	if err != nil {
		return nil, 0, err
	}
	if d.RunID != of.run {
		return nil, 0, plane.Conflict("another Run carries the deployment on", "load the page again")
	}
	lines, err := u.control.Events(v.ctx(), v.actor, of.run, seen, 0)
	if err != nil || len(lines) == 0 {
		return nil, 0, err
	}
	return of.lines(lines), lines[len(lines)-1].Seq, nil
}

// loadDeployment reads one deployment, without its log.
func (u *UI) loadDeployment(v *visit, text string) (view, error) {
	of := readDeploymentOf(text)
	a, err := u.control.App(v.ctx(), v.actor, of.app)
	if err != nil {
		return nil, err
	}
	d, err := u.control.Deployment(v.ctx(), v.actor, of.id)
	if err != nil {
		return nil, err
	}
	if d.AppID != a.ID {
		return nil, plane.NotFound("deployment", of.id)
	}
	shown := &deploymentView{page: u.page(v, "Deployment of "+a.Name), Tabs: tabs{a.Name, "deployments"}, App: a, D: d, Steps: stepsOfDeployment(d), Percent: percentOf(d.Steps)}
	shown.Area = "apps"
	shown.Cancel = !d.State.Ended()
	shown.Back = d.State == plane.DeploymentCompleted && !d.Live
	return shown, nil
}

// percentOf counts the steps that are done.
func percentOf(steps []control.StepView) int {
	done := 0
	for _, s := range steps {
		if s.State == control.StepDone {
			done++
		}
	}
	return 100 * done / max(1, len(steps))
}

func (u *UI) cancelDeployment(v *visit) error {
	if _, err := u.control.CancelDeployment(v.ctx(), v.actor, v.path("id")); err != nil {
		return v.again(err, u.deployment)
	}
	return v.see(deploymentAt(v.path("name"), v.path("id")), "cancelling")
}

// rollback goes back to a deployment, or to what was live before where none is named.
func (u *UI) rollback(v *visit) error {
	app, show := v.path("name"), u.deployments
	if v.path("id") != "" {
		show = u.deployment
	}
	d, _, err := u.control.Rollback(v.ctx(), v.actor, app, control.RollbackWish{Deployment: v.path("id"), Acknowledge: v.form.Values["acknowledge"]})
	if err != nil {
		return v.again(err, show)
	}
	return v.see(deploymentAt(app, d.ID), "")
}
