//go:build e2e

package e2e

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/serverplane/serverplane/client"
)

// beating is a worker that says ten times a second that it runs, and that needs
// a while to finish what it is at.
const beating = `const fs = require('node:fs')
const say = (word) => fs.appendFileSync('storage/beats', [process.pid, Date.now(), process.env.SERVERPLANE_RELEASE, word].join(' ') + '\n')
say('begin')
setInterval(() => say('beat'), 100)
process.on('SIGTERM', () => { say('term'); setTimeout(() => { say('end'); process.exit(0) }, 1000) })
`

// TestProcesses is what runs beside the slots: on one backend or on all, by
// itself or by the clock, through every release, moved, killed, cut off, gone.
func TestProcesses(t *testing.T) {
	t.Parallel() // nothing here is held against the clock
	w := newProcessWorld(t)
	for _, story := range []struct {
		name string
		tell func(*testing.T, *world)
	}{
		{"workers and cron entries run where they are wished", processesBegin},
		{"a neighbour's process is not taken for ours", processNeighbour},
		{"a deployment starts them through the new release", processesRenewed},
		{"a process that ends at once is seen", processFails},
		{"a cancelled wish is done by no other Run", processWaits},
		{"from all to one is proven first", processSpreads},
		{"a move is never two at once, also when the panel is killed in it", processMoves},
		{"cron runs once in all, or once on each", cronCounts},
		{"an owner is not removed with its backend", ownerStays},
		{"an owner that is away is said, and moves only anyway", ownerAway},
		{"what is removed leaves no trace", processesRemoved},
	} {
		if !t.Run(story.name, func(t *testing.T) { story.tell(t, w) }) {
			t.Fatal("the rest of the story builds on this")
		}
	}
}

func newProcessWorld(t *testing.T) *world {
	w := newEquippedWorld(t, named([]string{"s1", "s2", "s3"})...)
	must(t, w.repo.Write("packages/web/server.js", plain)) // a folder of a larger repository: shared paths are below it
	must(t, w.repo.Write("packages/web/worker.js", beating))
	_, err := w.repo.Commit("a worker")
	must(t, err)
	w.add(t, "s1", "s2", "s3")
	w.cli(t, "app", "create", "web", "--server", "s1", "--kind", "nodejs", "--repo", w.repo.URL(), "--root", "packages/web", "--build", "mkdir -p storage", "--start", "node server.js",
		"--option", "drain=1s", "--option", "shared=storage", "--option", "timezone=Asia/Kathmandu", "--wait")
	w.cli(t, "lb", "enable", "web", "--yes", "--wait")
	w.cli(t, "backend", "add", "web", "s2", "--wait")
	return w
}

func (w *world) processOf(t *testing.T, name string) client.Process {
	t.Helper()
	return w.processOfApp(t, "web", name)
}

func (w *world) processOfApp(t *testing.T, app, name string) client.Process {
	t.Helper()
	w.cli(t, "process", "list", app, "--check")
	all, err := w.api.Processes(w.ctx, app)
	must(t, err)
	for _, p := range all.Items {
		if p.Name == name {
			return p
		}
	}
	t.Fatalf("there is no process %s", name)
	return client.Process{}
}

func processesBegin(t *testing.T, w *world) {
	said := w.refuse(t, 1, "process", "set", "web", "Mail", "--command", "node worker.js", "--on", "one")
	if !strings.Contains(said, "name") {
		t.Errorf("the refusal does not name the field: %s", said)
	}
	w.refuse(t, 1, "cron", "set", "web", "tick", "--schedule", "61 * * * *", "--command", "true", "--on", "one")
	w.cli(t, "cron", "set", "web", "one", "--schedule", "* * * * *", "--command", `date +%s >> storage/one`, "--on", "one", "--wait")
	w.cli(t, "cron", "set", "web", "each", "--schedule", "* * * * *", "--command", `date +%s >> storage/each`, "--on", "all", "--wait")
	w.cli(t, "process", "set", "web", "mail", "--command", "node worker.js", "--on", "one", "--wait")
	w.cli(t, "process", "set", "web", "idle", "--command", "sleep infinity", "--on", "all", "--count", "2", "--wait")
	w.cli(t, "backend", "add", "web", "s3", "--wait") // brings what runs on all
	for _, s := range []string{"s1", "s2", "s3"} {
		if out := w.ssh(t, s, "systemctl is-active sp-web_p_idle@1 sp-web_p_idle@2 sp-web_c_each.timer || true"); out != "active\nactive\nactive" {
			t.Errorf("%s: %q", s, out)
		}
		want := "inactive\ninactive"
		if s == "s1" {
			want = "active\nactive"
		}
		if out := w.ssh(t, s, "systemctl is-active sp-web_p_mail@1 sp-web_c_one.timer || true"); out != want {
			t.Errorf("%s: the owner's are %q", s, out)
		}
	}
	p := w.processOf(t, "mail")
	if p.Owner != "s1" || len(p.States) != 1 || p.States[0].State != "running" || p.States[0].Release == "" || p.States[0].Behind {
		t.Errorf("mail: %+v", p)
	}
}

// processNeighbour: the app web-p with the process mail and the app web with the
// process p-mail share every letter of their names.
func processNeighbour(t *testing.T, w *world) {
	w.cli(t, "app", "create", "web-p", "--server", "s1", "--kind", "nodejs", "--repo", w.repo.URL(), "--root", "packages/web", "--build", "true", "--start", "node server.js",
		"--option", "drain=1s", "--domain", "neighbour.example.com", "--wait")
	w.cli(t, "process", "set", "web-p", "mail", "--command", "sleep infinity", "--on", "one", "--wait")
	w.cli(t, "process", "set", "web", "p-mail", "--command", "sleep infinity", "--on", "one", "--wait")
	w.cli(t, "process", "remove", "web", "p-mail", "--wait")
	if out := w.ssh(t, "s1", "systemctl show -p User --value sp-web-p_p_mail@1; systemctl is-active sp-web-p_p_mail@1 sp-web_p_p-mail@1 || true"); out != "sp_web-p\nactive\ninactive" {
		t.Errorf("the neighbour's process: %q", out)
	}
	w.cli(t, "app", "remove", "web-p", "--yes", "--wait")
	if out := w.ssh(t, "s1", "systemctl is-active sp-web_p_mail@1; ls /etc/systemd/system /etc/systemd/system/*.wants | grep -F sp-web-p || true"); out != "active" {
		t.Errorf("after the neighbour was removed: %q", out)
	}
}

// processWaits: what a cancelled Run was to do is done by no other.
func processWaits(t *testing.T, w *world) {
	before := w.processOf(t, "mail")
	run := w.cli(t, "deploy", "web", "--rebuild")
	for _, wish := range [][]string{{"process", "move", "web", "mail", "s2"}, {"process", "remove", "web", "mail"}} {
		w.cli(t, "run", "cancel", w.cli(t, wish...))
	}
	w.cli(t, "run", "log", run, "--follow")
	until(t, time.Minute, "nothing is at work", func() (bool, string) { return !w.atWork(t), "a Run about processes" })
	p := w.processOf(t, "mail")
	if p.Owner != before.Owner || len(p.States) != 1 || p.States[0].State != "running" || p.States[0].Behind {
		t.Errorf("after both wishes were cancelled: %+v, before %+v", p, before)
	}
	w.neverTwo(t, "s1", "s2", "s3")
}

// processSpreads: from one to all and back, with two at once only while it is on all.
func processSpreads(t *testing.T, w *world) {
	set := func(on string) {
		w.cli(t, "process", "set", "web", "spread", "--command", "sleep infinity", "--on", on, "--wait")
	}
	set("one")
	set("all")
	if p := w.processOf(t, "spread"); len(p.States) != 3 {
		t.Errorf("on all: %+v", p)
	}
	must(t, w.servers["s3"].PowerCut(w.ctx))
	said := w.refuse(t, 1, "process", "set", "web", "spread", "--command", "sleep infinity", "--on", "one", "--wait")
	if !strings.Contains(said, "may still run on s3") {
		t.Errorf("that s3 cannot prove it is not told: %s", lastLines(said, 5))
	}
	if p := w.processOf(t, "spread"); p.Owner != "" || len(p.States) != 3 {
		t.Errorf("it does not go on on all: %+v", p)
	}
	must(t, w.servers["s3"].Boot(w.ctx))
	set("one")
	for server, want := range map[string]string{"s1": "active", "s2": "inactive", "s3": "inactive"} {
		if out := w.ssh(t, server, "systemctl is-active sp-web_p_spread@1 || true"); out != want {
			t.Errorf("on %s it is %s, want %s", server, out, want)
		}
	}
	w.cli(t, "process", "remove", "web", "spread", "--wait")
}

func processesRenewed(t *testing.T, w *world) {
	before := w.processOf(t, "mail").States[0].Release
	must(t, w.repo.Write("NEWS", "a change"))
	_, err := w.repo.Commit("a change")
	must(t, err)
	w.cli(t, "deploy", "web", "--wait")
	for _, name := range []string{"mail", "idle"} {
		for _, s := range w.processOf(t, name).States {
			if s.State != "running" || s.Release == before || s.Behind {
				t.Errorf("%s on %s is %s from %s, before %s: %s", name, s.Server, s.State, s.Release, before, s.Reason)
			}
		}
	}
	beats := w.beats(t, "s1") // in a shared path: what the old release wrote is there still
	if !slices.ContainsFunc(beats, func(b beat) bool { return b.release == before && b.word == "end" }) {
		t.Error("what the worker was at was not finished before it was started through the new release")
	}
	w.cli(t, "deployment", "rollback", "web", "--wait")
	if got := w.processOf(t, "mail").States[0]; got.Release != before || got.State != "running" {
		t.Errorf("after going back mail is %s from %s, want %s", got.State, got.Release, before)
	}
}

func processFails(t *testing.T, w *world) {
	said := w.refuse(t, 1, "process", "set", "web", "broken", "--command", "echo no licence; exit 7", "--on", "all", "--wait")
	if !strings.Contains(said, "exited with status 7") || !strings.Contains(said, "no licence") {
		t.Errorf("neither the exit status nor the last lines are told:\n%s", lastLines(said, 20))
	}
	for _, s := range w.processOf(t, "broken").States {
		if s.State != "failed" || !strings.Contains(s.Reason, "exited with status 7") || !strings.Contains(s.Lines, "no licence") {
			t.Errorf("on %s: %+v", s.Server, s)
		}
	}
	w.cli(t, "deploy", "web", "--rebuild", "--wait") // and the site does not mind
	w.cli(t, "process", "remove", "web", "broken", "--wait")
}

// beat is one sign of life of the worker.
type beat struct {
	server, pid, release, word string
	at                         int64
}

func (w *world) beats(t *testing.T, server string) []beat {
	t.Helper()
	return w.beatsIn(t, server, webBeats)
}

const webBeats = "/home/sp_web/shared/storage/beats"

func (w *world) beatsIn(t *testing.T, server, file string) []beat {
	t.Helper()
	var all []beat
	for line := range strings.Lines(w.ssh(t, server, "cat "+file+" 2>/dev/null || true")) {
		f := strings.Fields(line)
		if len(f) != 4 {
			continue // the power went while it was written
		}
		at, err := strconv.ParseInt(f[1], 10, 64)
		must(t, err)
		all = append(all, beat{server: server, pid: f[0], release: f[2], word: f[3], at: at})
	}
	return all
}

// neverTwo holds that the worker's lives, on all servers, do not overlap.
func (w *world) neverTwo(t *testing.T, servers ...string) {
	t.Helper()
	w.neverTwoIn(t, webBeats, servers...)
}

func (w *world) neverTwoIn(t *testing.T, file string, servers ...string) {
	t.Helper()
	type life struct {
		who         string
		first, last int64
	}
	lives := map[string]life{}
	for _, s := range servers {
		begun := ""
		for _, b := range w.beatsIn(t, s, file) {
			if b.word == "begin" {
				begun = fmt.Sprintf("%s %s %d", s, b.pid, b.at)
				lives[begun] = life{begun, b.at, b.at}
			}
			l := lives[begun]
			l.last = max(l.last, b.at)
			lives[begun] = l
		}
	}
	ordered := slices.SortedFunc(maps.Values(lives), func(a, b life) int { return int(a.first - b.first) })
	for i := 1; i < len(ordered); i++ {
		if ordered[i].first < ordered[i-1].last {
			t.Errorf("two ran at once for %d ms: %s and %s", ordered[i-1].last-ordered[i].first, ordered[i-1].who, ordered[i].who)
		}
	}
	t.Logf("%d lives of the worker, one after the other", len(ordered))
}

func processMoves(t *testing.T, w *world) {
	w.cli(t, "process", "move", "web", "mail", "s2", "--wait")
	if p := w.processOf(t, "mail"); p.Owner != "s2" || len(p.States) != 1 || p.States[0].Server != "s2" || p.States[0].State != "running" {
		t.Errorf("after the move: %+v", p)
	}
	to := "s3"
	for _, after := range []time.Duration{300 * time.Millisecond, 2500 * time.Millisecond, 5 * time.Second} {
		_, err := w.api.MoveProcess(w.ctx, "web", "mail", client.ProcessMove{Server: to})
		must(t, err)
		time.Sleep(after) // no event: the point is to hit any moment
		must(t, w.panel.Kill())
		must(t, w.panel.Start(w.ctx))
		until(t, time.Minute, "mail runs on "+to+" after a kill "+after.String()+" into the move", func() (bool, string) {
			all, err := w.api.Processes(w.ctx, "web")
			must(t, err)
			i := slices.IndexFunc(all.Items, func(p client.Process) bool { return p.Name == "mail" })
			p := all.Items[i]
			out := w.ssh(t, to, "systemctl is-active sp-web_p_mail@1 || true")
			return p.Owner == to && out == "active" && !w.atWork(t), fmt.Sprintf("%s, %+v", out, p)
		})
		to = map[string]string{"s3": "s1", "s1": "s2"}[to]
	}
	w.neverTwo(t, "s1", "s2", "s3")
}

// atWork tells whether a Run about processes has not ended.
func (w *world) atWork(t *testing.T) bool {
	t.Helper()
	all, err := w.api.Runs(w.ctx, client.RunFilter{})
	must(t, err)
	return slices.ContainsFunc(all.Items, func(r client.Run) bool { return r.Kind == "processes" && (r.State == "queued" || r.State == "running") })
}

// upSince is the first full minute of the Unix clock that a server has been up for since its last boot.
func (w *world) upSince(t *testing.T, server string) int64 {
	t.Helper()
	at, err := strconv.ParseInt(w.ssh(t, server, `date -d "$(systemctl show -p UserspaceTimestamp --value)" +%s`), 10, 64)
	must(t, err)
	return at/60 + 1
}

// cronCounts compares what was written at each full minute since all three
// backends were there, of which one was without power before.
func cronCounts(t *testing.T, w *world) {
	since := max(w.upSince(t, "s1"), w.upSince(t, "s2"), w.upSince(t, "s3"))
	count := func(name string) map[int64]int {
		per := map[int64]int{}
		for _, s := range []string{"s1", "s2", "s3"} {
			for line := range strings.Lines(w.ssh(t, s, "cat /home/sp_web/shared/storage/"+name+" 2>/dev/null || true")) {
				at, err := strconv.ParseInt(strings.TrimSpace(line), 10, 64)
				must(t, err)
				per[at/60]++
				if at%60 > 10 {
					t.Errorf("%s ran on %s %d s into its minute", name, s, at%60)
				}
			}
		}
		return per
	}
	var each map[int64]int
	full := func() []int64 { // minutes in which all three were there
		each = count("each")
		return slices.Sorted(func(yield func(int64) bool) {
			for m, n := range each {
				if m >= since && n == 3 && !yield(m) {
					return
				}
			}
		})
	}
	until(t, 3*time.Minute, "cron entries ran in two full minutes", func() (bool, string) { f := full(); return len(f) >= 2, fmt.Sprint(each) })
	minutes, one := full(), count("one")
	for m := minutes[0]; m <= minutes[len(minutes)-1]; m++ {
		if one[m] != 1 || each[m] != 3 {
			t.Errorf("minute %d: one ran %d times, each %d times", m, one[m], each[m])
		}
	}
	t.Logf("over %d minutes: one %v, each %v", len(minutes), one, each)
	list := w.cli(t, "cron", "list", "web")
	if !strings.Contains(list, "Asia/Kathmandu") || !strings.Contains(list, "one (s1)") {
		t.Errorf("cron list does not tell zone and owner:\n%s", list)
	}
}

func ownerStays(t *testing.T, w *world) {
	said := w.refuse(t, 1, "backend", "remove", "web", "s2", "--wait")
	if !strings.Contains(said, "owner of mail") || !strings.Contains(said, "process move web mail") {
		t.Errorf("the refusal does not tell the way out: %s", said)
	}
	must(t, w.servers["s2"].Reboot(w.ctx))
	until(t, time.Minute, "mail runs on s2 after a reboot", func() (bool, string) {
		out := w.ssh(t, "s2", "systemctl is-active sp-web_p_mail@1 sp-web_p_idle@2 sp-web_c_each.timer || true")
		return out == "active\nactive\nactive", out
	})
}

func ownerAway(t *testing.T, w *world) {
	w.neverTwo(t, "s1", "s2", "s3")
	must(t, w.servers["s2"].PowerCut(w.ctx))
	said := w.refuse(t, 1, "process", "move", "web", "mail", "s3", "--wait")
	if !strings.Contains(said, "cannot be reached") || !strings.Contains(said, "--anyway") {
		t.Errorf("the refusal does not say that the owner is away, or the way out: %s", lastLines(said, 5))
	}
	if p := w.processOf(t, "mail"); p.Owner != "s2" || p.States[0].State != "unknown" {
		t.Errorf("mail moved by itself, or is claimed to run: %+v", p)
	}
	w.refuse(t, 2, "process", "move", "web", "mail", "s3", "--anyway")
	w.refuse(t, 1, "process", "move", "web", "mail", "s3", "--anyway", "--confirm", "s1")
	w.refuse(t, 1, "process", "move", "web", "mail", "s3", "--anyway", "--confirm", "s2", "--wait") // mail moves; s2 lacks the rest
	if p := w.processOf(t, "mail"); p.Owner != "s3" || w.ssh(t, "s3", "systemctl is-active sp-web_p_mail@1") != "active" {
		t.Errorf("mail did not move anyway: %+v", p)
	}
	must(t, w.servers["s2"].Boot(w.ctx))
	back := time.Now()
	until(t, 30*time.Second, "mail is stopped on s2 first thing", func() (bool, string) {
		out := w.ssh(t, "s2", "systemctl is-active sp-web_p_mail@1 || true")
		return out == "inactive", out
	})
	t.Logf("mail was stopped on its former owner %s after that answered", time.Since(back).Round(time.Millisecond))
	until(t, time.Minute, "nothing of mail is left on s2", func() (bool, string) {
		out := w.ssh(t, "s2", "ls /etc/systemd/system /etc/systemd/system/*.wants /etc/serverplane/apps/web/process | grep -F mail || true")
		return out == "" && !w.atWork(t), out
	})
	if p := w.processOf(t, "mail"); p.Owner != "s3" || len(p.States) != 1 || p.States[0].State != "running" {
		t.Errorf("in the end: %+v", p)
	}
}

func processesRemoved(t *testing.T, w *world) {
	w.cli(t, "process", "remove", "web", "mail", "--wait")
	w.cli(t, "cron", "remove", "web", "each", "--wait")
	const traces = "ls /etc/systemd/system /etc/systemd/system/*.wants /etc/serverplane/apps/web/process 2>/dev/null | grep -E '_[pct]_(mail|each)|^(mail|each)' || true"
	for _, s := range []string{"s1", "s2", "s3"} {
		if out := w.ssh(t, s, traces); out != "" {
			t.Errorf("left on %s: %s", s, out)
		}
	}
	w.cli(t, "app", "remove", "web", "--yes", "--wait")
	for _, s := range []string{"s1", "s2", "s3"} {
		out := w.ssh(t, s, "ls /etc/systemd/system /etc/systemd/system/*.wants /var/lib/serverplane/apps /etc/serverplane/apps | grep -F web || true; systemctl list-units --all --plain --no-legend 'sp-web*'; id sp_web 2>/dev/null || true")
		if out != "" {
			t.Errorf("left on %s: %s", s, out)
		}
	}
}
