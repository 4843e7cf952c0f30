package recipe_test

import (
	"cmp"
	"fmt"
	"strings"
	"testing"

	"github.com/serverplane/serverplane/internal/ansible"
	"github.com/serverplane/serverplane/internal/plane"
	"github.com/serverplane/serverplane/internal/recipe"
)

// ofKind is a preparation of an app of a kind with its defaults.
func ofKind(kinds plane.Kinds, kind plane.Kind, options map[string]string) recipe.Preparation {
	p := preparation(map[string]string{"PLAIN": "x"}, seat(2))
	p.Kinds, p.App.Kind = kinds, kind
	p.App.Spec = kinds.Complete(kind, plane.Spec{Options: options})
	p.Plan.Spec = p.App.Spec
	return p
}

// The files of a slot of every kind, as text; Node.js has its own in TestPrepare.
func TestKinds(t *testing.T) {
	for name, options := range map[plane.Kind]map[string]string{
		"docker": {"port": "3000", "memory": "2g", "dockerfile": "deploy/Dockerfile", "shared": "/app/uploads,/data"}, "laravel": nil, "python": {"system-site-packages": "true"}, "wordpress": nil,
		"php": {"document-root": "public", "shared": "files,data/in", "extensions": "imagick,pdo_pgsql", "workers": "4", "drain": "5s"}, "static": {"output": "dist", "spa": "true"},
	} {
		p := ofKind(plane.Kinds{}, name, options)
		if err := p.Kinds.Check(p.App); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		play, err := recipe.Prepare(p)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		want := map[plane.Kind]string{"laravel": "[storage/app]", "wordpress": "[wp-content/uploads]", "php": "[data/in files]"}[name]
		if got := fmt.Sprint(play.Vars["shared"]); got != cmp.Or(want, "[]") {
			t.Errorf("%s: the build step links %s", name, got)
		}
		text := listing(t, slotOf(t, play))
		needs := indented(t, play.Vars["runtime"])
		if name == plane.KindDocker {
			needs += "\n" + indented(t, play.Vars["container"])
		}
		golden(t, "kind-"+string(name)+".tar.txt", needs+"\n"+text[strings.Index(text, "-- /etc/systemd"):])
	}
}

func slotOf(t *testing.T, play ansible.Play) []byte {
	t.Helper()
	for _, f := range play.Files {
		if strings.HasPrefix(f.Name, "slot-") {
			return f.Content
		}
	}
	t.Fatal("the play has no files of a slot")
	return nil
}

// TestEighthKind registers a kind nobody knows: what a kind is stands in its definition alone.
func TestEighthKind(t *testing.T) {
	kinds := plane.Kinds{}.With(plane.Definition{
		Kind: "cobol", Label: "COBOL", Build: []string{"cobc -x main.cob"}, Start: "./main --port $PORT", HealthPath: "/alive",
		Setup:     func(p plane.Place) []string { return []string{"echo " + p.Folder} },
		Variables: func(plane.Place) map[string]string { return map[string]string{"COB_LIBRARY_PATH": "lib"} },
		Path:      func(p plane.Place) []string { return []string{p.Folder + "/bin"} },
		Options:   []plane.Option{{Name: "dialect", Rule: "must be ibm or mf", Accepts: func(s string) bool { return s == "ibm" || s == "mf" }}},
		Runtime: func(map[string]string) plane.Runtime {
			return plane.Runtime{Role: "packages", Packages: []string{"gnucobol"}, Commands: []string{"cobc"}}
		},
	})
	p := ofKind(kinds, "cobol", map[string]string{"dialect": "ibm"})
	if err := kinds.Check(p.App); err != nil || p.App.Spec.HealthPath != "/alive" {
		t.Fatalf("%v, %+v", err, p.App.Spec)
	}
	p.App.Spec.Options["dialect"] = "other"
	if err := kinds.Check(p.App); err == nil || !strings.Contains(err.Error(), "dialect must be ibm or mf") {
		t.Errorf("a wrong option: %v", err)
	}
	play, err := recipe.Prepare(p)
	if err != nil {
		t.Fatal(err)
	}
	text := indented(t, play.Vars["runtime"]) + listing(t, slotOf(t, play))
	for _, want := range []string{
		`"gnucobol"`, `COB_LIBRARY_PATH="lib"`, `PATH="/home/sp_web/releases/20260701120000-0123456/bin:/usr/local`, "exec ./main --port $PORT",
		"/bin/sh -ec 'echo /home/sp_web/releases/20260701120000-0123456'\nprintf '+ %s\\n' 'cobc -x main.cob'",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("nowhere in the slot's files: %s", want)
		}
	}
	if _, err := (plane.Kinds{}).Of("cobol"); err == nil {
		t.Error("what one test registers, another knows")
	}
}
