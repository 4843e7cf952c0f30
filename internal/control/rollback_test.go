package control_test

import (
	"context"
	"fmt"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/serverplane/serverplane/internal/control"
	"github.com/serverplane/serverplane/internal/plane"
	"github.com/serverplane/serverplane/internal/store"
)

// past plays the runner: the app's deployments so far, oldest first, the last
// completed one live. Each builds a release of its own and takes n seconds, one
// second of it until the next step.
func (p *panel) past(app string, states ...plane.DeploymentState) []plane.Deployment {
	p.Helper()
	var all []plane.Deployment
	for _, state := range states {
		i := p.count("deployments")
		d, run, err := p.Deploy(p.Context(), ann, app, control.DeployWish{})
		if err != nil {
			p.Fatal(err)
		}
		p.finish(run.ID)
		d.Commit = fmt.Sprintf("%07x", i) + "012345678901234567890123456789012"
		d.ReleaseID, d.Slot, d.State = fmt.Sprintf("2026070112%02d00-%07x", i, i), plane.SlotA, state
		d.StartedAt = d.CreatedAt
		d.LiveAt, d.FinishedAt = d.StartedAt.Add(time.Duration(i+2)*time.Second), d.StartedAt.Add(time.Duration(i+10)*time.Second)
		p.goneThrough(d, run.ID)
		all = append(all, d)
	}
	return all
}

func (p *panel) goneThrough(d plane.Deployment, run string) {
	p.Helper()
	p.write(func(ctx context.Context, tx *store.Tx) error {
		_, err := tx.AppendEvents(ctx, run, []plane.Event{
			{Time: d.StartedAt, Kind: plane.EventStep, Step: "fetch", Text: "fetch"}, {Time: d.StartedAt, Kind: plane.EventOutput, Text: "x"},
			{Time: d.StartedAt.Add(time.Second), Kind: plane.EventStep, Step: "build", Text: "build"},
		})
		if err != nil {
			return err
		}
		if err := tx.UpdateDeployment(ctx, d); err != nil || d.State != plane.DeploymentCompleted {
			return err
		}
		if err := tx.SetLive(ctx, d.AppID, d.Slot, d.ID); err != nil {
			return err
		}
		return tx.SetAppState(ctx, d.AppID, plane.AppLive, "", p.now())
	})
}

// completed plays the runner for a deployment that is queued.
func (p *panel) completed(d plane.Deployment, run plane.Run) {
	p.Helper()
	p.finish(run.ID)
	d.State, d.Slot, d.StartedAt, d.LiveAt, d.FinishedAt = plane.DeploymentCompleted, plane.SlotB, d.CreatedAt, d.CreatedAt.Add(time.Second), d.CreatedAt.Add(3*time.Second)
	p.goneThrough(d, run.ID)
}

func newRolling(t *testing.T, states ...plane.DeploymentState) (*panel, []plane.Deployment) {
	t.Helper()
	p := newPanel(t)
	p.ready(1)
	p.app("web")
	return p, p.past("web", states...)
}

func (p *panel) rollback(w control.RollbackWish) (plane.Deployment, plane.Run) {
	p.Helper()
	d, run, err := p.Rollback(p.Context(), ann, "web", w)
	if err != nil {
		p.Fatal(err)
	}
	return d, run
}

func (p *panel) refusesRollback(what string, code plane.Code, field string, w control.RollbackWish) {
	p.Helper()
	p.refuses(what, code, field, func(ctx context.Context) error {
		_, _, err := p.Rollback(ctx, ann, "web", w)
		return err
	})
}

const (
	completed = plane.DeploymentCompleted
	failed    = plane.DeploymentFailed
)

// TestRollbackGoesToWhatWasLiveBefore: what failed was never live; going back
// once more leads to where it came from.
func TestRollbackGoesToWhatWasLiveBefore(t *testing.T) {
	p, all := newRolling(t, completed, completed, failed, plane.DeploymentReverted, plane.DeploymentCancelled)
	d, run := p.rollback(control.RollbackWish{})
	first := all[0]
	if d.Trigger != plane.TriggerRollback || d.SourceID != first.ID || d.ReleaseID != first.ReleaseID || d.Commit != first.Commit || d.Ref != first.Commit {
		t.Errorf("goes back to %+v, want %s", d, first.ID)
	}
	if run.Kind != plane.RunDeploy || run.DeploymentID != d.ID || !slices.Contains(run.Locks, plane.AppLock(d.AppID)) {
		t.Errorf("the Run is %+v", run)
	}
	if a := p.lastAudit(); a.Action != "app.rollback" || a.Subject != "web" || a.Detail != "to "+first.ID+" (0000000)" {
		t.Errorf("the audit log says %+v", a)
	}
	p.completed(d, run)
	if again, _ := p.rollback(control.RollbackWish{}); again.SourceID != all[1].ID {
		t.Errorf("again goes to %s, want %s", again.SourceID, all[1].ID)
	}
}

// TestRollbackIsTodaysVariablesWithThatCodesCommands: variables, health path and
// drain are the app's, build and start belong to the code.
func TestRollbackIsTodaysVariablesWithThatCodesCommands(t *testing.T) {
	p, _ := newRolling(t, completed)
	start, path := "node new.js", "/up"
	build := []string{"make"}
	if _, err := p.ChangeApp(t.Context(), ann, "web", control.AppChange{Start: &start, Build: &build, HealthPath: &path, Options: map[string]string{"drain": "7s"}}); err != nil {
		t.Fatal(err)
	}
	p.past("web", completed)
	if err := p.SetVariables(t.Context(), ann, "web", map[string]string{"A": "today"}); err != nil {
		t.Fatal(err)
	}
	list, err := p.Deployments(t.Context(), ann, "web", "", 10)
	if err != nil || len(list) != 2 {
		t.Fatal(list, err)
	}
	d, run := p.rollback(control.RollbackWish{Deployment: list[1].ID})
	if d.Spec.Start != "npm start" || !slices.Equal(d.Spec.Build, list[1].Spec.Build) || d.Spec.HealthPath != "/up" || d.Spec.Drain() != 7*time.Second {
		t.Errorf("%+v", d.Spec)
	}
	p.completed(d, run)
	if view, err := p.App(t.Context(), ann, "web"); err != nil || !view.Unapplied {
		t.Errorf("the app's newer start command is not in force, and nobody says so: %v", err)
	}
}

// TestRollbackSkipsApplicationsOfVariables: the same release with other variables
// is no step back, for variables are always today's.
func TestRollbackSkipsApplicationsOfVariables(t *testing.T) {
	p, all := newRolling(t, completed, completed)
	if err := p.SetVariables(t.Context(), ann, "web", map[string]string{"A": "1"}); err != nil {
		t.Fatal(err)
	}
	run, err := p.ApplyVariables(t.Context(), ann, "web", nil)
	if err != nil || run == nil {
		t.Fatal(run, err)
	}
	applied, err := p.Deployment(t.Context(), ann, run.DeploymentID)
	if err != nil || applied.SourceID != all[1].ID {
		t.Fatalf("%+v, %v", applied, err)
	}
	p.completed(applied.Deployment, *run)
	if d, _ := p.rollback(control.RollbackWish{}); d.SourceID != all[0].ID {
		t.Errorf("goes back to %s, want %s", d.SourceID, all[0].ID)
	}
}

func TestRollbackRefuses(t *testing.T) {
	p := newPanel(t)
	p.ready(1)
	p.app("web")
	p.refusesRollback("nothing deployed", plane.CodeConflict, "", control.RollbackWish{})
	all := p.past("web", completed)
	p.refusesRollback("nothing before", plane.CodeConflict, "", control.RollbackWish{})
	p.refusesRollback("what is live", plane.CodeConflict, "", control.RollbackWish{Deployment: all[0].ID})
	p.refusesRollback("no such deployment", plane.CodeNotFound, "deployment", control.RollbackWish{Deployment: "dep_none"})
	p.refusesRollback("no id at all", plane.CodeNotFound, "deployment", control.RollbackWish{Deployment: "'; drop\x00"})
	if _, _, err := p.CreateApp(t.Context(), ann, wishedApp("shop", "shop.example.com")); err != nil {
		t.Fatal(err)
	}
	others := p.past("shop", completed)
	p.refusesRollback("another app's", plane.CodeNotFound, "deployment", control.RollbackWish{Deployment: others[0].ID})
	p.refusesRollback("without the primary", plane.CodeConflict, "", control.RollbackWish{Without: []string{"s1"}})
}

func TestRollbackRefusesWhatNeverWasLive(t *testing.T) {
	p, all := newRolling(t, completed, failed, completed)
	p.refusesRollback("one that failed", plane.CodeConflict, "", control.RollbackWish{Deployment: all[1].ID})
	p.refusesRollback("without the primary", plane.CodeInvalid, "without", control.RollbackWish{Without: []string{"s1"}})
	d, _, err := p.Deploy(t.Context(), ann, "web", control.DeployWish{})
	if err != nil {
		t.Fatal(err)
	}
	p.refusesRollback("unclear what before means", plane.CodeConflict, "", control.RollbackWish{})
	if named, _ := p.rollback(control.RollbackWish{Deployment: all[0].ID}); named.SourceID != all[0].ID || named.ID == d.ID {
		t.Errorf("a named one waits its turn: %+v", named)
	}
}

// TestRollbackCutsTheDrainShort: the live deployment still lets its old slot
// finish; it is asked to end that, so that the slot to go back to still runs.
func TestRollbackCutsTheDrainShort(t *testing.T) {
	p, all := newRolling(t, completed)
	d, run, err := p.Deploy(t.Context(), ann, "web", control.DeployWish{})
	if err != nil {
		t.Fatal(err)
	}
	p.claim(run.ID)
	d.State, d.Slot, d.ReleaseID, d.StartedAt, d.LiveAt = plane.DeploymentVerifying, plane.SlotB, "20260701130000-bbbbbbb", p.now(), p.now()
	p.write(func(ctx context.Context, tx *store.Tx) error {
		if err := tx.UpdateDeployment(ctx, d); err != nil {
			return err
		}
		return tx.SetLive(ctx, d.AppID, d.Slot, d.ID)
	})
	asked, stop := p.hub.Subscribe(control.TopicCancel(run.ID))
	defer stop()
	back, waiting := p.rollback(control.RollbackWish{})
	if back.SourceID != all[0].ID {
		t.Errorf("goes back to %s, want %s", back.SourceID, all[0].ID)
	}
	select {
	case <-asked:
	default:
		t.Error("nobody told the Run that waits")
	}
	if view, err := p.Control.Run(t.Context(), ann, run.ID); err != nil || !view.Cancel {
		t.Errorf("the Run was not asked: %+v, %v", view, err)
	}
	if view, err := p.Control.Run(t.Context(), ann, waiting.ID); err != nil || view.WaitsFor == "" {
		t.Errorf("the rollback does not wait: %+v, %v", view, err)
	}
}

// TestExpectedTimeIsTheMedianOfTheLastOnesAlike: those that failed tell nothing,
// and starting what is built is another kind of work than building.
func TestExpectedTimeIsTheMedianOfTheLastOnesAlike(t *testing.T) {
	p, _ := newRolling(t, completed, failed, completed, completed)
	back, run := p.rollback(control.RollbackWish{})
	if view, err := p.Deployment(t.Context(), ann, back.ID); err != nil || view.Expected != 0 || len(view.Steps) != 0 || view.Elapsed != 0 {
		t.Errorf("nothing alike was completed: %+v, %v", view, err)
	}
	p.completed(back, run)
	d, run, err := p.Deploy(t.Context(), ann, "web", control.DeployWish{})
	if err != nil {
		t.Fatal(err)
	}
	view, err := p.Deployment(t.Context(), ann, d.ID)
	if err != nil || view.Expected != 12*time.Second || view.ExpectedLive != 4*time.Second || view.AppName != "web" || view.Live {
		t.Errorf("%+v, %v", view, err)
	}
	want := []control.StepView{
		{Name: "fetch", State: control.StepWaiting, Expected: time.Second}, {Name: "build", State: control.StepWaiting, Expected: 11 * time.Second},
	}
	if !reflect.DeepEqual(view.Steps, want) {
		t.Errorf("%+v, want %+v", view.Steps, want)
	}
	p.claim(run.ID)
	d.State, d.StartedAt = plane.DeploymentPreparing, p.now()
	p.write(func(ctx context.Context, tx *store.Tx) error {
		_, err := tx.AppendEvents(ctx, run.ID, []plane.Event{{Time: d.StartedAt, Kind: plane.EventStep, Step: "fetch", Text: "fetch"}})
		if err != nil {
			return err
		}
		return tx.UpdateDeployment(ctx, d)
	})
	view, err = p.Deployment(t.Context(), ann, d.ID)
	if err != nil || view.Elapsed <= 0 || len(view.Steps) != 2 || view.Steps[0].State != control.StepRunning || view.Steps[1].State != control.StepWaiting {
		t.Errorf("%+v, %v", view, err)
	}
	if view.Steps[0].Took != view.Elapsed || view.Steps[0].Expected != time.Second {
		t.Errorf("%+v, elapsed %s", view.Steps[0], view.Elapsed)
	}
}

// TestOptionsAndRepositoryChange: an option that is not named stays, an empty one
// goes back to its default, one that does not exist is refused.
func TestOptionsAndRepositoryChange(t *testing.T) {
	p := newPanel(t)
	p.ready(1)
	p.app("web")
	set := func(c control.AppChange) plane.App {
		a, err := p.ChangeApp(t.Context(), ann, "web", c)
		if err != nil {
			t.Error(err)
		}
		return a
	}
	address := "https://example.com/moved.git"
	if a := set(control.AppChange{Repository: &address, Options: map[string]string{"drain": "5s"}}); a.Repository != address || a.Spec.Drain() != 5*time.Second {
		t.Errorf("%+v", a)
	}
	if a := set(control.AppChange{Start: &address}); a.Spec.Drain() != 5*time.Second {
		t.Errorf("%+v", a.Spec)
	}
	if a := set(control.AppChange{Options: map[string]string{"drain": ""}}); a.Spec.Drain() != plane.DefaultDrain {
		t.Errorf("%+v", a.Spec)
	}
	for field, c := range map[string]control.AppChange{
		"option": {Options: map[string]string{"colour": "red"}}, "repository": {Repository: new(string)},
	} {
		p.refuses(field, plane.CodeInvalid, field, func(ctx context.Context) error { _, err := p.ChangeApp(ctx, ann, "web", c); return err })
	}
}
