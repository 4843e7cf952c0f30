package ui

import (
	"context"
	"net/url"

	"github.com/serverplane/serverplane/internal/auth"
	"github.com/serverplane/serverplane/internal/control"
	"github.com/serverplane/serverplane/internal/plane"
)

// RepeatVerbs are the verbs that begin again what a Run did not bring to its end.
type RepeatVerbs interface {
	ProvisionServer(ctx context.Context, actor plane.Actor, name string) (plane.Run, error)
	Deployment(ctx context.Context, actor plane.Actor, id string) (control.DeploymentView, error)
	Deploy(ctx context.Context, actor plane.Actor, app string, w control.DeployWish) (plane.Deployment, plane.Run, error)
	RemoveApp(ctx context.Context, actor plane.Actor, name string) (plane.Run, error)
}

// repeatable says which Runs can be begun again by one button, and who may.
// The others were told more than their kind, so they are repeated where they began.
var repeatable = map[plane.RunKind]auth.Permission{
	plane.RunProvision: auth.ServerWrite, plane.RunDeploy: auth.DeploymentWrite, plane.RunRemoveApp: auth.AppWrite,
}

func mayRepeat(a plane.Actor, r control.RunView) bool {
	p, known := repeatable[r.Kind]
	return known && auth.Allow(a.Role, p) && (r.AppName != "" || r.AppID == "") && len(r.ServerNames) > 0
}

func (u *UI) repeatRun(v *visit) error {
	was, err := u.control.Run(v.ctx(), v.actor, v.path("id"))
	if err != nil {
		return err
	}
	if err := may(v.actor, repeatable[was.Kind]); err != nil {
		return err
	}
	if !mayRepeat(v.actor, was) || !was.State.Ended() {
		return u.runAgain(v, plane.Conflict("this Run cannot be repeated from here", "begin it again where it began"))
	}
	run, err := u.beginAgain(v, was)
	if err != nil {
		return u.runAgain(v, err)
	}
	return v.see("/runs/"+url.PathEscape(run.ID), "")
}

func (u *UI) beginAgain(v *visit, was control.RunView) (plane.Run, error) {
	switch was.Kind {
	case plane.RunProvision:
		return u.control.ProvisionServer(v.ctx(), v.actor, was.ServerNames[0])
	case plane.RunRemoveApp:
		return u.control.RemoveApp(v.ctx(), v.actor, was.AppName)
	}
	d, err := u.control.Deployment(v.ctx(), v.actor, was.DeploymentID)
	if err != nil {
		return plane.Run{}, err
	}
	if d.Trigger != plane.TriggerManual && d.Trigger != plane.TriggerPush {
		return plane.Run{}, plane.Conflict("this deployment was an answer to something else: "+string(d.Trigger), "begin it again on the app's page")
	}
	_, run, err := u.control.Deploy(v.ctx(), v.actor, was.AppName, control.DeployWish{Ref: d.Ref})
	return run, err
}
