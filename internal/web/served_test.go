package web_test

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/serverplane/serverplane/internal/control"
	"github.com/serverplane/serverplane/internal/plane"
	"github.com/serverplane/serverplane/internal/web/webtest"
)

func (l lab) json(t *testing.T, path string) (got any) {
	t.Helper()
	resp, body := l.ask(t, plane.RoleViewer, "GET", "/api/v1"+path, "")
	if err := json.Unmarshal([]byte(body), &got); err != nil || resp.StatusCode != 200 {
		t.Fatalf("%s: %d %s", path, resp.StatusCode, body)
	}
	return got
}

func TestServedOnTheWire(t *testing.T) {
	l := newLab(t)
	figures := func(requests, errors, passedOn int, share float64) map[string]any {
		return map[string]any{
			"requests": float64(requests), "errors": float64(errors), "error_share": float64(errors) / float64(requests), "passed_on": float64(passedOn),
			"per_second": float64(requests) / 3600, "share": share,
		}
	}
	hour, day := figures(7200, 36, 5, 1), figures(86400, 0, 0, 1)
	for _, f := range []map[string]any{hour, day} {
		f["p50"], f["p95"] = "4ms", "41ms"
	}
	entry := figures(3, 1, 0, 0) // nothing of which took a backend any time
	want := map[string]any{
		"app": "web", "state": "current", "since": "2026-03-02T05:06:07Z", "read_at": "2026-03-04T05:06:07Z",
		"backends": []any{map[string]any{"server": "s1", "role": "primary", "hour": hour, "day": day}}, "entry": map[string]any{"hour": entry, "day": entry},
	}
	if d := cmp.Diff(any(want), l.json(t, "/apps/web/traffic")); d != "" {
		t.Errorf("(-want +got)\n%s", d)
	}
	l.panel.Serve(control.ServedView{App: "web", State: control.ServedUnknown, Reason: "s1: refused", Gap: "3 MB", GapAt: webtest.At()})
	got, _ := l.json(t, "/apps/web/traffic").(map[string]any)
	for name, value := range map[string]any{"state": "unknown", "reason": "s1: refused", "gap": "3 MB", "gap_at": "2026-03-04T05:06:07Z", "read_at": nil, "since": nil} {
		if got[name] != value {
			t.Errorf("%s is %v, want %v", name, got[name], value)
		}
	}
	if n := l.panel.Wish("Served"); n != "web" {
		t.Errorf("asked of %v", n)
	}
}

func TestServedHistoryOnTheWire(t *testing.T) {
	l := newLab(t)
	want := map[string]any{"length": "1m0s", "from": "2026-03-04T04:56:00Z", "to": "2026-03-04T05:06:07Z", "pieces": []any{
		map[string]any{"begin": "2026-03-04T04:57:00Z", "requests": 60.0, "errors": 0.0, "passed_on": 0.0, "p50": "4ms", "p95": "41ms"},
		map[string]any{"begin": "2026-03-04T04:58:00Z", "requests": 120.0, "errors": 1.0, "passed_on": 0.0, "p50": "4ms", "p95": "41ms"},
		map[string]any{"begin": "2026-03-04T04:59:00Z", "requests": 180.0, "errors": 2.0, "passed_on": 0.0, "p50": "4ms", "p95": "41ms"},
	}}
	if d := cmp.Diff(any(want), l.json(t, "/apps/shop/backends/s9/traffic")); d != "" {
		t.Errorf("(-want +got)\n%s", d)
	}
	if of, day := l.panel.Wish("BackendServed of"), l.panel.Wish("BackendServed"); of != "shop" || day != false {
		t.Errorf("asked of %v, day %v", of, day)
	}
	if got, _ := l.json(t, "/apps/shop/backends/s9/traffic?reach=24h").(map[string]any); got["length"] != "15m0s" || l.panel.Wish("BackendServed") != true {
		t.Errorf("of a day: %v", got)
	}
	if resp, body := l.ask(t, plane.RoleViewer, "GET", "/api/v1/apps/web/backends/s1/traffic?reach=2h", ""); resp.StatusCode != 422 && resp.StatusCode != 400 {
		t.Errorf("of 2h: %d %s", resp.StatusCode, body)
	}
}
