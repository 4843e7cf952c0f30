package ui_test

import (
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/serverplane/serverplane/internal/control"
	"github.com/serverplane/serverplane/internal/plane"
)

func TestRunsAreNarrowedAndPaged(t *testing.T) {
	l := newLab(t)
	l.as(plane.RoleViewer).Get("/runs?state=failed&app=web&before=run_9").Is(200, `href="/runs/run_1"`, `aria-current="page">failed`)
	want := control.RunFilter{App: "web", State: plane.RunFailed, Before: "run_9", Limit: 51}
	if diff := cmp.Diff(want, l.panel.Wish("Runs")); diff != "" {
		t.Error(diff)
	}
	l.as(plane.RoleViewer).Get("/runs").Is(200).Lacks("Older")
	l.panel.Repeat(60)
	l.as(plane.RoleViewer).Get("/runs?state=running").Is(200, `href="/runs?before=run_1&amp;state=running">Older`)
}

func TestRunShowsStepsLogAndProgress(t *testing.T) {
	l := newLab(t)
	l.panel.Say(plane.EventStep, "", "fetch the commit")
	l.panel.Say(plane.EventStep, "", "build and start")
	l.panel.Say(plane.EventOutput, "s1", "npm <ok>")
	page := l.as(plane.RoleAdmin).Get("/runs/run_1").Is(200, "Deploy: web", "fetch the commit", "npm &lt;ok&gt;", `aria-current="step"`,
		"Running for", "3 min 0 s", `/live?of=run_1&amp;page=run&amp;seen=3`, ">Cancel<")
	if page.Lacks(">Repeat<"); strings.Count(page.Body, `id="live-run"`) != 1 {
		t.Error("the live part is not there once")
	}
	l.as(plane.RoleViewer).Get("/runs/run_1").Is(200).Lacks(">Cancel<")
	log := l.as(plane.RoleViewer).Get("/runs/run_1/log").Is(200, "output s1: npm <ok>\n")
	if kind := log.Header.Get("Content-Type"); kind != "text/plain; charset=utf-8" {
		t.Errorf("the log comes as %s", kind)
	}
}

func TestRunThatFailedSaysWhyAndCanBeRepeated(t *testing.T) {
	l := newLab(t)
	l.panel.End(plane.RunFailed, "npm run build ended with 1")
	b := l.as(plane.RoleAdmin)
	b.Get("/runs/run_1").Is(200, "npm run build ended with 1.", ">Repeat<", "1 min 0 s").Lacks(">Cancel<", "/live?")
	b.Post("/runs/run_1/repeat").Leads("/runs/run_1")
	if got, ok := l.panel.Wish("Deploy").(control.DeployWish); !ok || got.Ref != "main" {
		t.Errorf("repeated as %+v", l.panel.Wish("Deploy"))
	}
	l.panel.Fail("Deploy", plane.Conflict("a deployment is under way", "wait for it"))
	b.Post("/runs/run_1/repeat").Is(409, "A deployment is under way.", "Wait for it.")
}

func TestRunUnderWayIsNotRepeated(t *testing.T) {
	l := newLab(t)
	l.as(plane.RoleOwner).Post("/runs/run_1/repeat").Is(409)
	if l.panel.Wish("Deploy") != nil {
		t.Error("it was repeated")
	}
}

func TestCancelRun(t *testing.T) {
	l := newLab(t)
	b := l.as(plane.RoleAdmin)
	b.Post("/runs/run_1/cancel").Leads("/runs/run_1")
	b.Get("/runs/run_1").Is(200, "Asked to stop.").Lacks(">Cancel<")
	l.panel.Fail("CancelRun", plane.Conflict("the run is over: failed", "there is nothing left to cancel"))
	b.Post("/runs/run_1/cancel").Is(409, "The run is over: failed.")
	l.panel.Fail("Run", plane.NotFound("run", "run_2"))
	b.Get("/runs/run_2").Is(404)
}

// A browser that comes back gets exactly what it has not seen.
func TestLogGoesOnWhereTheBrowserWas(t *testing.T) {
	l := newLab(t)
	for i := range 5 {
		l.panel.Say(plane.EventOutput, "s1", fmt.Sprintf("line %d", i+1))
	}
	next := l.stream(t.Context(), plane.RoleViewer, "/live?page=run&of=run_1&seen=1", "3")
	text := next() + next()
	if strings.Contains(text, "line 3") || !strings.Contains(text, "line 4") || !strings.Contains(text, "line 5") || !strings.Contains(text, "id: 5\n") {
		t.Errorf("came: %s", text)
	}
	l.panel.Say(plane.EventOutput, "s1", "line 6")
	l.hub.Publish(control.TopicRun("run_1"))
	for text = ""; !strings.Contains(text, "line 6"); {
		if text = next(); text == "" {
			t.Fatal("the line did not come")
		}
	}
	if strings.Contains(text, "line 5") || !regexp.MustCompile(`id: 6\n`).MatchString(text) {
		t.Errorf("came: %s", text)
	}
}
