package plane_test

import (
	"testing"
	"time"

	"github.com/serverplane/serverplane/internal/plane"
)

// The mean of a minute is that of its passes: how long a refusal took says
// nothing about the app.
func TestHealthMinute(t *testing.T) {
	begin := time.Date(2026, 3, 1, 12, 7, 0, 0, time.UTC)
	m := plane.HealthMinute{Minute: plane.Minute(begin.Add(59 * time.Second).In(time.FixedZone("", 3600)))}
	for _, p := range []plane.Probe{
		{Verdict: plane.Pass, Latency: 10 * time.Millisecond}, {Verdict: plane.Fail, Latency: 5 * time.Second},
		{Verdict: plane.Blind, Latency: 3 * time.Second}, {Verdict: plane.Pass, Latency: 40 * time.Millisecond},
	} {
		m = m.Add(p)
	}
	want := plane.HealthMinute{Minute: begin, Probes: 4, Failures: 1, Blind: 1, Latency: 25 * time.Millisecond, Slowest: 40 * time.Millisecond}
	if m != want {
		t.Errorf("got  %+v\nwant %+v", m, want)
	}
}
