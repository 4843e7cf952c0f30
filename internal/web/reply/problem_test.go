package reply

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/serverplane/serverplane/internal/plane"
)

func TestEveryErrorBecomesAProblem(t *testing.T) {
	ctx := WithRequestID(context.Background(), "req_1")
	secretive := errors.New("dial postgres://u:hunter2@h: refused")
	cases := []struct {
		err  error
		want string
	}{
		{plane.Invalid("name", "is bad", "use web"), `{"type":"about:blank","title":"Unprocessable Entity","status":422,"detail":"is bad","code":"invalid","field":"name","hint":"use web"}`},
		{fmt.Errorf("add: %w", plane.NotFound("app", "web")), `{"type":"about:blank","title":"Not Found","status":404,"detail":"no app named \"web\"","code":"not_found","hint":"list them to see the names"}`},
		{plane.Conflict("busy", "wait"), `{"type":"about:blank","title":"Conflict","status":409,"detail":"busy","code":"conflict","hint":"wait"}`},
		{&plane.Error{Code: plane.CodeUnauthorized, Message: "who"}, `{"type":"about:blank","title":"Unauthorized","status":401,"detail":"who","code":"unauthorized"}`},
		{&plane.Error{Code: plane.CodeForbidden, Message: "no"}, `{"type":"about:blank","title":"Forbidden","status":403,"detail":"no","code":"forbidden"}`},
		{plane.Unavailable("away", ""), `{"type":"about:blank","title":"Service Unavailable","status":503,"detail":"away","code":"unavailable"}`},
		{secretive, `{"type":"about:blank","title":"Internal Server Error","status":500,"detail":"the panel failed to do this","code":"internal","hint":"the panel's log says why, under this request id","request_id":"req_1"}`},
		{&plane.Error{Code: plane.CodeInternal, Message: "hunter2"}, `{"type":"about:blank","title":"Internal Server Error","status":500,"detail":"the panel failed to do this","code":"internal","hint":"the panel's log says why, under this request id","request_id":"req_1"}`},
		{Malformed(413, "body", "too large", "send less"), `{"type":"about:blank","title":"Request Entity Too Large","status":413,"detail":"too large","code":"invalid","field":"body","hint":"send less"}`},
	}
	for _, c := range cases {
		var logged bytes.Buffer
		w := httptest.NewRecorder()
		Write(w, Of(ctx, slog.New(slog.NewTextHandler(&logged, nil)), c.err))
		if got := strings.TrimSpace(w.Body.String()); got != c.want {
			t.Errorf("%v:\n got %s\nwant %s", c.err, got, c.want)
		}
		if w.Header().Get("Content-Type") != ContentType {
			t.Errorf("content type %q", w.Header().Get("Content-Type"))
		}
		if internal := w.Code == 500; internal != strings.Contains(logged.String(), "request_id=req_1") {
			t.Errorf("%v: logged %q", c.err, logged.String())
		}
	}
}

func TestEveryCodeHasItsStatus(t *testing.T) {
	seen := map[int]plane.Code{}
	for _, c := range []plane.Code{
		plane.CodeInvalid, plane.CodeNotFound, plane.CodeConflict, plane.CodeUnauthorized, plane.CodeForbidden,
		plane.CodeUnavailable, plane.CodeInternal,
	} {
		if other, twice := seen[StatusOf(c)]; twice {
			t.Errorf("%s and %s share status %d", c, other, StatusOf(c))
		}
		seen[StatusOf(c)] = c
	}
}
