//go:build e2e

package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/serverplane/serverplane/e2e/fleet"
	"github.com/serverplane/serverplane/e2e/lab"
)

// TestPHPFrameworks is WordPress and Laravel as Debian packages them, beside each other on two servers, with a MariaDB
// on the primary that was made by hand.
func TestPHPFrameworks(t *testing.T) {
	t.Parallel() // nothing here is held against the clock
	packages := append(lab.Packages(), phpPackages()...)
	config := fleet.Config{Log: os.Stderr, Packages: packages}
	w := &kindWorld{world: makeWorld(t, config, named(kindServers)...), repos: map[string]*lab.Repository{}}
	for _, story := range []struct {
		name string
		tell func(*testing.T, *kindWorld)
	}{
		{"a database is made by hand", makeMariaDB},
		{"Laravel: caches after variables, sessions and forms across backends", laravelRuns},
		{"Laravel: the scheduler runs once a minute in all, workers follow the release", laravelBeside},
		{"WordPress: installed, signed in, published, the same on every backend", wordpressRuns},
		{"PHP's sessions in the database, as the guide keeps them", phpSessionsShared},
		{"workers and schedulers as the guide starts them", guideProcesses},
		{"neither reads the other's files or reaches its PHP", func(t *testing.T, w *kindWorld) { w.strangers(t, "forum", "blog") }},
	} {
		if !t.Run(story.name, func(t *testing.T) { story.tell(t, w) }) {
			t.Fatal("the rest builds on this")
		}
	}
}

func makeMariaDB(t *testing.T, w *kindWorld) {
	w.add(t, kindServers...)
	w.ssh(t, "s1", `printf '[mysqld]\nbind-address = 0.0.0.0\n' >/etc/mysql/mariadb.conf.d/99-story.cnf
systemctl start mariadb
for app in forum blog; do mysql -e "create database sp_$app; create user sp_$app@'%' identified by 'of-$app'; grant all on sp_$app.* to sp_$app@'%'"; done
ufw allow from `+w.servers["s2"].Addr.String()+` to any port 3306 proto tcp`)
}

// database names the variables an app finds its database by.
func (w *kindWorld) database(app string) map[string]string {
	return map[string]string{
		"DB_CONNECTION": "mysql", "DB_HOST": w.servers["s1"].Addr.String(), "DB_PORT": "3306", "DB_DATABASE": "sp_" + app,
		"DB_USERNAME": "sp_" + app, "DB_PASSWORD": "of-" + app, "APP_VERSION": "1",
	}
}

// bring creates an app, deploys it and adds it to the second server.
func (w *kindWorld) bring(t *testing.T, app string, more ...string) {
	t.Helper()
	create := []string{"app", "create", app, "--server", "s1", "--repo", w.repos[app].URL(), "--option", "drain=1s", "--domain", domainOf(app), "--no-deploy"}
	w.cli(t, append(create, more...)...)
	must(t, w.api.SetVariables(w.ctx, app, w.database(app)))
	w.cli(t, "deploy", app, "--wait")
	w.cli(t, "lb", "enable", app, "--yes", "--wait")
	w.cli(t, "backend", "add", app, "s2", "--wait")
	for _, s := range kindServers {
		w.untilState(t, app, s, "healthy", 30*time.Second)
	}
}

func laravelRuns(t *testing.T, w *kindWorld) {
	var err error
	w.repos["forum"], err = lab.NewRepository(filepath.Join(filepath.Dir(w.panel.Dir), "repo-forum"), "../examples/laravel")
	must(t, err)
	w.bring(t, "forum") // the kind is found by looking
	var app struct{ Kind string }
	must(t, w.panel.Read(w.ctx, &app, "app", "show", "forum"))
	if app.Kind != "laravel" {
		t.Errorf("found to be %s", app.Kind)
	}
	for _, version := range []string{"1", "2"} {
		if version == "2" {
			w.cli(t, "env", "set", "forum", "APP_VERSION=2")
			w.cli(t, "env", "apply", "forum", "--wait")
		}
		for _, s := range kindServers {
			got := w.atBackend(t, "forum", s, "/", "-HX-Forwarded-For: 203.0.113.9", "-HX-Forwarded-Proto: https")
			for _, want := range []string{`"server":"` + s + `"`, `"version":"` + version + `"`, `"ip":"203.0.113.9"`, `"secure":true`, `"cached":true`} {
				if !strings.Contains(got, want) {
					t.Errorf("%s: %.300s; want %s", s, got, want)
				}
			}
		}
	}
	browser := &http.Client{Jar: jar(t)}
	for want := 1; want <= 6; want++ {
		var about struct{ Visits int }
		_, body := w.get(t, browser, "forum", "/visits")
		if json.Unmarshal([]byte(body), &about) != nil || about.Visits != want {
			t.Errorf("visit %d: %.200s", want, body)
		}
	}
	var form struct{ Token string }
	_, body := w.get(t, browser, "forum", "/form")
	must(t, json.Unmarshal([]byte(body), &form))
	for range 2 {
		if code, body := w.post(t, browser, "forum", "/form", url.Values{"_token": {form.Token}, "text": {"hello"}}, nil); code != 200 {
			t.Errorf("the form gives %d %.200s", code, body)
		}
	}
	if n := w.ssh(t, "s1", `mysql -N -e 'select count(*) from sp_forum.jobs'`); n != "2" {
		t.Errorf("%s jobs are queued", n)
	}
	if n := w.ssh(t, "s1", `mysql -N -e 'select count(*) from sp_forum.migrations'`); n != "1" {
		t.Errorf("%s migrations ran", n)
	}
}

// guideProcesses ends with the jobs that the forms left done by a worker that was started as the guide says.
func guideProcesses(t *testing.T, w *kindWorld) {
	w.guide(t, "forum")
	w.guide(t, "blog")
	for _, app := range []string{"forum", "blog"} {
		w.cli(t, "env", "apply", app, "--wait")
	}
	until(t, time.Minute, "the worker to do the jobs", func() (bool, string) {
		left := w.ssh(t, "s1", `mysql -N -e 'select count(*) from sp_forum.jobs'`)
		return left == "0", left + " jobs are left"
	})
	for _, s := range kindServers {
		if got := w.atBackend(t, "blog", s, "/?rest_route=/"); !strings.Contains(got, `"home":"https:\/\/blog.example.com"`) {
			t.Errorf("%s: the blog's address is not what the guide says: %.200s", s, got)
		}
	}
}

// laravelBeside adds what the panel says that apps of the kind usually have, word for word.
func laravelBeside(t *testing.T, w *kindWorld) {
	app, err := w.api.App(w.ctx, "forum")
	must(t, err)
	if len(app.Beside) != 2 {
		t.Fatalf("proposed are %q", app.Beside)
	}
	for _, line := range app.Beside {
		var words []string
		for _, word := range regexp.MustCompile(`'[^']*'|\S+`).FindAllString(line, -1) {
			words = append(words, strings.Trim(word, "'"))
		}
		w.cli(t, append(words[1:], "--wait")...)
	}
	notes := func(want string) {
		t.Helper()
		until(t, 30*time.Second, want+" jobs are done", func() (bool, string) {
			got := w.ssh(t, "s1", `mysql -N -e 'select count(*) from sp_forum.notes'`)
			return got == want, got
		})
	}
	notes("2") // what the forms have queued
	before := w.processOfApp(t, "forum", "queue")
	if len(before.States) != 2 {
		t.Fatalf("workers run on %+v", before.States)
	}
	must(t, w.repos["forum"].Write("NEWS", "a change"))
	_, err = w.repos["forum"].Commit("a change")
	must(t, err)
	w.cli(t, "deploy", "forum", "--wait")
	for i, s := range w.processOfApp(t, "forum", "queue").States {
		if s.State != "running" || s.Behind || s.Release == before.States[i].Release {
			t.Errorf("after the switch the worker on %s is %s from %s: %s", s.Server, s.State, s.Release, s.Reason)
		}
	}
	browser := &http.Client{Jar: jar(t)}
	var form struct{ Token string }
	_, body := w.get(t, browser, "forum", "/form")
	must(t, json.Unmarshal([]byte(body), &form))
	w.post(t, browser, "forum", "/form", url.Values{"_token": {form.Token}, "text": {"after the switch"}}, nil)
	notes("3")
	until(t, 4*time.Minute, "the scheduler ran in three minutes", func() (bool, string) {
		got := w.ssh(t, "s1", `mysql -N -e "select date_format(at, '%H:%i'), server, count(*) from sp_forum.ticks group by 1, 2 order by 1"`)
		minutes := strings.Split(got, "\n")
		for _, m := range minutes {
			if f := strings.Fields(m); got != "" && (len(f) != 3 || f[1] != "s1" || f[2] != "1") {
				t.Fatalf("in one minute the scheduler ran elsewhere or more than once:\n%s", got)
			}
		}
		return len(minutes) >= 3, got
	})
}

// post sends a form to the entry as a visitor does.
func (w *kindWorld) post(t *testing.T, c *http.Client, app, path string, form url.Values, header map[string]string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(w.ctx, http.MethodPost, strings.TrimSuffix(w.entry("s1"), "/")+path, strings.NewReader(form.Encode()))
	must(t, err)
	req.Host = domainOf(app)
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	for name, value := range header {
		req.Header.Set(name, value)
	}
	resp, err := c.Do(req)
	must(t, err)
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	must(t, err)
	return resp.StatusCode, string(raw)
}

// wordpress fetches WordPress as Debian packages it, without its configuration.
func (w *kindWorld) wordpress(t *testing.T) {
	t.Helper()
	must(t, os.MkdirAll(filepath.Join(filepath.Dir(w.panel.Dir), "empty"), 0o755))
	must(t, os.WriteFile(filepath.Join(filepath.Dir(w.panel.Dir), "empty", "README"), []byte("a blog\n"), 0o644))
	var err error
	w.repos["blog"], err = lab.NewRepository(filepath.Join(filepath.Dir(w.panel.Dir), "repo-blog"), filepath.Join(filepath.Dir(w.panel.Dir), "empty"))
	must(t, err)
	packed, err := w.servers["s1"].SSH(w.ctx, `set -e
mkdir /tmp/wp && cd /tmp/wp && chmod 777 .
{ apt-get update -q; apt-get download wordpress wordpress-theme-twentytwentythree php-getid3 libjs-cropper libjs-underscore; } >/dev/null 2>&1
for deb in *.deb; do dpkg-deb -x "$deb" /; done
cp -rL /usr/share/wordpress /tmp/wp/out 2>/dev/null || true
rm -f /tmp/wp/out/wp-config.php
test -f /tmp/wp/out/wp-settings.php
tar -C /tmp/wp/out -c .`, nil)
	must(t, err)
	tar := exec.CommandContext(w.ctx, "tar", "-x", "-C", w.repos["blog"].Dir)
	tar.Stdin = bytes.NewReader([]byte(packed))
	out, err := tar.CombinedOutput()
	if err != nil {
		t.Fatalf("unpack WordPress: %v\n%s", err, out)
	}
	_, err = w.repos["blog"].Commit("WordPress")
	must(t, err)
}

func wordpressRuns(t *testing.T, w *kindWorld) {
	w.wordpress(t)
	w.bring(t, "blog")
	browser := &http.Client{Jar: jar(t), CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	if code, body := w.post(t, browser, "blog", "/wp-admin/install.php?step=2", url.Values{
		"weblog_title": {"A blog"}, "user_name": {"ada"}, "admin_password": {"a long password"}, "admin_password2": {"a long password"}, "pw_weak": {"on"},
		"admin_email": {"ada@example.com"}, "blog_public": {"0"}, "language": {""},
	}, nil); code != 200 || !strings.Contains(body, "wp-login.php") {
		t.Fatalf("installing gives %d: %.600s", code, body)
	}
	w.get(t, browser, "blog", "/wp-login.php")
	if code, body := w.post(t, browser, "blog", "/wp-login.php", url.Values{"log": {"ada"}, "pwd": {"a long password"}, "testcookie": {"1"}}, nil); code != 302 {
		t.Fatalf("signing in gives %d: %.600s", code, body)
	}
	for i := range 8 { // round robin: every backend is met
		if code, body := w.get(t, browser, "blog", "/wp-admin/profile.php"); code != 200 || !strings.Contains(body, "ada@example.com") {
			t.Errorf("page %d of somebody signed in gives %d", i, code)
		}
	}
	_, nonce := w.get(t, browser, "blog", "/wp-admin/admin-ajax.php?action=rest-nonce")
	if code, body := w.post(t, browser, "blog", "/?rest_route=/wp/v2/posts", url.Values{"title": {"Hello from two servers"}, "status": {"publish"}}, map[string]string{"X-WP-Nonce": nonce}); code != 201 {
		t.Fatalf("publishing gives %d: %.600s", code, body)
	}
	for _, s := range kindServers {
		if got := w.atBackend(t, "blog", s, "/?rest_route=/wp/v2/posts"); !strings.Contains(got, "Hello from two servers") {
			t.Errorf("%s does not show it: %.300s", s, got)
		}
		if got := w.ssh(t, s, "readlink /home/sp_blog/releases/*/wp-content/uploads"); got != "/home/sp_blog/shared/wp-content/uploads" {
			t.Errorf("%s: uploads are %q", s, got)
		}
		got := w.atBackend(t, "blog", s, "/wp-login.php", "-HX-Forwarded-Proto: https", "-o/dev/null", "-w%{http_code}")
		if got != "200" {
			t.Errorf("%s: the sign-in page behind https gives %s", s, got)
		}
	}
	if said := fmt.Sprint(w.cli(t, "app", "show", "blog")); !strings.Contains(said, "not shared between servers") || !strings.Contains(said, "wordpress") {
		t.Errorf("app show: %s", said)
	}
}
