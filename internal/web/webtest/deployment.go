package webtest

import (
	"context"
	"fmt"
	"time"

	"github.com/serverplane/serverplane/internal/control"
	"github.com/serverplane/serverplane/internal/plane"
)

func deployment() plane.Deployment {
	return plane.Deployment{
		ID: "dep_1", AppID: "app_1", RunID: "run_1", Trigger: plane.TriggerManual, Ref: "main", Commit: "0123456789012345678901234567890123456789",
		Author: "Ann", Subject: "Begin", ReleaseID: "20260304050607-0123456", Slot: plane.SlotA, Variables: []byte("hunter2"),
		Parts: []plane.Part{{Server: "s1", State: plane.PartLive, Since: At()}},
		State: plane.DeploymentCompleted, Actor: "me@example.com", CreatedAt: At(), StartedAt: At(), LiveAt: At(), FinishedAt: At().Add(time.Minute),
	}
}

// Deploy starts the Run.
func (p *Panel) Deploy(_ context.Context, _ plane.Actor, app string, w control.DeployWish) (plane.Deployment, plane.Run, error) {
	p.about("Deploy", app)
	run, err := p.start("Deploy", w)
	return deployment(), run, err
}

// Deployments answers one.
func (p *Panel) Deployments(_ context.Context, _ plane.Actor, app, before string, limit int) ([]plane.Deployment, error) {
	p.about("Deployments", app)
	return []plane.Deployment{deployment()}, p.called("Deployments", fmt.Sprintf("%s %d", before, limit))
}

// Deployment answers one.
func (p *Panel) Deployment(_ context.Context, _ plane.Actor, id string) (control.DeploymentView, error) {
	return control.DeploymentView{
		Deployment: deployment(), AppName: "web", Live: true, Elapsed: time.Minute, Expected: 50 * time.Second, ExpectedLive: 20 * time.Second,
		Steps: []control.StepView{{Name: "fetch the commit", State: control.StepDone, StartedAt: At(), Took: time.Minute, Expected: 50 * time.Second}},
	}, p.called("Deployment", id)
}

// Rollback starts the Run.
func (p *Panel) Rollback(_ context.Context, _ plane.Actor, app string, w control.RollbackWish) (plane.Deployment, plane.Run, error) {
	p.about("Rollback", app)
	run, err := p.start("Rollback", w)
	return deployment(), run, err
}

// CancelDeployment answers the Run.
func (p *Panel) CancelDeployment(_ context.Context, _ plane.Actor, id string) (plane.Run, error) {
	return p.start("CancelDeployment", id)
}
