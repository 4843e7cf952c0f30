package control_test

import (
	"context"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/serverplane/serverplane/internal/control"
	"github.com/serverplane/serverplane/internal/plane"
	"github.com/serverplane/serverplane/internal/store"
)

// served counts requests of a backend some time before the panel's now.
func (p *panel) served(app plane.App, backend string, ago time.Duration, s plane.Served) {
	p.Helper()
	p.write(func(ctx context.Context, tx *store.Tx) error {
		return tx.AddServed(ctx, app.ID, plane.ServedPiece{BackendID: backend, Begin: p.time.Add(-ago), Served: s}, p.time)
	})
}

func (p *panel) read(l plane.EntryLog) {
	p.Helper()
	p.write(func(ctx context.Context, tx *store.Tx) error { return tx.SetEntryLog(ctx, l, p.time) })
}

func (p *panel) appNamed(name string) (a plane.App) {
	p.Helper()
	p.write(func(ctx context.Context, tx *store.Tx) (err error) { a, err = tx.AppByName(ctx, name); return err })
	return a
}

func (p *panel) whoServed(app string) control.ServedView {
	p.Helper()
	v, err := p.Served(p.Context(), ann, app)
	if err != nil {
		p.Fatal(err)
	}
	return v
}

func TestServed(t *testing.T) {
	p := newPanel(t)
	s := p.ready(1)
	p.app("web")
	p.time = day.Truncate(15 * time.Minute).Add(7 * time.Minute)
	a, b := p.appNamed("web"), p.balancer().Backends[0]
	if v := p.whoServed("web"); v.State != control.ServedUnknown || v.Reason == "" || len(v.Lines) != 1 || v.Lines[0].Hour.Requests != 0 {
		t.Errorf("before the first look: %+v", v)
	}
	quick, slow := plane.Latencies(nil).Add(4*time.Millisecond), plane.Latencies(nil).Add(400*time.Millisecond)
	p.served(a, b.ID, time.Minute, plane.Served{Requests: 30, Errors: 3, PassedOn: 1, Latency: quick})
	p.served(a, "", time.Minute, plane.Served{Requests: 5, Errors: 5})
	p.served(a, b.ID, 90*time.Minute, plane.Served{Requests: 70, Latency: slow})
	p.served(a, b.ID, 30*time.Hour, plane.Served{Requests: 1000})
	log := plane.EntryLog{AppID: a.ID, Since: p.time.Add(-10 * time.Hour), ReadAt: p.time}
	p.read(log)
	v := p.whoServed("web")
	one := v.Lines[0]
	if v.State != control.ServedCurrent || one.ServerName != s.Name || one.Role != "primary" || one.Hour.Requests != 30 || one.Hour.Errors != 3 || one.Hour.PassedOn != 1 || one.Day.Requests != 100 {
		t.Errorf("served: %+v", v)
	}
	if v.Entry.Hour.Requests != 5 || v.Entry.Day.Errors != 5 || v.Entry.Hour.Share != 0 || one.Hour.Share != 1 {
		t.Errorf("the entry itself: %+v", v.Entry)
	}
	for what, got := range map[string][2]float64{"an hour": {one.Hour.PerSecond, 30.0 / 3600}, "ten hours that are known": {one.Day.PerSecond, 100.0 / 36000}} {
		if math.Abs(got[0]-got[1]) > 0.02*got[1] {
			t.Errorf("per second of %s: %f, want %f", what, got[0], got[1])
		}
	}
	if took, ok := one.Day.Latency.Within(0.95); !ok || took < 360*time.Millisecond || took > 440*time.Millisecond {
		t.Errorf("p95 %s", took)
	}

	log.Reason = "s1: connection refused"
	p.read(log)
	if v := p.whoServed("web"); v.State != control.ServedStale || v.Reason != log.Reason || v.Lines[0].Hour.Requests != 30 {
		t.Errorf("after a failed look: %+v", v)
	}
	log.Reason, log.GapAt, log.Gap = "", p.time, "3 MB"
	p.read(log)
	p.time = p.time.Add(3 * time.Hour)
	if v := p.whoServed("web"); v.State != control.ServedStale || !strings.Contains(v.Reason, "behind") || v.Lines[0].Hour.Requests != 30 || v.Gap != "3 MB" {
		t.Errorf("three hours without a look: %+v", v)
	}
	if _, err := p.Served(t.Context(), ann, "shop"); plane.CodeOf(err) != plane.CodeNotFound {
		t.Errorf("of an unknown app: %v", err)
	}
}

func TestBackendServed(t *testing.T) {
	p := newPanel(t)
	s := p.ready(1)
	p.app("web")
	p.time = day.Truncate(15 * time.Minute).Add(7 * time.Minute)
	a, b := p.appNamed("web"), p.balancer().Backends[0]
	past := func(day bool) control.ServedHistory {
		h, err := p.BackendServed(t.Context(), ann, "web", s.Name, day)
		if err != nil {
			t.Fatal(err)
		}
		return h
	}
	if h := past(false); !h.To.IsZero() || len(h.Pieces) != 0 {
		t.Errorf("before the first look: %+v", h)
	}
	for _, ago := range []time.Duration{time.Minute, 2 * time.Minute, 100 * time.Minute} {
		p.served(a, b.ID, ago, plane.Served{Requests: 1})
	}
	p.served(a, "", time.Minute, plane.Served{Requests: 1})
	p.read(plane.EntryLog{AppID: a.ID, Since: p.time.Add(-48 * time.Hour), ReadAt: p.time})
	if h := past(false); len(h.Pieces) != 2 || h.Length != time.Minute || !h.To.Equal(p.time.Add(-time.Second)) && h.To.After(p.time) {
		t.Errorf("of the hour: %+v", h)
	}
	if h := past(true); len(h.Pieces) != 2 || h.Pieces[1].Requests != 2 || h.Length != 15*time.Minute || h.From.Before(p.time.Add(-25*time.Hour)) {
		t.Errorf("of the day: %+v", h)
	}
	if _, err := p.BackendServed(t.Context(), ann, "web", "s9", false); plane.CodeOf(err) != plane.CodeNotFound {
		t.Errorf("of an unknown backend: %v", err)
	}
}

// TestNameHeader: it changes the entry, and is rendered with the names of servers only where it is on.
func TestNameHeader(t *testing.T) {
	p := serving(t, plane.RoundRobin)
	p.steered("")
	text := func() string {
		v, err := p.PreviewBalancer(t.Context(), ann, "web", "")
		if err != nil {
			t.Fatal(err)
		}
		return v.Text
	}
	for _, on := range []bool{true, false} {
		done, err := p.SetBalancer(t.Context(), ann, "web", control.BalancerChange{NameHeader: &on})
		if err != nil || !done.InForce {
			t.Fatalf("%+v, %v", done, err)
		}
		if got := text(); strings.Contains(got, "add_header X-Served-By") != on || strings.Contains(got, "\" s2;") != on {
			t.Errorf("on is %v:\n%s", on, got)
		}
		if a := p.lastAudit(); a.Action != "lb.set" || !strings.Contains(a.Detail, "name header") {
			t.Errorf("audit: %+v", a)
		}
	}
}
