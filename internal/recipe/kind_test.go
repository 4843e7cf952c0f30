package recipe_test

import (
	"archive/tar"
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
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

// TestFailingBuildEndsThere, in every kind: the line that failed is named, none after it is run, and nothing the kind looks at after a
// build that went well hides the reason. The release is not complete then, so that no slot is started with it (playbooks/steps/app_build.py).
func TestFailingBuildEndsThere(t *testing.T) {
	tools := t.TempDir()
	for _, name := range []string{"php", "composer", "python3", "node", "npm"} { // what a kind does before is not what is tried
		put(t, tools, name, "#!/bin/sh\n", 0o755)
	}
	for _, d := range (plane.Kinds{}).All() {
		p := ofKind(plane.Kinds{}, d.Kind, nil)
		p.Plan.Spec.Build = []string{"echo began", "echo the theme has no licence; exit 7", "echo went on"}
		play, err := recipe.Prepare(p)
		if err != nil {
			t.Errorf("%s: %v", d.Kind, err)
			continue
		}
		dir := t.TempDir()
		for _, name := range []string{"artisan", "wp-settings.php", "index.php", "package.json"} {
			put(t, dir, name, "", 0o644)
		}
		put(t, dir, "build-of-the-story", textIn(t, slotOf(t, play), play.Vars["build_script"].(string)), 0o755)
		cmd := exec.Command("/bin/sh", dir+"/build-of-the-story") //nolint:gosec // what servers run
		cmd.Dir, cmd.Env = dir, append(os.Environ(), "PATH="+tools+":"+os.Getenv("PATH"))
		out, err := cmd.CombinedOutput()
		var exit *exec.ExitError
		said := string(out)
		if !errors.As(err, &exit) || exit.ExitCode() != 7 || !strings.Contains(said, "began\n") || !strings.Contains(said, "! failed: echo the theme has no licence; exit 7") ||
			strings.Contains(said, "\nwent on") || strings.Contains(said, "after the build") {
			t.Errorf("%s: %v\n%s", d.Kind, err, said)
		}
	}
}

func put(t *testing.T, dir, name, text string, mode os.FileMode) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), []byte(text), mode); err != nil {
		t.Fatal(err)
	}
}

// textIn is one file of an archive.
func textIn(t *testing.T, packed []byte, path string) string {
	t.Helper()
	r := tar.NewReader(bytes.NewReader(packed))
	for {
		h, err := r.Next()
		if err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		if strings.TrimPrefix(h.Name, "/") == strings.TrimPrefix(path, "/") {
			text, err := io.ReadAll(r)
			if err != nil {
				t.Fatal(err)
			}
			return string(text)
		}
	}
}
