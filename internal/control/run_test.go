package control_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/serverplane/serverplane/internal/control"
	"github.com/serverplane/serverplane/internal/plane"
	"github.com/serverplane/serverplane/internal/store"
)

func TestCancelQueuedDeployment(t *testing.T) {
	p := newPanel(t)
	p.ready(1)
	p.app("web")
	d, run, err := p.Deploy(t.Context(), ann, "web", control.DeployWish{})
	if err != nil {
		t.Fatal(err)
	}
	hint, stop := p.hub.Subscribe(control.TopicRun(run.ID))
	defer stop()
	if got, err := p.CancelDeployment(t.Context(), ann, d.ID); err != nil || got.State != plane.RunCancelled {
		t.Fatalf("%+v, %v", got, err)
	}
	select {
	case <-hint:
	default:
		t.Error("those who follow the Run were not told")
	}
	got, err := p.Deployment(t.Context(), ann, d.ID)
	if err != nil || got.State != plane.DeploymentCancelled || got.FinishedAt.IsZero() || got.Reason == "" {
		t.Errorf("%+v, %v", got, err)
	}
	events, err := p.Events(t.Context(), ann, run.ID, 0, time.Hour)
	if err != nil || len(events) != 1 || events[0].Kind != plane.EventEnd {
		t.Errorf("%+v, %v", events, err)
	}
	p.refuses("what is over", plane.CodeConflict, "", func(ctx context.Context) error { _, err := p.CancelRun(ctx, ann, run.ID); return err })
	p.refuses("what never was", plane.CodeNotFound, "", func(ctx context.Context) error { _, err := p.CancelRun(ctx, ann, "run_x"); return err })
	p.refuses("no such deployment", plane.CodeNotFound, "", func(ctx context.Context) error { _, err := p.CancelDeployment(ctx, ann, "dep_x"); return err })
}

func TestCancelRunningOneOnlyAsks(t *testing.T) {
	p := newPanel(t)
	p.ready(1)
	p.app("web")
	d, run, err := p.Deploy(t.Context(), ann, "web", control.DeployWish{})
	if err != nil {
		t.Fatal(err)
	}
	p.claim(run.ID)
	asked, stop := p.hub.Subscribe(control.TopicCancel(run.ID))
	defer stop()
	view, err := p.CancelRun(t.Context(), ann, run.ID)
	if err != nil || view.State != plane.RunRunning || !view.Cancel {
		t.Errorf("%+v, %v", view, err)
	}
	select {
	case <-asked:
	default:
		t.Error("the runner was not told")
	}
	if got, err := p.Deployment(t.Context(), ann, d.ID); err != nil || got.State != plane.DeploymentQueued {
		t.Errorf("%+v, %v", got, err)
	}
}

func (p *panel) claim(id string) {
	p.Helper()
	p.write(func(ctx context.Context, tx *store.Tx) error {
		r, ok, err := tx.Claim(ctx, "panel-1", p.now(), time.Hour)
		if err == nil && (!ok || r.ID != id) {
			err = errors.New("another Run was claimed: " + r.ID)
		}
		return err
	})
}

func TestRunSaysWhatItWaitsFor(t *testing.T) {
	p := newPanel(t)
	p.ready(1)
	p.app("web")
	_, first, err := p.Deploy(t.Context(), ann, "web", control.DeployWish{})
	if err != nil {
		t.Fatal(err)
	}
	_, second, err := p.Deploy(t.Context(), ann, "web", control.DeployWish{Ref: "v2"})
	if err != nil {
		t.Fatal(err)
	}
	p.claim(first.ID)
	if view, err := p.Control.Run(t.Context(), ann, second.ID); err != nil || !strings.Contains(view.WaitsFor, first.ID) || view.AppName != "web" {
		t.Errorf("%+v, %v", view, err)
	}
	if view, err := p.Control.Run(t.Context(), ann, first.ID); err != nil || view.WaitsFor != "" {
		t.Errorf("%+v, %v", view, err)
	}
}

func TestDeployRefuses(t *testing.T) {
	p := newPanel(t)
	p.ready(1)
	p.app("web")
	for what, c := range map[string]struct {
		app, ref string
		code     plane.Code
	}{"an option": {"web", "--upload-pack=id", plane.CodeInvalid}, "a range": {"web", "a..b", plane.CodeInvalid}, "no app": {"nope", "main", plane.CodeNotFound}} {
		p.refuses(what, c.code, "", func(ctx context.Context) error {
			_, _, err := p.Deploy(ctx, ann, c.app, control.DeployWish{Ref: c.ref})
			return err
		})
	}
}

type told struct {
	events []plane.Event
	err    error
}

func TestEventsWaitAndWake(t *testing.T) {
	p := newPanel(t)
	p.ready(1)
	p.app("web")
	_, run, err := p.Deploy(t.Context(), ann, "web", control.DeployWish{})
	if err != nil {
		t.Fatal(err)
	}
	follow := func(ctx context.Context, after int64, wait time.Duration) <-chan told {
		out := make(chan told, 1)
		go func() {
			events, err := p.Events(ctx, ann, run.ID, after, wait)
			out <- told{events, err}
		}()
		return out
	}
	say := func(text string) {
		p.write(func(ctx context.Context, tx *store.Tx) error {
			_, err := tx.AppendEvents(ctx, run.ID, []plane.Event{{Time: p.now(), Kind: plane.EventLog, Text: text}})
			return err
		})
		p.hub.Publish(control.TopicRun(run.ID))
	}
	// Whether the line comes before or after the wait began, it is not missed.
	waiting := follow(t.Context(), 0, time.Hour)
	say("one")
	if got := <-waiting; got.err != nil || len(got.events) != 1 || got.events[0].Text != "one" || got.events[0].Seq != 1 {
		t.Fatalf("%+v", got)
	}
	waiting = follow(t.Context(), 1, time.Hour)
	p.hub.Publish(control.TopicRun(run.ID)) // a hint without news
	say("two")
	if got := <-waiting; got.err != nil || len(got.events) != 1 || got.events[0].Text != "two" {
		t.Fatalf("%+v", got)
	}
	if got := <-follow(t.Context(), 0, 0); len(got.events) != 2 {
		t.Fatalf("from the start: %+v", got)
	}
	if got := <-follow(t.Context(), 2, time.Millisecond); got.err != nil || len(got.events) != 0 {
		t.Fatalf("after its patience: %+v", got)
	}
	ctx, cancel := context.WithCancel(t.Context())
	waiting = follow(ctx, 2, time.Hour)
	cancel()
	if got := <-waiting; !errors.Is(got.err, context.Canceled) {
		t.Fatalf("the reader went away: %+v", got)
	}
	waiting = follow(t.Context(), 2, time.Hour)
	if _, err := p.CancelRun(t.Context(), ann, run.ID); err != nil {
		t.Fatal(err)
	}
	if got := <-waiting; got.err != nil || len(got.events) != 1 || got.events[0].Kind != plane.EventEnd {
		t.Fatalf("the end: %+v", got)
	}
	if got := <-follow(t.Context(), 3, time.Hour); got.err != nil || len(got.events) != 0 {
		t.Fatalf("after the end: %+v", got)
	}
	if _, err := p.Events(t.Context(), ann, "run_x", 0, time.Hour); plane.CodeOf(err) != plane.CodeNotFound {
		t.Errorf("no such Run: %v", err)
	}
}

// Dropped while queued, a switch that was interrupted would leave traffic on
// one slot and the book on the other.
func TestHalfSwitchedDeploymentIsNotDropped(t *testing.T) {
	p := newPanel(t)
	p.ready(1)
	p.app("web")
	d, run, err := p.Deploy(t.Context(), ann, "web", control.DeployWish{})
	if err != nil {
		t.Fatal(err)
	}
	for _, state := range []plane.DeploymentState{plane.DeploymentSwitching, plane.DeploymentVerifying} {
		d.State = state
		p.write(func(ctx context.Context, tx *store.Tx) error { return tx.UpdateDeployment(ctx, d) })
		p.refuses(string(state), plane.CodeConflict, "", func(ctx context.Context) error { _, err := p.CancelRun(ctx, ann, run.ID); return err })
	}
	p.claim(run.ID)
	if view, err := p.CancelRun(t.Context(), ann, run.ID); err != nil || !view.Cancel {
		t.Errorf("%+v, %v", view, err)
	}
}

func TestCancelQueuedProvisioningIsToldByTheServer(t *testing.T) {
	p := newPanel(t)
	s := p.add(1)
	runs, err := p.Runs(t.Context(), ann, control.RunFilter{})
	if err != nil || len(runs) != 1 {
		t.Fatalf("%+v, %v", runs, err)
	}
	if _, err := p.CancelRun(t.Context(), ann, runs[0].ID); err != nil {
		t.Fatal(err)
	}
	if now, err := p.Server(t.Context(), ann, s.Name); err != nil || now.State != plane.ServerPending || !strings.Contains(now.Reason, "cancelled") {
		t.Errorf("%+v, %v", now, err)
	}
}

// One database refuses bytes that another takes: 500 instead of 404. PostgreSQL
// is not at hand here, an id with a row that no id may have shows the same.
func TestIDsThatCannotBeAreNotAskedFor(t *testing.T) {
	p := newPanel(t)
	run := plane.Run{ID: "run_\x00", Kind: plane.RunDeploy, State: plane.RunQueued, CreatedAt: day}
	p.write(func(ctx context.Context, tx *store.Tx) error { return tx.Enqueue(ctx, run) })
	for what, ask := range map[string]func(context.Context) error{
		"run":        func(ctx context.Context) error { _, err := p.Control.Run(ctx, ann, run.ID); return err },
		"events":     func(ctx context.Context) error { _, err := p.Events(ctx, ann, run.ID, 0, 0); return err },
		"cancel":     func(ctx context.Context) error { _, err := p.CancelRun(ctx, ann, run.ID); return err },
		"deployment": func(ctx context.Context) error { _, err := p.Deployment(ctx, ann, "dep_\x00"); return err },
	} {
		p.refuses(what, plane.CodeNotFound, "", ask)
	}
}
