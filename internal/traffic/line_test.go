package traffic

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/serverplane/serverplane/internal/plane"
)

const s1, s2 = "127.0.0.1:20003", "[2001:db8::2]:20003"

// line is what read.py makes of a line.
func line(status, addresses, statuses, times string) string {
	return `2026-11-25T14:46:41+00:00 ` + status + ` 0.120 "` + addresses + `" "` + statuses + `" "` + times + `"`
}

// figures are what lines come to, by backend; "" is the entry itself.
func figures(t *testing.T, lines ...string) map[string]plane.Served {
	t.Helper()
	c := newCounter(map[string]string{s1: "one", s2: "two"}, time.Date(2026, 11, 25, 14, 50, 0, 0, time.UTC))
	for _, l := range lines {
		c.count(l)
	}
	if c.unread > 0 {
		t.Errorf("%d of %q were not understood", c.unread, lines)
	}
	got := map[string]plane.Served{}
	for of, s := range c.minutes {
		if !of.begun.Equal(time.Date(2026, 11, 25, 14, 46, 0, 0, time.UTC)) {
			t.Errorf("counted in the minute %s", of.begun)
		}
		got[of.backend] = s
	}
	return got
}

// TestWhoServedWhat: the lists are as a real Nginx writes them (internal/nginx, log_linux_test.go).
func TestWhoServedWhat(t *testing.T) {
	quick := plane.Latencies(nil).Add(5 * time.Millisecond)
	for name, c := range map[string]struct {
		line string
		want map[string]plane.Served
	}{
		"served":              {line("200", s1, "200", "0.005"), map[string]plane.Served{"one": {Requests: 1, Latency: quick}}},
		"the app's own error": {line("503", s2, "503", "0.005"), map[string]plane.Served{"two": {Requests: 1, Errors: 1, Latency: quick}}},
		"refused, then served": {line("200", s1+" : "+s1+", "+s2, "598 : 429, 200", "0.000 : 0.000, 0.005"),
			map[string]plane.Served{"one": {PassedOn: 2}, "two": {Requests: 1, Latency: quick}}},
		"not reached, then served": {line("200", s1+", "+s2, "504, 200", "-, 0.005"),
			map[string]plane.Served{"one": {PassedOn: 1}, "two": {Requests: 1, Latency: quick}}},
		"refused by all": {line("502", s1+" : "+s2+", "+s1, "598 : 429, 429", "0.000 : 0.000, 0.000"),
			map[string]plane.Served{"one": {PassedOn: 2}, "two": {PassedOn: 1}, "": {Requests: 1, Errors: 1}}},
		"refused by the only one":       {line("502", s1+" : "+s1, "598 : 429", "0.000 : 0.000"), map[string]plane.Served{"one": {PassedOn: 2}, "": {Requests: 1, Errors: 1}}},
		"refused in an announced gap":   {line("503", s1+" : "+s1, "598 : 429", "0.000 : 0.000"), map[string]plane.Served{"one": {PassedOn: 2}, "": {Requests: 1, Errors: 1}}},
		"nobody to ask":                 {line("502", "app_aaaaaaaaaaaaaaaa_a", "502", "-"), map[string]plane.Served{"": {Requests: 1, Errors: 1}}},
		"refused, then nobody to ask":   {line("502", s1+" : app_aaaaaaaaaaaaaaaa_a_w", "598 : 502", "0.000 : -"), map[string]plane.Served{"one": {PassedOn: 1}, "": {Requests: 1, Errors: 1}}},
		"the app's own 429":             {line("429", s1, "429", "0.005"), map[string]plane.Served{"one": {Requests: 1, Latency: quick}}},
		"the app's own 429 to a repeat": {line("429", s1+" : "+s2, "598 : 598", "0.000 : 0.005"), map[string]plane.Served{"one": {PassedOn: 1}, "two": {Requests: 1, Latency: quick}}},
		"the app's own 598":             {line("502", s1, "598", "0.005"), map[string]plane.Served{"one": {Requests: 1, Errors: 1, Latency: quick}}},
		"never answered":                {line("504", s1, "504", "-"), map[string]plane.Served{"one": {Requests: 1, Errors: 1}}},
		"the visitor went away":         {line("499", s1, "-", "-"), map[string]plane.Served{"one": {Requests: 1}}},
		"a WebSocket":                   {line("101", s1, "101", "0.005"), map[string]plane.Served{"one": {Requests: 1}}},
		"not for any backend":           {line("413", "-", "-", "-"), map[string]plane.Served{"": {Requests: 1}}},
		"no request at all":             {line("400", "-", "-", "-"), map[string]plane.Served{"": {Requests: 1}}},
		"by one that is gone":           {line("200", "10.9.9.9:20003", "200", "0.005"), map[string]plane.Served{}},
	} {
		t.Run(name, func(t *testing.T) {
			if d := cmp.Diff(c.want, figures(t, c.line)); d != "" {
				t.Errorf("%s (-want +got)\n%s", c.line, d)
			}
		})
	}
}

// badLines are none of ours: they are told apart, not guessed at.
func badLines() []string {
	good := line("200", s1, "200", "0.005")
	return []string{
		"", "?", strings.TrimSuffix(good, `"`), good + " more", good + good, strings.Replace(good, "200", "2000", 1), strings.Replace(good, "2026", "now", 1),
		strings.Replace(good, `"200"`, `"200, 200"`, 1), strings.Replace(good, `"0.005"`, `"NaN"`, 1), strings.Replace(good, `"0.005"`, `"-1"`, 1),
		strings.Replace(good, `"0.005"`, `"1e300"`, 1), strings.Replace(good, `"200"`, `"+20"`, 1),
		line("200", s1+strings.Repeat(", "+s1, 500), "200"+strings.Repeat(", 200", 500), "1"+strings.Repeat(", 1", 500)),
	}
}

func TestBadLinesAreToldApart(t *testing.T) {
	for _, l := range badLines() {
		if r, ok := parse(l); ok {
			t.Errorf("%q is read as %+v", l, r)
		}
	}
}

// FuzzCount: whatever is in a line, one request is counted at most, and what is kept is bounded.
func FuzzCount(f *testing.F) {
	for _, l := range append(badLines(), line("502", s1+" : "+s2+", "+s1, "598 : 429, 429", "0.000 : 0.000, 0.000"), line("400", "-", "-", "-")) {
		f.Add(l)
	}
	now := time.Date(2026, 11, 25, 14, 50, 0, 0, time.UTC)
	f.Fuzz(func(t *testing.T, l string) {
		c := newCounter(map[string]string{s1: "one", s2: "two"}, now)
		c.count(l)
		requests, kept := c.unread, 0
		for of, s := range c.minutes {
			requests += s.Requests
			kept++
			if s.Errors > s.Requests || s.PassedOn > maxTries || s.Latency.Count() > s.Requests || of.begun.After(now) {
				t.Errorf("%q comes to %+v in %v", l, s, of)
			}
		}
		if requests > 1 || kept > 3 {
			t.Errorf("%q is %d requests in %d rows", l, requests, kept)
		}
	})
}
