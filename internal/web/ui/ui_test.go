package ui_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/serverplane/serverplane/internal/auth"
	"github.com/serverplane/serverplane/internal/plane"
	"github.com/serverplane/serverplane/internal/stream"
	"github.com/serverplane/serverplane/internal/web"
	"github.com/serverplane/serverplane/internal/web/ui"
	"github.com/serverplane/serverplane/internal/web/webtest"
)

// lab is the whole server on a panel in memory.
type lab struct {
	*testing.T
	panel *webtest.Panel
	web   *web.Server
	hub   *stream.Hub
	url   string
	log   *bytes.Buffer
}

func newLab(t *testing.T) *lab {
	t.Helper()
	l := &lab{T: t, panel: webtest.New(), hub: stream.New(), log: &bytes.Buffer{}}
	l.web = web.New(web.Config{
		Control: l.panel, Pages: l.panel, Hints: l.hub, Version: "test", Log: slog.New(slog.NewTextHandler(l.log, nil)),
		Now: func() time.Time { return webtest.At().Add(3 * time.Minute) },
	})
	srv := httptest.NewServer(l.web.Handler())
	t.Cleanup(srv.Close)
	l.url = srv.URL
	return l
}

func (l *lab) as(r plane.Role) *webtest.Browser { return webtest.NewBrowser(l, l.url, r) }

var roles = []plane.Role{plane.RoleOwner, plane.RoleAdmin, plane.RoleViewer}

// fill makes an address out of a route's pattern.
func fill(pattern string) string {
	return strings.NewReplacer("{$}", "", "/users/{id}", "/users/usr_1", "{name}", "web", "{id}", "run_1", "{server}", "s1", "{database}", "shop", "{kind}", "process", "{process}", "mail").Replace(pattern)
}

// Every route of the dashboard, as nobody and as every role.
func TestEveryPageAsEverybody(t *testing.T) {
	l := newLab(t)
	for _, r := range l.web.Pages() {
		if r.Pattern == "/live" {
			continue // it does not end; it has tests of its own
		}
		path := fill(r.Pattern)
		nobody := l.as("").Ask(r.Method, path)
		switch {
		case r.Permission == ui.Anyone:
			if nobody.Status >= 500 {
				t.Errorf("%s %s as nobody: %d", r.Method, path, nobody.Status)
			}
		case r.Method == http.MethodGet:
			if nobody.Status != 303 || !strings.HasPrefix(nobody.Header.Get("Location"), "/sign-in") {
				t.Errorf("%s %s as nobody: %d to %q", r.Method, path, nobody.Status, nobody.Header.Get("Location"))
			}
		default:
			nobody.Is(401)
		}
		for _, role := range roles {
			got := l.as(role).Ask(r.Method, path)
			allowed := r.Permission == ui.Anyone || auth.Allow(role, r.Permission)
			if allowed == (got.Status == 403) || got.Status >= 500 {
				t.Errorf("%s %s as %s: %d, allowed %v: %s", r.Method, path, role, got.Status, allowed, got.Body)
			}
		}
	}
}

// Only these may be reached by people the panel does not know.
func TestWhatAnyoneMay(t *testing.T) {
	open := map[string]bool{"GET /sign-in": true, "POST /sign-in": true, "GET /setup": true, "POST /setup": true}
	for _, r := range newLab(t).web.Pages() {
		if (r.Permission == ui.Anyone) != open[r.Method+" "+r.Pattern] {
			t.Errorf("%s %s demands %q", r.Method, r.Pattern, r.Permission)
		}
		if r.Method != http.MethodGet && r.Method != http.MethodPost {
			t.Errorf("%s %s: a plain form cannot send that", r.Method, r.Pattern)
		}
	}
}

// A viewer reads: what sends a form and is not their own is refused.
func TestWhatAViewerMay(t *testing.T) {
	own := regexp.MustCompile(`^/(sign-out|sign-in|setup|account)\b`)
	for _, r := range newLab(t).web.Pages() {
		if r.Method == http.MethodPost && !own.MatchString(r.Pattern) && auth.Allow(plane.RoleViewer, r.Permission) {
			t.Errorf("%s %s: a viewer may send it", r.Method, r.Pattern)
		}
	}
}

func TestFormOfAnotherSiteIsRefused(t *testing.T) {
	l := newLab(t)
	for name, header := range map[string]http.Header{
		"cross-site": {"Sec-Fetch-Site": {"cross-site"}}, "same-site": {"Sec-Fetch-Site": {"same-site"}},
		"origin": {"Sec-Fetch-Site": nil, "Origin": {"https://evil.example"}},
	} {
		b := l.as(plane.RoleOwner)
		b.Header = header
		b.Post("/sign-out").Is(403, "another site")
		if l.panel.Wish("SignOut") != nil {
			t.Fatalf("%s: it was done", name)
		}
	}
	l.as(plane.RoleOwner).Post("/sign-out").Leads("/sign-in")
}

func TestHeadersOfPages(t *testing.T) {
	l := newLab(t)
	for _, path := range []string{"/", "/sign-in", "/nowhere", "/assets/0/x.css"} {
		h := l.as(plane.RoleOwner).Get(path).Header
		if h.Get("X-Frame-Options") != "DENY" || !strings.Contains(h.Get("Content-Security-Policy"), "frame-ancestors 'none'") {
			t.Errorf("%s may be framed", path)
		}
		csp := h.Get("Content-Security-Policy")
		for _, must := range []string{"default-src 'none'", "script-src 'self';", "style-src 'self';", "form-action 'self'", "base-uri 'none'"} {
			if strings.Contains(csp, "unsafe") || !strings.Contains(csp, must) {
				t.Errorf("%s: policy %q lacks %s", path, csp, must)
			}
		}
		if h.Get("Cache-Control") != "no-store" || h.Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s: %v", path, h)
		}
	}
	if csp := l.as("").Get("/api/v1/apps").Header.Get("Content-Security-Policy"); strings.Contains(csp, "script-src") {
		t.Errorf("the API's answers allow scripts: %q", csp)
	}
}

// No page may hold what the policy would refuse.
func TestPagesHoldNoInlineScriptOrStyle(t *testing.T) {
	l := newLab(t)
	inline := regexp.MustCompile(`(?i)<style|\sstyle=|\son[a-z]+="|<script>|javascript:|https?://[^"]*\.(js|css)`)
	for _, r := range l.web.Pages() {
		if r.Method != http.MethodGet || r.Pattern == "/live" {
			continue
		}
		if found := inline.FindString(l.as(plane.RoleOwner).Get(fill(r.Pattern)).Body); found != "" {
			t.Errorf("%s holds %q", r.Pattern, found)
		}
	}
}

func TestMissingPage(t *testing.T) {
	l := newLab(t)
	l.as("").Get("/nowhere").Is(404, "<!doctype html>", "Not found", "There is no page at this address.")
	l.as(plane.RoleViewer).Get("/nowhere/<script>").Is(404, `href="/runs"`).Lacks("<script>x", "/nowhere/<")
	l.as("").Get("/api/nowhere").Is(404, `"code":"not_found"`)
	l.as(plane.RoleOwner).Ask("DELETE", "/").Is(404)
}

func TestErrorsOfThePanelStayInside(t *testing.T) {
	l := newLab(t)
	l.panel.Fail("Overview", errors.New("disk /var/secret is full"))
	l.as(plane.RoleOwner).Get("/").Is(500, "Request id", "req_").Lacks("disk /var")
	if !strings.Contains(l.log.String(), "disk /var") {
		t.Error("the log does not say why")
	}
	l.panel.Fail("Overview", plane.Unavailable("the database does not answer", "look at its log"))
	l.as(plane.RoleOwner).Get("/").Is(503, "The database does not answer.", "Look at its log.")
}

func TestSignInAndOut(t *testing.T) {
	l := newLab(t)
	b := l.as("")
	b.Get("/runs?state=failed").Leads("/sign-in?next=%2Fruns%3Fstate%3Dfailed")
	b.Post("/sign-in", "email", "me@example.com", "password", "wrong").
		Is(401, "Mail address or password is wrong.", `value="me@example.com"`).Lacks(`value="wrong"`)
	in := b.Post("/sign-in", "email", " me@example.com ", "password", "correct horse battery", "next", "/runs?state=failed").Leads("/runs?state=failed")
	cookie := in.Header.Get("Set-Cookie")
	for _, want := range []string{"serverplane=", "HttpOnly", "SameSite=Lax", "Path=/"} {
		if !strings.Contains(cookie, want) {
			t.Errorf("cookie %q lacks %s", cookie, want)
		}
	}
	b.Get("/").Is(200, "Overview")
	b.Get("/sign-in").Leads("/")
	b.Post("/sign-out").Leads("/sign-in")
	b.Get("/sign-in").Is(200, "You are signed out.")
	b.Get("/sign-in").Is(200).Lacks("You are signed out.")
	b.Get("/").Leads("/sign-in")
}

func TestSignInLeadsNowhereElse(t *testing.T) {
	for _, next := range []string{"https://evil.example", "//evil.example", `/\evil.example`, "/\tx", "javascript:alert(1)", "", "evil", "%2f%2fevil"} {
		newLab(t).as("").Post("/sign-in", "email", "a@b.c", "password", "correct horse battery", "next", next).Leads("/")
	}
}

func TestCookieOverHTTPS(t *testing.T) {
	l := newLab(t)
	srv := httptest.NewTLSServer(l.web.Handler())
	defer srv.Close()
	c := srv.Client()
	c.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	resp, err := c.PostForm(srv.URL+"/sign-in", map[string][]string{"email": {"a@b.c"}, "password": {"correct horse battery"}})
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if got := resp.Cookies()[0]; got.Name != "__Host-serverplane" || !got.Secure || !got.HttpOnly {
		t.Errorf("cookie %v", got)
	}
}

func TestSetup(t *testing.T) {
	l := newLab(t)
	l.as("").Get("/setup").Leads("/sign-in")
	l.panel.Open()
	l.as("").Get("/").Leads("/setup")
	l.as("").Get("/sign-in").Leads("/setup")
	l.as("").Get("/setup").Is(200, "Setup token", "Become the owner")
	l.panel.Fail("SetUp", plane.Invalid("password", "must be 12 to 1024 characters", "use a password manager"))
	l.as("").Post("/setup", "token", "t0k", "email", "me@example.com", "password", "short").
		Is(422, `id="password-error"`, `aria-invalid="true"`, "Must be 12 to 1024 characters.", `value="t0k"`).Lacks(`value="short"`)
	l.panel.Fail("SetUp", nil)
	b := l.as("")
	b.Post("/setup", "token", "t0k", "email", "me@example.com", "password", "correct horse battery").Leads("/")
	b.Get("/").Is(200)
}

func TestBytesThatAreNotText(t *testing.T) {
	l := newLab(t)
	l.as(plane.RoleOwner).Get("/?a=%ff").Is(422)
	l.as("").Post("/sign-in", "email", "a\x00b", "password", "x").Is(422)
}

func TestAssets(t *testing.T) {
	l := newLab(t)
	page := l.as("").Get("/sign-in").Body
	for _, name := range []string{"tokens.css", "app.js", "favicon.svg"} {
		path := regexp.MustCompile(`/assets/[0-9a-f]{12}/` + regexp.QuoteMeta(name)).FindString(page)
		if path == "" {
			t.Fatalf("the page does not load %s", name)
		}
		got := l.as("").Get(path).Is(200)
		if !strings.Contains(got.Header.Get("Cache-Control"), "immutable") || got.Header.Get("Content-Type") == "" {
			t.Errorf("%s: %v", path, got.Header)
		}
		l.as("").Get(strings.Replace(path, path[8:20], "000000000000", 1)).Is(404)
	}
	l.as("").Get("/assets/../ui.go").Is(307)
}

// stream opens a page's stream and returns its messages one by one.
func (l *lab) stream(ctx context.Context, role plane.Role, path, last string) func() string {
	l.Helper()
	req, err := http.NewRequestWithContext(ctx, "GET", l.url+path, nil)
	if err != nil {
		l.Fatal(err)
	}
	req.AddCookie(&http.Cookie{Name: "serverplane", Value: webtest.Session(role)})
	if last != "" {
		req.Header.Set("Last-Event-ID", last)
	}
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		l.Fatal(err)
	}
	l.Cleanup(func() { resp.Body.Close() })
	if resp.StatusCode != 200 || resp.Header.Get("Content-Type") != "text/event-stream" {
		raw, _ := io.ReadAll(resp.Body)
		l.Fatalf("%s: %d %s", path, resp.StatusCode, raw)
	}
	lines := bufio.NewScanner(resp.Body)
	lines.Buffer(nil, 1<<20)
	return func() string {
		var text strings.Builder
		for lines.Scan() && lines.Text() != "" {
			text.WriteString(lines.Text() + "\n")
		}
		return text.String()
	}
}

func TestStreamSendsWhatHasChanged(t *testing.T) {
	l := newLab(t)
	next := l.stream(t.Context(), plane.RoleViewer, "/live?page=overview", "")
	if first := next(); !strings.Contains(first, `hx-target="#live-`) || !strings.Contains(first, "web") {
		t.Fatalf("first: %s", first)
	}
	l.panel.Rename(`<b>new</b>`)
	l.hub.Publish("queue")
	for text := ""; !strings.Contains(text, "&lt;b&gt;new&lt;/b&gt;"); {
		if text = next(); text == "" {
			t.Fatal("the change did not come")
		}
	}
}

func TestStreamsAreBounded(t *testing.T) {
	l := newLab(t)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	for range 24 {
		l.stream(ctx, plane.RoleViewer, "/live?page=overview", "")
	}
	l.as(plane.RoleViewer).Get("/live?page=overview").Is(503, "Too many pages")
	l.as(plane.RoleViewer).Get("/live?page=nothing").Is(404)
	l.as("").Get("/live?page=overview").Is(401)
	l.stream(ctx, plane.RoleAdmin, "/live?page=overview", "")
}

// Text of other people is text, whatever it looks like.
func TestHostileTextIsText(t *testing.T) {
	l := newLab(t)
	hostile := `<script>alert(1)</script>"'><img src=x onerror=alert(1)>{{.}}`
	l.panel.Rename(hostile)
	l.panel.Say(plane.EventOutput, hostile, hostile)
	for _, r := range l.web.Pages() {
		if r.Method != http.MethodGet || r.Pattern == "/live" {
			continue
		}
		if got := l.as(plane.RoleOwner).Get(fill(r.Pattern)); !strings.HasPrefix(got.Header.Get("Content-Type"), "text/plain") {
			got.Lacks("<script>alert", "<img src=x", `"'><`)
		}
	}
}
