package web_test

import (
	"strings"
	"testing"

	"github.com/serverplane/serverplane/internal/plane"
)

func TestFollowedLogIsOneObjectALine(t *testing.T) {
	l := newLab(t)
	resp, body := l.ask(t, plane.RoleAdmin, "GET", "/api/v1/apps/web/logs/follow", "")
	if resp.StatusCode != 200 || resp.Header.Get("Content-Type") != "application/x-ndjson" {
		t.Fatalf("%d %s", resp.StatusCode, resp.Header.Get("Content-Type"))
	}
	want := "\n" + `{"line":{"time":"2026-03-04T05:06:07Z","from":"a","text":"listening as web"}}` + "\n" + `{"line":{"from":"error","error":true,"text":"upstream timed out"}}` + "\n"
	if body != want {
		t.Errorf("%q, want %q", body, want)
	}
	l.panel.Fail("Follow", plane.Unavailable("s1 cannot be reached: no route", "look again"))
	if _, body = l.ask(t, plane.RoleAdmin, "GET", "/api/v1/apps/web/logs/follow", ""); !strings.Contains(body, `{"error":{"status":503,"code":"unavailable","detail":"s1 cannot be reached: no route",`) {
		t.Errorf("%q", body)
	}
	l.panel.Fail("FollowLog", plane.Invalid("server", "has no part in web", ""))
	if resp, body = l.ask(t, plane.RoleAdmin, "GET", "/api/v1/apps/web/logs/follow?server=s9", ""); resp.StatusCode != 422 || problem(t, body)["field"] != "server" {
		t.Errorf("%d %s", resp.StatusCode, body)
	}
}
