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

const tab = "/apps/web/load-balancer"

// seat is a backend of web that serves.
func seat(server string, state plane.BackendState, change func(b *plane.Backend)) control.BackendView {
	b := plane.Backend{
		ID: "bck_" + server, Enabled: true, Placed: true, Weight: 1, WishedAt: webtest.At(),
		Health: plane.Health{State: state, Since: webtest.At(), CheckedAt: webtest.At(), Vantage: "s1, forwarded over SSH", Answer: "HTTP 200", Reason: "answered 200", Latency: plane.Duration(12 * time.Millisecond)},
	}
	if change != nil {
		change(&b)
	}
	return control.BackendView{Backend: b, AppName: "web", ServerName: server, Address: "198.18.1.2:20003"}
}

func primary(b *plane.Backend) { b.Primary = true }

// everyState is a load balancer with a backend in every state there is.
func everyState() control.BalancerView {
	return webtest.Balanced(
		seat("s1", plane.BackendHealthy, primary),
		seat("s2", plane.BackendHealthy, func(b *plane.Backend) { b.Weight = 2 }),
		seat("s3", plane.BackendUnhealthy, func(b *plane.Backend) {
			b.Health.Answer, b.Health.Reason = "connect: Connection refused", "the app's process does not listen"
		}),
		seat("s4", plane.BackendUnknown, func(b *plane.Backend) { b.Health.Answer, b.Health.Reason = "", "s1 forbids forwarding" }),
		seat("s5", plane.BackendHealthy, func(b *plane.Backend) { b.Enabled = false }),
		seat("s6", plane.BackendDeploying, func(b *plane.Backend) { b.Placed = false; b.Health.CheckedAt = time.Time{} }),
		seat("s7", plane.BackendHealthy, func(b *plane.Backend) { b.Removing = true }),
		seat("s8", plane.BackendHealthy, func(b *plane.Backend) { b.Backup = true }),
	)
}

func TestTabBeforeItIsEnabled(t *testing.T) {
	l := newLab(t)
	off := webtest.Balanced(seat("s1", plane.BackendHealthy, primary))
	off.Status = plane.BalancerOff
	l.panel.Balance(off)
	b := l.as(plane.RoleOwner)
	b.Get(tab).Is(200, "Files stay where they are written", "ServerPlane never copies files", "Enable Load Balancer", "Round robin", "Least connections", "IP hash").
		Lacks("Add backend", `class="topology"`)
	l.as(plane.RoleViewer).Get(tab).Is(200, "Files stay where they are written").Lacks(`action="/apps/web/load-balancer/enable"`)
	b.Post(tab+"/enable", "method", "ip-hash", "acknowledge", "yes", "confirm", "wrong").Is(422, `id="confirm-error"`, `value="ip-hash" checked`, `id="acknowledge" name="acknowledge" value="yes" checked`)
	if l.panel.Wish("EnableBalancer") != nil {
		t.Fatal("enabled without the app's name")
	}
	b.Post(tab+"/enable", "method", "ip-hash", "confirm", "web")
	if w := l.panel.Wish("EnableBalancer").(control.BalancerWish); len(w.Acknowledge) != 0 {
		t.Errorf("acknowledged unasked: %v", w)
	}
	l.panel.Fail("EnableBalancer", plane.Invalid("acknowledge", "files do not exist on the others", "make the app stateless"))
	b.Post(tab+"/enable", "confirm", "web").Is(422, `id="acknowledge-error"`, "Files do not exist on the others.", `value="web"`)
	l.panel.Fail("EnableBalancer", nil)
	b.Post(tab+"/enable", "method", "ip-hash", "acknowledge", "yes", "confirm", "web").Leads("/runs/run_1")
	if w := l.panel.Wish("EnableBalancer").(control.BalancerWish); w.Method != plane.IPHash || strings.Join(w.Acknowledge, "") != control.WarningFiles {
		t.Errorf("wish %+v", w)
	}
}

// How fast a backend answers is told only of one that answered: not of the
// local site in its place, nor of a look that saw nothing.
func TestPaceIsThatOfTheApp(t *testing.T) {
	l := newLab(t)
	for want, change := range map[string]func(h *plane.Health){
		"answers in 12 ms": func(h *plane.Health) { h.State, h.Answer = plane.BackendUnhealthy, "HTTP 500" },
		"no answer</span>": func(h *plane.Health) { h.State, h.Answer = plane.BackendUnhealthy, "HTTP 598" },
		"not seen": func(h *plane.Health) {
			h.State, h.Answer = plane.BackendUnknown, "open failed: administratively prohibited"
		},
		"not asked yet": func(h *plane.Health) { h.CheckedAt, h.Answer, h.Latency = time.Time{}, "", 0 },
	} {
		one := seat("s1", plane.BackendHealthy, func(b *plane.Backend) { b.Primary = true; change(&b.Health) })
		l.panel.Balance(webtest.Balanced(one))
		page := l.as(plane.RoleViewer).Get(tab).Is(200, want)
		if strings.Contains(page.Body, "answers in") != strings.HasPrefix(want, "answers in") {
			t.Errorf("told as answering beside %q", want)
		}
	}
}

func TestTopologyInEveryState(t *testing.T) {
	l := newLab(t)
	l.panel.Balance(everyState())
	page := l.as(plane.RoleOwner).Get(tab).Is(200, "2 of 4 healthy", `viewBox="0 0 100 800"`, "<strong>40 %</strong>", "12 ms", "connect: Connection refused",
		"No visitors: switched off.", "No visitors: not let in yet.", "No visitors: being removed.", "No visitors: backup: only when no other serves.",
		"It stays in the upstream until you switch it off.", "Retry adding", "Retry removing", "not asked yet")
	if got := strings.Count(page.Body, "<strong>20 %</strong>"); got != 3 {
		t.Errorf("%d backends with a fifth of visitors, want 3", got)
	}
	for _, state := range []string{"healthy", "unhealthy", "unknown", "off", "deploying", "removing"} {
		if !regexp.MustCompile(`</svg> ` + state + `</span>`).MatchString(page.Body) {
			t.Errorf("no badge %s", state)
		}
	}
	l.as(plane.RoleViewer).Get(tab).Is(200, "40 %").Lacks(">Switch off", "/remove\"", "Settings")
}

// A backup serves when nobody else does.
func TestBackupServesAlone(t *testing.T) {
	l := newLab(t)
	l.panel.Balance(webtest.Balanced(
		seat("s1", plane.BackendHealthy, func(b *plane.Backend) { b.Primary, b.Enabled = true, false }),
		seat("s2", plane.BackendHealthy, func(b *plane.Backend) { b.Backup = true }),
	))
	l.as(plane.RoleOwner).Get(tab).Is(200, "1 of 1 healthy", "<strong>100 %</strong>")
}

func TestSwitchingOffTellsWhoMovesAndAsks(t *testing.T) {
	l := newLab(t)
	l.panel.Balance(webtest.Balanced(seat("s1", plane.BackendHealthy, primary), seat("s9", plane.BackendHealthy, nil)))
	b := l.as(plane.RoleOwner)
	b.Get(tab+"/backends/s9/off").Is(200, "s1 50 % to 100 %, s9 50 % to 0 %", "Requests under way on it end as they began.").Lacks(`name="yes"`)
	b.Post(tab+"/backends/s9/off").Is(409, "last healthy one", `name="yes"`)
	b.Post(tab+"/backends/s9/off", "yes", "yes").Leads(tab)
	b.Get(tab).Is(200, "in force at the entry")
	if l.panel.Wish("SwitchOff") != true {
		t.Error("the consent did not arrive")
	}
	b.Post(tab + "/backends/away/on").Leads("/runs/run_1")
	b.Get(tab + "/backends/nobody/off").Is(404)
}

var settingsNow = []string{"was", "round-robin|/up|10s|5s|2|2|false|1|false", "method", "ip-hash", "health_path", "/up", "interval", "10", "timeout", "5s", "fall", "2", "rise", "2", "floor", "1"}

func TestSettingsAreSavedOnceTheirConsequencesWereSeen(t *testing.T) {
	l := newLab(t)
	b := l.as(plane.RoleOwner)
	look := b.Post(tab+"/settings", settingsNow...).Is(200, "What this does", "Each visitor is bound to one backend", "Round robin", "Save")
	if l.panel.Wish("SetBalancer") != nil {
		t.Fatal("saved before it was seen")
	}
	agreed := regexp.MustCompile(`name="agreed" value="([^"]+)"`).FindStringSubmatch(look.Body)
	if agreed == nil {
		t.Fatal("nothing to agree to")
	}
	other := append([]string{"agreed", agreed[1]}, settingsNow...)
	other[len(other)-5] = "7" // other than what was shown
	b.Post(tab+"/settings", other...).Is(200, "What this does")
	if l.panel.Wish("SetBalancer") != nil {
		t.Fatal("saved what was not seen")
	}
	b.Post(tab+"/settings", append([]string{"agreed", agreed[1]}, settingsNow...)...).Leads(tab)
	if ch := l.panel.Wish("SetBalancer").(control.BalancerChange); *ch.Method != plane.IPHash || ch.Interval.Std() != 10*time.Second {
		t.Errorf("change %+v", ch)
	}
}

// Two people: the second is told, and keeps what was typed.
func TestSettingsChangedMeanwhile(t *testing.T) {
	l := newLab(t)
	now := webtest.Balanced(seat("s1", plane.BackendHealthy, primary))
	now.Method = plane.LeastConnections
	l.panel.Balance(now)
	l.as(plane.RoleOwner).Post(tab+"/settings", settingsNow...).
		Is(409, "Somebody else saved these settings meanwhile.", "Least connections", `value="ip-hash" checked`, `value="least-connections|/up`)
	l.as(plane.RoleOwner).Post(tab+"/backends/s1/share", "was", "9|false", "weight", "7").Is(409, "Now its weight is 1", `value="7"`)
	if l.panel.Wish("SetBalancer") != nil || l.panel.Wish("SetBackend") != nil {
		t.Error("written over")
	}
}

func TestSettingsThatAreNone(t *testing.T) {
	l := newLab(t)
	bad := append([]string{}, settingsNow...)
	bad[7] = "soon"
	l.as(plane.RoleOwner).Post(tab+"/settings", bad...).Is(422, `id="interval-error"`, "Must be a length of time.", `value="soon"`)
}

func TestWeight(t *testing.T) {
	l := newLab(t)
	l.panel.Balance(webtest.Balanced(seat("s1", plane.BackendHealthy, primary), seat("s2", plane.BackendHealthy, nil)))
	b := l.as(plane.RoleOwner)
	b.Post(tab+"/backends/s2/share", "was", "1|false", "weight", "3").Is(200, "s1 50 % to 25 %, s2 50 % to 75 %", `name="agreed" value="3 false"`)
	b.Post(tab+"/backends/s2/share", "was", "1|false", "weight", "1").Leads(tab + "/backends/s2")
	b.Post(tab+"/backends/s2/share", "was", "1|false", "weight", "101").Is(422, `id="weight-error"`, `value="101"`)
	if l.panel.Wish("SetBackend") != nil {
		t.Fatal("changed before it was seen")
	}
	b.Post(tab+"/backends/s2/share", "was", "1|false", "weight", "3", "agreed", "3 false").Leads(tab + "/backends/s2")
	if ch := l.panel.Wish("SetBackend").(control.BackendChange); *ch.Weight != 3 || *ch.Backup || ch.Yes {
		t.Errorf("change %+v", ch)
	}
}

func TestAddingABackend(t *testing.T) {
	l := newLab(t)
	l.panel.Balance(webtest.Balanced(seat("s2", plane.BackendHealthy, primary)))
	b := l.as(plane.RoleOwner)
	b.Get(tab+"/add").Is(200, `value="s1"`, "Preflight").Lacks(`value="s2"`)
	b.Post(tab+"/add", "weight", "1").Is(422, `id="server-error"`)
	l.panel.Fail("AddBackend", plane.Conflict(`server "s1" is pending, not ready`, "see server show s1"))
	b.Post(tab+"/add", "server", "s1", "weight", "5", "backup", "yes").Is(409, "is pending, not ready", `value="5"`, `value="s1" required checked`)
	l.panel.Fail("AddBackend", nil)
	b.Post(tab+"/add", "server", "s1", "weight", "5", "backup", "yes").Leads(tab + "/backends/s1")
	if w := l.panel.Wish("AddBackend").(control.BackendWish); w.Server != "s1" || w.Weight != 5 || !w.Backup {
		t.Errorf("wish %+v", w)
	}
}

func TestRemovingABackend(t *testing.T) {
	l := newLab(t)
	l.panel.Balance(webtest.Balanced(seat("s1", plane.BackendHealthy, primary), seat("s2", plane.BackendHealthy, nil)))
	b := l.as(plane.RoleOwner)
	b.Get(tab+"/backends/s1/remove").Is(200, "never removed").Lacks(`name="confirm"`)
	b.Post(tab+"/backends/s2/remove", "confirm", "s1").Is(422, `id="confirm-error"`)
	if l.panel.Wish("RemoveBackend") != nil {
		t.Fatal("removed without its name")
	}
	l.panel.Fail("RemoveBackend", &plane.Error{Code: plane.CodeConflict, Field: "yes", Message: `"s2" is the last healthy one`})
	b.Post(tab+"/backends/s2/remove", "confirm", "s2", "discard", "yes").Is(409, `name="yes"`, `name="discard" value="yes" checked`)
	l.panel.Fail("RemoveBackend", nil)
	b.Post(tab+"/backends/s2/remove", "confirm", "s2", "yes", "yes").Leads("/runs/run_1")
	if w := l.panel.Wish("RemoveBackend").(control.RemoveWish); !w.Yes || w.Discard {
		t.Errorf("wish %+v", w)
	}
}

func TestDisabling(t *testing.T) {
	l := newLab(t)
	l.panel.Balance(everyState())
	b := l.as(plane.RoleOwner)
	b.Get(tab+"/disable").Is(200, "All visitors go to s1 first", "<strong>100 %</strong>")
	b.Post(tab+"/disable", "confirm", "wbe", "remove_backends", "yes").Is(422, `id="confirm-error"`, `name="remove_backends" value="yes" checked`)
	b.Post(tab+"/disable", "confirm", "web", "remove_backends", "yes").Leads("/runs/run_1")
	if w := l.panel.Wish("DisableBalancer").(control.DisableWish); !w.RemoveBackends || w.Discard {
		t.Errorf("wish %+v", w)
	}
}

func TestOneBackend(t *testing.T) {
	l := newLab(t)
	b := l.as(plane.RoleOwner)
	b.Get(tab+"/backends/s1").Is(200, "HTTP 404", "6 checks: <strong>2 failed</strong>, 1 could not be made", "State changes", "12 ms", `data-plot="past"`)
	b.Get(tab+"/backends/s1?reach=24h").Is(200, `<a href="/apps/web/load-balancer/backends/s1?reach=24h" aria-current="page">`)
	if w := l.panel.Wish("BackendHistory").(control.HistoryWish); w.Reach != 24*time.Hour {
		t.Errorf("wish %+v", w)
	}
	b.Post(tab+"/backends/s1/check").Is(200, "Asked just now: answered 200", "HTTP 200")
	b.Post(tab + "/backends/s1/repair").Leads(tab + "/backends/s1")
}

func TestTabStaysFresh(t *testing.T) {
	l := newLab(t)
	l.panel.Balance(webtest.Balanced(seat("s1", plane.BackendHealthy, primary), seat("s2", plane.BackendHealthy, nil)))
	next := l.stream(t.Context(), plane.RoleViewer, "/live?page=load-balancer&of=web", "")
	if first := next(); !strings.Contains(first, "2 of 2 healthy") {
		t.Fatalf("first: %s", first)
	}
	l.panel.Balance(everyState())
	l.hub.Publish("health")
	for text := ""; !strings.Contains(text, "2 of 4 healthy"); {
		if text = next(); text == "" {
			t.Fatal("the change did not come")
		}
	}
	if first := l.stream(t.Context(), plane.RoleViewer, "/live?page=backend&of=web%2Fs2", "")(); !strings.Contains(first, `id="live-backend"`) {
		t.Fatalf("a backend's: %s", first)
	}
}
