package health_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/serverplane/serverplane/internal/health"
	"github.com/serverplane/serverplane/internal/plane"
	"github.com/serverplane/serverplane/internal/probe"
	"github.com/serverplane/serverplane/internal/store"
)

func (p *panel) look(b plane.Backend) plane.Backend {
	p.Helper()
	if err := p.store.Read(p.Context(), func(tx *store.Tx) (err error) { b, err = tx.Backend(p.Context(), b.ID); return err }); err != nil {
		p.Fatal(err)
	}
	return b
}

func (p *panel) history(b plane.Backend) (all []plane.HealthChange) {
	p.Helper()
	if err := p.store.Read(p.Context(), func(tx *store.Tx) (err error) { all, err = tx.HealthChanges(p.Context(), b.ID, 0); return err }); err != nil {
		p.Fatal(err)
	}
	return all
}

func (p *panel) generation(s plane.Server) int64 {
	p.Helper()
	if err := p.store.Read(p.Context(), func(tx *store.Tx) (err error) { s, err = tx.Server(p.Context(), s.ID); return err }); err != nil {
		p.Fatal(err)
	}
	return s.TreeWanted
}

func (p *panel) balance(a *plane.App, change func(*plane.HealthCheck)) {
	p.Helper()
	change(&a.Balancer.Health)
	p.write(func(ctx context.Context, tx *store.Tx) error { return tx.SetBalancer(ctx, a.ID, a.Balancer) })
}

func takingOut(a *plane.App) { a.Balancer.Health.TakeOut = true }

func (p *panel) goes(b plane.Backend, out bool) {
	p.Helper()
	p.until("the move of "+b.ServerID, func() bool { return p.look(b).TakenOut == out })
}

// latest is the newest line of a backend's history.
func (p *panel) latest(b plane.Backend, states, reason string) {
	p.Helper()
	all := p.history(b)
	if len(all) == 0 || string(all[0].Was)+" "+string(all[0].Became) != states || !strings.Contains(all[0].Reason, reason) {
		p.Errorf("the history is %+v; want at its top %q because of %q", all, states, reason)
	}
}

func TestTakeOutAndBack(t *testing.T) {
	t.Parallel()
	p := newPanel(t)
	s1, s2 := p.server(1), p.server(2)
	a := p.app("web", s1, takingOut)
	here, first := p.backend(a, s1, 200)
	there, second := p.backend(a, s2, 200)
	trees, stop := p.hub.Subscribe("tree")
	defer stop()
	v, _ := p.keep("panel-1")
	p.becomes(here, plane.BackendHealthy)
	p.becomes(there, plane.BackendHealthy)

	second.status.Store(500)
	p.goes(there, true)
	receive(t, "the hint about the tree", trees)
	if got := p.generation(s1); got != 1 {
		t.Errorf("the primary's tree is at %d", got)
	}
	p.latest(there, "unhealthy unhealthy", "taken out of the upstream until it is healthy: answered 500")
	first.status.Store(500) // the last one: fail-open, all are in
	p.goes(there, false)
	p.becomes(here, plane.BackendUnhealthy)
	p.latest(there, "unhealthy unhealthy", "put back into the upstream: too few others")
	if p.look(here).TakenOut {
		t.Error("the last one is out")
	}
	first.status.Store(200)
	p.goes(there, true)

	v.blind.Store(true) // the panel's own failure moves nobody
	p.becomes(here, plane.BackendUnknown)
	p.becomes(there, plane.BackendUnknown)
	if p.look(here).TakenOut || !p.look(there).TakenOut {
		t.Error("a blind panel moved somebody")
	}
	v.blind.Store(false)
	second.status.Store(204)
	p.goes(there, false)
	p.latest(there, "healthy healthy", "put back into the upstream: healthy again")
	if got := p.generation(s1); got != 4 {
		t.Errorf("four moves raised the tree to %d", got)
	}
}

func TestTakeOutIsAnOptionWithAFloor(t *testing.T) {
	t.Parallel()
	p := newPanel(t)
	s1, s2 := p.server(1), p.server(2)
	a := p.app("web", s1)
	_, _ = p.backend(a, s1, 200)
	bad, site := p.backend(a, s2, 200)
	p.keep("panel-1")
	p.becomes(bad, plane.BackendHealthy)
	site.status.Store(404)
	p.becomes(bad, plane.BackendUnhealthy)
	failures := p.health(bad).Failures
	p.until("three more failures", func() bool { return p.health(bad).Failures >= failures+3 })
	if p.look(bad).TakenOut || p.generation(s1) != 0 {
		t.Error("taken out unasked")
	}
	p.balance(&a, func(h *plane.HealthCheck) { h.TakeOut = true })
	p.goes(bad, true)
	p.balance(&a, func(h *plane.HealthCheck) { h.Floor = 2 })
	p.goes(bad, false)
	p.balance(&a, func(h *plane.HealthCheck) { h.Floor = 1 })
	p.goes(bad, true)
	p.balance(&a, func(h *plane.HealthCheck) { h.TakeOut = false })
	p.goes(bad, false)
	p.latest(bad, "unhealthy unhealthy", "automatic take-out is off")
}

func TestHistoryIsKept(t *testing.T) {
	t.Parallel()
	p := newPanel(t)
	s1 := p.server(1)
	b, site := p.backend(p.app("web", s1), s1, 200)
	_, stop := p.keep("panel-1")
	p.becomes(b, plane.BackendHealthy)
	p.latest(b, "deploying healthy", "answered 200")
	site.status.Store(503)
	h := p.becomes(b, plane.BackendUnhealthy)
	p.latest(b, "healthy unhealthy", "answered 503")
	if c := p.history(b)[0]; !c.At.Equal(h.Since) || c.Vantage != h.Vantage || c.Answer != "HTTP 503" {
		t.Errorf("told as %+v, known as %+v", c, h)
	}
	seen := site.askedByAll()
	p.until("the next minute of the panel's clock", func() bool { return plane.Minute(p.now().Add(-5 * time.Second)).After(h.Since) })
	stop()
	var minutes []plane.HealthMinute
	err := p.store.Read(t.Context(), func(tx *store.Tx) (err error) {
		minutes, err = tx.HealthMinutes(t.Context(), b.ID, p.begun.Add(-time.Minute))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	var sum plane.HealthMinute
	for _, m := range minutes {
		sum = sum.Merge(m)
	}
	if len(minutes) < 2 || sum.Probes < seen || sum.Probes > site.askedByAll() || sum.Failures == 0 || sum.Passed() == 0 || sum.Latency == 0 || sum.Slowest < sum.Latency {
		t.Errorf("of %d probes: %+v", site.askedByAll(), minutes)
	}
}

func TestCheckNow(t *testing.T) {
	t.Parallel()
	p := newPanel(t)
	s1, s2, s3 := p.server(1), p.server(2), p.server(3)
	a := p.app("web", s1)
	off, _ := p.backend(a, s2, 201, func(b *plane.Backend) { b.Enabled = false })
	empty, _ := p.backend(a, s3, 200, func(b *plane.Backend) { b.Placed = false })
	v := &vantage{panel: p, owner: "person"}
	k := health.New(health.Config{Store: p.store, Hub: p.hub, Prober: probe.New(v, p.now), Now: p.now, Owner: "panel-1"})
	got, err := k.Check(t.Context(), off.ID)
	if err != nil || got.Verdict != plane.Pass || got.Answer != "HTTP 201" || !strings.HasPrefix(got.Vantage, "s1") {
		t.Errorf("got %+v, %v", got, err)
	}
	if h := p.health(off); !h.CheckedAt.IsZero() {
		t.Errorf("recorded as %+v", h)
	}
	for id, want := range map[string]plane.Code{empty.ID: plane.CodeConflict, "bck_none": plane.CodeNotFound} {
		if _, err := k.Check(t.Context(), id); plane.CodeOf(err) != want {
			t.Errorf("%s: %v, want %s", id, err, want)
		}
	}
}
