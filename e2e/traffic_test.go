//go:build e2e

package e2e

import (
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/serverplane/serverplane/e2e/fleet"
	"github.com/serverplane/serverplane/e2e/lab"
)

// TestTraffic steers visitors in every way there is while 300 requests a
// second come in, and asks who was served by whom.
func TestTraffic(t *testing.T) {
	b := newBalanced(t, fleet.Spec{Name: "s1"}, fleet.Spec{Name: "s2"}, fleet.Spec{Name: "s3"})
	untouched := b.picture(t, "s3")
	b.join(t, "s2", "s3")
	for _, story := range []struct {
		name string
		tell func(*testing.T)
	}{
		{"a worker may open what its visitors need", b.mayOpen},
		{"nothing is lost while traffic is steered", b.steered},
		{"a removed backend leaves no trace", func(t *testing.T) { b.leavesNoTrace(t, untouched) }},
		{"with IP hash every visitor stays where they are", b.ipHash},
		{"with least connections a slow backend gets fewer", b.leastConnections},
		{"weights divide 5 to 1", b.weights},
		{"a backup serves only when the others are out", b.backup},
		{"a preview shows what is written", b.preview},
	} {
		if !t.Run(story.name, story.tell) {
			t.Fatal("the rest builds on this")
		}
	}
}

func (b *balanced) picture(t *testing.T, server string) fleet.Picture {
	t.Helper()
	p, err := b.servers[server].Picture()
	must(t, err)
	return p
}

// mayOpen reads what the kernel allows: with a limit above the server's own, Nginx goes on with the usual 1024.
func (b *balanced) mayOpen(t *testing.T) {
	if got := b.ssh(t, "s1", `awk '/open files/ {print $4}' /proc/$(pgrep -o -f 'nginx: worker')/limits`); got != "16384" {
		t.Errorf("a worker of the entry may open %s files", got)
	}
}

// steered is the crowd of 300 a second, during everything that moves traffic.
func (b *balanced) steered(t *testing.T) {
	crowd := b.crowd(t, 300)
	span(t, crowd, 300)
	away := b.toggle(t, crowd, 30)
	for i := range 10 {
		b.cli(t, "lb", "set", "web", "--method", []string{"least-connections", "ip-hash", "round-robin"}[i%3])
		span(t, crowd, 60)
	}
	b.cli(t, "lb", "set", "web", "--method", "round-robin")
	away = append(away, b.disableAndEnable(t, crowd)...)
	away = append(away, b.removeAndAdd(t, crowd))
	got := crowd.Stop()
	nothingLost(t, "300 requests a second", got)
	if rate := float64(got.Sent) / crowd.Lasted().Seconds(); rate < 280 {
		t.Errorf("only %.0f requests a second were sent", rate)
	}
	// The first request of a kept connection counts as a fresh one, and each announced reload ends them all.
	if got.Kept*4 < got.Sent {
		t.Errorf("only %d of %d went over kept connections", got.Kept, got.Sent)
	}
	for _, a := range away {
		if n := got.Between(a.from, a.to).Served[a.server]; n > 0 || !a.to.After(a.from) {
			t.Errorf("%s was sent %d requests from %s on, after it was %s", a.server, n, a.from.Format(time.TimeOnly), a.why)
		}
	}
}

// absence is a span of time in which a server must get nothing.
type absence struct {
	server, why string
	from, to    time.Time
}

// toggle switches s3 off and on this many times.
func (b *balanced) toggle(t *testing.T, crowd *lab.Gathering, times int) []absence {
	t.Helper()
	var all []absence
	var took []time.Duration
	served := 0
	for range times {
		took = append(took, b.timed(t, "backend", "off", "web", "s3"))
		from, to := span(t, crowd, 30)
		all = append(all, absence{"s3", "switched off", from, to})
		took = append(took, b.timed(t, "backend", "on", "web", "s3"))
		from, to = span(t, crowd, 30)
		served += crowd.SoFar().Between(from, to).Served["s3"]
	}
	slices.Sort(took)
	t.Logf("%d commands off and on: median %s, p95 %s, longest %s, the program's own start included", len(took),
		took[len(took)/2].Round(time.Millisecond), took[len(took)*95/100].Round(time.Millisecond), took[len(took)-1].Round(time.Millisecond))
	if served < times*3 {
		t.Errorf("s3 served only %d requests in %d spans of being on", served, times)
	}
	return all
}

// timed runs a command and tells how long it took.
func (b *balanced) timed(t *testing.T, args ...string) time.Duration {
	t.Helper()
	began := time.Now()
	b.cli(t, args...)
	return time.Since(began)
}

func (b *balanced) disableAndEnable(t *testing.T, crowd *lab.Gathering) []absence {
	t.Helper()
	b.cli(t, "lb", "disable", "web", "--wait")
	from, to := span(t, crowd, 600)
	for _, s := range []string{"s2", "s3"} {
		if off := b.backend(t, "web", s); off.State != "off" {
			t.Errorf("%s is %s after lb disable", s, off.State)
		}
	}
	b.cli(t, "lb", "enable", "web", "--yes", "--wait")
	b.cli(t, "backend", "on", "web", "s2")
	b.cli(t, "backend", "on", "web", "s3")
	on, until := span(t, crowd, 300)
	if again := crowd.SoFar().Between(on, until); again.Served["s2"] == 0 || again.Served["s3"] == 0 {
		t.Errorf("enabled again, but served by %v", again.Served)
	}
	return []absence{{"s2", "disabled", from, to}, {"s3", "disabled", from, to}}
}

func (b *balanced) removeAndAdd(t *testing.T, crowd *lab.Gathering) absence {
	t.Helper()
	b.cli(t, "backend", "remove", "web", "s3", "--wait")
	from, to := span(t, crowd, 300)
	b.join(t, "s3")
	on, until := span(t, crowd, 300)
	if again := crowd.SoFar().Between(on, until); again.Served["s3"] == 0 {
		t.Errorf("added again, but served by %v", again.Served)
	}
	return absence{"s3", "removed", from, to}
}

// receipt is what a Run took away or left, as "run show" tells it.
type receipt struct {
	State   string
	Receipt []struct {
		Server, What, Detail string
		Done                 bool
	}
}

// leavesNoTrace removes s3 and compares its disk with what it was before the
// app came, but for the packed files that the receipt names.
func (b *balanced) leavesNoTrace(t *testing.T, before fleet.Picture) {
	b.ssh(t, "s3", "install -d -o sp_web /home/sp_web/shared/uploads && echo precious >/home/sp_web/shared/uploads/only-here.txt")
	b.cli(t, "backend", "remove", "web", "s3", "--wait")
	var r receipt
	must(t, b.panel.Read(b.ctx, &r, "run", "show", b.lastRun(t, "backend-remove").ID))
	packed := ""
	for _, line := range r.Receipt {
		t.Logf("%s: %s, done %v %s", line.Server, line.What, line.Done, line.Detail)
		if path := regexp.MustCompile(`/var/backups/serverplane/\S+`).FindString(line.Detail); path != "" {
			packed = path
		}
		if !line.Done {
			t.Errorf("left: %+v", line)
		}
	}
	var left []string
	for _, line := range b.picture(t, "s3").Since(before) {
		path, _, _ := strings.Cut(line, " ")
		if path != packed && !slices.Contains(panelsOwn(), path) {
			left = append(left, line)
		}
	}
	if out := b.ssh(t, "s3", "grep -lE 'sp[-_]web' "+strings.Join(panelsOwn(), " ")+" 2>/dev/null || true"); out != "" {
		left = append(left, out+" names the app")
	}
	if len(left) > 0 {
		t.Errorf("left on s3:\n%s", strings.Join(left, "\n"))
	}
	if packed == "" {
		t.Error("no receipt names the packed files")
	} else if out := b.ssh(t, "s3", "tar -tf '"+packed+"' | grep -c only-here.txt || true"); out != "1" {
		t.Errorf("the file that was only on s3 is %s times in %s", out, packed)
	}
	b.join(t, "s3")
}

// panelsOwn is what the panel keeps on a server about itself: the guard's
// books, Ansible's scratch folder, the folder of packed files. It may differ
// after an app has gone, but not name it.
func panelsOwn() []string {
	return []string{"/var/lib/serverplane/nginx.json", "/var/lib/serverplane/guard-last.json", "/var/backups/serverplane",
		"/home/serverplane/.ansible", "/home/serverplane/.ansible/tmp"}
}

// visits counts for each visitor which servers they met in a span.
func visits(got lab.Tally) map[netip.Addr][]string {
	met := map[netip.Addr][]string{}
	for _, e := range got.Events {
		if !slices.Contains(met[e.From], e.Server) {
			met[e.From] = append(met[e.From], e.Server)
		}
	}
	return met
}

func (b *balanced) ipHash(t *testing.T) {
	b.cli(t, "lb", "set", "web", "--method", "ip-hash")
	crowd := b.crowd(t, 150)
	look := func(n int) map[netip.Addr][]string {
		from, to := span(t, crowd, n)
		return visits(crowd.SoFar().Between(from, to))
	}
	home := look(600)
	homes := map[string]int{}
	for visitor, met := range home {
		if len(met) != 1 {
			t.Errorf("%s met %v", visitor, met)
		}
		homes[met[0]]++
	}
	t.Logf("visitors of %d networks by server: %v", len(home), homes)
	if len(home) < 8 || len(homes) != 3 {
		t.Fatal("too few visitors for this to prove anything")
	}
	b.cli(t, "backend", "off", "web", "s2")
	for visitor, met := range look(600) {
		if was := home[visitor][0]; slices.Contains(met, "s2") || was != "s2" && (len(met) != 1 || met[0] != was) {
			t.Errorf("s2 is off: %s of %s met %v", visitor, was, met)
		}
	}
	b.cli(t, "backend", "on", "web", "s2")
	for visitor, met := range look(600) {
		if len(met) != 1 || met[0] != home[visitor][0] {
			t.Errorf("s2 is back: %s of %s met %v", visitor, home[visitor][0], met)
		}
	}
	nothingLost(t, "IP hash", crowd.Stop())
}

func (b *balanced) leastConnections(t *testing.T) {
	b.mood(t, "s2", "slow 300")
	for _, method := range []string{"round-robin", "least-connections"} {
		b.cli(t, "lb", "set", "web", "--method", method)
		crowd := b.crowd(t, 100)
		span(t, crowd, 600)
		got := crowd.Stop()
		nothingLost(t, method+" with a slow s2", got)
		s := got.Served
		if fewer := s["s2"]*4 < s["s1"] && s["s2"]*4 < s["s3"]; fewer != (method == "least-connections") || s["s2"] == 0 {
			t.Errorf("%s: served %v", method, s)
		}
	}
	b.mood(t, "s2", "")
	b.cli(t, "lb", "set", "web", "--method", "round-robin")
}

func (b *balanced) weights(t *testing.T) {
	b.cli(t, "backend", "off", "web", "s3")
	b.cli(t, "backend", "set", "web", "s2", "--weight", "5")
	crowd := b.crowd(t, 200)
	span(t, crowd, 1500)
	got := crowd.Stop()
	nothingLost(t, "weights 5 to 1", got)
	ratio := float64(got.Served["s2"]) / float64(got.Served["s1"])
	t.Logf("ratio %.3f", ratio)
	if ratio < 5*0.97 || ratio > 5*1.03 || got.Served["s3"] > 0 {
		t.Errorf("served %v, a ratio of %.3f", got.Served, ratio)
	}
	b.cli(t, "backend", "set", "web", "s2", "--weight", "1")
	b.cli(t, "backend", "on", "web", "s3")
}

func (b *balanced) backup(t *testing.T) {
	b.cli(t, "backend", "set", "web", "s3", "--backup")
	if said := b.refuse(t, 1, "lb", "set", "web", "--method", "ip-hash"); !strings.Contains(said, "backup") {
		t.Errorf("IP hash beside a backup is not refused by its name: %s", said)
	}
	live := liveSlot(t, b.world)
	crowd := b.crowd(t, 100)
	from, to := span(t, crowd, 400)
	b.each(t, "systemctl stop sp-web-"+live)
	alone, together := span(t, crowd, 400)
	b.each(t, "systemctl start sp-web-"+live)
	b.untilNothing(t, crowd, "s3") // the entry asks a backend that failed five times anew after 5 s
	again, end := span(t, crowd, 400)
	got := crowd.Stop()
	nothingLost(t, "a backup", got)
	if idle := got.Between(from, to).Served; idle["s3"] > 0 {
		t.Errorf("the backup got traffic beside the others: %v", idle)
	}
	if only := got.Between(alone, together).Served; len(only) != 1 || only["s3"] == 0 {
		t.Errorf("the others are out, served by %v", only)
	}
	if idle := got.Between(again, end).Served; idle["s3"] > 0 {
		t.Errorf("the backup went on getting traffic: %v", idle)
	}
	b.cli(t, "backend", "set", "web", "s3", "--backup=false")
}

// each runs a command on s1 and s2.
func (b *balanced) each(t *testing.T, command string) {
	t.Helper()
	for _, s := range []string{"s1", "s2"} {
		b.ssh(t, s, command)
	}
}

// preview: what is shown is what lies on the entry.
func (b *balanced) preview(t *testing.T) {
	shown := b.cli(t, "lb", "preview", "web")
	written := b.ssh(t, "s1", "cat /etc/nginx/conf.d/sp-web.conf")
	if !strings.Contains(shown, written) {
		t.Errorf("the preview shows\n%s\nbut what is in force is\n%s", shown, written)
	}
	other := b.cli(t, "lb", "preview", "web", "--method", "least-connections")
	if !strings.Contains(other, "least_conn;") || strings.Contains(shown, "least_conn;") {
		t.Errorf("with another method it shows\n%s", other)
	}
	if after := b.ssh(t, "s1", "cat /etc/nginx/conf.d/sp-web.conf"); after != written {
		t.Error("a preview changed what is in force")
	}
}
