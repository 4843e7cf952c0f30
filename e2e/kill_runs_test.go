//go:build e2e

package e2e

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/serverplane/serverplane/client"
	"github.com/serverplane/serverplane/e2e/lab"
)

// plain is an app without dependencies, so that a Run is short and a kill may
// hit any of its steps.
const plain = `const http = require('node:http')
const crypto = require('node:crypto')
const about = { server: process.env.SERVERPLANE_SERVER, release: process.env.SERVERPLANE_RELEASE }
const server = http.createServer((req, res) => {
  const parts = []
  req.on('data', (part) => parts.push(part))
  req.on('end', () => {
    const body = Buffer.concat(parts)
    const sum = crypto.createHash('sha256').update(body).digest('hex')
    res.setHeader('Content-Type', 'application/json')
    res.end(JSON.stringify(req.method === 'POST' ? { ...about, length: body.length, sha256: sum } : about))
  })
})
server.listen(Number(process.env.PORT), process.env.HOST)
process.on('SIGTERM', () => server.close(() => process.exit(0)))
`

// killRounds is how often each kind of Run is killed.
const killRounds = 10

// TestKilledRuns kills the panel at random moments of every kind of Run about
// traffic, two apps at a time, while visitors ask: all of it converges, and no
// visitor notices.
func TestKilledRuns(t *testing.T) {
	t.Parallel() // nothing here is held against the clock
	w := newPlainWorld(t)
	k := &killer{world: w, random: rand.New(rand.NewPCG(uint64(time.Now().UnixNano()), 1))}
	scenes := k.scenes()
	for _, s := range scenes { // once without a kill: how long each takes, and that it works
		k.measure(t, s)
	}
	crowd, err := lab.Crowd{Rate: 40}.Gather(w.entry("s1"))
	must(t, err)
	t.Cleanup(func() { crowd.Stop() })
	for round := range killRounds {
		for _, s := range scenes {
			k.strike(t, s, round)
		}
	}
	got := crowd.Stop()
	t.Logf("visitors during %d kills: %s", killRounds*len(scenes), got)
	if got.Sent == 0 || got.Lost+got.Mangled+got.Failed+got.Held > 0 {
		t.Errorf("a killed panel cost visitors something: %s; the first: %s", got, got.First)
	}
}

// newPlainWorld has two apps without dependencies, web, which answers any name,
// and web-api, both on s1 and s2; s3 is ready.
func newPlainWorld(t *testing.T) *world {
	t.Helper()
	w := newEquippedWorld(t, named([]string{"s1", "s2", "s3"})...)
	must(t, w.repo.Write("server.js", plain))
	_, err := w.repo.Commit("no dependencies")
	must(t, err)
	w.add(t, "s1", "s2", "s3")
	for app, more := range map[string][]string{"web": nil, "web-api": {"--domain", "api.example.com"}} {
		args := []string{"app", "create", app, "--server", "s1", "--kind", "nodejs", "--repo", w.repo.URL(), "--build", "true", "--start", "node server.js", "--option", "drain=1s", "--wait"}
		w.cli(t, append(args, more...)...)
		w.cli(t, "lb", "enable", app, "--yes", "--wait")
		w.cli(t, "backend", "add", app, "s2", "--wait")
	}
	return w
}

// scene is one or two wishes at a time, how they are finished when the panel
// is back, and what must hold then.
type scene struct {
	name    string
	begin   [][]string
	finish  []func(t *testing.T)
	serving map[string]string // by app: the servers in its upstream
	usual   time.Duration
}

// killer carries out scenes and kills the panel in them.
type killer struct {
	*world
	random *rand.Rand
}

// scenes lead from one to the next and at the end to where they began.
func (k *killer) scenes() []*scene {
	added := k.repeat([]string{"backend", "add", "web", "s3", "--wait"}, func(t *testing.T) bool { return k.is(t, "web", "s3", "current") })
	repaired := func(t *testing.T) { // the panel carries on by itself
		if !k.is(t, "web-api", "s2", "current") {
			t.Error("a repair that was interrupted leaves its backend out")
		}
	}
	off := k.repeat([]string{"backend", "off", "web", "s2"}, func(t *testing.T) bool { return k.is(t, "web", "s2", "off") })
	on := k.repeat([]string{"backend", "on", "web", "s2"}, func(t *testing.T) bool { return k.is(t, "web", "s2", "current") })
	removed := k.repeat([]string{"backend", "remove", "web", "s3", "--wait"}, func(t *testing.T) bool { return k.is(t, "web", "s3", "gone") })
	disabled := k.repeat([]string{"lb", "disable", "web-api", "--wait"}, func(t *testing.T) bool { return k.balancer(t, "web-api") == "off" })
	enabled := k.repeat([]string{"lb", "enable", "web-api", "--yes", "--wait"}, func(t *testing.T) bool { return k.balancer(t, "web-api") == "on" })
	apiOn := k.repeat([]string{"backend", "on", "web-api", "s2"}, func(t *testing.T) bool { return k.is(t, "web-api", "s2", "current") })
	method := func(t *testing.T) { k.cli(t, "lb", "set", "web", "--method", "round-robin") }
	return []*scene{
		{name: "backend-add and backend-repair", begin: [][]string{{"backend", "add", "web", "s3", "--wait"}, {"backend", "repair", "web-api", "s2", "--wait"}},
			finish: []func(*testing.T){added, repaired}, serving: map[string]string{"web": "s1 s2 s3", "web-api": "s1 s2"}},
		{name: "backend off and lb-disable", begin: [][]string{{"backend", "off", "web", "s2"}, {"lb", "disable", "web-api", "--wait"}},
			finish: []func(*testing.T){off, disabled}, serving: map[string]string{"web": "s1 s3", "web-api": "s1"}},
		{name: "backend on, lb set and lb-enable", begin: [][]string{{"backend", "on", "web", "s2"}, {"lb", "set", "web", "--method", "least-connections"}, {"lb", "enable", "web-api", "--yes", "--wait"}},
			finish: []func(*testing.T){on, method, enabled, apiOn}, serving: map[string]string{"web": "s1 s2 s3", "web-api": "s1 s2"}},
		{name: "backend-remove", begin: [][]string{{"backend", "remove", "web", "s3", "--wait"}},
			finish: []func(*testing.T){removed}, serving: map[string]string{"web": "s1 s2", "web-api": "s1 s2"}},
	}
}

// repeat gives a wish again unless it was fulfilled: that must always succeed.
func (k *killer) repeat(args []string, fulfilled func(t *testing.T) bool) func(t *testing.T) {
	return func(t *testing.T) {
		t.Helper()
		if !fulfilled(t) {
			k.cli(t, args...)
		}
	}
}

func (k *killer) is(t *testing.T, app, server, what string) bool {
	t.Helper()
	all, err := k.api.Backends(k.ctx, app)
	must(t, err)
	for _, b := range all.Items {
		if b.Server == server {
			current := b.Enabled && b.Deployment != "" && b.Deployment == k.live(t, app)
			return what == "off" && b.State == "off" || what == "current" && current
		}
	}
	return what == "gone"
}

// live is what the primary was started from.
func (k *killer) live(t *testing.T, app string) string {
	t.Helper()
	return k.backend(t, app, "s1").Deployment
}

func (k *killer) balancer(t *testing.T, app string) string {
	t.Helper()
	lb, err := k.api.Balancer(k.ctx, app)
	must(t, err)
	return lb.Status
}

func (k *killer) measure(t *testing.T, s *scene) {
	t.Helper()
	begin := time.Now()
	must(t, k.begin(s).Wait())
	s.usual = time.Since(begin)
	k.settled(t, s)
	t.Logf("%s takes %s", s.name, s.usual.Round(100*time.Millisecond))
}

// begin gives the scene's wishes at once.
func (k *killer) begin(s *scene) *errgroup.Group {
	var all errgroup.Group
	for _, args := range s.begin {
		all.Go(func() error { _, err := k.panel.CLI(k.ctx, args...); return err })
	}
	return &all
}

// strike kills the panel at a random moment of the scene and holds that all
// comes to rest: by itself, and as wished once it is asked for again.
func (k *killer) strike(t *testing.T, s *scene, round int) {
	t.Helper()
	after := time.Duration(k.random.Int64N(int64(s.usual)))
	under := k.begin(s)
	wait := time.NewTimer(after)
	defer wait.Stop()
	<-wait.C
	at := k.underRun(t)
	must(t, k.panel.Kill())
	must(t, k.panel.Start(k.ctx))
	_ = under.Wait() // some lost their panel, the others follow their Run to its end
	t.Logf("round %d, %s: killed after %s, at %s", round+1, s.name, after.Round(time.Millisecond), at)
	k.atRest(t)
	k.settled(t, s)
}

// underRun names what is under way, for the log.
func (k *killer) underRun(t *testing.T) string {
	t.Helper()
	all, err := k.api.Runs(k.ctx, client.RunFilter{})
	must(t, err)
	var steps []string
	for _, r := range all.Items {
		if !r.Ended() {
			steps = append(steps, r.Kind+": "+r.Step)
		}
	}
	return fmt.Sprintf("%q", steps)
}

// atRest waits until no Run is under way.
func (k *killer) atRest(t *testing.T) {
	t.Helper()
	until(t, 45*time.Second, "no Run is stuck", func() (bool, string) {
		seen := k.underRun(t)
		return seen == "[]", seen
	})
}

// settled finishes the scene and holds that book, entry and servers agree.
func (k *killer) settled(t *testing.T, s *scene) {
	t.Helper()
	for _, finish := range s.finish {
		finish(t)
	}
	k.atRest(t)
	for app, servers := range s.serving {
		until(t, 20*time.Second, "the entry of "+app+" sends to "+servers, func() (bool, string) {
			got := k.upstream(t, app)
			return got == servers, got
		})
	}
	var all sync.WaitGroup
	for _, server := range []string{"s1", "s2", "s3"} {
		all.Go(func() { k.onlyLive(t, server) })
	}
	all.Wait()
}

// upstream names the servers the entry of an app sends requests to.
func (k *killer) upstream(t *testing.T, app string) string {
	t.Helper()
	file := k.ssh(t, "s1", "cat /etc/nginx/conf.d/sp-"+app+".conf")
	var in []string
	for _, name := range []string{"s1", "s2", "s3"} {
		host := k.servers[name].Addr.String()
		if name == "s1" {
			host = "127.0.0.1"
		}
		for line := range strings.Lines(file) {
			if strings.Contains(line, "server "+host+":") && strings.Contains(line, "max_fails") && !strings.Contains(line, " down ") {
				in = append(in, name)
				break
			}
		}
	}
	return strings.Join(in, " ")
}

// onlyLive holds that of each app that has a backend on a server the live slot
// runs there and the other does not, of any other app neither, and nothing of a Run.
func (k *killer) onlyLive(t *testing.T, server string) {
	t.Helper()
	var want []string
	for _, app := range []string{"web", "web-api"} {
		if k.is(t, app, server, "gone") {
			want = append(want, "inactive", "inactive")
		} else {
			want = append(want, "active", "inactive") // no deployment happens here: a is live
		}
	}
	var left []string
	until(t, 20*time.Second, server+" runs only what it should", func() (bool, string) {
		out := strings.Split(k.ssh(t, server, "systemctl is-active sp-web-a sp-web-b sp-web-api-a sp-web-api-b || true; "+
			"systemctl list-units --no-legend --plain 'sp-web-run-*' 'sp-web-api-run-*' || true"), "\n")
		states := out[:min(len(want), len(out))]
		left = out[len(states):]
		return slices.Equal(states, want), fmt.Sprintf("%q, want %q", out, want)
	})
	if len(left) > 0 {
		t.Errorf("%s still has %q", server, left)
	}
}
