package mirror

import (
	"archive/tar"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

const app = "app_test"

// upstream is a real repository that a test changes like a developer does.
type upstream struct {
	t   *testing.T
	dir string
}

func newUpstream(t *testing.T) upstream {
	u := upstream{t, t.TempDir()}
	u.git("init", "-q", "-b", "main")
	u.commit("one")
	return u
}

func (u upstream) git(args ...string) string {
	u.t.Helper()
	cmd := exec.Command("git", append([]string{"-c", "user.name=Ada", "-c", "user.email=ada@example.com"}, args...)...)
	cmd.Dir = u.dir
	out, err := cmd.CombinedOutput()
	if err != nil {
		u.t.Fatalf("git %v: %v\n%s", args, err, out)
	}
	return strings.TrimSpace(string(out))
}

func (u upstream) commit(text string) string {
	if err := os.WriteFile(filepath.Join(u.dir, "file"), []byte(text), 0o644); err != nil {
		u.t.Fatal(err)
	}
	u.git("add", ".")
	u.git("commit", "-q", "-m", text)
	return u.git("rev-parse", "HEAD")
}

func (u upstream) source() Source { return Source{App: app, Address: "file://" + u.dir} }

func TestResolveFindsBranchTagAndCommit(t *testing.T) {
	u, m, ctx := newUpstream(t), New(t.TempDir(), true), context.Background()
	first := u.git("rev-parse", "HEAD")
	u.git("tag", "-a", "v1", "-m", "first")
	second := u.commit("two")
	if err := m.Fetch(ctx, u.source()); err != nil {
		t.Fatal(err)
	}
	for ref, want := range map[string]string{"main": second, "v1": first, first: first, second[:7]: second} {
		got, err := m.Resolve(ctx, app, ref)
		if err != nil || got.ID != want || got.Author != "Ada" {
			t.Errorf("Resolve(%q) = %+v, %v; want %s by Ada", ref, got, err, want)
		}
	}
	for _, ref := range []string{"gone", "deadbee", "--help", "HEAD~1"} {
		if _, err := m.Resolve(ctx, app, ref); !errors.Is(err, ErrNoCommit) {
			t.Errorf("Resolve(%q) = %v, want ErrNoCommit", ref, err)
		}
	}
}

func TestKeptCommitSurvivesAForcePush(t *testing.T) {
	u, m, ctx := newUpstream(t), New(t.TempDir(), true), context.Background()
	doomed := u.commit("two")
	if err := m.Fetch(ctx, u.source()); err != nil {
		t.Fatal(err)
	}
	if err := m.Keep(ctx, app, "dep_one", doomed); err != nil {
		t.Fatal(err)
	}
	u.git("reset", "-q", "--hard", "HEAD~1")
	u.commit("other")
	if err := m.Fetch(ctx, u.source()); err != nil {
		t.Fatal(err)
	}
	if _, err := m.git(ctx, filepath.Join(m.dir, app), nil, "gc", "--quiet", "--prune=now"); err != nil {
		t.Fatal(err)
	}
	if got := content(t, m, doomed); got != "two" {
		t.Errorf("archive of the kept commit holds %q, want two", got)
	}
}

func content(t *testing.T, m *Mirrors, commit string) string {
	t.Helper()
	r, err := m.Archive(context.Background(), app, commit)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	files := tar.NewReader(r)
	for {
		h, err := files.Next()
		if err != nil {
			t.Fatal(err)
		}
		if h.Name == "file" {
			raw, err := io.ReadAll(files)
			if err != nil {
				t.Fatal(err)
			}
			return string(raw)
		}
	}
}

func TestFetchSaysWhatGitSays(t *testing.T) {
	m := New(t.TempDir(), true)
	err := m.Fetch(context.Background(), Source{App: app, Address: "file:///nowhere/at/all"})
	if err == nil || !strings.Contains(err.Error(), "does not appear to be a git repository") {
		t.Errorf("Fetch = %v, want git's own words", err)
	}
}

func TestInsecureAddressesAreGitsToRefuseToo(t *testing.T) {
	u, m := newUpstream(t), New(t.TempDir(), false)
	err := m.Fetch(context.Background(), u.source())
	if err == nil || !strings.Contains(err.Error(), "not allowed") {
		t.Errorf("Fetch = %v, want a refused transport", err)
	}
}

func TestArchiveOfNoCommitIsAnError(t *testing.T) {
	m := New(t.TempDir(), true)
	r, err := m.Archive(context.Background(), app, strings.Repeat("a", 40))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if _, err := io.ReadAll(r); err == nil {
		t.Error("an archive of a commit that does not exist was read without an error")
	}
}

// The default data folder is ./data, and ssh runs in the mirror's folder.
func TestKnownHostsIsOnePlaceWhateverTheFolder(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	env, err := New("mirrors", true).identify(t.TempDir(), []byte("key"))
	if err != nil || !strings.Contains(env[0], "UserKnownHostsFile='"+filepath.Join(dir, "mirrors", "known_hosts")+"'") {
		t.Errorf("%q, %v", env, err)
	}
}

func TestKeyOfAKilledPanelGoesWithTheNextFetch(t *testing.T) {
	dir := t.TempDir()
	u, m := newUpstream(t), New(dir, true)
	left := filepath.Join(dir, app+".work", "key")
	for _, next := range []func() error{
		func() error { return m.Fetch(t.Context(), u.source()) },
		func() error { return m.Remove(app) },
	} {
		if err := os.MkdirAll(filepath.Dir(left), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(left, []byte("secret"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := next(); err != nil {
			t.Error(err)
		}
		if entries, err := filepath.Glob(filepath.Join(dir, "*.work")); err != nil || len(entries) != 0 {
			t.Errorf("left %q, %v", entries, err)
		}
	}
}

// TestHostileWordsOfACommitAreFitToBeShown: whoever may push chooses them.
func TestHostileWordsOfACommitAreFitToBeShown(t *testing.T) {
	u, m, ctx := newUpstream(t), New(t.TempDir(), true), context.Background()
	long := strings.Repeat("ä", 5000)
	for subject, want := range map[string]string{
		"red \x1b[31m bell \a":            "red  [31m bell",
		"turned \u202e sdrawkcab \u2066x": "turned  sdrawkcab x",
		"<script>alert(1)</script>":       "<script>alert(1)</script>", // as it is: who shows it escapes it
		long:                              strings.Repeat("ä", maxLine-1) + "…",
		"one\u2028two":                    "one two",
	} {
		u.git("commit", "-q", "--allow-empty", "--cleanup=verbatim", "--author", "Eve\t"+long+" <eve@example.com>", "-m", subject)
		if err := m.Fetch(ctx, u.source()); err != nil {
			t.Fatal(err)
		}
		got, err := m.Resolve(ctx, app, "main")
		if err != nil || got.Subject != want || len([]rune(got.Author)) != maxLine || strings.ContainsAny(got.Author, "\t\n") {
			t.Errorf("%.40q by %.40q, %v; want %.40q", got.Subject, got.Author, err, want)
		}
	}
}
