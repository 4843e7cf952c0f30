package plane_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/serverplane/serverplane/internal/plane"
)

// What a Python app is built by depends on its files: packages as listed, else as its project says; static files where Django collects them.
func TestBuildOfPython(t *testing.T) {
	d, err := plane.Kinds{}.Of(plane.KindPython)
	if err != nil {
		t.Fatal(err)
	}
	tools := t.TempDir()
	for _, name := range []string{"pip", "python"} {
		if err := os.WriteFile(filepath.Join(tools, name), []byte("#!/bin/sh\necho "+name+" \"$@\"\n"), 0o755); err != nil { //nolint:gosec // a program
			t.Fatal(err)
		}
	}
	for name, c := range map[string]struct {
		texts map[string]string
		want  string
	}{
		"requirements":             {map[string]string{"requirements.txt": "flask", "pyproject.toml": "[project]"}, "pip install --no-input -r requirements.txt"},
		"a project":                {map[string]string{"pyproject.toml": "[project]"}, "pip install --no-input ."},
		"neither":                  {map[string]string{"main.py": "x"}, ""},
		"Django with static files": {map[string]string{"manage.py": "x", "shop/settings.py": "STATIC_ROOT = 'x'"}, "python manage.py collectstatic --noinput"},
		"Django without":           {map[string]string{"manage.py": "x", "shop/settings.py": "# STATIC_ROOT = 'x'", ".venv/django/settings.py": "STATIC_ROOT = None"}, ""},
	} {
		dir := t.TempDir()
		tree(t, dir, c.texts)
		var said []string
		for _, line := range d.Build {
			cmd := exec.Command("/bin/sh", "-c", line) //nolint:gosec // the kind's own
			cmd.Dir, cmd.Env = dir, append(os.Environ(), "PATH="+tools+":"+os.Getenv("PATH"))
			out, err := cmd.CombinedOutput()
			if err != nil {
				t.Errorf("%s: %v: %s", name, err, out)
			}
			said = append(said, strings.Fields(string(out))...)
		}
		if got := strings.Join(said, " "); got != c.want {
			t.Errorf("%s: builds by %q, want %q", name, got, c.want)
		}
	}
}
