//go:build e2e

package e2e

import (
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/serverplane/serverplane/client"
	"github.com/serverplane/serverplane/e2e/lab"
)

// single is an app that cannot run twice on a server: it holds a lock file and a
// port of its own, notes whom it met there, and takes a while to start and to end.
const single = `const fs = require('node:fs'), http = require('node:http'), net = require('node:net')
const { SERVERPLANE_RELEASE: release, SERVERPLANE_SERVER: server, PORT, GREETING } = process.env
const met = (what) => { fs.appendFileSync('storage/met', release + ' met ' + what + '\n'); process.exit(7) }
const alive = (pid) => { try { process.kill(pid, 0); return true } catch { return false } }
let holder = 0
try { holder = Number(fs.readFileSync('storage/lock', 'utf8')) } catch {}
if (holder && holder !== process.pid && alive(holder)) met('the lock of ' + holder)
fs.writeFileSync('storage/lock', String(process.pid))
fs.appendFileSync('storage/starts', release + ' ' + PORT + '\n')
const eaten = Buffer.alloc(100 << 20, 1)
const fixed = net.createServer().on('error', (e) => met(e.code)).listen(9777, '127.0.0.1', () => setTimeout(serve, 300))
function serve() {
  const front = http.createServer((req, res) => {
    req.resume().on('end', () => setTimeout(() => {
      res.setHeader('Connection', 'close')
      res.end(JSON.stringify({ server, release, greeting: GREETING, eaten: eaten.length }))
    }, 20))
  }).listen(PORT, '127.0.0.1')
  process.on('SIGTERM', () => front.close(() => { fs.rmSync('storage/lock'); process.exit(0) }))
}
`

// stubborn listens on a port of its own, whatever PORT says.
func stubborn() string { return strings.Replace(single, "listen(PORT", "listen(3000", 1) }

// TestRestart is an app that must not run twice on one server, through all that
// happens to an app.
func TestRestart(t *testing.T) {
	t.Parallel() // nothing here is held against the clock
	w := newEquippedWorld(t, named([]string{"s1", "s2", "s3"})...)
	must(t, w.repo.Write("server.js", single))
	_, err := w.repo.Commit("cannot run twice")
	must(t, err)
	w.add(t, "s1", "s2", "s3")
	for _, story := range []struct {
		name string
		tell func(*testing.T, *world)
	}{
		{"the gap of an only backend is said before, and short", restartAlone},
		{"three backends are restarted in turn and visitors lose nothing", restartInTurn},
		{"a release that does not come up is taken back", restartBroken},
		{"variables and rollbacks go the same way", restartAgain},
		{"a panel that is killed in the middle carries it forward", restartKilled},
		{"a repaired and a rebooted backend run the live slot alone", restartMended},
		{"a small server is refused with numbers, and restart works there", restartSmall},
	} {
		if !t.Run(story.name, func(t *testing.T) {
			story.tell(t, w)
			w.neverTwice(t)
		}) {
			t.Fatal("the rest of the story builds on this")
		}
	}
}

// neverTwice holds that no process ever met another, and that each server runs
// and keeps for its next boot one slot, the same one everywhere.
func (w *world) neverTwice(t *testing.T) {
	t.Helper()
	backends, err := w.api.Backends(w.ctx, "web")
	must(t, err)
	live := w.live(t)
	for _, b := range backends.Items {
		said := w.ssh(t, b.Server, "cat /home/sp_web/shared/storage/met 2>/dev/null; for s in a b; do echo $s $(systemctl is-active sp-web-$s) $(systemctl is-enabled sp-web-$s 2>/dev/null); done; pgrep -fxc 'node server.js'")
		want := []string{"a active enabled", "b inactive disabled", "1"}
		if live.Slot == "b" {
			want = []string{"a inactive disabled", "b active enabled", "1"}
		}
		if got := strings.Split(strings.ReplaceAll(said, "b inactive\n", "b inactive disabled\n"), "\n"); !slices.Equal(got, want) {
			t.Errorf("%s, where slot %s is live: %q", b.Server, live.Slot, got)
		}
	}
}

// release commits a change.
func (w *world) release(t *testing.T, file, text string) {
	t.Helper()
	must(t, w.repo.Write(file, text))
	_, err := w.repo.Commit("changes " + file)
	must(t, err)
}

func restartAlone(t *testing.T, w *world) {
	create := func(how string) []string {
		return []string{
			"app", "create", "web", "--server", "s1", "--kind", "nodejs", "--repo", w.repo.URL(), "--build", "true", "--start", "exec node server.js",
			"--option", "drain=1s", "--option", "shared=storage", "--option", "switch=" + how, "--wait",
		}
	}
	if said := w.refuse(t, 1, create("sometimes")...); !strings.Contains(said, "side-by-side or restart") {
		t.Errorf("the refusal names no rule: %s", said)
	}
	if said := w.refuse(t, 1, create("restart")...); !strings.Contains(said, "only one backend") || !strings.Contains(said, "--acknowledge gap") {
		t.Errorf("the gap is not said before: %s", said)
	}
	w.cli(t, append(create("restart"), "--acknowledge", "gap")...)
	w.release(t, "NEWS", "one")
	visitors := lab.Visit(w.entry("s1"), 10*time.Millisecond)
	begin := time.Now()
	run := w.cli(t, "deploy", "web", "--wait")
	c := visitors.Stop()
	said := w.cli(t, "run", "log", run)
	gap := regexp.MustCompile(`nothing listened for ([0-9.]+) s`).FindStringSubmatch(said)
	if gap == nil || !strings.Contains(said, "nobody else serves") {
		t.Fatalf("the log does not tell of the gap:\n%s", lastLines(said, 40))
	}
	lost := time.Duration(c.Lost) * 10 * time.Millisecond
	t.Logf("the deployment took %s; nothing listened for %s s; visitors lost %d of %d requests, about %s; %d were told to come back", time.Since(begin).Round(time.Second), gap[1], c.Lost, c.Sent, lost, c.Told)
	if c.Lost == 0 || lost > 10*time.Second {
		t.Errorf("visitors lost %d of %d", c.Lost, c.Sent)
	}
	// A POST that a process took and did not answer before it ended is not to be sent again; nobody else is left without a word.
	if c.Untold > 0 || c.Lost-c.Told > 3 {
		t.Errorf("%d of %d were not told to come back, %d of them only read, the first: %s", c.Lost-c.Told, c.Lost, c.Untold, c.First)
	}
	w.faultIsAFault(t)
}

// faultIsAFault: what is dead without an announcement is no restart.
func (w *world) faultIsAFault(t *testing.T) {
	t.Helper()
	unit := "sp-web-" + w.live(t).Slot
	w.ssh(t, "s1", "systemctl stop "+unit)
	if got := w.ssh(t, "s1", "curl -si http://127.0.0.1/; ls -d /run/serverplane-gap/web 2>&1 || true"); !strings.HasPrefix(got, "HTTP/1.1 502") || strings.Contains(got, "Retry-After") || !strings.Contains(got, "cannot access") {
		t.Errorf("a process that died is told as %s", got)
	}
	w.ssh(t, "s1", "systemctl start "+unit)
	until(t, 20*time.Second, "it serves again", func() (bool, string) {
		out := w.ssh(t, "s1", "curl -s -o /dev/null -w '%{http_code}' http://127.0.0.1/ || true")
		return out == "200", out
	})
}

func restartInTurn(t *testing.T, w *world) {
	w.cli(t, "lb", "enable", "web", "--yes", "--wait")
	w.join(t, "s2", "s3")
	w.release(t, "server.js", stubborn())
	if said := w.refuse(t, 1, "app", "set", "web", "--option", "switch=", "--option", "fixed-port=3000"); !strings.Contains(said, "switch=restart") {
		t.Errorf("a fixed port for two slots side by side: %s", said)
	}
	w.cli(t, "app", "set", "web", "--option", "fixed-port=3000")
	visitors := lab.Visit(w.entry("s1"), 10*time.Millisecond)
	begin := time.Now()
	w.cli(t, "deploy", "web", "--wait")
	t.Logf("three backends in turn took %s", time.Since(begin).Round(time.Second))
	noneLost(t, visitors.Stop())
	w.serves(t, w.live(t).Release)
	if out := w.ssh(t, "s2", "ss -ltnH 'sport = :3000'"); !strings.Contains(out, "127.0.0.1:3000") {
		t.Errorf("nothing listens on the fixed port: %q", out)
	}
}

func restartBroken(t *testing.T, w *world) {
	live := w.live(t)
	w.release(t, "server.js", "throw new Error('broken')\n")
	visitors := lab.Visit(w.entry("s1"), 10*time.Millisecond)
	said := w.refuse(t, 1, "deploy", "web", "--wait")
	noneLost(t, visitors.Stop())
	var list struct{ Items []client.Deployment }
	must(t, w.panel.Read(w.ctx, &list, "deployment", "list", "web"))
	if d := list.Items[0]; d.State != "reverted" || !strings.Contains(said, "broken") {
		t.Errorf("the deployment is %s: %s\n%s", d.State, d.Reason, lastLines(said, 30))
	}
	if now := w.live(t); now.ID != live.ID {
		t.Errorf("%s is live, not %s", now.ID, live.ID)
	}
	w.serves(t, live.Release)
	w.release(t, "server.js", stubborn())
}

func restartAgain(t *testing.T, w *world) {
	before := w.live(t)
	visitors := lab.Visit(w.entry("s1"), 10*time.Millisecond)
	w.cli(t, "env", "set", "web", "GREETING=hello")
	w.cli(t, "env", "apply", "web", "--wait")
	w.serves(t, before.Release)
	w.cli(t, "deployment", "rollback", "web", "--wait")
	noneLost(t, visitors.Stop())
	if now := w.live(t); now.Trigger != "rollback" || now.Release == before.Release {
		t.Errorf("%s of trigger %s is live", now.Release, now.Trigger)
	}
	w.serves(t, w.live(t).Release)
}

// restartKilled kills the panel while one backend is out for its turn.
func restartKilled(t *testing.T, w *world) {
	visitors := lab.Visit(w.entry("s1"), 10*time.Millisecond)
	sent, err := w.api.Deploy(w.ctx, "web", client.DeployWish{})
	must(t, err)
	w.untilStep(t, sent.Deployment.ID, "restart on s3")
	w.killAndReturn(t, sent.Run.ID)
	until(t, 2*time.Minute, "it is carried forward", func() (bool, string) {
		d, err := w.api.Deployment(w.ctx, sent.Deployment.ID)
		must(t, err)
		return d.State == "completed", d.State + ": " + d.Reason
	})
	noneLost(t, visitors.Stop())
	w.serves(t, w.live(t).Release)
}

func restartMended(t *testing.T, w *world) {
	visitors := lab.Visit(w.entry("s1"), 10*time.Millisecond)
	w.cli(t, "backend", "repair", "web", "s2", "--wait")
	noneLost(t, visitors.Stop())
	must(t, w.servers["s3"].Reboot(w.ctx))
	until(t, time.Minute, "s3 serves again", func() (bool, string) {
		out := w.ssh(t, "s3", "pgrep -fxc 'node server.js' || true; systemctl is-system-running || true")
		return strings.HasPrefix(out, "1") && w.backend(t, "web", "s3").State == "healthy", out
	})
}

// restartSmall gives s2 little memory, by the file that every program reads it from.
func restartSmall(t *testing.T, w *world) {
	w.release(t, "server.js", single)
	w.cli(t, "app", "set", "web", "--option", "switch=", "--option", "fixed-port=")
	visitors := lab.Visit(w.entry("s1"), 10*time.Millisecond)
	w.cli(t, "deploy", "web", "--wait") // what is live must not run twice, so this goes in turn as well
	const small = "sed 's/^MemAvailable:.*/MemAvailable: 160000 kB/' /proc/meminfo >/run/meminfo && mount --bind /run/meminfo /proc/meminfo"
	w.ssh(t, "s2", small)
	before := w.live(t)
	said := w.refuse(t, 1, "deploy", "web", "--wait")
	told := regexp.MustCompile(`s2 has no room for two slots of web side by side: 156 MiB of memory are available; what runs of the app uses 1[0-9]{2} MiB, so a second slot needs about [0-9]{3} MiB`)
	if !told.MatchString(said) || !strings.Contains(said, "app set web --option switch=restart") || !strings.Contains(said, "deploy web --acknowledge memory") {
		t.Errorf("the refusal has no numbers or no way out: %s", lastLines(said, 20))
	}
	t.Log(told.FindString(said))
	var list struct{ Items []client.Deployment }
	must(t, w.panel.Read(w.ctx, &list, "deployment", "list", "web"))
	if d := list.Items[0]; d.State != "failed" || w.live(t).ID != before.ID {
		t.Errorf("the refused deployment is %s, %s is live", d.State, w.live(t).ID)
	}
	w.neverTwice(t) // nothing was started
	w.cli(t, "app", "set", "web", "--option", "switch=restart")
	w.cli(t, "deploy", "web", "--wait")
	noneLost(t, visitors.Stop())
	w.serves(t, w.live(t).Release)
	w.ssh(t, "s2", "umount /proc/meminfo")
}
