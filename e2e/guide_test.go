//go:build e2e

package e2e

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// guideFile is the guide whose snippets the stories run as they stand there.
const guideFile = "../docs/guide/load-balancing.md"

// snippet is one fenced block of the guide.
type snippet struct {
	line           int
	language, text string
}

// snippetsOf reads the blocks in the chapter of an app, which is named in the chapter's head.
func snippetsOf(t *testing.T, app string) []snippet {
	t.Helper()
	raw, err := os.ReadFile(guideFile)
	must(t, err)
	var all []snippet
	var open *snippet
	inside := false
	for n, line := range strings.Split(string(raw), "\n") {
		fence, fenced := strings.CutPrefix(line, "```")
		switch {
		case open != nil && fenced:
			all, open = append(all, *open), nil
		case open != nil:
			open.text += line + "\n"
		case inside && fenced:
			open = &snippet{line: n + 1, language: fence}
		case strings.HasPrefix(line, "## "):
			inside = strings.HasSuffix(line, ": `"+app+"`")
		}
	}
	if len(all) == 0 {
		t.Fatalf("the guide has no snippet for %s", app)
	}
	return all
}

// guide runs what the guide says about an app, of the languages named or of all.
func (w *world) guide(t *testing.T, app string, languages ...string) {
	t.Helper()
	for _, s := range snippetsOf(t, app) {
		if len(languages) > 0 && !slices.Contains(languages, s.language) {
			continue
		}
		t.Logf("%s:%d (%s)", guideFile, s.line, s.language)
		switch s.language {
		case "sh":
			w.followSnippet(t, s)
		case "env":
			file := filepath.Join(t.TempDir(), "guide.env")
			must(t, os.WriteFile(file, []byte(s.text), 0o600))
			w.cli(t, "env", "import", app, file)
		case "php":
			w.put(t, "s1", "/tmp/guide.php", s.text)
			w.ssh(t, "s1", "php -l /tmp/guide.php")
		case "python":
			w.put(t, "s1", "/tmp/guide.py", s.text)
			w.ssh(t, "s1", "python3 -m py_compile /tmp/guide.py")
		case "js":
			w.put(t, "s1", "/tmp/guide.js", s.text)
			w.ssh(t, "s1", "node --check /tmp/guide.js")
		case "dockerfile":
			if s.text != scratchFile(t) { // TestDocker builds its image by it
				t.Errorf("%s:%d: nothing is built by this", guideFile, s.line)
			}
		default:
			t.Errorf("%s:%d: nothing runs %q", guideFile, s.line, s.language)
		}
	}
}

// followSnippet types the commands of a block; a real shell takes their words apart.
func (w *world) followSnippet(t *testing.T, s snippet) {
	t.Helper()
	for _, line := range strings.Split(strings.TrimSpace(s.text), "\n") {
		words, err := exec.CommandContext(w.ctx, "sh", "-c", `serverplane() { printf '%s\0' "$@"; }; `+line).Output()
		must(t, err)
		w.cli(t, strings.Split(strings.TrimSuffix(string(words), "\x00"), "\x00")...)
	}
}

// put writes a file on a server.
func (w *world) put(t *testing.T, server, path, text string) {
	t.Helper()
	_, err := w.servers[server].SSH(w.ctx, "cat >"+path, bytes.NewReader([]byte(text)))
	must(t, err)
}

// snippetWith is the one block of an app's chapter that holds a text.
func snippetWith(t *testing.T, app, text string) string {
	t.Helper()
	var found []string
	for _, s := range snippetsOf(t, app) {
		if strings.Contains(s.text, text) {
			found = append(found, s.text)
		}
	}
	if len(found) != 1 {
		t.Fatalf("%d snippets for %s hold %q", len(found), app, text)
	}
	return found[0]
}

// guideHolds runs the chapters of the apps that are there, and that of Node.js with an app that is only recorded.
func guideHolds(t *testing.T, w *kindWorld) {
	for _, app := range []string{"site", "page", "shop"} {
		w.guide(t, app)
	}
	w.cli(t, "app", "create", "web", "--server", "s1", "--kind", "nodejs", "--repo", w.repos["site"].URL(), "--domain", domainOf("web"), "--no-deploy")
	w.guide(t, "web")
	w.cli(t, "app", "remove", "web", "--yes", "--wait")
	djangoCache(t, w)
}

// djangoCache gives Django the guide's settings: what one process keeps another finds.
func djangoCache(t *testing.T, w *kindWorld) {
	w.put(t, "s1", "/tmp/guide_settings.py", strings.Join([]string{
		snippetWith(t, "shop", "STORAGES"), snippetWith(t, "shop", "CACHES"), snippetWith(t, "shop", "SECURE_PROXY_SSL_HEADER"),
		`SECRET_KEY = "of the guide"`, `INSTALLED_APPS = ["django.contrib.sessions"]`,
		`DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": "/tmp/guide.sqlite3"}}`,
	}, "\n"))
	said := w.ssh(t, "s1", `cd /tmp && export DJANGO_SETTINGS_MODULE=guide_settings PYTHONPATH=/tmp
python3 -m django migrate --verbosity 0 && python3 -m django createcachetable
python3 -c 'import django; django.setup()
from django.core.cache import cache; cache.set("kept", "by one")
from django.contrib.sessions.backends.db import SessionStore; s = SessionStore(); s["who"] = "ada"; s.save(); open("/tmp/guide.key", "w").write(s.session_key)'
python3 -c 'import django; django.setup()
from django.core.cache import cache
from django.contrib.sessions.backends.db import SessionStore
print(cache.get("kept"), SessionStore(open("/tmp/guide.key").read())["who"])'`)
	if said != "by one ada" {
		t.Errorf("Django with the guide's settings says %q", said)
	}
}

// phpSessionsShared has all servers count in one session kept by the guide's code in the app's database.
func phpSessionsShared(t *testing.T, w *kindWorld) {
	code := snippetWith(t, "page", "SessionHandlerInterface") +
		"session_id('one-visitor');\nsession_start();\n$_SESSION['visits'] = ($_SESSION['visits'] ?? 0) + 1;\necho $_SESSION['visits'];\n"
	var told []string
	for range 2 {
		for _, s := range kindServers {
			w.put(t, s, "/tmp/guide.php", code)
			told = append(told, w.ssh(t, s, "python3 /tmp/as $(systemctl show -p MainPID --value sp-page-"+w.slotOf(t, "page")+") sp_page php /tmp/guide.php"))
		}
	}
	if got := strings.Join(told, " "); got != "1 2 3 4 5 6" {
		t.Errorf("three servers count %s in one session", got)
	}
}

// TestGuideNamesItsLanguages keeps a block without one from being run by nothing.
func TestGuideNamesItsLanguages(t *testing.T) {
	raw, err := os.ReadFile(guideFile)
	must(t, err)
	fences := regexp.MustCompile("(?m)^```.*$").FindAllString(string(raw), -1)
	for n, fence := range fences {
		if (fence == "```") != (n%2 == 1) {
			t.Errorf("fence %d is %q", n+1, fence)
		}
	}
}
