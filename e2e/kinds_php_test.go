//go:build e2e

package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/serverplane/serverplane/e2e/lab"
)

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

func laravelRuns(t *testing.T, w *kindWorld) {
	for _, s := range kindServers {
		got := w.atBackend(t, "forum", s, "/", "-HX-Forwarded-For: 203.0.113.9", "-HX-Forwarded-Proto: https")
		for _, want := range []string{`"server":"` + s + `"`, `"version":"2"`, `"ip":"203.0.113.9"`, `"secure":true`, `"cached":true`} {
			if !strings.Contains(got, want) {
				t.Errorf("%s: %.300s; want %s", s, got, want)
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
	for i, s := range w.processOfApp(t, "forum", "queue").States {
		if s.State != "running" || s.Behind || s.Release != w.backend(t, "forum", kindServers[i]).Release {
			t.Errorf("after two switches the worker on %s is %s from %s: %s", s.Server, s.State, s.Release, s.Reason)
		}
	}
	var form struct{ Token string }
	_, body := w.get(t, browser, "forum", "/form")
	must(t, json.Unmarshal([]byte(body), &form))
	for n := range kindServers { // round robin: each backend takes one
		if code, body := w.post(t, browser, "forum", "/form", url.Values{"_token": {form.Token}, "text": {fmt.Sprint("note ", n)}}, nil); code != 200 {
			t.Errorf("the form gives %d %.200s", code, body)
		}
	}
	for _, s := range kindServers {
		until(t, 30*time.Second, "the jobs are done and read through "+s, func() (bool, string) {
			got := w.atBackend(t, "forum", s, "/notes")
			return strings.Count(got, `"text"`) == 3 && strings.Contains(got, "note 0") && strings.Contains(got, "note 2"), got
		})
	}
	if n := w.forum(t, "select count(*) from migrations"); n != "1" {
		t.Errorf("%s migrations ran", n)
	}
}

// forum asks the database of the app, on the primary.
func (w *kindWorld) forum(t *testing.T, query string) string {
	t.Helper()
	return w.ssh(t, "s1", `mysql -N sp_forum -e "`+query+`"`)
}

// guideProcesses ends with the jobs that the forms left done by a worker that was started as the guide says.
func guideProcesses(t *testing.T, w *kindWorld) {
	w.guide(t, "forum")
	w.guide(t, "blog")
	for _, app := range []string{"forum", "blog"} {
		w.cli(t, "env", "apply", app, "--wait")
	}
	until(t, time.Minute, "the worker to do the jobs", func() (bool, string) {
		left := w.forum(t, "select count(*) from jobs")
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
	if before := w.processOfApp(t, "forum", "queue"); len(before.States) != len(kindServers) {
		t.Fatalf("workers run on %+v", before.States)
	}
}

const (
	schedulerClock = "sp-forum_c_schedule.timer"
	schedulerTick  = "sp-forum_t_schedule.service"
	schedulerRun   = "sp-forum_c_schedule.service"
)

// laravelMinutes looks at what the scheduler did since it was added, by its own clock of one tick a minute. Then the story lets the same
// timer tick each second, on every server that has it; laravelTicks looks at what came of that.
func laravelMinutes(t *testing.T, w *kindWorld) {
	until(t, 4*time.Minute, "the scheduler ran in three minutes", func() (bool, string) {
		got := w.forum(t, "select date_format(at, '%H:%i'), server, count(*) from ticks group by 1, 2 order by 1")
		minutes := strings.Split(got, "\n")
		for _, m := range minutes {
			if f := strings.Fields(m); got != "" && (len(f) != 3 || f[1] != "s1" || f[2] != "1") {
				t.Fatalf("in one minute the scheduler ran elsewhere or more than once:\n%s", got)
			}
		}
		return len(minutes) >= 3, got
	})
	for _, s := range kindServers {
		w.ssh(t, s, `cd /run/systemd/system; mkdir -p `+schedulerClock+`.d `+schedulerTick+`.d `+schedulerRun+`.d
printf '[Timer]\nOnCalendar=\nOnCalendar=*-*-* *:*:*\n' >`+schedulerClock+`.d/story.conf
printf '[Unit]\nStartLimitIntervalSec=0\n' | tee `+schedulerTick+`.d/story.conf >`+schedulerRun+`.d/story.conf
systemctl daemon-reload
! systemctl is-active -q `+schedulerClock+` || { systemctl stop `+schedulerClock+`; touch /run/story-ticks; }`)
	}
	w.schedulerRests(t)
	w.forum(t, "create table before_story as select count(*) as n from ticks")
	for _, s := range kindServers {
		w.ssh(t, s, "sleep 1.1; date +%s >/run/story; [ ! -e /run/story-ticks ] || systemctl start "+schedulerClock) // what began before was in an earlier second
	}
}

// schedulerRests waits on s1 for a run that is under way, or asked for, after the clock was stopped.
func (w *kindWorld) schedulerRests(t *testing.T) {
	t.Helper()
	until(t, time.Minute, "the scheduler rests", func() (bool, string) {
		out := w.ssh(t, "s1", "systemctl show -p ActiveState --value "+schedulerTick+" "+schedulerRun+" | sort -u; systemctl list-jobs --no-legend | grep sp-forum_ || true")
		return out == "inactive", out
	})
}

// scheduled counts on a server how often the scheduler was begun since its clock goes faster.
func (w *kindWorld) scheduled(t *testing.T, server string) int {
	t.Helper()
	n, err := strconv.Atoi(w.ssh(t, server, `journalctl -q -o cat --since=@$(cat /run/story) _PID=1 UNIT=`+schedulerRun+` | grep -c '^Starting' || true`))
	must(t, err)
	return n
}

func laravelTicks(t *testing.T, w *kindWorld) {
	until(t, 4*time.Minute, "60 ticks", func() (bool, string) { n := w.scheduled(t, "s1"); return n >= 60, fmt.Sprint(n) })
	w.ssh(t, "s1", "systemctl stop "+schedulerClock)
	w.schedulerRests(t)
	ticks, elsewhere := w.scheduled(t, "s1"), w.scheduled(t, "s2")+w.scheduled(t, "s3")
	rows := w.forum(t, "select count(*) - (select n from before_story) from ticks")
	t.Logf("the scheduler was begun %d times on s1, %d times elsewhere: the scheduled command ran %s times", ticks, elsewhere, rows)
	if rows != fmt.Sprint(ticks) || elsewhere != 0 || w.forum(t, "select count(*) from ticks where server <> 's1'") != "0" {
		t.Errorf("the scheduled command did not run once for each tick, on s1 alone:\n%s", w.ssh(t, "s1", `journalctl -o short-precise --since=@$(cat /run/story) UNIT=`+schedulerRun+` + _SYSTEMD_UNIT=`+schedulerRun+` | tail -n 400`))
	}
	for _, s := range kindServers {
		w.ssh(t, s, "rm -r /run/systemd/system/sp-forum_*.d; systemctl daemon-reload; [ ! -e /run/story-ticks ] || systemctl start "+schedulerClock)
	}
}

// post sends a form to the entry as a visitor does.
func (w *kindWorld) post(t *testing.T, c *http.Client, app, path string, form url.Values, header map[string]string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(w.ctx, http.MethodPost, strings.TrimSuffix(w.entry("s1"), "/")+path, strings.NewReader(form.Encode()))
	must(t, err)
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	for name, value := range header {
		req.Header.Set(name, value)
	}
	resp, body := w.send(t, c, req, app)
	return resp.StatusCode, body
}

func wordpressRuns(t *testing.T, w *kindWorld) {
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
	if code, body := w.post(t, browser, "blog", "/?rest_route=/wp/v2/posts", url.Values{"title": {"Hello from three servers"}, "status": {"publish"}}, map[string]string{"X-WP-Nonce": nonce}); code != 201 {
		t.Fatalf("publishing gives %d: %.600s", code, body)
	}
	for _, s := range kindServers {
		if got := w.atBackend(t, "blog", s, "/?rest_route=/wp/v2/posts"); !strings.Contains(got, "Hello from three servers") {
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
