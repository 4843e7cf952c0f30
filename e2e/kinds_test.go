//go:build e2e

package e2e

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/serverplane/serverplane/client"
	"github.com/serverplane/serverplane/e2e/fleet"
	"github.com/serverplane/serverplane/e2e/lab"
)

// kindWorld is several apps of different kinds side by side on the same servers.
type kindWorld struct {
	*world
	repos map[string]*lab.Repository
}

var kindServers = []string{"s1", "s2"}

// TestKinds is one app of each kind, side by side on the same servers. PHP is installed already; Python's runtime is
// installed by the panel.
func TestKinds(t *testing.T) {
	t.Parallel() // nothing here is held against the clock
	config := fleet.Config{Log: os.Stderr, Packages: append(lab.Packages(), phpPackages()...)}
	w := &kindWorld{world: makeWorld(t, config, named(kindServers)...), repos: map[string]*lab.Repository{}}
	for _, story := range []struct {
		name string
		tell func(*testing.T, *kindWorld)
	}{
		{"apps of every kind are deployed side by side", deployKinds},
		{"every backend of every app serves", kindsServe},
		{"variables arrive byte for byte", kindsSeeVariables},
		{"a static site is built with its variables", staticVariables},
		{"PHP knows the visitor and https behind the entry", phpBehindEntry},
		{"sessions in files need IP hash", phpSessions},
		{"a dead php-fpm costs no visitor anything", deadFPM},
		{"a new commit goes live without a lost request", deployPHPAgain},
		{"what is wrong is named and leaves the site as it was", brokenKinds},
		{"no app reads another's files, variables or processes", strangers},
		{"what the guide says holds as it stands", guideHolds},
		{"removed apps leave no trace", removeKinds},
	} {
		if !t.Run(story.name, func(t *testing.T) { story.tell(t, w) }) {
			t.Fatal("the rest builds on this")
		}
	}
}

func phpPackages() []string {
	return []string{
		"php-fpm", "php-cli", "composer", "unzip", "php-bcmath", "php-curl", "php-gd", "php-intl", "php-mbstring", "php-mysql",
		"php-pgsql", "php-sqlite3", "php-xml", "php-zip", "gunicorn", "python3-django", "libjs-jquery", "mariadb-server", "php-laravel-framework",
	}
}

// domainOf is the name of an app; page answers any other.
func domainOf(app string) string { return app + ".example.com" }

func deployKinds(t *testing.T, w *kindWorld) {
	w.add(t, kindServers...)
	dir := filepath.Dir(w.panel.Dir)
	for _, a := range []struct {
		name, kind, example string
		more                []string
	}{
		{"site", "static", "static", []string{"--build", "sh build.sh", "--option", "output=dist"}},
		{"page", "php", "php", []string{"--option", "document-root=public"}},
		{"shop", "python", "django", []string{"--option", "system-site-packages=true"}},
	} {
		var err error
		w.repos[a.name], err = lab.NewRepository(filepath.Join(dir, "repo-"+a.name), "../examples/"+a.example)
		must(t, err)
		create := []string{"app", "create", a.name, "--server", "s1", "--kind", a.kind, "--repo", w.repos[a.name].URL(), "--option", "drain=1s", "--no-deploy"}
		if a.name != "page" {
			create = append(create, "--domain", domainOf(a.name))
		}
		w.cli(t, append(create, a.more...)...)
		must(t, w.api.SetVariables(w.ctx, a.name, map[string]string{
			"TORTURE": torture(), "TITLE": "First", "ALLOWED_HOSTS": domainOf(a.name), "SECRET_KEY": "of " + a.name,
		}))
		w.cli(t, "deploy", a.name, "--wait")
		w.cli(t, "lb", "enable", a.name, "--yes", "--wait")
		for _, s := range kindServers[1:] {
			w.cli(t, "backend", "add", a.name, s, "--wait")
		}
	}
}

// get asks the entry for an app, as a visitor would; cookies are kept in the jar of c.
func (w *kindWorld) get(t *testing.T, c *http.Client, app, path string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(w.ctx, http.MethodGet, strings.TrimSuffix(w.entry("s1"), "/")+path, nil)
	must(t, err)
	req.Host = domainOf(app)
	resp, err := c.Do(req)
	must(t, err)
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	must(t, err)
	return resp.StatusCode, string(raw)
}

// atBackend asks one backend's local site from the entry's place.
func (w *kindWorld) atBackend(t *testing.T, app, server, path string, more ...string) string {
	t.Helper()
	quoted := ""
	for _, m := range more {
		quoted += " '" + m + "'"
	}
	return w.ssh(t, "s1", fmt.Sprintf("curl -s -m 20 -H 'Host: %s'%s 'http://%s%s'", domainOf(app), quoted, w.backend(t, app, server).Address, path))
}

func kindsServe(t *testing.T, w *kindWorld) {
	for _, app := range []string{"page", "shop"} {
		for _, s := range kindServers {
			w.untilState(t, app, s, "healthy", 30*time.Second)
			var about struct{ Server string }
			must(t, json.Unmarshal([]byte(w.atBackend(t, app, s, "/")), &about))
			if about.Server != s {
				t.Errorf("%s on %s says it is on %q", app, s, about.Server)
			}
			if got := w.backend(t, app, s).Runtime; !strings.HasPrefix(got, map[string]string{"page": "PHP 8.", "shop": "Python 3."}[app]) {
				t.Errorf("%s on %s runs on %q", app, s, got)
			}
		}
	}
	for _, s := range kindServers {
		w.untilState(t, "site", s, "healthy", 30*time.Second)
		if got := w.atBackend(t, "site", s, "/style.css"); got != "body { margin: 2em }" {
			t.Errorf("site on %s: %s", s, got)
		}
	}
	if code, _ := w.get(t, http.DefaultClient, "site", "/app/route"); code != 404 {
		t.Errorf("a path that is no file gives %d", code)
	}
	if code, body := w.get(t, http.DefaultClient, "shop", "/admin/login/"); code != 200 || !strings.Contains(body, "csrfmiddlewaretoken") && !strings.Contains(body, "Django") {
		t.Errorf("Django's admin gives %d: %.200s", code, body)
	}
}

func kindsSeeVariables(t *testing.T, w *kindWorld) {
	value := torture()
	sum := sha256.Sum256([]byte(value))
	for _, app := range []string{"page", "shop"} {
		for _, s := range kindServers {
			var seen struct {
				SHA256 string
				Bytes  int
			}
			got := w.atBackend(t, app, s, "/env/TORTURE")
			if json.Unmarshal([]byte(got), &seen) != nil || seen.SHA256 != hex.EncodeToString(sum[:]) || seen.Bytes != len(value) {
				t.Errorf("%s on %s sees %.200s, want %d bytes", app, s, got, len(value))
			}
		}
	}
}

func staticVariables(t *testing.T, w *kindWorld) {
	w.cli(t, "env", "set", "site", "TITLE=Second")
	w.cli(t, "app", "set", "site", "--option", "spa=true")
	w.cli(t, "env", "apply", "site", "--wait")
	for _, s := range kindServers {
		if got := w.atBackend(t, "site", s, "/some/route"); !strings.Contains(got, "<h1>Second</h1>") {
			t.Errorf("%s: %s", s, got)
		}
	}
}

func phpBehindEntry(t *testing.T, w *kindWorld) {
	for _, s := range kindServers {
		got := w.atBackend(t, "page", s, "/server", "-HX-Forwarded-For: 203.0.113.9", "-HX-Forwarded-Proto: https")
		for _, want := range []string{`"HTTPS":"on"`, `"REMOTE_ADDR":"203.0.113.9"`, `"SERVER_PORT":"443"`} {
			if !strings.Contains(got, want) {
				t.Errorf("%s: %s; want %s", s, got, want)
			}
		}
	}
	if _, body := w.get(t, http.DefaultClient, "page", "/server"); strings.Contains(body, `"HTTPS"`) || !strings.Contains(body, `"REMOTE_ADDR"`) {
		t.Errorf("without https: %s", body)
	}
}

func jar(t *testing.T) http.CookieJar {
	t.Helper()
	j, err := cookiejar.New(nil)
	must(t, err)
	return j
}

// visits has one browser come eight times and gives what it was told.
func (w *kindWorld) visits(t *testing.T) []int {
	t.Helper()
	c := &http.Client{Jar: jar(t)}
	var told []int
	for range 8 {
		var about struct{ Visits int }
		_, body := w.get(t, c, "page", "/visits")
		must(t, json.Unmarshal([]byte(body), &about))
		told = append(told, about.Visits)
	}
	return told
}

func phpSessions(t *testing.T, w *kindWorld) {
	if told := fmt.Sprint(w.visits(t)); told == "[1 2 3 4 5 6 7 8]" {
		t.Error("round robin kept a session that lives in files of one server")
	} else {
		t.Logf("round robin: %s", told)
	}
	w.cli(t, "lb", "set", "page", "--method", "ip-hash")
	if told := fmt.Sprint(w.visits(t)); told != "[1 2 3 4 5 6 7 8]" {
		t.Errorf("with IP hash: %s", told)
	}
	w.cli(t, "lb", "set", "page", "--method", "round-robin")
}

func deadFPM(t *testing.T, w *kindWorld) {
	visitors := lab.Visit(w.entry("s1"), 20*time.Millisecond)
	slot := w.slotOf(t, "page")
	w.ssh(t, "s2", "mv /run/sp-page-"+slot+"/fpm.sock /run/sp-page-"+slot+"/hidden.sock")
	b := w.untilState(t, "page", "s2", "unhealthy", 40*time.Second)
	if b.Answer != "HTTP 598" || b.Reason != "the app's process does not listen" {
		t.Errorf("s2: %s (%s)", b.Reason, b.Answer)
	}
	w.ssh(t, "s2", "mv /run/sp-page-"+slot+"/hidden.sock /run/sp-page-"+slot+"/fpm.sock")
	w.untilState(t, "page", "s2", "healthy", 40*time.Second)
	before := w.ssh(t, "s2", "systemctl show -p NRestarts --value sp-page-"+slot)
	w.ssh(t, "s2", "pkill -KILL -u sp_page -f 'php-fpm: master'")
	until(t, 20*time.Second, "php-fpm and its Nginx are started anew", func() (bool, string) {
		now := w.ssh(t, "s2", "systemctl show -p NRestarts --value sp-page-"+slot+"; ss -lnt | grep -c 127.0.0.1:2 || true")
		return !strings.HasPrefix(now, before+"\n"), now
	})
	w.untilState(t, "page", "s2", "healthy", 40*time.Second)
	noneLost(t, visitors.Stop())
}

func (w *kindWorld) slotOf(t *testing.T, app string) string {
	t.Helper()
	return w.ssh(t, "s1", "test -f /var/lib/serverplane/live/"+app+".b && echo b || echo a")
}

func deployPHPAgain(t *testing.T, w *kindWorld) {
	must(t, w.repos["page"].Write("NEWS", "a change"))
	_, err := w.repos["page"].Commit("a change")
	must(t, err)
	visitors := lab.Visit(w.entry("s1"), 20*time.Millisecond)
	w.cli(t, "deploy", "page", "--wait")
	noneLost(t, visitors.Stop())
}

// broken deploys a change that must fail, takes it back, and gives what was said.
func (w *kindWorld) broken(t *testing.T, app string, files map[string]string, set ...string) string {
	t.Helper()
	before := w.ssh(t, "s1", "ls /home/sp_"+app+"/releases; systemctl is-active sp-"+app+"-a sp-"+app+"-b || true")
	was := map[string]string{}
	for name, text := range files {
		raw, _ := os.ReadFile(filepath.Join(w.repos[app].Dir, name))
		was[name] = string(raw)
		must(t, w.repos[app].Write(name, text))
	}
	w.commit(t, app, files, "broken on purpose")
	if len(set) > 0 {
		w.cli(t, append([]string{"app", "set", app}, set...)...)
	}
	said := w.refuse(t, 1, "deploy", app, "--wait")
	code, _ := w.get(t, http.DefaultClient, app, "/")
	after := w.ssh(t, "s1", "systemctl is-active sp-"+app+"-a sp-"+app+"-b || true")
	if code != 200 || !strings.HasSuffix(before, after) {
		t.Errorf("%s answers %d, slots %q, before %q", app, code, after, before)
	}
	for name, text := range was {
		if text == "" {
			must(t, os.Remove(filepath.Join(w.repos[app].Dir, name)))
			continue
		}
		must(t, w.repos[app].Write(name, text))
	}
	w.commit(t, app, files, "mended")
	return said
}

// commit makes a commit where files were changed.
func (w *kindWorld) commit(t *testing.T, app string, files map[string]string, message string) {
	t.Helper()
	if len(files) == 0 {
		return
	}
	_, err := w.repos[app].Commit(message)
	must(t, err)
}

func brokenKinds(t *testing.T, w *kindWorld) {
	for _, c := range []struct {
		app   string
		files map[string]string
		set   []string
		undo  []string
		want  string
	}{
		{"page", map[string]string{"composer.json": `{"require":{"ext-imagick":"*"},"repositories":[{"packagist.org":false}]}`}, nil, nil, "lacks the extension imagick"},
		{"page", nil, []string{"--option", "document-root=pub"}, []string{"--option", "document-root=public"}, "no folder pub after the build"},
		{"shop", map[string]string{"requirements.txt": "django\ngunicorn\nno-such-package-of-anybody==9.9\n"}, nil, nil, "no-such-package-of-anybody"},
		{"shop", nil, []string{"--start", "gunicorn-of-nobody shop.wsgi"}, []string{"--start", ""}, "gunicorn-of-nobody: not found"},
		{"shop", nil, []string{"--start", "python -m gunicorn --bind 127.0.0.1:8123 shop.wsgi"}, []string{"--start", ""}, "listens on 8123 instead of $PORT"},
		{"site", map[string]string{".gitmodules": "[submodule \"lib\"]\n\tpath = lib/theme\n\turl = https://example.com/theme.git\n"}, nil, nil, "has the submodule lib/theme"},
		{"site", map[string]string{"logo.png": "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2ca24d17e2393\nsize 12345\n"}, nil, nil, "logo.png is kept in Git LFS"},
		{"site", nil, []string{"--option", "output=public"}, []string{"--option", "output=dist"}, "no folder public after the build"},
	} {
		said := w.broken(t, c.app, c.files, c.set...)
		if !strings.Contains(said, c.want) {
			t.Errorf("%s: %q is not told:\n%s", c.app, c.want, lastLines(said, 40))
		}
		if c.undo != nil {
			w.cli(t, append([]string{"app", "set", c.app}, c.undo...)...)
		}
	}
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

func strangers(t *testing.T, w *kindWorld) { w.strangers(t, "site", "page", "shop") }

// strangers tries as each app's user what is another's.
func (w *kindWorld) strangers(t *testing.T, apps ...string) {
	t.Helper()
	for _, s := range kindServers {
		for _, me := range apps {
			for _, other := range apps {
				if me == other {
					continue
				}
				slot := w.slotOf(t, other)
				pid := w.ssh(t, s, "systemctl show -p MainPID --value sp-"+other+"-"+slot)
				for _, try := range []string{
					"ls /home/sp_" + other, "cat /home/sp_" + other + "/releases/*/*", "ls /etc/serverplane/apps/" + other, "cat /etc/serverplane/apps/" + other + "/" + slot + "/env",
					"cat /proc/" + pid + "/environ", "kill -0 " + pid, "cat /var/lib/serverplane/apps/" + other + ".json",
					"python3 -c 'import socket; socket.socket(socket.AF_UNIX).connect(\"/run/sp-" + other + "-" + slot + "/fpm.sock\")'", "touch /run/sp-" + other + "-" + slot + "/x",
				} {
					out := w.ssh(t, s, "runuser -u sp_"+me+" -- sh -c '"+strings.ReplaceAll(try, "'", `'\''`)+"' >/dev/null 2>&1 && echo done || echo refused")
					if out != "refused" {
						t.Errorf("on %s, %s can: %s", s, me, try)
					}
				}
			}
		}
	}
}

func removeKinds(t *testing.T, w *kindWorld) {
	for _, app := range []string{"site", "page", "shop"} {
		w.cli(t, "app", "remove", app, "--yes", "--wait")
		for _, s := range kindServers {
			left := w.ssh(t, s, fmt.Sprintf(`ls -d /home/sp_%[1]s /etc/serverplane/apps/%[1]s /etc/systemd/system/sp-%[1]s-* /run/sp-%[1]s-* /etc/nginx/conf.d/sp-%[1]s.conf `+
				`/var/lib/serverplane/apps/%[1]s.json 2>/dev/null || true; id sp_%[1]s 2>/dev/null || true; ps -eo user:20,args | grep '^sp_%[1]s' || true`, app))
			if left != "" {
				t.Errorf("%s: %s", s, left)
			}
		}
	}
	var list client.List[client.App]
	must(t, w.panel.Read(w.ctx, &list, "app", "list"))
	if len(list.Items) != 0 {
		t.Errorf("%d apps are left", len(list.Items))
	}
}
