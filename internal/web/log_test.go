package web_test

import (
	"context"
	"log/slog"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/serverplane/serverplane/internal/plane"
	"github.com/serverplane/serverplane/internal/web"
	"github.com/serverplane/serverplane/internal/web/webtest"
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

// A log may be followed for an hour; a token that is revoked, or a role that is
// taken away in between, ends it.
func TestAFollowedLogEndsWithTheRightToReadIt(t *testing.T) {
	revoked := &plane.Error{Code: plane.CodeUnauthorized, Message: "the token is not valid"}
	for want, lose := range map[string]func(*webtest.Panel){
		`"code":"unauthorized"`: func(p *webtest.Panel) { p.Fail("Authenticate", revoked) },
		`"code":"forbidden"`:    func(p *webtest.Panel) { p.Become(plane.RoleViewer) },
	} {
		synctest.Test(t, func(t *testing.T) {
			panel, ended := webtest.New(), false
			panel.Follow(func(ctx context.Context, line func(plane.LogLine)) error {
				defer func() { ended = true }()
				for ctx.Err() == nil {
					line(plane.LogLine{Text: "what a visitor sent"})
					time.Sleep(time.Second)
				}
				return nil
			})
			handler := web.New(web.Config{Control: panel, Log: slog.New(slog.DiscardHandler)}).Handler()
			ctx, leave := context.WithTimeout(t.Context(), time.Hour)
			defer leave()
			req := httptest.NewRequestWithContext(ctx, "GET", "/api/v1/apps/web/logs/follow", nil)
			req.Header.Set("Authorization", "Bearer "+webtest.Token(plane.RoleAdmin))
			time.AfterFunc(40*time.Second, func() { lose(panel) })
			answer, began := httptest.NewRecorder(), time.Now()
			handler.ServeHTTP(answer, req)
			body := answer.Body.String()
			if took := time.Since(began); took < 40*time.Second || took > time.Minute || !ended {
				t.Errorf("ended after %s, at the server too: %v", took, ended)
			}
			if last := body[strings.LastIndex(strings.TrimSpace(body), "\n")+1:]; !strings.Contains(last, want) {
				t.Errorf("the last line is %q, want %s", last, want)
			}
		})
	}
}
