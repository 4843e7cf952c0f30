package ui

import (
	"context"
	"net/url"
	"strings"

	"github.com/serverplane/serverplane/internal/control"
	"github.com/serverplane/serverplane/internal/plane"
)

// AppVerbs are the verbs about apps; one app alone is asked of MeshVerbs.
type AppVerbs interface {
	AppsAfter(ctx context.Context, actor plane.Actor, after string, limit int) ([]control.AppView, error)
	CreateApp(ctx context.Context, actor plane.Actor, w control.AppWish) (plane.App, *plane.Run, error)
	Kinds() []plane.Definition
	ProposeKind(ctx context.Context, actor plane.Actor, w control.AppWish) (plane.Proposal, error)
	RemoveApp(ctx context.Context, actor plane.Actor, name string) (plane.Run, error)
	Backends(ctx context.Context, actor plane.Actor, app string) ([]control.BackendView, error)
}

func appHome(name string) string { return "/apps/" + url.PathEscape(name) }

// tabs is the row of an app's pages.
type tabs struct {
	App, Here string
}

type appsView struct {
	page
	listed
	Apps []control.AppView
}

func (u *UI) apps(v *visit) error {
	after := v.query("after")
	shown, err := u.loadApps(v, after)
	if err != nil {
		return err
	}
	shown.base().Stream = streamOf("apps", after, 0)
	return u.show(v, "apps.html", shown)
}

func (u *UI) loadApps(v *visit, after string) (view, error) {
	all, err := u.control.AppsAfter(v.ctx(), v.actor, after, listShown+1)
	shown := &appsView{page: u.page(v, "Apps")}
	shown.Apps, shown.listed = cutList(all, "/apps", after, func(a control.AppView) string { return a.Name })
	shown.Area = "apps"
	return shown, err
}

type newAppView struct {
	page
	Servers []string
	Kinds   []plane.Definition
	Found   *plane.Proposal // the panel has looked at the repository just now
}

func (u *UI) newApp(v *visit) error { return u.showNewApp(v, nil) }

func (u *UI) showNewApp(v *visit, found *plane.Proposal) error {
	servers, err := u.control.Servers(v.ctx(), v.actor)
	if err != nil {
		return err
	}
	shown := &newAppView{page: u.page(v, "Create app"), Kinds: u.control.Kinds(), Found: found}
	shown.Area = "apps"
	for _, s := range servers {
		if s.State == plane.ServerReady {
			shown.Servers = append(shown.Servers, s.Name)
		}
	}
	return u.show(v, "app-new.html", shown)
}

func (u *UI) createApp(v *visit) error {
	f := v.form
	options, err := pairs(f.Lines("option"))
	if err != nil {
		return v.again(err, u.newApp)
	}
	wish := control.AppWish{
		Name: word(f, "name"), Server: word(f, "server"), Kind: plane.Kind(word(f, "kind")), Repository: word(f, "repository"), Branch: word(f, "branch"),
		Domains: f.Lines("domains"), NoDeploy: f.Checked("no_deploy"), Acknowledge: f.Values["acknowledge"],
		Spec: plane.Spec{
			Root: word(f, "root"), Build: f.Lines("build"), Start: word(f, "start"), RunOnce: f.Lines("run_once"),
			HealthPath: word(f, "health_path"), Options: options,
		},
	}
	if wish.Kind == "" {
		return u.proposeKind(v, wish)
	}
	app, run, err := u.control.CreateApp(v.ctx(), v.actor, wish)
	if err != nil {
		return v.again(err, u.newApp)
	}
	if run == nil {
		return v.see(appHome(app.Name), "")
	}
	return v.see(appHome(app.Name)+"/deployments/"+run.DeploymentID, "")
}

// proposeKind shows the form again with the kind that the repository looks like; the person decides.
func (u *UI) proposeKind(v *visit, wish control.AppWish) error {
	found, err := u.control.ProposeKind(v.ctx(), v.actor, wish)
	if err != nil {
		return v.again(err, u.newApp)
	}
	v.form.Values.Set("kind", string(found.Kind))
	v.form.Values.Set("option", optionsOf(found.Spec.Options))
	if len(found.Build) > 0 {
		v.form.Values.Set("build", textOf(found.Spec.Build)) // what the kind does by itself stays unsaid: another one may be chosen
	}
	if found.Health != "" {
		v.form.Values.Set("health_path", found.Spec.HealthPath)
	}
	return u.showNewApp(v, &found)
}

// pairs reads lines of the form name=value.
func pairs(lines []string) (map[string]string, error) {
	out := map[string]string{}
	for _, line := range lines {
		name, value, found := strings.Cut(line, "=")
		if !found {
			return nil, plane.Invalid("option", "must be name=value, one on a line", "for example drain=30s")
		}
		out[strings.TrimSpace(name)] = strings.TrimSpace(value)
	}
	if len(out) == 0 {
		return nil, nil
	}
	return out, nil
}

// word is a field of one line.
func word(f Form, name string) string { return strings.TrimSpace(f.Value(name)) }

type appView struct {
	page
	Tabs        tabs
	App         control.AppView
	Backends    []control.BackendView
	Deployments []plane.Deployment // the newest few
}

const recentShown = 5

func (u *UI) app(v *visit) error {
	shown, err := u.loadApp(v, v.path("name"))
	if err != nil {
		return err
	}
	shown.base().Stream = streamOf("app", v.path("name"), 0)
	return u.show(v, "app.html", shown)
}

func (u *UI) loadApp(v *visit, name string) (view, error) {
	a, err := u.control.App(v.ctx(), v.actor, name)
	if err != nil {
		return nil, err
	}
	backends, err := u.control.Backends(v.ctx(), v.actor, name)
	if err != nil {
		return nil, err
	}
	recent, err := u.control.Deployments(v.ctx(), v.actor, name, "", recentShown)
	shown := &appView{page: u.page(v, a.Name), Tabs: tabs{a.Name, "overview"}, App: a, Backends: backends, Deployments: recent}
	shown.Area = "apps"
	return shown, err
}

func (u *UI) removeApp(v *visit) error {
	name := v.path("name")
	if err := v.confirmed(name); err != nil {
		return v.again(err, u.app)
	}
	run, err := u.control.RemoveApp(v.ctx(), v.actor, name)
	if err != nil {
		return v.again(err, u.app)
	}
	return v.see("/runs/"+run.ID, "")
}
