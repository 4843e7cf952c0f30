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
	put(t, second+"/storage/letter", "written by the app")          // through the link
	if out, err := share(t, second, shared, paths...); err != nil { // a build that is repeated
		t.Fatal(err, out)
	}
	holds(t, second+"/storage/letter", "written by the app")
	third := filepath.Join(home, "releases/3")
	put(t, third+"/storage/logo", "of the third release")
	put(t, third+"/storage/new/template", "of the third release")
	if out, err := share(t, third, shared, paths...); err != nil {
		t.Fatal(err, out)
	}
	holds(t, third+"/storage/logo", "of the first release")
	holds(t, second+"/storage/new/template", "of the third release")
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

// What looks like a file is one, though no release brings it: a database would not open a folder. What a release
// brings says what it is.
func TestSharedFiles(t *testing.T) {
	home := t.TempDir()
	shared, first, second := filepath.Join(home, "shared"), filepath.Join(home, "releases/1"), filepath.Join(home, "releases/2")
	paths := []string{".cache", ".env", "conf.d", "data/database.sqlite", "v1.0"}
	for _, dir := range []string{first, second, shared + "/data/database.sqlite"} { // an empty folder of an earlier panel's
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	put(t, first+"/conf.d/x", "a folder all the same")
	for _, release := range []string{first, second, second} {
		if out, err := share(t, release, shared, paths...); err != nil {
			t.Fatal(err, out)
		}
	}
	for path, folder := range map[string]bool{".cache": true, ".env": false, "conf.d": true, "data/database.sqlite": false, "v1.0": true} {
		if info, err := os.Stat(filepath.Join(second, path)); err != nil || info.IsDir() != folder {
			t.Errorf("%s: a folder %v, %v", path, !folder, err)
		}
	}
	put(t, second+"/data/database.sqlite", "a row")
	holds(t, first+"/data/database.sqlite", "a row")
	third := filepath.Join(home, "releases/3")
	put(t, third+"/v1.0", "a file now")
	put(t, shared+"/v1.0/kept", "x")
	if out, err := share(t, third, shared, paths...); err == nil || !strings.Contains(out, "v1.0 is a file in this release, but a folder in "+shared) {
		t.Errorf("%v: %s", err, out)
	}
}

// Behind a link that leads to what is shared already, another link would be made inside of it, to itself.
func TestSharedPathBehindALink(t *testing.T) {
	home := t.TempDir()
	shared, release := filepath.Join(home, "shared"), filepath.Join(home, "releases/1")
	put(t, release+"/storage/public/cat", "kept")
	if err := os.Symlink("storage/public", release+"/uploads"); err != nil {
		t.Fatal(err)
	}
	if out, err := share(t, release, shared, "storage", "uploads/cats"); err == nil || !strings.Contains(out, "uploads/cats lies behind a link") {
		t.Errorf("%v: %s", err, out)
	}
	holds(t, release+"/uploads/cat", "kept")
	for range 2 { // an empty folder that is linked already does not come to lead to itself
		if out, err := share(t, release, shared, "empty"); err != nil {
			t.Fatal(err, out)
		}
	}
	if info, err := os.Lstat(shared + "/empty"); err != nil || !info.IsDir() {
		t.Errorf("%v, %v", info, err)
	}
}
