//go:build e2e

package e2e

import (
	"strings"
	"testing"
	"time"

	"github.com/serverplane/serverplane/e2e/fleet"
	"github.com/serverplane/serverplane/e2e/lab"
)

// TestDiskFull: a full disk stops what needs one, says so, and costs no visitor
// anything; with room again all works.
func TestDiskFull(t *testing.T) {
	t.Parallel() // nothing here is held against the clock
	w := newEquippedWorld(t, fleet.Spec{Name: "s1", Disk: 600}, fleet.Spec{Name: "s2", Disk: 600})
	must(t, w.repo.Write("server.js", plain))
	_, err := w.repo.Commit("no dependencies")
	must(t, err)
	w.add(t, "s1", "s2")
	w.cli(t, "app", "create", "web", "--server", "s1", "--kind", "nodejs", "--repo", w.repo.URL(), "--build", "true", "--start", "node server.js", "--option", "drain=1s", "--wait")
	w.cli(t, "lb", "enable", "web", "--yes", "--wait")
	w.cli(t, "backend", "add", "web", "s2", "--wait")
	w.untilState(t, "web", "s2", "healthy", 30*time.Second)
	visitors := lab.Visit(w.entry("s1"), 25*time.Millisecond)
	before := w.running(t)

	must(t, w.servers["s2"].FillDisk(w.ctx))
	said := w.refuse(t, 1, "deploy", "web", "--rebuild", "--wait")
	if !strings.Contains(said, "s2") || !strings.Contains(strings.ToLower(said), "space") {
		t.Errorf("a backend's full disk is not named:\n%s", lastLines(said, 30))
	}
	if after := w.running(t); after != before {
		t.Errorf("the site changed from %s to %s", before, after)
	}
	must(t, w.servers["s2"].FreeDisk(w.ctx))

	must(t, w.servers["s1"].FillDisk(w.ctx))
	said = w.refuse(t, 1, "backend", "off", "web", "s2")
	if !strings.Contains(strings.ToLower(said), "space") || !strings.Contains(said, "s1") {
		t.Errorf("the primary's full disk is not named:\n%s", said)
	}
	must(t, w.servers["s1"].FreeDisk(w.ctx))
	until(t, 30*time.Second, "the wish comes into force by itself", func() (bool, string) {
		lb, err := w.api.Balancer(w.ctx, "web")
		must(t, err)
		return !lb.Pending, lb.PendingReason
	})
	w.cli(t, "backend", "on", "web", "s2")
	w.cli(t, "deploy", "web", "--rebuild", "--wait")
	noneLost(t, visitors.Stop())
}
