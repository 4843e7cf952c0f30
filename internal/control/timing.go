package control

import (
	"context"
	"slices"
	"time"

	"github.com/serverplane/serverplane/internal/plane"
	"github.com/serverplane/serverplane/internal/store"
)

// expectFrom is how many completed deployments an expectation is made of.
const expectFrom = 5

func (c *Control) viewDeployment(ctx context.Context, tx *store.Tx, d plane.Deployment) (DeploymentView, error) {
	a, err := tx.App(ctx, d.AppID)
	if err != nil {
		return DeploymentView{}, err
	}
	expected, err := expectation(ctx, tx, d)
	if err != nil {
		return DeploymentView{}, err
	}
	end := d.FinishedAt
	if !d.State.Ended() {
		end = c.now().UTC()
	}
	steps, err := stepTimes(ctx, tx, d.RunID, end)
	view := DeploymentView{
		Deployment: d, AppName: a.Name, Live: a.LiveID == d.ID,
		Expected: expected.Total, ExpectedLive: expected.Live, Steps: viewSteps(d, steps, expected),
	}
	if !d.StartedAt.IsZero() {
		view.Elapsed = end.Sub(d.StartedAt)
	}
	return view, err
}

// expectation is made of the last deployments before this one that completed and
// did the same kind of work: to build takes longer than to start what is built.
func expectation(ctx context.Context, tx *store.Tx, d plane.Deployment) (plane.Expectation, error) {
	older, err := tx.Deployments(ctx, d.AppID, d.ID, 50)
	if err != nil {
		return plane.Expectation{}, err
	}
	alike := slices.DeleteFunc(older, func(o plane.Deployment) bool {
		return o.State != plane.DeploymentCompleted || (o.SourceID == "") != (d.SourceID == "")
	})
	alike = alike[:min(len(alike), expectFrom)]
	steps := make([][]plane.StepTime, len(alike))
	for i, o := range alike {
		if steps[i], err = stepTimes(ctx, tx, o.RunID, o.FinishedAt); err != nil {
			return plane.Expectation{}, err
		}
	}
	return plane.Expect(alike, steps), nil
}

func stepTimes(ctx context.Context, tx *store.Tx, run string, end time.Time) ([]plane.StepTime, error) {
	begins, err := tx.Steps(ctx, run)
	return plane.StepTimes(begins, end), err
}

// viewSteps is what was done, what is done now and, while it goes on, what is
// still to come.
func viewSteps(d plane.Deployment, done []plane.StepTime, expected plane.Expectation) []StepView {
	out := make([]StepView, 0, max(len(done), len(expected.Steps)))
	for i, s := range done {
		state := StepDone
		if i == len(done)-1 {
			state = lastStep(d.State)
		}
		out = append(out, StepView{Name: s.Name, State: state, StartedAt: s.StartedAt, Took: s.Took, Expected: expected.Step(s.Name)})
	}
	if d.State.Ended() {
		return out
	}
	for _, s := range expected.Steps {
		if !slices.ContainsFunc(done, func(o plane.StepTime) bool { return o.Name == s.Name }) {
			out = append(out, StepView{Name: s.Name, State: StepWaiting, Expected: s.Took})
		}
	}
	return out
}

func lastStep(s plane.DeploymentState) StepState {
	switch {
	case s == plane.DeploymentCompleted:
		return StepDone
	case s.Ended():
		return StepFailed
	}
	return StepRunning
}
