package plane_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/serverplane/serverplane/internal/plane"
)

// The founding document's rules: five statuses are healthy, any 5xx is not, and
// whatever else comes is told beside what was expected.
func TestJudge(t *testing.T) {
	healthy := []int{200, 201, 204, 301, 302}
	for status := 100; status < 600; status++ {
		verdict, reason := plane.Judge(status, "/up")
		want := plane.Fail
		if slices.Contains(healthy, status) {
			want = plane.Pass
		}
		if verdict != want {
			t.Errorf("%d is judged %s", status, verdict)
		}
		told := fmt.Sprintf("answered %d", status)
		switch {
		case status == plane.StatusUnreached:
			told = "the app's process does not listen"
		case want == plane.Fail && status < 500:
			told += "; expected 200, 201, 204, 301 or 302"
		}
		if !strings.HasPrefix(reason, told) {
			t.Errorf("%d is told as %q, want %q…", status, reason, told)
		}
	}
}

func TestJudgeHints(t *testing.T) {
	for status, hint := range map[int]string{404: "/up", 400: "host name", 401: "sign-in", 403: "sign-in", 307: "redirect", 500: "server error"} {
		if _, reason := plane.Judge(status, "/up"); !strings.Contains(reason, hint) {
			t.Errorf("%d: %q has no hint about %q", status, reason, hint)
		}
	}
}

// probed is what a walk of probes does to a backend, kept by the test in its own way.
type probed struct {
	failures, passes int // in a row
	everPassed       bool
}

func (p *probed) take(v plane.Verdict) {
	switch v {
	case plane.Pass:
		p.passes, p.failures, p.everPassed = p.passes+1, 0, true
	case plane.Fail:
		p.passes, p.failures = 0, p.failures+1
	default:
		p.passes, p.failures = 0, 0
	}
}

func TestHealthAfter(t *testing.T) {
	verdicts := rapid.SampledFrom([]plane.Verdict{plane.Pass, plane.Fail, plane.Blind})
	rapid.Check(t, func(t *rapid.T) {
		check := plane.HealthCheck{Fall: rapid.IntRange(1, 10).Draw(t, "fall"), Rise: rapid.IntRange(1, 10).Draw(t, "rise")}
		start := rapid.SampledFrom([]plane.BackendState{"", plane.BackendDeploying}).Draw(t, "start")
		h, row := plane.Health{State: start, Since: day}, probed{}
		for i, v := range rapid.SliceOfN(verdicts, 1, 60).Draw(t, "verdicts") {
			p := plane.Probe{
				At: day.Add(time.Duration(i+1) * time.Second), Verdict: v, Vantage: "s1", Answer: "HTTP 1", Reason: string(v), Latency: time.Duration(i),
			}
			row.take(v)
			before := h
			h = before.After(p, check)
			holds(t, before, h, p, check, row)
		}
	})
}

func holds(t *rapid.T, before, after plane.Health, p plane.Probe, c plane.HealthCheck, row probed) {
	if after.CheckedAt != p.At || after.Reason != p.Reason || after.Answer != p.Answer || after.Vantage != p.Vantage || after.Latency.Std() != p.Latency {
		t.Fatalf("the probe %+v is not told by %+v", p, after)
	}
	changed := after.State != before.State
	switch {
	case changed && after.Since != p.At, !changed && after.Since != before.Since:
		t.Fatalf("%s -> %s: since went from %v to %v", before.State, after.State, before.Since, after.Since)
	case !row.everPassed && changed:
		t.Fatalf("left %q without a pass, to %s", before.State, after.State)
	case row.everPassed && (after.State == plane.BackendDeploying || after.State == ""):
		t.Fatal("still deploying after a pass")
	}
	switch {
	case !changed:
		settled(t, after, p, c, row)
	case after.State == plane.BackendUnhealthy && (p.Verdict != plane.Fail || row.failures < c.Fall):
		t.Fatalf("unhealthy after %d failures of %d, by a %s", row.failures, c.Fall, p.Verdict)
	case after.State == plane.BackendHealthy && before.State != plane.BackendDeploying && before.State != "" && (p.Verdict != plane.Pass || row.passes < c.Rise):
		t.Fatalf("healthy again after %d passes of %d, by a %s", row.passes, c.Rise, p.Verdict)
	case after.State == plane.BackendUnknown && p.Verdict != plane.Blind:
		t.Fatalf("unknown by a %s", p.Verdict)
	}
}

// settled holds that nothing stays as it was once its threshold is reached.
func settled(t *rapid.T, h plane.Health, p plane.Probe, c plane.HealthCheck, row probed) {
	switch {
	case row.failures >= c.Fall && row.everPassed && h.State != plane.BackendUnhealthy:
		t.Fatalf("%s after %d failures of %d", h.State, row.failures, c.Fall)
	case row.passes >= c.Rise && h.State != plane.BackendHealthy:
		t.Fatalf("%s after %d passes of %d", h.State, row.passes, c.Rise)
	case p.Verdict == plane.Blind && row.everPassed && h.State != plane.BackendUnknown:
		t.Fatalf("%s though nothing was seen", h.State)
	}
}

func TestBackendState(t *testing.T) {
	healthy := plane.Health{State: plane.BackendHealthy}
	for name, c := range map[string]struct {
		b    plane.Backend
		want plane.BackendState
	}{
		"new":                 {plane.Backend{Enabled: true}, plane.BackendDeploying},
		"as its health says":  {plane.Backend{Enabled: true, Health: healthy}, plane.BackendHealthy},
		"off though healthy":  {plane.Backend{Health: healthy}, plane.BackendOff},
		"removing before off": {plane.Backend{Removing: true, Health: healthy}, plane.BackendRemoving},
	} {
		if got := c.b.State(); got != c.want {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
}

func TestServing(t *testing.T) {
	serving := plane.Backend{Enabled: true, Placed: true}
	if !serving.Serving() {
		t.Error("an enabled, placed backend serves")
	}
	for name, spoil := range map[string]func(*plane.Backend){
		"off": func(b *plane.Backend) { b.Enabled = false }, "not placed": func(b *plane.Backend) { b.Placed = false },
		"backup": func(b *plane.Backend) { b.Backup = true }, "removing": func(b *plane.Backend) { b.Removing = true },
	} {
		b := serving
		spoil(&b)
		if b.Serving() {
			t.Errorf("%s: serves", name)
		}
	}
}

func TestPortsAndSlots(t *testing.T) {
	p := plane.Ports{ProcessA: 1, ProcessB: 2, SiteA: 3, SiteB: 4}
	if p.Process("a") != 1 || p.Process("b") != 2 || p.Site("a") != 3 || p.Site("b") != 4 {
		t.Error("the ports of the slots are mixed up")
	}
	for slot, want := range map[plane.Slot]plane.Slot{"a": "b", "b": "a", "": "a"} {
		if slot.Other() != want {
			t.Errorf("the other of %q is %q", slot, slot.Other())
		}
	}
	if (plane.Backend{Primary: true}).Role() != "primary" || (plane.Backend{}).Role() != "backend" {
		t.Error("roles")
	}
}
