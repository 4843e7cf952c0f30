package ui_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/serverplane/serverplane/internal/control"
	"github.com/serverplane/serverplane/internal/plane"
)

func TestLogsPage(t *testing.T) {
	l := newLab(t)
	b := l.as(plane.RoleAdmin)
	b.Get("/apps/web").Is(200, `href="/apps/web/logs"`)
	b.Get("/apps/web/logs").Is(200, `aria-current="page">Logs`, "listening as web", `<p class="error"><span class="from">error</span> upstream timed out`,
		"<option selected>s1</option>", `<option value="app" selected>`, "<option selected>200</option>", `hx-sse:connect="/live?of=`)
	if w := l.panel.Wish("Log"); w != (control.LogWish{Source: plane.LogApp, Lines: 200}) {
		t.Errorf("wish %+v", w)
	}
	b.Get("/apps/web/logs?server=s1&source=nginx&lines=500").Is(200, `<option value="nginx" selected>`, "<option selected>500</option>")
	if w := l.panel.Wish("Log"); w != (control.LogWish{Server: "s1", Source: plane.LogNginx, Lines: 500}) {
		t.Errorf("wish %+v", w)
	}
	b.Get("/apps/web/logs?lines=many").Is(422)
	l.panel.Fail("Log", plane.Unavailable("server s1 cannot be reached: no route", "look again once it is back"))
	b.Get("/apps/web/logs").Is(200, "Server s1 cannot be reached: no route.", "Look again once it is back.", "Asked ", "Look again</a>").Lacks("listening")
	l.panel.Fail("Log", plane.Invalid("server", `"s9" has no part in web`, "its servers: s1"))
	b.Get("/apps/web/logs?server=s9").Is(422, "has no part in web")
	v := l.as(plane.RoleViewer)
	v.Get("/apps/web").Is(200).Lacks("/apps/web/logs")
	v.Get("/apps/web/logs").Is(403).Lacks("listening")
	v.Get("/live?page=logs&of=app%3Dweb%26lines%3D200").Is(403).Lacks("listening")
}

const logStream = "/live?page=logs&of=app%3Dweb%26lines%3D200%26source%3Dapp"

// until reads messages until one holds the text.
func until(t *testing.T, next func() string, want string) string {
	t.Helper()
	for {
		text := next()
		if strings.Contains(text, want) {
			return text
		}
		if text == "" {
			t.Fatalf("the stream ended before %q", want)
		}
	}
}

// Lines come over the page's own stream: the first ones replace what the page
// began with, the others go to the end; the remote follower ends with the stream.
func TestLogIsFollowedOverTheStream(t *testing.T) {
	l := newLab(t)
	ctx, leave := context.WithCancel(t.Context())
	defer leave()
	feed, left := make(chan plane.LogLine), make(chan struct{})
	l.panel.Follow(func(ctx context.Context, line func(plane.LogLine)) error {
		defer close(left)
		line(plane.LogLine{From: "a", Text: "first <script>alert(1)</script>"})
		for {
			select {
			case next := <-feed:
				line(next)
			case <-ctx.Done():
				return nil
			}
		}
	})
	next := l.stream(ctx, plane.RoleAdmin, logStream, "")
	first := until(t, next, "first &lt;script&gt;")
	if !strings.Contains(first, `hx-target="#log" hx-swap="innerHTML"`) {
		t.Errorf("first: %s", first)
	}
	feed <- plane.LogLine{From: "b", Text: "second"}
	if second := until(t, next, "second"); !strings.Contains(second, `hx-swap="beforeend"`) || strings.Contains(second, "first") {
		t.Errorf("second: %s", second)
	}
	leave()
	select {
	case <-left:
	case <-time.After(time.Minute):
		t.Fatal("the browser has gone and the follower has not")
	}
}

func TestALogThatBreaksOffSaysWhyAndIsFollowedAgain(t *testing.T) {
	l := newLab(t)
	times := 0
	l.panel.Follow(func(ctx context.Context, line func(plane.LogLine)) error {
		if times++; times == 1 {
			line(plane.LogLine{Text: "before"})
			return plane.Unavailable("the connection to s1 is gone: EOF", "look again")
		}
		line(plane.LogLine{Text: "after"})
		<-ctx.Done()
		return nil
	})
	next := l.stream(t.Context(), plane.RoleAdmin, logStream, "")
	until(t, next, "The connection to s1 is gone: EOF.")
	if again := until(t, next, "after"); !strings.Contains(again, `hx-swap="innerHTML"`) {
		t.Errorf("what was shown before stays: %s", again)
	}
}

func TestAnErrorOfThePanelWhileFollowingStaysInside(t *testing.T) {
	l := newLab(t)
	l.panel.Follow(func(context.Context, func(plane.LogLine)) error { return errors.New("disk /var/secret is full") })
	if text := until(t, l.stream(t.Context(), plane.RoleAdmin, logStream, ""), "Something went wrong in the panel."); strings.Contains(text, "secret") {
		t.Errorf("%s", text)
	}
}

func TestFollowingEndsAfterItsTime(t *testing.T) {
	l := newLab(t)
	until(t, l.stream(t.Context(), plane.RoleAdmin, logStream, ""), "Followed for an hour")
}

// Who signs out elsewhere, or loses a role, sees no further line in the tabs that
// are still open: the stream ends at the next thing it would have sent.
func TestAStreamEndsWithTheRightToIt(t *testing.T) {
	over := &plane.Error{Code: plane.CodeUnauthorized, Message: "the session has ended"}
	for name, lose := range map[string]func(*lab){
		"the session was revoked": func(l *lab) { l.panel.Fail("WhoseSession", over) },
		"an admin became viewer":  func(l *lab) { l.panel.Become(plane.RoleViewer) },
	} {
		t.Run(name, func(t *testing.T) {
			l := newLab(t)
			feed, left := make(chan plane.LogLine), make(chan struct{})
			l.panel.Follow(func(ctx context.Context, line func(plane.LogLine)) error {
				defer close(left)
				line(plane.LogLine{Text: "before"})
				for {
					select {
					case next := <-feed:
						line(next)
					case <-ctx.Done():
						return nil
					}
				}
			})
			next := l.stream(t.Context(), plane.RoleAdmin, logStream, "")
			until(t, next, "before")
			lose(l)
			feed <- plane.LogLine{Text: "a secret of later"}
			for text := next(); !strings.Contains(text, "event: reload"); text = next() {
				if text == "" || strings.Contains(text, "a secret of later") {
					t.Fatalf("the stream goes on: %q", text)
				}
			}
			<-left
		})
	}
}
