package control_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/serverplane/serverplane/internal/control"
	"github.com/serverplane/serverplane/internal/plane"
)

func TestCreateApp(t *testing.T) {
	p := newPanel(t)
	s := p.ready(1)
	wish := wishedApp("web", "www.example.com")
	wish.NoDeploy = false
	a, run, err := p.CreateApp(t.Context(), ann, wish)
	if err != nil {
		t.Fatal(err)
	}
	if a.State != plane.AppNew || a.ServerID != s.ID || a.Branch != "main" || a.Spec.Start != "npm start" || !strings.HasPrefix(a.DeployKey, "ssh-ed25519 ") {
		t.Errorf("stored as %+v", a)
	}
	if run == nil || run.Kind != plane.RunDeploy || run.Locks[0] != plane.AppLock(a.ID) || len(run.Servers) != 1 || run.Servers[0] != s.ID {
		t.Errorf("queued as %+v", run)
	}
	d, err := p.Deployment(t.Context(), ann, run.DeploymentID)
	if err != nil || d.RunID != run.ID || d.State != plane.DeploymentQueued || d.Trigger != plane.TriggerManual || d.Ref != "main" || d.Actor != ann.Email {
		t.Errorf("deployment %+v, %v", d, err)
	}
	backends, err := p.Backends(t.Context(), ann, "web")
	if err != nil || len(backends) != 1 || !backends[0].Primary || !backends[0].Enabled || backends[0].Placed || backends[0].State() != plane.BackendDeploying {
		t.Errorf("backends %+v, %v", backends, err)
	}
	if got := backends[0].Ports; got != (plane.Ports{ProcessA: 20001, ProcessB: 20002, SiteA: 20003, SiteB: 20004}) || backends[0].Address != "127.0.0.1:20003" {
		t.Errorf("ports %+v at %s", got, backends[0].Address)
	}
	if p.inFiles("OPENSSH PRIVATE KEY") {
		t.Error("the deploy key is stored in the clear")
	}
}

func TestPortsAvoidWhatIsTaken(t *testing.T) {
	p := newPanel(t)
	p.found.survey.Listening = append(p.found.survey.Listening, plane.Socket{Proto: "tcp", Address: "127.0.0.1", Port: 20002, Process: "java"})
	p.ready(1)
	seen := map[int]bool{20002: true}
	for i := range 3 {
		p.app(fmt.Sprintf("web%d", i), fmt.Sprintf("w%d.example.com", i))
		backends, err := p.Backends(t.Context(), ann, fmt.Sprintf("web%d", i))
		if err != nil {
			t.Fatal(err)
		}
		ports := backends[0].Ports
		for _, port := range []int{ports.ProcessA, ports.ProcessB, ports.SiteA, ports.SiteB} {
			if seen[port] || port < plane.FirstPort || port > plane.LastPort {
				t.Errorf("port %d is taken or out of range", port)
			}
			seen[port] = true
		}
	}
}

// TestForeignSiteKeepsAnsweringAnyName: one that is the default only because
// it is read first is protected by a refusal, one that says so lives on beside us.
func TestForeignSiteKeepsAnsweringAnyName(t *testing.T) {
	p := newPanel(t)
	p.found.survey.NginxDefault = "/etc/nginx/sites-enabled/shop"
	p.ready(1)
	if _, _, err := p.CreateApp(t.Context(), ann, wishedApp("web", "www.example.com")); plane.CodeOf(err) != plane.CodeConflict || !strings.Contains(err.Error(), "default_server") {
		t.Errorf("beside a site that is only read first: %v", err)
	}
	p.found.survey.NginxDefaultExplicit = true
	if _, err := p.SurveyServer(t.Context(), ann, "s1"); err != nil {
		t.Fatal(err)
	}
	if _, _, err := p.CreateApp(t.Context(), ann, wishedApp("web")); plane.CodeOf(err) != plane.CodeConflict || !strings.Contains(err.Error(), "--domain") {
		t.Errorf("without a name: %v", err)
	}
	if _, _, err := p.CreateApp(t.Context(), ann, wishedApp("web", "www.example.com")); err != nil {
		t.Errorf("beside a site that says so itself: %v", err)
	}
}

func TestCreateAppRefuses(t *testing.T) {
	p := newPanel(t)
	p.ready(1)
	p.app("web", "www.example.com", "example.com")
	p.app("nameless")
	p.add(2) // pending
	p.found.survey.Listening = append(p.found.survey.Listening, plane.Socket{Proto: "tcp", Address: "0.0.0.0", Port: 80, Process: "apache2"})
	p.ready(3)
	p.found.survey.Listening[1].Process = "nginx"
	p.ready(4)
	for what, c := range map[string]struct {
		code  plane.Code
		field string
		wish  func(*control.AppWish)
	}{
		"a bad name":                  {plane.CodeInvalid, "name", func(w *control.AppWish) { w.Name = "../web" }},
		"another kind":                {plane.CodeInvalid, "kind", func(w *control.AppWish) { w.Kind = "cobol" }},
		"an insecure repository":      {plane.CodeInvalid, "repository", func(w *control.AppWish) { w.Repository = "http://example.com/a.git" }},
		"a bad branch":                {plane.CodeInvalid, "branch", func(w *control.AppWish) { w.Branch = "--upload-pack=id" }},
		"a bad domain":                {plane.CodeInvalid, "domain", func(w *control.AppWish) { w.Domains = []string{"a.example.com; }"} }},
		"a bad root":                  {plane.CodeInvalid, "root", func(w *control.AppWish) { w.Spec.Root = "../.." }},
		"a bad health path":           {plane.CodeInvalid, "health_path", func(w *control.AppWish) { w.Spec.HealthPath = "/%" }},
		"an empty command":            {plane.CodeInvalid, "build", func(w *control.AppWish) { w.Spec.Build = []string{" "} }},
		"an unknown option":           {plane.CodeInvalid, "option", func(w *control.AppWish) { w.Spec.Options = map[string]string{"x": "y"} }},
		"the name again":              {plane.CodeConflict, "", func(w *control.AppWish) { w.Name = "web" }},
		"the name on another server":  {plane.CodeConflict, "", func(w *control.AppWish) { w.Name, w.Server = "web", "s4" }},
		"no such server":              {plane.CodeNotFound, "", func(w *control.AppWish) { w.Server = "s9" }},
		"a server that is not ready":  {plane.CodeConflict, "", func(w *control.AppWish) { w.Server = "s2" }},
		"a server with Apache":        {plane.CodeConflict, "", func(w *control.AppWish) { w.Server = "s3" }},
		"a domain that is taken":      {plane.CodeConflict, "", func(w *control.AppWish) { w.Domains = []string{"new.example.com", "example.com"} }},
		"a domain twice":              {plane.CodeConflict, "", func(w *control.AppWish) { w.Domains = []string{"b.example.com", "b.example.com"} }},
		"a second app without domain": {plane.CodeConflict, "", func(w *control.AppWish) { w.Domains = nil }},
	} {
		wish := wishedApp("shop", "shop.example.com")
		wish.NoDeploy = false
		c.wish(&wish)
		p.refuses(what, c.code, c.field, func(ctx context.Context) error { _, _, err := p.CreateApp(ctx, ann, wish); return err })
	}
	for _, wish := range []control.AppWish{wishedApp("shop", "shop.example.com"), {Name: "far", Server: "s4", Kind: plane.KindNodeJS, Repository: "git@example.com:a.git", NoDeploy: true}} {
		if _, _, err := p.CreateApp(t.Context(), ann, wish); err != nil {
			t.Errorf("%s: %v", wish.Name, err)
		}
	}
}

func TestChangeApp(t *testing.T) {
	p := newPanel(t)
	s := p.ready(1)
	p.app("web", "www.example.com")
	p.app("shop", "shop.example.com")
	hint, stop := p.hub.Subscribe(control.TopicTree)
	defer stop()
	path, domains := "/up", []string{"example.com"}
	a, err := p.ChangeApp(t.Context(), ann, "web", control.AppChange{HealthPath: &path, Domains: &domains})
	if err != nil || a.Spec.HealthPath != "/up" || a.Spec.Start != "npm start" {
		t.Fatalf("%+v, %v", a, err)
	}
	select {
	case <-hint:
	default:
		t.Error("nobody was told that the entry changes")
	}
	if view, err := p.Server(t.Context(), ann, s.Name); err != nil || view.TreeWanted <= view.TreeApplied {
		t.Errorf("the server's tree is not wanted anew: %+v, %v", view, err)
	}
	for field, change := range map[string]control.AppChange{
		"branch": {Branch: text("-x")}, "start": {Start: text("")}, "root": {Root: text("/x")}, "health_path": {HealthPath: text("up")},
		"domain": {Domains: &[]string{"x"}}, "build": {Build: &[]string{""}}, "run_once": {RunOnce: &[]string{"\x00"}},
	} {
		p.refuses(field, plane.CodeInvalid, field, func(ctx context.Context) error { _, err := p.ChangeApp(ctx, ann, "web", change); return err })
	}
	taken := []string{"shop.example.com"}
	p.refuses("another's domain", plane.CodeConflict, "", func(ctx context.Context) error {
		_, err := p.ChangeApp(ctx, ann, "web", control.AppChange{Domains: &taken})
		return err
	})
	p.refuses("no such app", plane.CodeNotFound, "", func(ctx context.Context) error {
		_, err := p.ChangeApp(ctx, ann, "nope", control.AppChange{HealthPath: &path})
		return err
	})
}

func text(s string) *string { return &s }

func TestRemoveApp(t *testing.T) {
	p := newPanel(t)
	s := p.ready(1)
	a := p.app("web")
	run, err := p.RemoveApp(t.Context(), ann, "web")
	if err != nil || run.Kind != plane.RunRemoveApp || run.AppID != a.ID || len(run.Servers) != 1 || run.Servers[0] != s.ID || run.Locks[0] != plane.AppLock(a.ID) {
		t.Errorf("%+v, %v", run, err)
	}
	p.refuses("no such app", plane.CodeNotFound, "", func(ctx context.Context) error { _, err := p.RemoveApp(ctx, ann, "nope"); return err })
}
