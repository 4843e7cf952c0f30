//go:build e2e

package e2e

import (
	"bytes"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/serverplane/serverplane/client"
	"github.com/serverplane/serverplane/e2e/fleet"
)

// chatty is put into the example app: it writes what it is asked to write.
const chatty = `const app = express()
app.get('/say', (req, res) => { process.stdout.write(Buffer.from(req.query.hex, 'hex')); res.json(about()) })`

// nastyLine is a line that would be a script, a colour, a turned text and bytes
// that are none.
const nastyLine = "<script>document.title='owned'</script>\x1b[31mred\r\u202eturned \xff"

// nastyShown is the same as a page and a terminal show it.
const nastyShown = `<script>document.title='owned'</script>^[[31mred^M<U+202E>turned \xff`

// TestLogs: two servers whose logs are read and followed, by command and in a
// browser; one of them goes away and comes back; nothing is left of a follower.
func TestLogs(t *testing.T) {
	t.Parallel() // nothing here is held against the clock
	w := newEquippedWorld(t, fleet.Spec{Name: "s1"}, fleet.Spec{Name: "s2"})
	must(t, w.repo.Replace("server.js", "const app = express()", chatty))
	_, err := w.repo.Commit("says what it is told")
	must(t, err)
	w.add(t, "s1", "s2")
	w.cli(t, "app", "create", "web", "--server", "s1", "--kind", "nodejs", "--repo", w.repo.URL(), "--option", "drain=2s", "--wait")
	w.cli(t, "lb", "enable", "web", "--yes", "--wait")
	w.join(t, "s2")
	l := &logsStory{w}

	t.Run("the last lines of each server", l.lastLines)
	t.Run("nginx of the entry and of a backend", l.nginx)
	t.Run("what is asked wrongly is told", l.refusals)
	t.Run("a command follows and leaves nothing", l.followByCommand)
	t.Run("a browser follows and leaves nothing", l.followInBrowser)
	t.Run("there is room for a few", l.fewAtOnce)
	t.Run("a server that goes away and comes back", l.goesAway)
}

type logsStory struct{ *world }

// say lets the app's process on the server write text.
func (l *logsStory) say(t *testing.T, server, text string) {
	t.Helper()
	raw := []byte(text + "\n")
	hex := make([]byte, 0, 2*len(raw))
	for _, b := range raw {
		hex = append(hex, "0123456789abcdef"[b>>4], "0123456789abcdef"[b&15])
	}
	command := `port=$(grep -ho 'PORT=[0-9]*' /etc/systemd/system/sp-web-a.service | cut -d= -f2) && curl -s "http://127.0.0.1:$port/say?hex=` + string(hex) + `" || true`
	until(t, 30*time.Second, "the app on "+server+" says it", func() (bool, string) {
		out := l.ssh(t, server, command)
		return strings.Contains(out, `"server":"`+server+`"`), out
	})
}

func (l *logsStory) lastLines(t *testing.T) {
	l.say(t, "s1", "only on s1")
	l.say(t, "s2", nastyLine)
	until(t, 20*time.Second, "s2's line is in its log", func() (bool, string) {
		out := l.cli(t, "app", "logs", "web", "--server", "s2")
		return strings.Contains(out, " a "+nastyShown) && !strings.Contains(out, "only on s1"), out
	})
	if out := l.cli(t, "app", "logs", "web"); !strings.Contains(out, " a only on s1") || !strings.Contains(out, "listening on 127.0.0.1:") {
		t.Errorf("the primary's log:\n%s", out)
	}
	var log client.Log
	must(t, l.panel.Read(l.ctx, &log, "app", "logs", "web", "--server", "s2", "--lines", "1"))
	if len(log.Items) != 1 || log.Items[0].From != "a" || time.Since(log.Items[0].Time) > 5*time.Minute {
		t.Errorf("one line: %+v", log)
	}
	l.say(t, "s1", strings.Repeat("long ", 1100))
	until(t, 20*time.Second, "a long line is cut", func() (bool, string) {
		out := l.cli(t, "app", "logs", "web", "--lines", "1")
		return strings.Contains(out, "long long") && strings.Contains(out, "bytes more)") && len(out) < 5000, out
	})
}

func (l *logsStory) nginx(t *testing.T) {
	l.ssh(t, "s1", "curl -s -o /dev/null http://127.0.0.1/seen-in-the-log")
	until(t, 20*time.Second, "the request is in the entry's log", func() (bool, string) {
		out := l.cli(t, "app", "logs", "web", "--source", "nginx")
		return strings.Contains(out, ` access `) && strings.Contains(out, `"GET /seen-in-the-log"`), out
	})
	l.ssh(t, "s2", "systemctl stop sp-web-a.service")
	until(t, 30*time.Second, "the local site's error is in the backend's log", func() (bool, string) {
		out := l.cli(t, "app", "logs", "web", "--server", "s2", "--source", "nginx")
		return strings.Contains(out, " error ") && strings.Contains(out, "Connection refused") && !strings.Contains(out, " access "), out
	})
	l.ssh(t, "s2", "systemctl start sp-web-a.service")
	l.untilState(t, "web", "s2", "healthy", 60*time.Second)
}

func (l *logsStory) refusals(t *testing.T) {
	if out := l.refuse(t, 1, "app", "logs", "web", "--server", "s9"); !strings.Contains(out, "its servers: s1, s2") {
		t.Errorf("no such server: %s", out)
	}
	l.refuse(t, 2, "app", "logs", "web", "--lines", "1001")
	l.refuse(t, 1, "app", "logs", "none")
	for _, name := range []string{"web;reboot", "../web", "web*"} {
		l.refuse(t, 1, "app", "logs", name)
	}
}

// followers counts the programs that follow logs on a server.
func (l *logsStory) followers(t *testing.T, server string) string {
	t.Helper()
	return strings.TrimSpace(l.ssh(t, server, "ps -e -o args= | grep -c -e '^journalctl .*--follow' -e '^python3 -c .*Prints the last lines' || true"))
}

func (l *logsStory) nobodyFollows(t *testing.T, servers ...string) {
	t.Helper()
	for _, s := range servers {
		until(t, time.Minute, "nobody follows on "+s, func() (bool, string) {
			n := l.followers(t, s)
			return n == "0", n
		})
	}
}

// pipe is what a command wrote so far.
type pipe struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (p *pipe) Write(raw []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.text.Write(raw)
}

func (p *pipe) String() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.text.String()
}

// follow begins a command that follows; it is ended by end.
func (l *logsStory) follow(t *testing.T, args ...string) (out *pipe, end func() error) {
	t.Helper()
	cmd := exec.CommandContext(l.ctx, l.panel.Binary, append([]string{"app", "logs", "web", "--follow"}, args...)...)
	cmd.Env = append(cmd.Environ(), "SERVERPLANE_URL="+l.panel.URL, "SERVERPLANE_TOKEN="+l.panel.Token)
	out = &pipe{}
	cmd.Stdout, cmd.Stderr = out, out
	must(t, cmd.Start())
	done := make(chan error, 1)
	go func() { done <- cmd.Wait() }()
	return out, sync.OnceValue(func() error {
		_ = cmd.Process.Kill() // as a terminal that is closed
		return <-done
	})
}

func (l *logsStory) followByCommand(t *testing.T) {
	out, end := l.follow(t, "--server", "s2", "--lines", "5")
	defer func() { _ = end() }()
	until(t, 20*time.Second, "the last lines came", func() (bool, string) { return strings.Contains(out.String(), " a "), out.String() })
	begin := time.Now()
	l.say(t, "s2", "written while it is followed")
	until(t, 30*time.Second, "the new line came", func() (bool, string) {
		return strings.Contains(out.String(), "written while it is followed"), out.String()
	})
	t.Logf("a line was there %s after it was asked for", time.Since(begin).Round(time.Millisecond))
	_ = end()
	l.nobodyFollows(t, "s2")
}

func (l *logsStory) followInBrowser(t *testing.T) {
	b := l.atDashboard(t, desktop)
	b.open("/apps/web/logs?server=s2")
	b.until("it follows", `document.querySelector("#live-logs").innerText.includes("Following s2")`, 30*time.Second)
	l.say(t, "s2", "seen in the browser")
	b.until("the line", `document.querySelector("#log").innerText.includes("seen in the browser")`, 30*time.Second)
	l.say(t, "s2", nastyLine)
	b.until("a hostile line is text", `[...document.querySelectorAll("#log p")].at(-1).innerText.includes("<script>document.title='owned'</script>^[[31mred^M<U+202E>turned \\xff") && document.title !== "owned" && !document.querySelector("#log script")`, 30*time.Second)
	b.shot("logs")
	b.accessible("logs")
	b.calm()
	if n := l.followers(t, "s2"); n == "0" {
		t.Error("a page follows and no program does")
	}
	b.open("/apps/web")
	l.nobodyFollows(t, "s2")
}

func (l *logsStory) fewAtOnce(t *testing.T) {
	var ends []func() error
	defer func() {
		for _, end := range ends {
			_ = end()
		}
	}()
	for range 4 {
		out, end := l.follow(t, "--server", "s2")
		ends = append(ends, end)
		until(t, 20*time.Second, "it follows", func() (bool, string) { return out.String() != "", out.String() })
	}
	if out := l.refuse(t, 1, "app", "logs", "web", "--server", "s2", "--follow"); !strings.Contains(out, "4 readers follow logs on s2 already") {
		t.Errorf("one too many: %s", out)
	}
	l.cli(t, "app", "logs", "web", "--server", "s2") // the last lines can be read all the same
	l.cli(t, "backend", "off", "web", "s2")
	l.cli(t, "backend", "on", "web", "s2")
	for _, end := range ends {
		_ = end()
	}
	l.nobodyFollows(t, "s2")
}

func (l *logsStory) goesAway(t *testing.T) {
	b := l.atDashboard(t, telephone)
	b.open("/apps/web/logs?server=s2")
	b.until("it follows", `document.querySelector("#live-logs").innerText.includes("Following s2")`, 30*time.Second)
	must(t, l.fleet.CutFromMachine(l.ctx, l.servers["s2"]))
	healed := sync.OnceFunc(func() { must(t, l.fleet.HealFromMachine(l.ctx, l.servers["s2"])) })
	defer healed()
	b.until("it says that and why it cannot", `/server s2|connection to s2/i.test(document.querySelector("#live-logs .note.warn")?.innerText ?? "")`, 60*time.Second)
	b.shot("logs-away")
	begin := time.Now()
	out := l.refuse(t, 1, "app", "logs", "web", "--server", "s2")
	if took := time.Since(begin); took > 30*time.Second || !strings.Contains(out, "s2") {
		t.Errorf("after %s: %s", took, out)
	}
	healed()
	l.say(t, "s2", "back again")
	b.until("it is followed again", `document.querySelector("#log").innerText.includes("back again") && document.querySelector("#live-logs").innerText.includes("Following s2")`, 90*time.Second)
	b.open("/apps/web")
	l.nobodyFollows(t, "s1", "s2")
	b.calm()
}
