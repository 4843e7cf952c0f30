//go:build e2e

package e2e

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/serverplane/serverplane/e2e/fleet"
	"github.com/serverplane/serverplane/e2e/lab"
)

// moody is put into the example app by stories that need one backend to
// misbehave: the app looks into a file of its server at each request, so that
// a mood needs no deployment and no restart.
const moody = `const fs = require('node:fs')
const app = express()
app.use((req, res, next) => {
  let mood = ''
  try { mood = fs.readFileSync('` + moodFile + `', 'utf8').trim() } catch { return next() }
  const [kind, ms] = mood.split(' ')
  if (kind === 'slow') return setTimeout(next, Number(ms))
  if (kind === 'silent') return
  if (kind === '301') res.set('Location', '/elsewhere')
  return res.status(Number(kind)).json(about())
})`

const moodFile = "/home/sp_web/mood"

// mood makes the app of one server answer this status, "slow MS" or "silent";
// empty: as it should.
func (w *world) mood(t *testing.T, server, mood string) {
	t.Helper()
	if mood == "" {
		w.ssh(t, server, "rm -f "+moodFile)
		return
	}
	w.ssh(t, server, "echo '"+mood+"' >"+moodFile+".new && mv "+moodFile+".new "+moodFile)
}

// balanced is a world in which the app web is served by three backends, with
// s1 as the entry, and many strangers are around to visit it.
type balanced struct {
	*world
	strangers []netip.Addr
}

// newBalanced makes it. The private addresses of servers that have a late
// address are the late ones.
func newBalanced(t *testing.T, specs ...fleet.Spec) *balanced {
	t.Helper()
	w := newEquippedWorld(t, specs...)
	must(t, w.repo.Replace("server.js", "const app = express()", moody))
	_, err := w.repo.Commit("moods")
	must(t, err)
	strangers, err := w.fleet.Strangers(w.ctx, 24)
	must(t, err)
	w.addAtPrivate(t, specs...)
	w.cli(t, "app", "create", "web", "--server", "s1", "--kind", "nodejs", "--repo", w.repo.URL(), "--option", "drain=2s", "--wait")
	w.cli(t, "lb", "enable", "web", "--yes", "--wait")
	return &balanced{world: w, strangers: strangers}
}

// addAtPrivate adds the servers, each at its late address if it has one.
func (w *world) addAtPrivate(t *testing.T, specs ...fleet.Spec) {
	t.Helper()
	var all errgroup.Group
	for _, spec := range specs {
		s := w.servers[spec.Name]
		var more []string
		if s.Late.IsValid() {
			w.untilLate(t, spec.Name)
			more = []string{"--private-address", s.Late.String()}
		}
		all.Go(func() error { return w.panel.AddServer(w.ctx, s.Name, s.Addr.String(), s.KeyFile, more...) })
	}
	must(t, all.Wait())
}

// untilLate waits until a server has its second address.
func (w *world) untilLate(t *testing.T, server string) {
	t.Helper()
	late := w.servers[server].Late.String()
	until(t, time.Minute, server+" has "+late, func() (bool, string) {
		out := w.ssh(t, server, "ip -o address show dev host0")
		return strings.Contains(out, late+"/"), out
	})
}

// join adds backends at once and waits until all are healthy.
func (w *world) join(t *testing.T, servers ...string) {
	t.Helper()
	var all errgroup.Group
	for _, s := range servers {
		all.Go(func() error {
			_, err := w.panel.CLI(w.ctx, "backend", "add", "web", s, "--wait")
			return err
		})
	}
	must(t, all.Wait())
	for _, s := range servers {
		w.untilState(t, "web", s, "healthy", 30*time.Second)
	}
}

// crowd lets strangers visit the app at a rate.
func (b *balanced) crowd(t *testing.T, rate int) *lab.Gathering {
	t.Helper()
	g, err := lab.Crowd{Rate: rate, From: b.strangers, Patience: 10 * time.Second}.Gather(b.entry("s1"))
	must(t, err)
	t.Cleanup(func() { g.Stop() })
	return g
}

// span waits until a crowd has seen n more answers and returns when it began
// and ended to.
func span(t *testing.T, g *lab.Gathering, n int) (from, to time.Time) {
	t.Helper()
	from = time.Now()
	before := g.Seen()
	until(t, 30*time.Second, "the crowd goes on", func() (bool, string) { return g.Seen() >= before+n, "" })
	return from, time.Now()
}

// nothingLost fails when a crowd lost anything that ServerPlane answers for.
func nothingLost(t *testing.T, what string, got lab.Tally) {
	t.Helper()
	t.Logf("%s: %s", what, got)
	if got.Sent == 0 || got.Lost+got.Mangled+got.Failed+got.Held > 0 {
		t.Errorf("%s: %s; the first: %s", what, got, got.First)
	}
}
