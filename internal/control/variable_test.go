package control_test

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/serverplane/serverplane/internal/control"
	"github.com/serverplane/serverplane/internal/plane"
)

// inFiles tells whether the text is anywhere in the database's files.
func (p *panel) inFiles(text string) bool {
	p.Helper()
	found := false
	for _, suffix := range []string{"", "-wal"} {
		raw, err := os.ReadFile(p.path + suffix)
		if err != nil {
			p.Fatal(err)
		}
		found = found || bytes.Contains(raw, []byte(text))
	}
	return found
}

func (p *panel) variables() map[string]string {
	p.Helper()
	views, err := p.Variables(p.Context(), ann, "web", true)
	if err != nil {
		p.Fatal(err)
	}
	all := map[string]string{}
	for _, v := range views {
		all[v.Name] = v.Value
	}
	return all
}

func (p *panel) set(values map[string]string) {
	p.Helper()
	if err := p.SetVariables(p.Context(), ann, "web", values); err != nil {
		p.Fatal(err)
	}
}

func TestVariables(t *testing.T) {
	p := newPanel(t)
	p.ready(1)
	p.app("web")
	values := map[string]string{"APP_KEY": "hunter2-hunter2-hunter2", "MULTI": "a\nb\t\"c\" $d `e` \\ \u00e4 {{ x }}", "EMPTY": ""}
	p.set(values)
	if diff := cmp.Diff(values, p.variables()); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if p.inFiles("hunter2") {
		t.Error("a value is in the database in the clear")
	}
	if !p.inFiles("APP_KEY") {
		t.Error("the search in the files finds nothing at all")
	}
	masked, err := p.Variables(t.Context(), ann, "web", false)
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range masked {
		if v.Value != "" || v.Length != len(values[v.Name]) {
			t.Errorf("%s is shown as %+v", v.Name, v)
		}
	}
	p.set(map[string]string{"APP_KEY": "new"})
	if err := p.UnsetVariables(t.Context(), ann, "web", []string{"MULTI"}); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]string{"APP_KEY": "new", "EMPTY": ""}, p.variables()); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestRevealIsWrittenDown(t *testing.T) {
	p := newPanel(t)
	p.ready(1)
	p.app("web")
	p.set(map[string]string{"APP_KEY": "x"})
	if a := p.lastAudit(); a.Action != "env.set" || strings.Contains(fmt.Sprint(a), "APP_KEY=") {
		t.Errorf("%+v", a)
	}
	p.variables()
	if a := p.lastAudit(); a.Action != "env.reveal" || a.Subject != "web" || a.Email != ann.Email {
		t.Errorf("%+v", a)
	}
	before := p.count("audits")
	if _, err := p.Variables(t.Context(), ann, "web", false); err != nil || p.count("audits") != before {
		t.Errorf("looking without revealing: %v, %d more lines", err, p.count("audits")-before)
	}
}

func TestVariablesRefused(t *testing.T) {
	p := newPanel(t)
	p.ready(1)
	p.app("web")
	p.set(map[string]string{"KEEP": "1"})
	big := strings.Repeat("x", plane.MaxVariable)
	heap, many := map[string]string{}, map[string]string{}
	for i := range 11 {
		heap[fmt.Sprintf("V%d", i)] = big
	}
	for i := range control.MaxVariables {
		many[fmt.Sprintf("V%d", i)] = ""
	}
	for what, bad := range map[string]map[string]string{
		"reserved": {"PORT": "1"}, "a bad name": {"A-B": "1"}, "no name": {"": "1"}, "NUL": {"A": "\x00"}, "not UTF-8": {"A": "\xff"},
		"too long": {"A": big + "x"}, "too much together": heap, "too many": many,
	} {
		all := maps.Clone(bad)
		if len(all) == 1 {
			all["GOOD"] = "2" // must not be taken either
		}
		p.refuses(what, plane.CodeInvalid, "", func(ctx context.Context) error { return p.SetVariables(ctx, ann, "web", all) })
	}
	p.refuses("of no app", plane.CodeNotFound, "", func(ctx context.Context) error { return p.SetVariables(ctx, ann, "nope", map[string]string{"A": "1"}) })
	p.refuses("unset unknown", plane.CodeNotFound, "", func(ctx context.Context) error { return p.UnsetVariables(ctx, ann, "web", []string{"KEEP", "NOPE"}) })
}

func TestApplyVariables(t *testing.T) {
	p := newPanel(t)
	p.ready(1)
	p.app("web")
	apply := func(ctx context.Context) error { _, err := p.ApplyVariables(ctx, ann, "web", nil); return err }
	p.refuses("nothing deployed", plane.CodeConflict, "", apply)

	p.set(map[string]string{"A": "1"})
	live := p.live("web")
	unapplied := func() bool {
		view, err := p.App(t.Context(), ann, "web")
		if err != nil || view.Live == nil || view.Live.ID != live.ID {
			t.Fatalf("%+v, %v", view, err)
		}
		return view.Unapplied
	}
	nothing := func(what string) {
		t.Helper()
		runs := p.count("runs")
		run, err := p.ApplyVariables(t.Context(), ann, "web", nil)
		if err != nil || run != nil || p.count("runs") != runs || unapplied() {
			t.Errorf("%s: run %+v, %v", what, run, err)
		}
	}
	nothing("as deployed")
	p.set(map[string]string{"A": "1"})
	nothing("set to the same")

	p.set(map[string]string{"A": "2"})
	if !unapplied() {
		t.Error("the change is not shown")
	}
	run, err := p.ApplyVariables(t.Context(), ann, "web", nil)
	if err != nil || run == nil {
		t.Fatal(run, err)
	}
	d, err := p.Deployment(t.Context(), ann, run.DeploymentID)
	if err != nil || d.Trigger != plane.TriggerEnvironment || d.Commit != live.Commit || d.ReleaseID != live.ReleaseID {
		t.Errorf("%+v, %v", d, err)
	}
}

func TestNewStartCommandIsUnapplied(t *testing.T) {
	p := newPanel(t)
	p.ready(1)
	p.app("web")
	p.live("web")
	if _, err := p.ChangeApp(t.Context(), ann, "web", control.AppChange{Start: text("node .")}); err != nil {
		t.Fatal(err)
	}
	run, err := p.ApplyVariables(t.Context(), ann, "web", nil)
	if err != nil || run == nil {
		t.Errorf("%+v, %v", run, err)
	}
}

// A deployment holds its own copy: a wish recorded later does not change it.
func TestDeploymentKeepsItsOwnCopy(t *testing.T) {
	p := newPanel(t)
	p.ready(1)
	p.app("web")
	p.set(map[string]string{"SECRET_A": "swordfish-swordfish"})
	d, _, err := p.Deploy(t.Context(), ann, "web", control.DeployWish{Ref: "v1.2.0"})
	if err != nil || d.Ref != "v1.2.0" || d.Spec.Start != "npm start" {
		t.Fatalf("%+v, %v", d, err)
	}
	p.set(map[string]string{"SECRET_A": "changed"})
	if _, err := p.ChangeApp(t.Context(), ann, "web", control.AppChange{Start: text("node .")}); err != nil {
		t.Fatal(err)
	}
	got, err := p.Deployment(t.Context(), ann, d.ID)
	if err != nil || !bytes.Equal(got.Variables, d.Variables) || got.Spec.Start != "npm start" {
		t.Errorf("%+v, %v", got, err)
	}
	if p.inFiles("swordfish") {
		t.Error("the copy is in the clear")
	}
}
