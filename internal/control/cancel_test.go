package control_test

import (
	"context"
	"strings"
	"testing"

	"github.com/serverplane/serverplane/internal/control"
	"github.com/serverplane/serverplane/internal/plane"
	"github.com/serverplane/serverplane/internal/store"
)

// A queued enabling that is cancelled leaves what was there before.
func TestCancelledEnablingRestores(t *testing.T) {
	p := serving(t, plane.RoundRobin)
	id := p.balancer().Backends[0].AppID
	failed := p.balancer().LoadBalancer
	failed.Status, failed.Reason = plane.BalancerFailed, "s1 did not answer"
	p.write(func(ctx context.Context, tx *store.Tx) error { return tx.SetBalancer(ctx, id, failed) })
	w := read
	w.Method = plane.LeastConnections
	run, err := p.EnableBalancer(t.Context(), ann, "web", w)
	if err != nil || p.lastAudit().Detail != "acknowledged: local_writes" {
		t.Fatal(err, p.lastAudit())
	}
	if _, err := p.CancelRun(t.Context(), ann, run.ID); err != nil {
		t.Fatal(err)
	}
	if b := p.balancer(); b.LoadBalancer != failed {
		t.Errorf("left as %+v, was %+v", b.LoadBalancer, failed)
	}
}

// What somebody set while the enabling waited is not part of what is taken back.
func TestCancelledEnablingKeepsAMethodSetSince(t *testing.T) {
	p := serving(t, plane.RoundRobin)
	p.steered("")
	id := p.balancer().Backends[0].AppID
	off := p.balancer().LoadBalancer
	off.Status, off.Method = plane.BalancerOff, plane.IPHash
	for name, between := range map[string]struct {
		wish func() error
		want plane.Method
	}{
		"nothing": {func() error { return nil }, plane.IPHash},
		"another method": {func() error {
			m := plane.LeastConnections
			_, err := p.SetBalancer(t.Context(), ann, "web", control.BalancerChange{Method: &m})
			return err
		}, plane.LeastConnections},
		"a backup, which the former method does not know": {func() error {
			yes := true
			_, err := p.SetBackend(t.Context(), ann, "web", "s2", control.BackendChange{Backup: &yes})
			return err
		}, plane.RoundRobin},
	} {
		p.edit("s2", func(b *plane.Backend, _ plane.App) { b.Backup = false })
		p.write(func(ctx context.Context, tx *store.Tx) error { return tx.SetBalancer(ctx, id, off) })
		w := read
		w.Method = plane.RoundRobin
		run, err := p.EnableBalancer(t.Context(), ann, "web", w)
		if err != nil {
			t.Fatal(name, err)
		}
		if err := between.wish(); err != nil {
			t.Fatal(name, err)
		}
		if _, err := p.CancelRun(t.Context(), ann, run.ID); err != nil {
			t.Fatal(name, err)
		}
		if b := p.balancer(); b.Status != plane.BalancerOff || b.Method != between.want {
			t.Errorf("%s: left as %s, %s; want off, %s", name, b.Status, b.Method, between.want)
		}
	}
}

// A removal that never began took nothing from the server, so its backend serves again.
func TestCancelledRemovalGivesThePlaceBack(t *testing.T) {
	p := serving(t, plane.RoundRobin)
	remove := func() plane.Run {
		run, err := p.RemoveBackend(t.Context(), ann, "web", "s2", control.RemoveWish{})
		if err != nil {
			t.Fatal(err)
		}
		return run
	}
	cancel := func(run plane.Run) control.BackendView {
		p.settle(t.Context(), "")
		if _, err := p.CancelRun(t.Context(), ann, run.ID); err != nil {
			t.Fatal(err)
		}
		return p.backend("s2")
	}
	if b := cancel(remove()); b.Removing || b.State() != plane.BackendHealthy || !b.Serving() {
		t.Errorf("after a removal that never began: %+v", b)
	}
	if s, err := p.Server(t.Context(), ann, "s1"); err != nil || s.TreeWanted == s.TreeApplied {
		t.Errorf("the entry is not told: %+v, %v", s, err)
	}
	p.finish(remove().ID) // a removal that got as far as the server, and failed there
	p.edit("s2", func(b *plane.Backend, _ plane.App) { b.Placed = false })
	if b := cancel(remove()); !b.Removing || !strings.Contains(b.Health.Reason, "again continues") {
		t.Errorf("after a removal that began before: %+v", b)
	}
}

func TestNobodyJoinsWhatIsAboutToEnd(t *testing.T) {
	p := serving(t, plane.RoundRobin)
	p.ready(3)
	run, err := p.DisableBalancer(t.Context(), ann, "web", control.DisableWish{RemoveBackends: true})
	if err != nil {
		t.Fatal(err)
	}
	add := func(ctx context.Context) error {
		_, err := p.AddBackend(ctx, ann, "web", control.BackendWish{Server: "s3"})
		return err
	}
	p.refuses("while it is about to be switched off", plane.CodeConflict, "", add)
	if _, err := p.CancelRun(t.Context(), ann, run.ID); err != nil {
		t.Fatal(err)
	}
	if err := add(t.Context()); err != nil {
		t.Error(err)
	}
}
