//go:build e2e

package e2e

import (
	"bytes"
	"context"
	"fmt"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/serverplane/serverplane/client"
	"github.com/serverplane/serverplane/e2e/fleet"
	"github.com/serverplane/serverplane/e2e/lab"
)

// TestKilledPanel kills the panel with signal 9 in the middle of its work: the
// site answers throughout, no Run is stuck afterwards, and repeating succeeds.
func TestKilledPanel(t *testing.T) {
	t.Parallel() // nothing here is held against the clock
	// s3 takes a while to be prepared.
	w := newEquippedWorld(t, fleet.Spec{Name: "s1"}, fleet.Spec{Name: "s2"}, fleet.Spec{Name: "s3", Bare: true})
	w.add(t, "s1", "s2")
	w.cli(t, "app", "create", "web", "--server", "s1", "--kind", "nodejs", "--repo", w.repo.URL(), "--option", "drain=2s", "--wait")
	w.cli(t, "lb", "enable", "web", "--yes", "--wait")
	for _, story := range []struct {
		name string
		tell func(*testing.T, *world)
	}{
		{"in the middle of a deployment", killDeployment},
		{"in the middle of a server add", killServerAdd},
		{"in the middle of a backend add", killBackendAdd},
		{"between the switch and its record", killAtTheSwitch},
		{"a followed log loses no line over a restart", followOverRestart},
	} {
		if !t.Run(story.name, func(t *testing.T) {
			visitors := lab.Visit(w.entry("s1"), 50*time.Millisecond)
			story.tell(t, w)
			noneLost(t, visitors.Stop())
		}) {
			t.Fatal("the rest builds on this")
		}
	}
}

// killAndReturn kills the panel, starts it again and waits until no Run is
// under way; it returns how the Run ended.
func (w *world) killAndReturn(t *testing.T, run string) client.Run {
	t.Helper()
	must(t, w.panel.Kill())
	must(t, w.panel.Start(w.ctx))
	var r client.Run
	until(t, 30*time.Second, "the Run is not stuck", func() (bool, string) {
		var err error
		r, err = w.api.Run(w.ctx, run)
		must(t, err)
		return r.Ended(), r.State
	})
	return r
}

// quiet fails when anything of the killed panel's work still runs.
func (w *world) quiet(t *testing.T, run string, servers ...string) {
	t.Helper()
	until(t, 15*time.Second, "no ansible of the former panel runs", func() (bool, string) {
		out, _ := exec.CommandContext(w.ctx, "pgrep", "-fa", "ansible-playbook.*"+run).Output()
		return len(bytes.TrimSpace(out)) == 0, string(out)
	})
	for _, s := range servers {
		until(t, 15*time.Second, "nothing of "+run+" runs on "+s, func() (bool, string) {
			out := w.ssh(t, s, "systemctl is-active sp-web-run-"+run+" || true")
			return out == "inactive", out
		})
	}
}

func killDeployment(t *testing.T, w *world) {
	must(t, w.repo.Write("NEWS", "one"))
	_, err := w.repo.Commit("one")
	must(t, err)
	sent, err := w.api.Deploy(w.ctx, "web", client.DeployWish{})
	must(t, err)
	w.underWay(t, "web", sent.Run.ID, "s1")
	if r := w.killAndReturn(t, sent.Run.ID); r.State != "interrupted" {
		t.Errorf("the Run is %s: %s", r.State, r.Reason)
	}
	w.quiet(t, sent.Run.ID, "s1")
	d, err := w.api.Deployment(w.ctx, sent.Deployment.ID)
	must(t, err)
	if d.State != "failed" || !strings.Contains(d.Reason, "panel stopped") {
		t.Errorf("the deployment is %s: %s", d.State, d.Reason)
	}
	w.cli(t, "deploy", "web", "--wait")
}

func killServerAdd(t *testing.T, w *world) {
	s := w.servers["s3"]
	w.cli(t, "server", "add", "s3", "--address", s.Addr.String(), "--key", s.KeyFile, "--accept-host-key")
	run := w.lastRun(t, "server-provision")
	until(t, time.Minute, "packages are being installed", func() (bool, string) {
		out := w.ssh(t, "s3", "pgrep -fa 'apt-get|dpkg' || true")
		return out != "", out
	})
	if r := w.killAndReturn(t, run.ID); r.State != "interrupted" {
		t.Errorf("the Run is %s: %s", r.State, r.Reason)
	}
	w.quiet(t, run.ID)
	var shown client.Server
	must(t, w.panel.Read(w.ctx, &shown, "server", "show", "s3"))
	if shown.State != "failed" || !strings.Contains(shown.Reason, "server provision") {
		t.Errorf("s3 is %s: %s", shown.State, shown.Reason)
	}
	w.cli(t, "server", "provision", "s3", "--wait")
}

func killBackendAdd(t *testing.T, w *world) {
	out := w.cli(t, "backend", "add", "web", "s2")
	run := w.lastRun(t, "backend-add")
	if !strings.Contains(out, run.ID) {
		t.Errorf("backend add printed %q, the Run is %s", out, run.ID)
	}
	w.underWay(t, "web", run.ID, "s2")
	if r := w.killAndReturn(t, run.ID); r.State != "interrupted" {
		t.Errorf("the Run is %s: %s", r.State, r.Reason)
	}
	w.quiet(t, run.ID, "s2")
	if b := w.backend(t, "web", "s2"); b.State != "deploying" {
		t.Errorf("s2 is %s: %s", b.State, b.Reason)
	}
	c, err := lab.Spread(w.entry("s1"), 20)
	must(t, err)
	if c.Served["s1"] != 20 {
		t.Errorf("a backend that was never let in served: %v", c.Served)
	}
	w.cli(t, "backend", "add", "web", "s2", "--wait")
	w.untilState(t, "web", "s2", "healthy", 30*time.Second)
}

// killAtTheSwitch kills the panel right after traffic has moved: the deployment
// is carried forward, for going back would be the surprise.
func killAtTheSwitch(t *testing.T, w *world) {
	before := liveSlot(t, w)
	must(t, w.repo.Write("NEWS", "two"))
	_, err := w.repo.Commit("two")
	must(t, err)
	sent, err := w.api.Deploy(w.ctx, "web", client.DeployWish{})
	must(t, err)
	until(t, 2*time.Minute, "the deployment switches", func() (bool, string) {
		d, err := w.api.Deployment(w.ctx, sent.Deployment.ID)
		must(t, err)
		return d.State == "switching" || d.State == "verifying", d.State
	})
	w.killAndReturn(t, sent.Run.ID)
	until(t, time.Minute, "the deployment is carried forward", func() (bool, string) {
		d, err := w.api.Deployment(w.ctx, sent.Deployment.ID)
		must(t, err)
		return d.State == "completed", fmt.Sprintf("%s (%s)", d.State, d.Reason)
	})
	live := liveSlot(t, w)
	if live == before {
		t.Errorf("slot %s is still live", before)
	}
	for _, s := range []string{"s1", "s2"} {
		got := w.ssh(t, s, "systemctl is-active sp-web-"+live+" sp-web-"+before+"; systemctl is-enabled sp-web-"+live+" sp-web-"+before+" || true")
		if got != "active\ninactive\nenabled\ndisabled" {
			t.Errorf("%s: %q", s, got)
		}
	}
}

func followOverRestart(t *testing.T, w *world) {
	out := w.cli(t, "backend", "add", "web", "s3")
	run := w.lastRun(t, "backend-add")
	if !strings.Contains(out, run.ID) {
		t.Fatalf("backend add printed %q, the Run is %s", out, run.ID)
	}
	ctx, cancel := context.WithTimeout(w.ctx, 6*time.Minute)
	defer cancel()
	type followed struct {
		out string
		err error
	}
	done := make(chan followed, 1)
	go func() {
		out, err := w.panel.CLI(ctx, "run", "log", run.ID, "--follow")
		done <- followed{out, err}
	}()
	w.underWay(t, "web", run.ID, "s3")
	w.killAndReturn(t, run.ID)
	f := <-done
	whole := w.cli(t, "run", "log", run.ID)
	if strings.TrimSpace(f.out) != whole {
		t.Errorf("the followed log (%v):\n%s\n\ndiffers from the whole one:\n%s", f.err, f.out, whole)
	}
	w.cli(t, "backend", "add", "web", "s3", "--wait")
}
