package control_test

import (
	"context"
	"strings"
	"testing"

	"github.com/serverplane/serverplane/internal/control"
	"github.com/serverplane/serverplane/internal/plane"
)

// An app of a kind that needs secrets gets its own, once.
func TestSecretsOfAKind(t *testing.T) {
	p := newPanel(t)
	p.ready(1)
	seen := map[string]bool{}
	for _, name := range []string{"one", "two"} {
		wish := wishedApp(name, name+".example.com")
		wish.Kind, wish.Spec = "laravel", plane.Spec{}
		a, _, err := p.CreateApp(t.Context(), ann, wish)
		if err != nil {
			t.Fatal(err)
		}
		if a.Spec.Start != "" || len(a.Spec.RunOnce) != 1 {
			t.Errorf("stored as %+v", a.Spec)
		}
		all, err := p.Variables(t.Context(), ann, name, true)
		if err != nil || len(all) != 1 || all[0].Name != "APP_KEY" || !strings.HasPrefix(all[0].Value, "base64:") || seen[all[0].Value] {
			t.Errorf("%+v, %v", all, err)
		}
		seen[all[0].Value] = true
		if p.inFiles(all[0].Value) {
			t.Error("the key is stored in the clear")
		}
	}
}

// WordPress's salts are made once for all servers; unequal ones would sign visitors out on that backend.
func TestSaltsOfWordPress(t *testing.T) {
	p := newPanel(t)
	p.ready(1)
	wish := wishedApp("blog", "blog.example.com")
	wish.Kind, wish.Spec = plane.KindWordPress, plane.Spec{Options: map[string]string{"core": "debian"}}
	if _, _, err := p.CreateApp(t.Context(), ann, wish); err != nil {
		t.Fatal(err)
	}
	first, err := p.Variables(t.Context(), ann, "blog", true)
	if err != nil || len(first) != 8 {
		t.Fatalf("%d variables, %v", len(first), err)
	}
	values := map[string]bool{}
	for _, v := range first {
		if len(v.Value) < 64 || values[v.Value] || !strings.HasSuffix(v.Name, "_KEY") && !strings.HasSuffix(v.Name, "_SALT") {
			t.Errorf("%s is %q", v.Name, v.Value)
		}
		values[v.Value] = true
	}
	if _, err := p.ChangeApp(t.Context(), ann, "blog", control.AppChange{Options: map[string]string{"core": "repository"}}); err != nil {
		t.Fatal(err)
	}
	if again, err := p.Variables(t.Context(), ann, "blog", true); err != nil || len(again) != 8 || again[0].Value != first[0].Value {
		t.Errorf("a change of the app made others: %+v, %v", again, err)
	}
}

// A kind that a test brings along is created like any other.
func TestCreateAnEighthKind(t *testing.T) {
	p := newPanel(t)
	p.ready(1)
	cobol := plane.Definition{Kind: "cobol", Start: "./main", Runtime: func(map[string]string) plane.Runtime { return plane.Runtime{Role: "packages"} }}
	p.config.Kinds = plane.Kinds{}.With(cobol)
	knowing := control.New(p.config)
	wish := wishedApp("old", "old.example.com")
	wish.Kind, wish.Spec = "cobol", plane.Spec{}
	if _, _, err := p.CreateApp(t.Context(), ann, wish); plane.CodeOf(err) != plane.CodeInvalid {
		t.Errorf("a panel that does not know it: %v", err)
	}
	a, _, err := knowing.CreateApp(t.Context(), ann, wish)
	if err != nil || a.Spec.Start != "./main" {
		t.Errorf("%+v, %v", a, err)
	}
}

func TestWhatAKindRefuses(t *testing.T) {
	p := newPanel(t)
	p.ready(1)
	for field, spec := range map[string]plane.Spec{
		"start":  {Start: "php -S 0.0.0.0:80"},
		"option": {Options: map[string]string{"document-root": "../../etc"}},
	} {
		wish := wishedApp("page", "page.example.com")
		wish.Kind, wish.Spec = "php", spec
		p.refuses(field, plane.CodeInvalid, field, func(ctx context.Context) error { _, _, err := p.CreateApp(ctx, ann, wish); return err })
	}
}

// Shared paths of containers are paths of theirs.
func TestSharedPathsOfContainers(t *testing.T) {
	p := newPanel(t)
	p.ready(1)
	wish := wishedApp("box", "box.example.com")
	wish.Kind, wish.Spec = plane.KindDocker, plane.Spec{Options: map[string]string{"shared": "uploads"}}
	if _, _, err := p.CreateApp(t.Context(), ann, wish); plane.CodeOf(err) != plane.CodeInvalid || !strings.Contains(err.Error(), "absolute paths inside the container") {
		t.Errorf("a relative one: %v", err)
	}
	wish.Spec.Options["shared"] = "/app/uploads"
	if _, _, err := p.CreateApp(t.Context(), ann, wish); err != nil {
		t.Fatal(err)
	}
	if _, err := p.SetProcess(t.Context(), ann, plane.Worker, "box", "mail", control.ProcessWish{Command: "/app work", On: plane.OnOne}); err != nil {
		t.Errorf("a process: %v", err)
	}
}
