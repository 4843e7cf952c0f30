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
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/serverplane/serverplane/client"
	"github.com/serverplane/serverplane/e2e/fleet"
	"github.com/serverplane/serverplane/e2e/lab"
)

// kindWorld is one app of each kind, side by side on the same servers.
type kindWorld struct {
	*world
	rows  []kindRow
	mu    sync.Mutex
	repos map[string]*lab.Repository
}

var kindServers = []string{"s1", "s2", "s3"}

// TestKinds is a real application of each kind on the same three servers, each with the database it is used with. What they are made
// of is kindTable; most parts walk it. The packages are installed already.
func TestKinds(t *testing.T) {
	t.Parallel() // nothing here is held against the clock
	config := fleet.Config{Log: os.Stderr, Packages: append(lab.Packages(), kindPackages()...)}
	var specs []fleet.Spec
	for _, s := range kindServers {
		specs = append(specs, fleet.Spec{Name: s, Docker: true})
	}
	w := &kindWorld{world: makeWorld(t, config, specs...), rows: kindTable(), repos: map[string]*lab.Repository{}}
	for _, story := range []struct {
		name string
		tell func(*testing.T, *kindWorld)
	}{
		{"apps of every kind are deployed side by side", deployKinds},
		{"WordPress: installed, signed in, published, the same on every backend", wordpressRuns},
		{"every backend of every app serves", kindsServe},
		{"variables arrive byte for byte", kindsSeeVariables},
		{"PHP knows the visitor and https behind the entry", phpBehindEntry},
		{"sessions in files need IP hash", phpSessions},
		{"Laravel: what runs beside it is added as the panel proposes", laravelBeside},
		{"new commits go live without a lost request", deployKindsAgain},
		{"changed variables go live without a lost request", changeKinds},
		{"Django: one sign-in for all backends, migrations once per deployment, static files", djangoRuns},
		{"Laravel: caches after variables, sessions, forms and jobs across backends", laravelRuns},
		{"what is wrong is named and leaves the site as it was", brokenKinds},
		{"a repository of 200 MB is deployed like any other", filmKinds},
		{"Laravel: the scheduler runs once a minute, in all", laravelMinutes},
		{"a slot that does not answer costs no visitor anything", deadKinds},
		{"a dead php-fpm costs no visitor anything", deadFPM},
		{"each method sends visitors where it should", kindMethods},
		{"no app reads another's files, variables, processes or database", strangers},
		{"Laravel: the scheduler runs once for each of 60 ticks, in all", laravelTicks},
		{"what the guide says holds as it stands", guideHolds},
		{"PHP's sessions in the database, as the guide keeps them", phpSessionsShared},
		{"workers and schedulers as the guide starts them", guideProcesses},
		{"removed apps leave no trace", removeKinds},
	} {
		if !t.Run(story.name, func(t *testing.T) { story.tell(t, w) }) {
			t.Fatal("the rest builds on this")
		}
	}
}

func kindPackages() []string {
	return []string{
		"php-fpm", "php-cli", "composer", "unzip", "php-bcmath", "php-curl", "php-gd", "php-intl", "php-mbstring", "php-mysql",
		"php-pgsql", "php-sqlite3", "php-xml", "php-zip", "php-laravel-framework",
		"gunicorn", "python3-venv", "python3-django", "python3-psycopg2", "python3-whitenoise", "python3-uvicorn", "python3-starlette", "libjs-jquery", "mariadb-server", "postgresql", "docker.io",
	}
}

// domainOf is the name of an app; page answers any other.
func domainOf(app string) string { return app + ".example.com" }

// walk has the apps go through a part beside each other, a few at a time: two cores are all there is. One that cannot go on ends
// alone, and the part fails.
func (w *kindWorld) walk(t *testing.T, limit int, do func(*testing.T, kindRow)) {
	t.Helper()
	var all sync.WaitGroup
	places := make(chan struct{}, limit)
	for _, k := range w.rows {
		all.Go(func() {
			places <- struct{}{}
			defer func() { <-places }()
			do(t, k)
		})
	}
	all.Wait()
}

// few is how many deployments of different apps are under way at once.
const few = 3

func deployKinds(t *testing.T, w *kindWorld) {
	w.add(t, kindServers...)
	w.walk(t, few, w.bring)
}

// bring makes an app and its database, deploys it, and adds it to the other servers.
func (w *kindWorld) bring(t *testing.T, k kindRow) {
	repo := k.repository(t, w)
	w.mu.Lock()
	w.repos[k.app] = repo
	w.mu.Unlock()
	create := []string{"app", "create", k.app, "--server", "s1", "--repo", repo.URL(), "--option", "drain=1s", "--no-deploy"}
	if k.app != "page" {
		create = append(create, "--domain", domainOf(k.app))
	}
	w.cli(t, append(create, k.create...)...)
	var app struct{ Kind string }
	must(t, w.panel.Read(w.ctx, &app, "app", "show", k.app))
	if app.Kind != k.kind {
		t.Errorf("%s is found to be of kind %s", k.app, app.Kind)
	}
	if k.engine != "" {
		w.cli(t, "db", "create", k.app, "--app", k.app, "--engine", k.engine, "--wait")
		w.cli(t, "db", "set", k.app, "--pool", "2") // all of them together stay below what an engine takes
	}
	must(t, w.api.SetVariables(w.ctx, k.app, k.variables("1")))
	w.cli(t, "deploy", k.app, "--wait")
	w.cli(t, "lb", "enable", k.app, "--yes", "--wait")
	w.cli(t, "lb", "set", k.app, "--name-header", "--interval", "3s", "--timeout", "3s")
	var both errgroup.Group
	for _, s := range kindServers[1:] {
		both.Go(func() error {
			_, err := w.panel.CLI(w.ctx, "backend", "add", k.app, s, "--wait")
			return err
		})
	}
	must(t, both.Wait())
	for _, s := range kindServers {
		w.untilState(t, k.app, s, "healthy", 30*time.Second)
	}
}

// ask asks the entry for an app, as a visitor would; cookies are kept in the jar of c.
func (w *kindWorld) ask(t *testing.T, c *http.Client, app, path string) (*http.Response, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(w.ctx, http.MethodGet, strings.TrimSuffix(w.entry("s1"), "/")+path, nil)
	must(t, err)
	return w.send(t, c, req, app)
}

func (w *kindWorld) send(t *testing.T, c *http.Client, req *http.Request, app string) (*http.Response, string) {
	t.Helper()
	req.Host = domainOf(app)
	resp, err := c.Do(req)
	must(t, err)
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	must(t, err)
	return resp, string(raw)
}

func (w *kindWorld) get(t *testing.T, c *http.Client, app, path string) (int, string) {
	t.Helper()
	resp, body := w.ask(t, c, app, path)
	return resp.StatusCode, body
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
	w.every(t, "1")
	for _, k := range w.rows {
		for _, s := range kindServers {
			if got := w.backend(t, k.app, s).Runtime; !strings.HasPrefix(got, k.runtime) {
				t.Errorf("%s on %s runs on %q", k.app, s, got)
			}
		}
	}
	for _, s := range kindServers {
		if got := w.atBackend(t, "site", s, "/style.css"); got != "body { margin: 2em }" {
			t.Errorf("site on %s: %s", s, got)
		}
	}
	if code, _ := w.get(t, http.DefaultClient, "site", "/app/route"); code != 404 {
		t.Errorf("a path that is no file gives %d", code)
	}
}

func kindsSeeVariables(t *testing.T, w *kindWorld) {
	value := torture()
	sum := sha256.Sum256([]byte(value))
	for _, k := range w.rows {
		for _, s := range kindServers {
			if k.env == "" {
				continue
			}
			var seen struct {
				SHA256 string
				Bytes  int
			}
			got := w.atBackend(t, k.app, s, k.env+"TORTURE")
			if json.Unmarshal([]byte(got), &seen) != nil || seen.SHA256 != hex.EncodeToString(sum[:]) || seen.Bytes != len(value) {
				t.Errorf("%s on %s sees %.200s, want %d bytes", k.app, s, got, len(value))
			}
		}
	}
}

// deployKindsAgain goes where a new commit shows: in visitors, in migrations, in workers.
func deployKindsAgain(t *testing.T, w *kindWorld) {
	visitors := lab.Visit(w.entry("s1"), 20*time.Millisecond)
	w.walk(t, few, func(t *testing.T, k kindRow) {
		if !slices.Contains([]string{"page", "shop", "forum"}, k.app) {
			return
		}
		before := w.backend(t, k.app, "s1").Release
		must(t, w.repos[k.app].Write("NEWS", "a change"))
		_, err := w.repos[k.app].Commit("a change")
		must(t, err)
		w.cli(t, "deploy", k.app, "--wait")
		release := w.backend(t, k.app, "s1").Release
		for _, s := range kindServers {
			if now := w.backend(t, k.app, s).Release; now == before || now != release {
				t.Errorf("%s on %s is at %s, on s1 at %s, before at %s", k.app, s, now, release, before)
			}
		}
	})
	noneLost(t, visitors.Stop())
}

func changeKinds(t *testing.T, w *kindWorld) {
	visitors := lab.Visit(w.entry("s1"), 20*time.Millisecond)
	w.cli(t, "app", "set", "site", "--option", "spa=true")
	w.walk(t, few, func(t *testing.T, k kindRow) {
		w.cli(t, "env", "set", k.app, k.shows()+"=2")
		w.cli(t, "env", "apply", k.app, "--wait")
	})
	noneLost(t, visitors.Stop())
	w.every(t, "2")
	for _, s := range kindServers {
		if got := w.atBackend(t, "site", s, "/some/route"); !strings.Contains(got, "<h1>2</h1>") {
			t.Errorf("%s: %s", s, got)
		}
	}
}

func jar(t *testing.T) http.CookieJar {
	t.Helper()
	j, err := cookiejar.New(nil)
	must(t, err)
	return j
}

// deadKinds stops on s2 what runs in the slot of every app.
func deadKinds(t *testing.T, w *kindWorld) {
	visitors := lab.Visit(w.entry("s1"), 20*time.Millisecond)
	w.walk(t, len(w.rows), func(t *testing.T, k kindRow) {
		unit := "sp-" + k.app + "-" + w.slotOf(t, k.app)
		w.ssh(t, "s2", "systemctl stop "+unit)
		if b := w.untilState(t, k.app, "s2", "unhealthy", time.Minute); b.Answer != "HTTP 598" || b.Reason != "the app's process does not listen" {
			t.Errorf("%s on s2: %s (%s)", k.app, b.Reason, b.Answer)
		}
		for range 9 {
			if code, body := w.get(t, http.DefaultClient, k.app, k.about); code != 200 {
				t.Errorf("a visitor of %s gets %d: %.200s", k.app, code, body)
			}
		}
		w.ssh(t, "s2", "systemctl start "+unit)
		w.untilState(t, k.app, "s2", "healthy", time.Minute)
	})
	noneLost(t, visitors.Stop())
}

func (w *kindWorld) slotOf(t *testing.T, app string) string {
	t.Helper()
	return w.ssh(t, "s1", "test -f /var/lib/serverplane/live/"+app+".b && echo b || echo a")
}

// kindMethods has one visitor come twelve times by each method.
func kindMethods(t *testing.T, w *kindWorld) {
	w.walk(t, few, func(t *testing.T, k kindRow) {
		for method, want := range map[string]int{"least-connections": 3, "ip-hash": 1, "round-robin": 3} {
			w.cli(t, "lb", "set", k.app, "--method", method)
			by := map[string]int{}
			for range 12 {
				resp, _ := w.ask(t, http.DefaultClient, k.app, k.about)
				if resp.StatusCode != 200 {
					t.Errorf("%s by %s: %s", k.app, method, resp.Status)
				}
				by[resp.Header.Get("X-Served-By")]++
			}
			if len(by) != want || by[""] > 0 {
				t.Errorf("%s by %s: served by %v", k.app, method, by)
			}
		}
		w.cli(t, "lb", "set", k.app, "--method", "round-robin")
	})
}

func removeKinds(t *testing.T, w *kindWorld) {
	w.walk(t, few, func(t *testing.T, k kindRow) {
		if k.engine != "" {
			w.cli(t, "db", "remove", k.app, "--yes", "--wait")
		}
		w.cli(t, "app", "remove", k.app, "--yes", "--wait")
	})
	look := ""
	for _, k := range w.rows {
		look += fmt.Sprintf(`ls -d /home/sp_%[1]s /etc/serverplane/apps/%[1]s /etc/systemd/system/sp-%[1]s[-_]* /etc/systemd/system/*.wants/sp-%[1]s[-_]* /run/sp-%[1]s-* `+
			`/etc/nginx/conf.d/sp-%[1]s.conf /var/lib/serverplane/apps/%[1]s.json /var/lib/serverplane/live/%[1]s* 2>/dev/null || true; id sp_%[1]s 2>/dev/null || true; `+
			`ps -eo user:20,args | grep '^sp_%[1]s' || true; ufw status | grep -w %[1]s || true`, k.app) + "\n"
	}
	for _, s := range kindServers {
		if left := w.ssh(t, s, look); left != "" {
			t.Errorf("%s: %s", s, left)
		}
		if left := w.ssh(t, s, `docker ps -aq; docker image ls -aq; docker network ls --format '{{.Name}}' | grep -vx 'bridge\|host\|none'; ufw status | grep -i 'serverplane db'; true`); left != "" {
			t.Errorf("%s: %s", s, left)
		}
	}
	if left := w.ssh(t, "s1", `mysql -N -e "select user from mysql.user where user like 'sp\_%' union select schema_name from information_schema.schemata where schema_name like 'sp\_%'"
runuser -u postgres -- psql -Atc "select rolname from pg_roles where rolname like 'sp\_%' union select datname from pg_database where datname like 'sp\_%'"`); left != "" {
		t.Errorf("in the engines: %s", left)
	}
	var list client.List[client.App]
	must(t, w.panel.Read(w.ctx, &list, "app", "list"))
	if len(list.Items) != 0 {
		t.Errorf("%d apps are left", len(list.Items))
	}
}
