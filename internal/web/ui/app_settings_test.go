package ui_test

import (
	"regexp"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/serverplane/serverplane/internal/control"
	"github.com/serverplane/serverplane/internal/plane"
)

var hidden = regexp.MustCompile(`name="(seen|agreed)" value="([^"]*)"`)

// carried are the hidden fields of a form.
func carried(body string) map[string]string {
	all := map[string]string{}
	for _, m := range hidden.FindAllStringSubmatch(body, -1) {
		all[m[1]] = m[2]
	}
	return all
}

func appForm(pairs ...string) []string {
	all := []string{"repository", "https://example.com/web.git", "branch", "main", "domains", "web.example.com", "root", "", "build", "npm ci\r\nnpm run build --if-present", "start", "npm start", "run_once", "", "health_path", "/", "options", ""}
	for i := 0; i < len(pairs); i += 2 {
		for j := 0; j < len(all); j += 2 {
			if all[j] == pairs[i] {
				all[j+1] = pairs[i+1]
			}
		}
	}
	return all
}

func TestAppSettings(t *testing.T) {
	l := newLab(t)
	const page = "/apps/web/settings"
	l.as(plane.RoleViewer).Get("/apps/web").Is(200).Lacks(page)
	b := l.as(plane.RoleAdmin)
	b.Get("/apps/web").Is(200, `href="`+page+`"`)
	form := b.Get(page).Is(200, `value="https://example.com/web.git"`, "npm run build --if-present", "Not in force yet: Build steps, Start.", "Deploy now")
	seen := carried(form.Body)["seen"]
	b.Post(page, append(appForm(), "seen", seen)...).Leads(page)
	if l.panel.Wish("ChangeAppSeen") != nil {
		t.Fatal("kept what changes nothing")
	}
	wished := append(appForm("branch", " next ", "domains", "a.example.com\r\n\r\nb.example.com", "options", "drain=5s"), "seen", seen)
	look := b.Post(page, wished...).Is(200, "What this does", "<strong>next</strong>", "Domains: in force at once", "Branch: in force with the next deployment.", "drain=5s").Lacks("Build steps: in force")
	if l.panel.Wish("ChangeAppSeen") != nil {
		t.Fatal("kept before it was shown")
	}
	agreed := carried(look.Body)["agreed"]
	b.Post(page, append(appForm("branch", "another"), "seen", seen, "agreed", agreed)...).Is(200, "<strong>another</strong>")
	if l.panel.Wish("ChangeAppSeen") != nil {
		t.Fatal("kept what was not shown")
	}
	b.Post(page, append(wished, "agreed", agreed)...).Leads(page)
	str := func(s string) *string { return &s }
	want := control.AppChange{
		Repository: str("https://example.com/web.git"), Branch: str("next"), Domains: &[]string{"a.example.com", "b.example.com"}, Root: str(""),
		Build: &[]string{"npm ci", "npm run build --if-present"}, Start: str("npm start"), RunOnce: &[]string{}, HealthPath: str("/"), Options: map[string]string{"drain": "5s"},
	}
	if diff := cmp.Diff(want, l.panel.Wish("ChangeAppSeen")); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if got := l.panel.Wish("ChangeAppSeen of"); got != "web "+seen {
		t.Errorf("of %v, want %s", got, seen)
	}
}

// What restarting the only backend costs is read before it is kept.
func TestAppSettingsTellOfTheGap(t *testing.T) {
	l := newLab(t)
	const page = "/apps/web/settings"
	b := l.as(plane.RoleAdmin)
	b.Post(page, appForm("options", "drain=5s")...).Is(200, "What this does").Lacks("only one backend")
	wished := appForm("options", "switch=restart")
	look := b.Post(page, wished...).Is(200, "Only one backend serves, so there is a gap.", `name="acknowledge" value="gap"`)
	b.Post(page, append(wished, "agreed", carried(look.Body)["agreed"], "acknowledge", "gap")...).Leads(page)
	if got := l.panel.Wish("ChangeAppSeen").(control.AppChange); len(got.Acknowledge) != 1 || got.Acknowledge[0] != plane.AckGap {
		t.Errorf("wish %+v", got)
	}
	l.panel.Fail("CreateApp", &plane.Error{Code: plane.CodeConflict, Field: "acknowledge", Message: "visitors get an error meanwhile"})
	b.Post("/apps/new", "name", "shop", "server", "s1", "kind", "nodejs", "repository", "https://x/y.git", "option", "switch=restart").
		Is(409, "Visitors get an error meanwhile.", `name="acknowledge" value="gap"`)
}

// Whatever takes an app from slot to slot asks the same, and hands on what was read.
func TestPassagesAskTheSame(t *testing.T) {
	const memory, gap, cost = `name="acknowledge" value="memory"`, `name="acknowledge" value="gap"`, "Only one backend serves, so there is a gap."
	l := newLab(t)
	l.panel.Unapplied()
	b := l.as(plane.RoleAdmin)
	passages := []struct{ page, post, verb, name, value string }{
		{"/apps/web/deployments", "/apps/web/deployments", "Deploy", "ref", ""},
		{"/apps/web/deployments", "/apps/web/rollback", "Rollback", "ref", ""},
		{"/apps/web/environment", "/apps/web/environment/apply", "ApplyVariables acknowledging", "x", ""},
		{"/apps/web/database", "/apps/web/database/shop/rotate-password", "RotatePassword acknowledging", "confirm", "shop"},
	}
	read := func(wish any) []string {
		switch w := wish.(type) {
		case control.DeployWish:
			return w.Acknowledge
		case control.RollbackWish:
			return w.Acknowledge
		}
		return wish.([]string)
	}
	for _, p := range passages {
		b.Get(p.page).Is(200, memory).Lacks(gap)
		b.Post(p.post, p.name, p.value, "acknowledge", "memory")
		if got := read(l.panel.Wish(p.verb)); len(got) != 1 || got[0] != plane.AckMemory {
			t.Errorf("%s hands on %q", p.post, got)
		}
	}
	l.panel.Alone(false)
	for _, p := range passages {
		b.Get(p.page).Is(200, cost).Lacks(memory, gap)
	}
	l.panel.Alone(true)
	for _, p := range passages {
		b.Get(p.page).Is(200, cost, gap).Lacks(memory)
	}
}

// The second person is told, before or at the last moment, and what they typed
// is not lost.
func TestAppSettingsOfTwoPeople(t *testing.T) {
	l := newLab(t)
	const page = "/apps/web/settings"
	b := l.as(plane.RoleAdmin)
	b.Post(page, append(appForm("start", "node mine.js"), "seen", "older")...).Is(409, "Somebody else changed these settings meanwhile.", `value="node mine.js"`)
	look := b.Post(page, appForm("start", "node mine.js")...).Is(200, "What this does")
	l.panel.Fail("ChangeAppSeen", plane.Conflict("somebody else changed this meanwhile", "look at what it is now"))
	all := carried(look.Body)
	b.Post(page, append(appForm("start", "node mine.js"), "seen", all["seen"], "agreed", all["agreed"])...).Is(409, "Somebody else changed this meanwhile.", `value="node mine.js"`)
	for field, e := range map[string]error{"domains": plane.Invalid("domain", "is no name", ""), "options": plane.Invalid("option", "there is no option", ""), "build": plane.Invalid("build", "is empty", "")} {
		l.panel.Fail("ChangeAppSeen", e)
		b.Post(page, append(appForm("start", "node mine.js"), "seen", all["seen"], "agreed", all["agreed"])...).Is(422, `id="`+field+`-error"`, `value="node mine.js"`)
	}
	b.Post(page, appForm("options", "drain")...).Is(422, `id="options-error"`, "drain</textarea>")
}
