package ui_test

import (
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/serverplane/serverplane/internal/control"
	"github.com/serverplane/serverplane/internal/plane"
	"github.com/serverplane/serverplane/internal/web/webtest"
)

// twoServe is what s1 and s2 did: s1 a quarter of it, with errors.
func twoServe() control.ServedView {
	one, two := webtest.Figures(900, 9, 0), webtest.Figures(2700, 0, 12)
	one.Share, two.Share = 0.25, 0.75
	idle := webtest.Figures(0, 0, 0)
	idle.Latency, idle.Share = nil, 0
	return webtest.ServedBy(
		control.ServedLine{BackendID: "bck_s1", ServerName: "s1", Role: "primary", Hour: one, Day: one},
		control.ServedLine{BackendID: "bck_s2", ServerName: "s2", Role: "backend", Hour: two, Day: two},
		control.ServedLine{BackendID: "bck_s3", ServerName: "s3", Role: "backend", Hour: idle, Day: idle},
	)
}

func TestWhoServedWhat(t *testing.T) {
	l := newLab(t)
	l.panel.Balance(everyState())
	l.panel.Serve(twoServe())
	page := l.as(plane.RoleViewer).Get(tab).Is(200, "Who served what", `data-label="Share, last hour">25 %`, `data-label="Share, 24 hours">75 %`, `data-label="Requests/s, last hour">0.25`,
		`data-label="Errors, last hour"><strong>1.0 %</strong>`, `data-label="Errors, last hour">none`, `data-label="p50, last hour">4.0 ms`, `data-label="p95, last hour">41 ms`,
		"s2 did not take 12 requests in the last hour; another backend was asked.", "The entry itself answered 3 requests in the last hour", "1 of them with an error",
		"Last hour: served 25 %, 0.25/s, <strong>1.0 % errors</strong>", "Last hour: served nothing", `data-label="p50, last hour">–`)
	if strings.Contains(page.Body, "These figures") {
		t.Error("current figures are doubted")
	}
	l.as(plane.RoleViewer).Get(tab+"/backends/s2").Is(200, "Served, last hour", "2700 requests (75 % of all), 0.75 a second; no error; p50 4.0 ms, p95 41 ms", "What it served",
		"360 requests, 0.59 a second", `data-plot="did"`, `data-rate="3.000" data-errors="0.033"`, `data-p50="4.0" data-p95="41.0"`)
	l.as(plane.RoleViewer).Get(tab + "/backends/s2?reach=24h")
	if day := l.panel.Wish("BackendServed"); day != true {
		t.Errorf("asked of the day: %v", day)
	}
}

func TestFiguresInEveryState(t *testing.T) {
	l := newLab(t)
	l.panel.Balance(everyState())
	see := func(v control.ServedView) *webtest.Answer {
		l.panel.Serve(v)
		return l.as(plane.RoleViewer).Get(tab)
	}
	see(control.ServedView{App: "web", State: control.ServedUnknown, Reason: "the log of the entry was not read yet"}).
		Is(200, "Not known yet.", "The log of the entry was not read yet.").Lacks("No visitor yet", "Last hour: served", `class="cards served"`)
	nobody := webtest.ServedBy(control.ServedLine{ServerName: "s1"})
	nobody.Entry = control.ServedLine{}
	see(nobody).Is(200, "No visitor yet").Lacks(`class="cards served"`)
	old := twoServe()
	old.State, old.Reason = control.ServedStale, "s1: connection refused"
	see(old).Is(200, "These figures end", "s1: connection refused.", `data-label="Share, last hour">25 %`)
	gap := twoServe()
	gap.Gap, gap.GapAt = "3 MB of the log were left out to catch up", webtest.At()
	see(gap).Is(200, "These figures are too low.", "3 MB of the log were left out to catch up.")
	off := webtest.Balanced(seat("s1", plane.BackendHealthy, primary))
	off.Status = plane.BalancerOff
	l.panel.Balance(off)
	see(twoServe()).Is(200).Lacks("Who served what")
}

// A name header tells strangers the names of servers: it is seen before it is saved.
func TestNameHeaderIsSaved(t *testing.T) {
	l := newLab(t)
	b := l.as(plane.RoleOwner)
	form := append([]string{"name_header", "yes"}, settingsNow...)
	form[5] = "round-robin"
	look := b.Post(tab+"/settings", form...).Is(200, "Answers name their backend", "X-Served-By", "for everybody to read").Lacks("Each visitor is bound")
	agreed := regexp.MustCompile(`name="agreed" value="([^"]+)"`).FindStringSubmatch(look.Body)
	if agreed == nil {
		t.Fatal("nothing to agree to")
	}
	b.Post(tab+"/settings", append([]string{"agreed", agreed[1]}, form...)...).Leads(tab)
	if ch := l.panel.Wish("SetBalancer").(control.BalancerChange); !*ch.NameHeader {
		t.Errorf("change %+v", ch)
	}
	on := webtest.Balanced(seat("s1", plane.BackendHealthy, primary))
	on.NameHeader = true
	l.panel.Balance(on)
	b.Get(tab).Is(200, "on, in <code>X-Served-By</code>")
	b.Get(tab+"/settings").Is(200, `name="name_header" value="yes" checked`)
}

// The stream sends the figures anew when something was read.
func TestFiguresStayFresh(t *testing.T) {
	l := newLab(t)
	l.panel.Balance(everyState())
	l.panel.Serve(twoServe())
	next := l.stream(t.Context(), plane.RoleViewer, "/live?page=load-balancer&of=web", "")
	if first := next(); !strings.Contains(first, `id="live-served"`) && !strings.Contains(next(), `id="live-served"`) {
		t.Fatalf("the stream begins with %.300s", first)
	}
	more := twoServe()
	more.Lines[0].Hour.Requests, more.Lines[0].Hour.PerSecond = 360000, 100
	l.panel.Serve(more)
	l.hub.Publish(control.TopicServed)
	for limit := time.Now().Add(time.Minute); time.Now().Before(limit); {
		if strings.Contains(next(), `data-label="Requests/s, last hour">100<`) {
			return
		}
	}
	t.Error("the new figures did not come")
}
