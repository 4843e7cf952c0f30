//go:build e2e

package e2e

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/serverplane/serverplane/client"
	"github.com/serverplane/serverplane/e2e/fleet"
	"github.com/serverplane/serverplane/e2e/lab"
)

// TestRemoval is about servers that are away while something is removed there.
func TestRemoval(t *testing.T) {
	t.Parallel() // nothing here is held against the clock
	w := newPlainWorld(t)
	t.Run("a backend is removed while its server is off", func(t *testing.T) { removedWhileOff(t, w) })
	t.Run("a server that is dead for good can be forgotten", func(t *testing.T) { forgotten(t, w) })
}

// removedWhileOff removes a backend whose server is off: what is left there
// stays listed, gets no visitor when the server comes back, and asking again
// clears it. The other app on that server, whose name begins alike, keeps all
// of its own.
func removedWhileOff(t *testing.T, w *world) {
	for _, app := range []string{"web", "web-api"} {
		w.cli(t, "backend", "add", app, "s3", "--wait")
	}
	before, err := w.servers["s3"].Picture()
	must(t, err)
	visitors := lab.Visit(w.entry("s1"), 25*time.Millisecond)
	must(t, w.servers["s3"].PowerOff(w.ctx))
	said := w.refuse(t, 1, "backend", "remove", "web", "s3", "--wait")
	if !strings.Contains(said, "s3") || !strings.Contains(said, "left") {
		t.Errorf("it does not say what is left where:\n%s", lastLines(said, 30))
	}
	b := w.backend(t, "web", "s3")
	t.Logf("left-over: %s, %s", b.State, b.Reason)
	if b.State != "removing" || !strings.Contains(b.Reason, "backend remove") {
		t.Errorf("the left-over is listed as %+v", b)
	}
	w.refuse(t, 1, "backend", "add", "web", "s3")
	w.refuse(t, 1, "backend", "on", "web", "s3")
	must(t, w.servers["s3"].Boot(w.ctx))
	w.untilServer(t, "s3", "ready")
	until(t, time.Minute, "s3 is back with what was left", func() (bool, string) {
		out := w.ssh(t, "s3", "systemctl is-active sp-web-a || true")
		return out == "active", out
	})
	c, err := lab.Spread(w.entry("s1"), 30)
	must(t, err)
	if c.Served["s3"] > 0 {
		t.Errorf("the left-over served: %v", c.Served)
	}
	w.cli(t, "backend", "remove", "web", "s3", "--wait")
	noneLost(t, visitors.Stop())
	w.gone(t, "web", "s3")
	w.untouched(t, "s3", before, "web-api")
}

// gone holds that a server has nothing of an app any more.
func (w *world) gone(t *testing.T, app, server string) {
	t.Helper()
	all, err := w.api.Backends(w.ctx, app)
	must(t, err)
	for _, b := range all.Items {
		if b.Server == server {
			t.Errorf("%s is still listed: %+v", server, b)
		}
	}
	left := w.ssh(t, server, fmt.Sprintf(`ls -d /home/sp_%[1]s /etc/serverplane/apps/%[1]s /etc/systemd/system/sp-%[1]s-[ab].service /etc/nginx/conf.d/sp-%[1]s.conf `+
		`/var/lib/serverplane/apps/%[1]s.json 2>/dev/null || true; getent passwd sp_%[1]s; getent group sp_%[1]s; ufw status | grep 'serverplane %[1]s$' || true`, app))
	if left != "" {
		t.Errorf("left of %s on %s: %s", app, server, left)
	}
}

// untouched holds that an app's own files on a server are as they were, and
// that it serves there.
func (w *world) untouched(t *testing.T, server string, before fleet.Picture, app string) {
	t.Helper()
	now, err := w.servers[server].Picture()
	must(t, err)
	for _, line := range now.Since(before) {
		if strings.Contains(line, app) && !strings.Contains(line, ".log") {
			t.Errorf("%s: %s", server, line)
		}
	}
	if out := w.ssh(t, server, "systemctl is-active sp-"+app+"-a; getent passwd sp_"+app+" | cut -d: -f1; ufw status | grep -c 'serverplane "+app+"$'"); !strings.HasPrefix(out, "active\nsp_"+app+"\n") {
		t.Errorf("%s on %s: %s", app, server, out)
	}
	w.cli(t, "backend", "check", app, server)
}

// forgotten is a server that is dead for good: it can be taken out of the panel
// once all it carries are left-overs.
func forgotten(t *testing.T, w *world) {
	must(t, w.servers["s3"].PowerCut(w.ctx))
	w.refuse(t, 1, "backend", "remove", "web-api", "s3", "--wait")
	w.untilServer(t, "s3", "unreachable")
	refused := w.refuse(t, 1, "server", "remove", "s3", "--yes")
	if !strings.Contains(refused, "web-api") {
		t.Errorf("the refusal does not name the app: %s", refused)
	}
	w.cli(t, "server", "remove", "s3", "--yes", "--forget")
	var list struct{ Items []client.Server }
	must(t, w.panel.Read(w.ctx, &list, "server", "list"))
	if len(list.Items) != 2 {
		t.Errorf("%d servers are listed", len(list.Items))
	}
}

// untilServer waits until the panel shows a server in a state.
func (w *world) untilServer(t *testing.T, server, state string) {
	t.Helper()
	until(t, 90*time.Second, server+" becomes "+state, func() (bool, string) {
		s, err := w.api.Server(w.ctx, server)
		must(t, err)
		return s.State == state, s.State + ": " + s.Reason
	})
}
