package playbooks

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// share runs the program that links shared paths into a release.
func share(t *testing.T, release, shared string, paths ...string) (string, error) {
	t.Helper()
	text, err := FS.ReadFile("steps/app_build.py")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(text), `SHARE = """`)
	program, _, found := strings.Cut(rest, `"""`)
	if !found {
		t.Fatal("steps/app_build.py has no SHARE")
	}
	out, err := exec.Command("/usr/bin/python3", append([]string{"-c", program, release, shared}, paths...)...).CombinedOutput()
	return string(out), err
}

func put(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func holds(t *testing.T, path, want string) {
	t.Helper()
	if got, err := os.ReadFile(path); err != nil || string(got) != want {
		t.Errorf("%s holds %q (%v), want %q", path, got, err, want)
	}
}

func TestSharedPathsOutliveReleases(t *testing.T) {
	home := t.TempDir()
	shared := filepath.Join(home, "shared")
	if err := os.Mkdir(shared, 0o755); err != nil {
		t.Fatal(err)
	}
	paths := []string{"storage", "public/uploads", "database.sqlite"}
	first, second := filepath.Join(home, "releases/1"), filepath.Join(home, "releases/2")
	put(t, first+"/storage/logo", "of the first release")
	put(t, first+"/database.sqlite", "empty")
	put(t, second+"/storage/logo", "of the second release")
	put(t, second+"/public/index", "x")
	if out, err := share(t, first, shared, paths...); err != nil {
		t.Fatal(err, out)
	}
	put(t, first+"/storage/letter", "written by the app")
	put(t, first+"/public/uploads/cat", "uploaded")
	put(t, first+"/database.sqlite", "a row")
	if out, err := share(t, second, shared, paths...); err != nil {
		t.Fatal(err, out)
	}
	for path, want := range map[string]string{
		"storage/logo": "of the first release", "storage/letter": "written by the app", "public/uploads/cat": "uploaded", "public/index": "x", "database.sqlite": "a row",
	} {
		holds(t, filepath.Join(second, path), want)
	}
	holds(t, shared+"/public/uploads/cat", "uploaded")
	if out, err := share(t, second, shared, paths...); err != nil { // a build that is repeated
		t.Fatal(err, out)
	}
	holds(t, second+"/storage/letter", "written by the app")
	if err := os.RemoveAll(first); err != nil {
		t.Fatal(err)
	}
	holds(t, second+"/storage/logo", "of the first release")
}

// A link that a repository or the app put somewhere is replaced or followed with
// the app's own rights, never emptied behind itself.
func TestSharedPathsAndLinks(t *testing.T) {
	home := t.TempDir()
	shared, release, elsewhere := filepath.Join(home, "shared"), filepath.Join(home, "releases/1"), filepath.Join(home, "elsewhere")
	put(t, elsewhere+"/precious", "stays")
	put(t, release+"/index", "x")
	put(t, shared+"/storage/kept", "kept")
	if err := os.Symlink(elsewhere, release+"/storage"); err != nil {
		t.Fatal(err)
	}
	if out, err := share(t, release, shared, "storage"); err != nil {
		t.Fatal(err, out)
	}
	holds(t, elsewhere+"/precious", "stays")
	holds(t, release+"/storage/kept", "kept")
}
