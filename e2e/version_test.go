//go:build e2e

package e2e

import (
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"golang.org/x/sync/errgroup"

	"github.com/serverplane/serverplane/e2e/fleet"
	"github.com/serverplane/serverplane/e2e/lab"
)

var versionServers = []string{"s1", "s2"}

// TestVersions is about what comes from a server and must be alike on all: PHP, Python, and a WordPress of which the repository
// has the wp-content only. s1 and s2 are Debian 12; s3 is a Debian 13 that nobody has prepared.
func TestVersions(t *testing.T) {
	t.Parallel() // nothing here is held against the clock
	config := fleet.Config{Log: os.Stderr, Packages: append(lab.Packages(), kindPackages()...)}
	w := &kindWorld{world: makeWorld(t, config, named(versionServers)...), repos: map[string]*lab.Repository{}}
	var third errgroup.Group
	third.Go(func() error {
		started, err := w.fleet.StartAll(w.ctx, fleet.Spec{Name: "s3", Suite: "trixie", Bare: true})
		if err != nil {
			return err
		}
		return w.panel.AddServer(w.ctx, "s3", started[0].Addr.String(), started[0].KeyFile)
	})
	w.add(t, versionServers...)
	for _, story := range []struct {
		name string
		tell func(*testing.T, *kindWorld)
	}{
		{"apps get the versions they ask for, and WordPress comes to its wp-content", versionsAreChosen},
		{"no PHP in a shared folder is carried out", sharedIsNotCarriedOut},
		{"a version that is not to be had is answered by those that are; another backend gets the same", versionsAreNamed},
		{"the same WordPress on every backend, with what the repository brings", contentOfWordPress},
	} {
		if !t.Run(story.name, func(t *testing.T) { story.tell(t, w) }) {
			t.Fatal("the rest builds on this")
		}
	}
	must(t, third.Wait())
	t.Run("another Debian's PHP and WordPress are refused with both named", func(t *testing.T) { anotherDebian(t, w) })
}

// repository makes one of these files.
func (w *kindWorld) repository(t *testing.T, app string, files map[string]string) {
	t.Helper()
	dir := filepath.Join(filepath.Dir(w.panel.Dir), app)
	for name, text := range files {
		must(t, os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755))
		must(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644))
	}
	var err error
	w.repos[app], err = lab.NewRepository(filepath.Join(filepath.Dir(w.panel.Dir), "repo-"+app), dir)
	must(t, err)
}

const versionPage = `<?php header('Content-Type: text/plain'); echo PHP_SAPI, ' ', PHP_VERSION, "\n", file_get_contents('../built.txt');
`

// An ASGI app that is found by looking; uvicorn and Starlette are Debian's.
const versionServer = `import os, platform, sys
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

def page(request):
    return PlainTextResponse(" ".join([platform.python_version(), os.path.basename(os.path.realpath(sys.executable)), request.headers["host"], request.scope["asgi"]["version"]]))

app = Starlette(routes=[Route("/", page)])
`

func versionsAreChosen(t *testing.T, w *kindWorld) {
	w.repository(t, "page", map[string]string{"public/index.php": versionPage})
	must(t, os.Symlink("../uploads", filepath.Join(w.repos["page"].Dir, "public/media")))
	must(t, os.Symlink("media/evil.php", filepath.Join(w.repos["page"].Dir, "public/evil.php")))
	_, err := w.repos["page"].Commit("links into a shared folder")
	must(t, err)
	w.repository(t, "tool", map[string]string{"main.py": versionServer, "requirements.txt": ""})
	w.repository(t, "blog", map[string]string{
		"themes/mine/style.css": "/*\nTheme Name: Mine\n*/\n", "themes/mine/index.php": `<p>of the theme <?php bloginfo('name'); ?></p>`, "themes/mine/functions.php": "<?php\n",
		"mu-plugins/mine.php": `<?php add_action('init', function () { header('X-Mine: ' . getenv('SERVERPLANE_SERVER') . ' cron ' . (DISABLE_WP_CRON ? 'off' : 'on')); });`,
		"uploads/first.txt":   "brought along",
	})
	create := func(app string, more ...string) []string { // of the kind that it looks like
		return append([]string{"app", "create", app, "--server", "s1", "--repo", w.repos[app].URL(), "--domain", domainOf(app), "--option", "drain=0s"}, more...)
	}
	w.atOnce(t,
		w.runs(create("page", "--option", "version=8.2", "--option", "shared=uploads", "--build", "composer --version --no-ansi && php -v | head -n 1 >built.txt", "--wait"),
			[]string{"lb", "enable", "page", "--yes", "--wait"}),
		w.runs(create("tool", "--option", "version=3.11", "--option", "system-site-packages=true", "--wait")),
		w.runs(create("blog", "--no-deploy"), []string{"db", "create", "blog", "--app", "blog", "--engine", "mariadb", "--wait"}, []string{"deploy", "blog", "--wait"},
			[]string{"lb", "enable", "blog", "--yes", "--wait"}),
	)
	if _, body := w.get(t, http.DefaultClient, "page", "/"); !regexp.MustCompile(`^fpm-fcgi 8\.2\.\d+\nPHP 8\.2\.\d+ \(cli\)`).MatchString(body) {
		t.Errorf("the page runs on %q", body)
	}
	if got := w.ssh(t, "s1", "ps -u sp_page -o args= | grep -c 'php-fpm: master' ; readlink /proc/$(pgrep -u sp_page -f 'php-fpm: master')/exe"); got != "1\n/usr/sbin/php-fpm8.2" {
		t.Errorf("the slot's php-fpm is %q", got)
	}
	if _, body := w.get(t, http.DefaultClient, "tool", "/"); !regexp.MustCompile(`^3\.11\.\d+ python3\.11 tool\.example\.com \d`).MatchString(body) {
		t.Errorf("the tool runs on %q", body)
	}
	if got := w.ssh(t, "s1", "pgrep -c -u sp_tool -f -- '-m uvicorn .* main:app$' || true"); got != "1" {
		t.Errorf("%s of uvicorn's masters run", got)
	}
	for app, want := range map[string]string{"page": "PHP 8.2.", "tool": "Python 3.11."} {
		if got := w.backend(t, app, "s1").Runtime; !strings.HasPrefix(got, want) {
			t.Errorf("%s is shown to run on %q", app, got)
		}
	}
}

// atOnce does what does not depend on each other; all of it must succeed.
func (w *kindWorld) atOnce(t *testing.T, deeds ...func() error) {
	t.Helper()
	var all errgroup.Group
	for _, deed := range deeds {
		all.Go(deed)
	}
	must(t, all.Wait())
}

// runs is commands one after the other.
func (w *kindWorld) runs(commands ...[]string) func() error {
	return func() error {
		for _, args := range commands {
			if _, err := w.panel.CLI(w.ctx, args...); err != nil {
				return err
			}
		}
		return nil
	}
}

// refuses is a command that fails and says something that matches.
func (w *kindWorld) refuses(want string, args ...string) func() error {
	return func() error {
		_, err := w.panel.CLI(w.ctx, args...)
		failure, ok := err.(*lab.Failure)
		if !ok || failure.Exit != 1 || !regexp.MustCompile(want).MatchString(failure.Stdout+failure.Stderr) {
			return fmt.Errorf("serverplane %s: %w; want exit 1 and %q", strings.Join(args, " "), err, want)
		}
		return nil
	}
}

// What a visitor may have put there is asked for by every way that leads there, and by links that a person makes later.
func sharedIsNotCarriedOut(t *testing.T, w *kindWorld) {
	w.ssh(t, "s1", `cd /home/sp_page/shared/uploads
echo '<?php echo "carried out";' | tee evil.php >index.php
echo text >a.txt
chmod 644 evil.php index.php a.txt
live=$(echo /home/sp_page/releases/*/public)
ln -s /home/sp_page/shared "$live/all"
ln -s /home/sp_page/shared/uploads/evil.php "$live/later.php"
cp "$live/index.php" "$live/own.php"
ln -s own.php "$live/link.php"`)
	for path, want := range map[string]string{
		"/media/evil.php": "404", "/evil.php": "404", "/media/": "404", "/media/index.php/x": "404", "/all/uploads/evil.php": "404", "/later.php": "404", "/later.php/x.txt": "404",
		"/media/a.txt": "200 text", "/all/uploads/a.txt": "200 text", "/link.php": "200 fpm-fcgi", "/own.php": "200 fpm-fcgi",
	} {
		code, body := w.get(t, http.DefaultClient, "page", path)
		if got := http.StatusText(code); !strings.HasPrefix(strings.TrimSpace(want), map[int]string{200: "200", 404: "404"}[code]) || code == 200 && !strings.HasPrefix(body, want[4:]) ||
			strings.Contains(body, "carried out") {
			t.Errorf("%s gives %d %s %.60q, want %s", path, code, got, body, want)
		}
	}
}

func versionsAreNamed(t *testing.T, w *kindWorld) {
	w.cli(t, "app", "set", "page", "--option", "version=8.9")
	w.cli(t, "app", "set", "tool", "--option", "version=3.19")
	install(t, w)
	w.atOnce(t,
		w.refuses(`PHP 8\.9 is not to be had here: this server's package sources have PHP 8\.2; choose that by --option version=`, "deploy", "page", "--wait"),
		w.refuses(`Python 3\.19 is not to be had here: this server's package sources have Python 3\.11`, "deploy", "tool", "--wait"),
		w.runs([]string{"backend", "add", "blog", "s2", "--acknowledge", "restart", "--wait"}),
	)
	for _, app := range []string{"page", "tool"} {
		if code, _ := w.get(t, http.DefaultClient, app, "/"); code != 200 {
			t.Errorf("%s answers %d by then", app, code)
		}
	}
	w.cli(t, "app", "set", "page", "--option", "version=8.2")
	if said := w.refuse(t, 1, "app", "set", "page", "--option", "version=8.2.28"); !strings.Contains(said, "version must be two numbers, such as 8.2") {
		t.Errorf("three numbers: %s", said)
	}
}

// contentOfWordPress: the repository is the content of a wp-content; its kind was found by looking.
func contentOfWordPress(t *testing.T, w *kindWorld) {
	if said := w.cli(t, "run", "log", w.lastRun(t, "backend-add").ID); !strings.Contains(said, "warning: uploads: no plugin that keeps media in object storage is in wp-content/plugins") ||
		!strings.Contains(said, "warning: uploads: 1 file in wp-content/uploads here will not be on another backend") {
		t.Errorf("adding a backend does not tell of uploads:\n%s", said)
	}
	version := ""
	for _, s := range versionServers {
		if got := w.atBackend(t, "blog", s, "/wp-login.php", "-i"); !strings.Contains(got, "X-Mine: "+s+" cron off") {
			t.Errorf("%s: the plugin of the repository is not at work: %.300s", s, got)
		}
		if got := w.atBackend(t, "blog", s, "/"); !strings.Contains(got, "<p>of the theme A blog</p>") {
			t.Errorf("%s: the theme of the repository is not at work: %.300s", s, got)
		}
		if got := w.atBackend(t, "blog", s, "/wp-content/uploads/first.txt"); got != "brought along" {
			t.Errorf("%s: what the repository brought for uploads is %.100q", s, got)
		}
		if got := w.atBackend(t, "blog", s, "/.wordpress/version", "-o/dev/null", "-w%{http_code}"); got != "404" {
			t.Errorf("%s: visitors see what the release was made of: %s", s, got)
		}
		got := w.backend(t, "blog", s).Runtime
		if !regexp.MustCompile(`^PHP 8\.2\.\d+, WordPress 6\.\d.*$`).MatchString(got) || version != "" && got != version {
			t.Errorf("%s runs on %q, the other on %q", s, got, version)
		}
		version = got
	}
	if got := w.ssh(t, "s1", "dpkg-query -W -f '${Status}' wordpress 2>&1 || true; ls -d /usr/share/wordpress 2>/dev/null || true"); !strings.Contains(got, "no packages found") || strings.Contains(got, "/usr/share/wordpress") {
		t.Errorf("WordPress was installed on the server: %s", got)
	}
}

// install fills in WordPress's own form, and chooses the repository's theme.
func install(t *testing.T, w *kindWorld) {
	t.Helper()
	if code, body := w.post(t, http.DefaultClient, "blog", "/wp-admin/install.php?step=2", url.Values{
		"weblog_title": {"A blog"}, "user_name": {"ada"}, "admin_password": {"a long password"}, "admin_password2": {"a long password"}, "pw_weak": {"on"},
		"admin_email": {"ada@example.com"}, "blog_public": {"0"}, "language": {""},
	}, nil); code != 200 || !strings.Contains(body, "wp-login.php") {
		t.Fatalf("installing gives %d: %.600s", code, body)
	}
	w.ssh(t, "s1", `mysql sp_blog -e "update wp_options set option_value = 'mine' where option_name in ('template', 'stylesheet')"`)
}

func anotherDebian(t *testing.T, w *kindWorld) {
	w.atOnce(t,
		w.refuses(`s3 has PHP 8\.4\.\d+, WordPress 6\.\S+, the primary s1 has PHP 8\.2\.\d+, WordPress 6\.\S+; give both the same`,
			"backend", "add", "blog", "s3", "--acknowledge", "restart", "--wait"),
		w.refuses(`s3: (?s:.*)PHP 8\.2 is not to be had here: this server's package sources have PHP 8\.4;`, "backend", "add", "page", "s3", "--wait"),
	)
	for app, want := range map[string]string{"page": "fpm-fcgi", "blog": "of the theme"} {
		if code, body := w.get(t, http.DefaultClient, app, "/"); code != 200 || !strings.Contains(body, want) {
			t.Errorf("%s answers %d %.100s by then", app, code, body)
		}
	}
}
