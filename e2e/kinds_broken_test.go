//go:build e2e

package e2e

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/serverplane/serverplane/e2e/lab"
)

// brokenKinds goes through every breakage of every row, the apps beside each other.
func brokenKinds(t *testing.T, w *kindWorld) {
	visitors := lab.Visit(w.entry("s1"), 20*time.Millisecond)
	w.walk(t, few, func(t *testing.T, k kindRow) {
		for _, b := range k.broken {
			said := w.broken(t, k, b)
			if !strings.Contains(said, b.want) {
				t.Errorf("%s: %q is not told:\n%s", k.app, b.want, lastLines(said, 40))
			}
			t.Logf("%s: %s", k.app, lastLines(said, 5))
		}
	})
	noneLost(t, visitors.Stop())
	w.every(t, "2")
	for want, args := range map[string][]string{
		"has no start command":                             {"app", "set", "page", "--start", "php -S"},
		"document-root must be a folder inside the reposi": {"app", "set", "page", "--option", "document-root=../x"},
		"shared public is the document root or holds it":   {"app", "set", "page", "--option", "shared=public"},
		`has no option "workers"`:                          {"app", "set", "site", "--option", "workers=4"},
		`there is no kind "cobol"`:                         {"app", "create", "odd", "--kind", "cobol", "--server", "s1", "--repo", w.repos["site"].URL()},
	} {
		if said := w.refuse(t, 1, args...); !strings.Contains(said, want) {
			t.Errorf("%q is not told: %s", want, said)
		}
	}
}

// broken deploys a change that must fail, takes it back, and gives what was said. On no backend anything is served by another slot
// or another release than before.
func (w *kindWorld) broken(t *testing.T, k kindRow, b breakage) string {
	t.Helper()
	before := w.standing(t, k)
	mend := w.damage(t, k, b.files)
	if len(b.set) > 0 {
		w.cli(t, append([]string{"app", "set", k.app}, b.set...)...)
	}
	said := w.refuse(t, 1, "deploy", k.app, "--wait")
	if code, _ := w.get(t, http.DefaultClient, k.app, k.about); code != 200 {
		t.Errorf("after %q %s answers %d", b.want, k.app, code)
	}
	if after := w.standing(t, k); after != before {
		t.Errorf("after %q %s is\n%s\nbefore\n%s", b.want, k.app, after, before)
	}
	mend()
	if b.undo != nil {
		w.cli(t, append([]string{"app", "set", k.app}, b.undo...)...)
	}
	return said
}

// standing is what serves an app on every server.
func (w *kindWorld) standing(t *testing.T, k kindRow) string {
	t.Helper()
	var all []string
	look := fmt.Sprintf("systemctl is-active sp-%[1]s-a sp-%[1]s-b || true; systemctl show -p MainPID --value sp-%[1]s-%[2]s", k.app, w.slotOf(t, k.app))
	for _, s := range kindServers {
		slots := w.ssh(t, s, look)
		all = append(all, fmt.Sprintf("%s: %q of %s", s, slots, w.backend(t, k.app, s).Release))
	}
	return strings.Join(all, "\n")
}

// damage commits a change of some files; what it returns commits them as they were.
func (w *kindWorld) damage(t *testing.T, k kindRow, files map[string]string) (mend func()) {
	t.Helper()
	if len(files) == 0 {
		return func() {}
	}
	repo, was := w.repos[k.app], map[string]string{}
	for name := range files {
		raw, _ := os.ReadFile(filepath.Join(repo.Dir, name)) // what is not there is empty
		was[name] = string(raw)
	}
	commit := func(files map[string]string, message string) {
		for name, text := range files {
			if text == "" {
				must(t, os.Remove(filepath.Join(repo.Dir, name)))
				continue
			}
			must(t, repo.Write(name, text))
		}
		_, err := repo.Commit(message)
		must(t, err)
	}
	commit(files, "broken on purpose")
	return func() { commit(was, "mended") }
}

// filmKinds puts 200 MB into a repository, which every backend then serves.
func filmKinds(t *testing.T, w *kindWorld) {
	repo := w.repos["site"]
	must(t, os.MkdirAll(filepath.Join(repo.Dir, "dist"), 0o755))
	film(t, filepath.Join(repo.Dir, "dist/film.mp4"))
	_, err := repo.Commit("a film")
	must(t, err)
	began := time.Now()
	w.cli(t, "deploy", "site", "--wait")
	t.Logf("deployed to %d backends in %s", len(kindServers), time.Since(began).Round(time.Second))
	for _, s := range kindServers {
		if got := w.atBackend(t, "site", s, "/film.mp4", "-I"); !strings.Contains(got, fmt.Sprintf("Content-Length: %d\r", filmSize)) {
			t.Errorf("%s: %s", s, got)
		}
	}
}
