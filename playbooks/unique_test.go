package playbooks

import (
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// stepText is an app's step as it reaches a server, up to where it begins to work.
func stepText(t *testing.T, name, until string) string {
	t.Helper()
	var all strings.Builder
	for _, part := range []string{"server", "app", name} {
		text, err := fs.ReadFile(FS, "steps/"+part+".py")
		if err != nil {
			t.Fatal(err)
		}
		all.Write(text)
	}
	head, _, found := strings.Cut(all.String(), until)
	if !found {
		t.Fatalf("steps/%s.py has no %q", name, until)
	}
	return head
}

// TestUniqueFiles: what a removal packs is what nothing could bring back.
func TestUniqueFiles(t *testing.T) {
	home := t.TempDir()
	put := func(paths ...string) {
		t.Helper()
		for _, p := range paths {
			full := filepath.Join(home, p)
			if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(full, []byte(p), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	const release, unfinished = "releases/20260101000000-aaaaaaa", "releases/20260102000000-bbbbbbb"
	put(release+"/server.js", release+"/node_modules/a/index.js", unfinished+"/server.js", "logs/build-20260101000000-aaaaaaa.log",
		".npm/_cacache/x", ".cache/x", "shared/node_modules/x")
	settled(t)
	put("releases/.20260101000000-aaaaaaa.complete")
	settled(t)
	put(release+"/uploads/picture.png", release+"/node_modules/a/cache", release+"/.cache/x", "shared/letters/one", "logs/app.log", "notes")
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.Mkdir(secret, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(secret, "key"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(secret, filepath.Join(home, "shared/link")); err != nil {
		t.Fatal(err)
	}
	program := "SPEC = {'app': 'web', 'id': '', 'discard': False}\n" + stepText(t, "app_remove", "\nwith app_lock():") +
		"\nHOME = sys.argv[1]\nfor p in unique(): print(os.path.relpath(p, HOME))\n"
	out, err := exec.Command("/usr/bin/python3", "-c", program, home).CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	got := strings.Fields(string(out))
	slices.Sort(got)
	want := []string{"logs/app.log", "notes", release + "/uploads/picture.png", "shared/letters/one", "shared/link"}
	if !slices.Equal(got, want) {
		t.Errorf("packed are %q, want %q", got, want)
	}
}

// settled returns when a file that is made now gets a later time than those
// there are: the file system's clock ticks every few milliseconds.
func settled(t *testing.T) {
	t.Helper()
	probe := filepath.Join(t.TempDir(), "probe")
	now := func() time.Time {
		if err := os.WriteFile(probe, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Truncate(probe, 0); err != nil {
			t.Fatal(err)
		}
		info, err := os.Stat(probe)
		if err != nil {
			t.Fatal(err)
		}
		return info.ModTime()
	}
	for first := now(); !now().After(first); {
		if time.Since(first) > 5*time.Second {
			t.Fatal("the file system's clock stands still")
		}
	}
}
