//go:build e2e

package e2e

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/serverplane/serverplane/client"
	"github.com/serverplane/serverplane/e2e/lab"
)

// rollBack goes back and forth between two releases in every way there is, while
// visitors come: they must not notice any of it.
func rollBack(t *testing.T, w *world) {
	older := w.live(t)
	must(t, w.repo.Write("NEWS", "a newer release"))
	_, err := w.repo.Commit("a newer release")
	must(t, err)
	visitors := lab.Visit(w.entry("s1"), 10*time.Millisecond)
	newer := backWithinTheDrain(t, w, older)
	backAndForth(t, w, older, newer)
	backAndKilled(t, w, older, newer)
	noneLost(t, visitors.Stop())
}

// backWithinTheDrain: the slot to go back to runs still, so that going back is
// the switch alone.
func backWithinTheDrain(t *testing.T, w *world, older client.Deployment) client.Deployment {
	t.Helper()
	w.cli(t, "app", "set", "web", "--option", "drain=20s")
	sent, err := w.api.Deploy(w.ctx, "web", client.DeployWish{})
	must(t, err)
	w.untilStep(t, sent.Deployment.ID, "let the old slot finish its requests")
	w.cli(t, "app", "set", "web", "--option", "drain=2s") // for what comes: the deployment has a copy
	said := w.backTo(t, older.Release)
	if n := strings.Count(said, "still runs release "+older.Release); n != 3 {
		t.Errorf("%d of 3 backends went back to a slot that runs:\n%s", n, lastLines(said, 40))
	}
	newer, err := w.api.Deployment(w.ctx, sent.Deployment.ID)
	must(t, err)
	back := w.live(t)
	t.Logf("going back within the drain took %s", back.LiveAt.Sub(back.CreatedAt).Round(time.Millisecond))
	if newer.State != "completed" || newer.FinishedAt.Sub(newer.LiveAt) > 15*time.Second {
		t.Errorf("the deployment is %s; %s after it went live", newer.State, newer.FinishedAt.Sub(newer.LiveAt))
	}
	return newer
}

// backAndForth: what was live before is where one came from; what failed in
// between never was live.
func backAndForth(t *testing.T, w *world, older, newer client.Deployment) {
	t.Helper()
	w.backTo(t, newer.Release)
	must(t, w.repo.Write("build.js", "throw new Error('broken')\n"))
	_, err := w.repo.Commit("broken")
	must(t, err)
	w.refuse(t, 1, "deploy", "web", "--wait")
	must(t, w.repo.Write("build.js", buildScript(t)))
	_, err = w.repo.Commit("mended")
	must(t, err)
	w.backToWhatIsGone(t, older.Release)
	w.backTo(t, newer.Release)
	var list struct{ Items []client.Deployment }
	must(t, w.panel.Read(w.ctx, &list, "deployment", "list", "web"))
	if d := list.Items[0]; d.Trigger != "rollback" || d.Commit != newer.Commit || d.Subject != newer.Subject || len(d.Backends) != 3 {
		t.Errorf("the history says %+v", d)
	}
	one, err := w.api.Deployment(w.ctx, list.Items[0].ID)
	must(t, err)
	if !one.IsLive || one.Elapsed <= 0 || one.Expected <= 0 || len(one.Steps) < 5 {
		t.Errorf("elapsed %s, expected %s, steps %+v", one.Elapsed, one.Expected, one.Steps)
	}
	for _, b := range one.Backends {
		if b.State != "live" {
			t.Errorf("%+v", b)
		}
	}
}

// backToWhatIsGone: one backend has the release no more and builds it from the
// panel's own copy of the repository.
func (w *world) backToWhatIsGone(t *testing.T, release string) {
	t.Helper()
	folder := "/home/sp_web/releases/" + release
	inode := w.ssh(t, "s3", "stat -c %i "+folder)
	w.ssh(t, "s2", "test -d "+folder+" && rm -rf "+folder)
	w.backTo(t, release)
	if out := w.ssh(t, "s2", "test -e "+folder+"/built.json && echo built || true"); out != "built" {
		t.Errorf("s2 did not build the release again: %q", out)
	}
	if now := w.ssh(t, "s3", "stat -c %i "+folder); now != inode {
		t.Errorf("s3 had the release and built it again: %s, %s", inode, now)
	}
}

// backAndKilled kills the panel before and after it moves visitors: the first
// rollback has failed, the second is carried forward, and no Run is stuck.
func backAndKilled(t *testing.T, w *world, older, newer client.Deployment) {
	t.Helper()
	for _, c := range []struct{ state, becomes, live string }{
		{"preparing", "failed", newer.Release}, {"verifying", "completed", older.Release},
	} {
		sent, err := w.api.Rollback(w.ctx, "web", client.RollbackWish{})
		must(t, err)
		until(t, time.Minute, "the rollback is "+c.state, func() (bool, string) {
			d, err := w.api.Deployment(w.ctx, sent.Deployment.ID)
			must(t, err)
			return d.State == c.state, d.State
		})
		w.killAndReturn(t, sent.Run.ID)
		until(t, time.Minute, "the rollback becomes "+c.becomes, func() (bool, string) {
			d, err := w.api.Deployment(w.ctx, sent.Deployment.ID)
			must(t, err)
			return d.State == c.becomes, d.State + ": " + d.Reason
		})
		w.serves(t, c.live)
	}
}

// live is the deployment that visitors get.
func (w *world) live(t *testing.T) client.Deployment {
	t.Helper()
	app, err := w.api.App(w.ctx, "web")
	must(t, err)
	return *app.Live
}

// untilStep waits until a deployment is at a step.
func (w *world) untilStep(t *testing.T, deployment, step string) {
	t.Helper()
	until(t, 2*time.Minute, deployment+" is at "+step, func() (bool, string) {
		d, err := w.api.Deployment(w.ctx, deployment)
		must(t, err)
		r, err := w.api.Run(w.ctx, d.Run)
		must(t, err)
		return r.Step == step, d.State + ", " + r.Step
	})
}

// backTo rolls back, holds that this led to the release on every backend, and
// returns the log.
func (w *world) backTo(t *testing.T, release string) string {
	t.Helper()
	run := w.cli(t, "deployment", "rollback", "web", "--wait")
	w.serves(t, release)
	return w.cli(t, "run", "log", run)
}

// serves holds that visitors get this release from every backend and no other.
func (w *world) serves(t *testing.T, release string) {
	t.Helper()
	seen := map[string]bool{}
	for range 30 {
		resp, err := http.Get(w.entry("s1"))
		must(t, err)
		var about struct{ Server, Release string }
		err = json.NewDecoder(resp.Body).Decode(&about)
		must(t, resp.Body.Close())
		must(t, err)
		if about.Release != release {
			t.Errorf("%s serves %s, not %s", about.Server, about.Release, release)
		}
		seen[about.Server] = true
	}
	if len(seen) != 3 {
		t.Errorf("only %v serve", seen)
	}
}
