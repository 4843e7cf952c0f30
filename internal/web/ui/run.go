package ui

import (
	"context"
	"net/http"
	"net/url"
	"time"

	"github.com/serverplane/serverplane/internal/auth"
	"github.com/serverplane/serverplane/internal/control"
	"github.com/serverplane/serverplane/internal/plane"
)

// RunVerbs are the verbs about Runs and their logs.
type RunVerbs interface {
	Runs(ctx context.Context, actor plane.Actor, f control.RunFilter) ([]control.RunView, error)
	Run(ctx context.Context, actor plane.Actor, id string) (control.RunView, error)
	RunSteps(ctx context.Context, actor plane.Actor, id string) ([]plane.Event, int64, error)
	Events(ctx context.Context, actor plane.Actor, runID string, after int64, wait time.Duration) ([]plane.Event, error)
	CancelRun(ctx context.Context, actor plane.Actor, id string) (control.RunView, error)
}

const runsShown = 50 // on one page of the list

type runsView struct {
	page
	Runs   []control.RunView
	States []choice // by which the list can be narrowed
	App    string
	Next   string // address of the older ones, or empty
	Older  bool   // this is not the first page
}

// choice is one link of a row of filters.
type choice struct {
	Text, Address string
	Here          bool
}

func (u *UI) runs(v *visit) error {
	shown, err := u.loadRuns(v, v.r.URL.RawQuery)
	if err != nil {
		return err
	}
	if v.query("before") == "" {
		shown.base().Stream = streamOf("runs", v.r.URL.RawQuery, 0)
	}
	return u.show(v, "runs.html", shown)
}

// loadRuns reads the filter out of the page's own query.
func (u *UI) loadRuns(v *visit, query string) (view, error) {
	q, err := url.ParseQuery(query)
	if err != nil {
		return nil, plane.Invalid("", "the address cannot be read", "begin at the list of Runs")
	}
	f := control.RunFilter{App: q.Get("app"), State: plane.RunState(q.Get("state")), Before: q.Get("before"), Limit: runsShown + 1}
	runs, err := u.control.Runs(v.ctx(), v.actor, f)
	if err != nil {
		return nil, err
	}
	shown := &runsView{page: u.page(v, "Runs"), Runs: runs, States: runChoices(f), App: f.App, Older: f.Before != ""}
	if len(runs) > runsShown {
		shown.Runs = runs[:runsShown]
		f.Before = runs[runsShown-1].ID
		shown.Next = runsAddress(f)
	}
	return shown, nil
}

func runChoices(f control.RunFilter) []choice {
	states := []plane.RunState{
		"", plane.RunRunning, plane.RunQueued, plane.RunFailed, plane.RunInterrupted, plane.RunSucceeded, plane.RunCancelled,
	}
	all := make([]choice, len(states))
	for i, s := range states {
		all[i] = choice{Text: string(s), Address: runsAddress(control.RunFilter{App: f.App, State: s}), Here: s == f.State}
	}
	all[0].Text = "all"
	return all
}

func runsAddress(f control.RunFilter) string {
	q := url.Values{}
	for name, value := range map[string]string{"app": f.App, "state": string(f.State), "before": f.Before} {
		if value != "" {
			q.Set(name, value)
		}
	}
	if len(q) == 0 {
		return "/runs"
	}
	return "/runs?" + q.Encode()
}

type runView struct {
	page
	Run      control.RunView
	Steps    []Step
	Elapsed  time.Duration // 0 before it began
	Expected time.Duration // 0: not known
	Percent  int
	Lines    []plane.Event
	Skipped  bool // lines before the first that is shown
	Cancel   bool // it can be asked to stop
	Repeat   bool // it can be begun again
}

// Heading says what the Run does, and to what.
func (r *runView) Heading() string { return runTitle(r.Run) }

// logShown is how many of a log's last lines a page begins with; the whole log
// has an address of its own.
const logShown = 500

func (u *UI) run(v *visit) error {
	shown, err := u.loadRunPage(v, v.path("id"))
	if err != nil {
		return err
	}
	return u.show(v, "run.html", shown)
}

// loadRunPage is loadRun with the log as it is now.
func (u *UI) loadRunPage(v *visit, id string) (*runView, error) {
	lines, last, err := u.lastLines(v, id)
	if err != nil {
		return nil, err
	}
	shown, err := u.readRun(v, id)
	if err != nil {
		return nil, err
	}
	shown.Lines, shown.Skipped = lines, skipped(lines)
	if !shown.Run.State.Ended() {
		shown.Stream = streamOf("run", id, last)
	}
	return shown, nil
}

// lastLines are the last lines of a Run's log and the seq of the last one.
func (u *UI) lastLines(v *visit, run string) ([]plane.Event, int64, error) {
	_, last, err := u.control.RunSteps(v.ctx(), v.actor, run)
	if err != nil {
		return nil, 0, err
	}
	lines, err := u.control.Events(v.ctx(), v.actor, run, max(0, last-logShown), 0)
	if n := len(lines); n > 0 {
		last = lines[n-1].Seq
	}
	return lines, last, err
}

func skipped(lines []plane.Event) bool { return len(lines) > 0 && lines[0].Seq > 1 }

func (u *UI) loadRun(v *visit, id string) (view, error) { return u.readRun(v, id) }

func (u *UI) readRun(v *visit, id string) (*runView, error) {
	run, err := u.control.Run(v.ctx(), v.actor, id)
	if err != nil {
		return nil, err
	}
	begun, _, err := u.control.RunSteps(v.ctx(), v.actor, id)
	if err != nil {
		return nil, err
	}
	shown := &runView{
		page: u.page(v, label(run.Kind)), Run: run, Steps: u.stepsOf(run, begun), Elapsed: u.elapsed(run), Percent: percent(run),
		Cancel: !run.State.Ended() && !run.Cancel && auth.Allow(v.actor.Role, auth.RunCancel),
		Repeat: run.State.Ended() && run.State != plane.RunSucceeded && mayRepeat(v.actor, run),
	}
	return shown, u.expect(v, shown)
}

// expect adds what is known of a deployment beforehand: the steps to come, and
// how long the last ones took.
func (u *UI) expect(v *visit, shown *runView) error {
	if shown.Run.Kind != plane.RunDeploy || shown.Run.DeploymentID == "" {
		return nil
	}
	d, err := u.control.Deployment(v.ctx(), v.actor, shown.Run.DeploymentID)
	if err != nil || len(d.Steps) < len(shown.Steps) {
		return err
	}
	shown.Expected, shown.Steps = d.Expected, stepsOfDeployment(d)
	return nil
}

func stepsOfDeployment(d control.DeploymentView) []Step {
	looks := map[control.StepState]string{
		control.StepDone: "good", control.StepRunning: "busy", control.StepFailed: "bad", control.StepWaiting: "off",
	}
	steps := make([]Step, len(d.Steps))
	for i, s := range d.Steps {
		steps[i] = Step{Text: s.Name, Look: looks[s.State]}
		switch {
		case s.State == control.StepWaiting && s.Expected > 0:
			steps[i].Note = "takes about " + lasting(s.Expected)
		case s.State == control.StepRunning && s.Expected > 0:
			steps[i].Note = lasting(s.Took) + " of about " + lasting(s.Expected)
		case s.State != control.StepWaiting:
			steps[i].Note = lasting(s.Took)
		}
	}
	return steps
}

// tailRun is what the log got since, for the stream.
func (u *UI) tailRun(v *visit, id string, seen int64) (any, int64, error) {
	lines, err := u.control.Events(v.ctx(), v.actor, id, seen, 0)
	if err != nil || len(lines) == 0 {
		return nil, 0, err
	}
	return lines, lines[len(lines)-1].Seq, nil
}

func (u *UI) elapsed(r control.RunView) time.Duration {
	switch {
	case r.StartedAt.IsZero():
		return 0
	case r.State.Ended():
		return r.FinishedAt.Sub(r.StartedAt)
	}
	return max(0, u.now().Sub(r.StartedAt))
}

func percent(r control.RunView) int {
	switch {
	case r.State == plane.RunSucceeded:
		return 100
	case r.Total == 0:
		return 0
	case r.State.Ended():
		return min(100, 100*r.Done/r.Total)
	}
	return min(99, 100*max(0, r.Done-1)/r.Total) // the step under way is not behind yet
}

// stepsOf tells of each step that began how it went and how long it took; only
// the last can be under way or have failed.
func (u *UI) stepsOf(r control.RunView, begun []plane.Event) []Step {
	steps := make([]Step, len(begun))
	for i, e := range begun {
		end, look := r.FinishedAt, "good"
		switch {
		case i+1 < len(begun):
			end = begun[i+1].Time
		case !r.State.Ended():
			end, look = u.now(), "busy"
		case r.State != plane.RunSucceeded:
			look = badge(r.State).Look
		}
		steps[i] = Step{Text: e.Text, Look: look, Note: lasting(max(0, end.Sub(e.Time)))}
	}
	return steps
}

// runLog is the whole log as plain text.
func (u *UI) runLog(v *visit) error {
	lines, err := u.control.Events(v.ctx(), v.actor, v.path("id"), 0, 0)
	if err != nil {
		return err
	}
	v.w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	answer := http.NewResponseController(v.w)
	for err == nil && len(lines) > 0 {
		_ = answer.SetWriteDeadline(time.Now().Add(writeTime)) // where it cannot be set, the server's own limit holds
		for _, e := range lines {
			if _, err := v.w.Write([]byte(plainLine(e))); err != nil {
				return nil //nolint:nilerr // the browser has gone
			}
		}
		lines, err = u.control.Events(v.ctx(), v.actor, v.path("id"), lines[len(lines)-1].Seq, 0)
	}
	if err != nil {
		u.log.ErrorContext(v.ctx(), "send a run's log", "run", v.path("id"), "error", err)
	}
	return nil
}

func plainLine(e plane.Event) string {
	line := stamp(e.Time) + " " + string(e.Kind) + " "
	if e.Server != "" {
		line += e.Server + ": "
	}
	return line + e.Text + "\n"
}

func (u *UI) cancelRun(v *visit) error {
	id := v.path("id")
	if _, err := u.control.CancelRun(v.ctx(), v.actor, id); err != nil {
		return u.runAgain(v, err)
	}
	return v.see("/runs/"+url.PathEscape(id), "cancelling")
}

// runAgain shows the Run's page with what was refused.
func (u *UI) runAgain(v *visit, err error) error { return v.again(err, u.run) }
