package ui

import (
	"context"
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
	d, _, err := u.control.Deploy(v.ctx(), v.actor, app, control.DeployWish{Ref: word(v.form, "ref"), Rebuild: v.form.Checked("rebuild")})
	if err != nil {
		return v.again(err, u.deployments)
	}
	return v.see(deploymentAt(app, d.ID), "")
}

type deploymentView struct {
	page
	Tabs   tabs
	App    control.AppView
	D      control.DeploymentView
	Steps  []Step
	Cancel bool // it can be asked to stop
	Back   bool // the app can go back to it
}

func (u *UI) deployment(v *visit) error {
	shown, err := u.loadDeployment(v, v.path("name")+" "+v.path("id"))
	if err != nil {
		return err
	}
	shown.base().Stream = streamOf("deployment", v.path("name")+" "+v.path("id"), 0)
	return u.show(v, "deployment.html", shown)
}

// loadDeployment reads one deployment; of is the app's name and the id.
func (u *UI) loadDeployment(v *visit, of string) (view, error) {
	name, id, _ := strings.Cut(of, " ")
	a, err := u.control.App(v.ctx(), v.actor, name)
	if err != nil {
		return nil, err
	}
	d, err := u.control.Deployment(v.ctx(), v.actor, id)
	if err != nil {
		return nil, err
	}
	if d.AppID != a.ID {
		return nil, plane.NotFound("deployment", id)
	}
	shown := &deploymentView{page: u.page(v, "Deployment of "+a.Name), Tabs: tabs{a.Name, "deployments"}, App: a, D: d, Steps: stepsOfDeployment(d)}
	shown.Area = "apps"
	shown.Cancel = !d.State.Ended()
	shown.Back = d.State == plane.DeploymentCompleted && !d.Live
	return shown, nil
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
	d, _, err := u.control.Rollback(v.ctx(), v.actor, app, control.RollbackWish{Deployment: v.path("id")})
	if err != nil {
		return v.again(err, show)
	}
	return v.see(deploymentAt(app, d.ID), "")
}
