//go:build e2e

package e2e

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/serverplane/serverplane/e2e/still"
)

// TestPages looks at every page: as a picture in light and dark, at both widths,
// with axe-core, and with the browser's own log; on a panel where much has
// happened, on an empty one, and on one where every text is hostile.
func TestPages(t *testing.T) {
	t.Parallel() // nothing here is held against the clock
	known := still.Sights(still.Newest{})
	for _, at := range still.Addresses() {
		if _, ok := known[at]; !ok {
			t.Errorf("the page %s has no entry in still.Sights: give it a name and an address", at)
		}
		delete(known, at)
	}
	for at := range known {
		t.Errorf("still.Sights has an entry for %s, which is no page", at)
	}
	for _, s := range []screen{desktop, telephone} {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			t.Run("empty", func(t *testing.T) { seeEmpty(t, s) })
			t.Run("filled", func(t *testing.T) { seeFilled(t, s) })
			t.Run("hostile", func(t *testing.T) { seeHostile(t, s) })
		})
	}
}

// stillPanel opens a panel; it is closed when the test ends.
func stillPanel(t *testing.T) *still.Panel {
	t.Helper()
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	p, err := still.Open(ctx, t.TempDir())
	must(t, err)
	t.Cleanup(func() {
		stop()
		must(t, p.Close())
	})
	return p
}

func seeEmpty(t *testing.T, s screen) {
	p := stillPanel(t)
	b := browse(t, p.URL, s)
	b.open("/")
	b.see("setup", "/setup")
	must(t, p.Own(t.Context()))
	b.see("sign-in", "/sign-in")
	b.doubted()
	b.signIn(still.Owner, still.Password)
	for _, one := range [][2]string{
		{"overview-empty", "/"}, {"servers-empty", "/servers"}, {"apps-empty", "/apps"}, {"app-new-empty", "/apps/new"}, {"runs-empty", "/runs"},
		{"users-empty", "/users"}, {"missing", "/nowhere"},
	} {
		b.see(one[0], one[1])
	}
	b.calm()
}

// filled is a panel that a team has worked with for some days.
func filled() still.Size {
	return still.Size{Servers: 7, Apps: 6, Backends: 4, Deployments: 6, Runs: 30, Lines: 12, Audits: 30, Minutes: 150}
}

func seeFilled(t *testing.T, s screen) {
	p := stillPanel(t)
	must(t, p.Own(t.Context()))
	must(t, p.Fill(t.Context(), filled(), ""))
	b := browse(t, p.URL, s)
	b.open("/sign-in")
	b.signIn(still.Owner, still.Password)
	newest, err := p.Newest(t.Context())
	must(t, err)
	before, err := p.Deeds(t.Context())
	must(t, err)
	for _, all := range still.Sights(newest) {
		for _, one := range all {
			t.Run(one.Name, func(t *testing.T) {
				b.t = t
				b.see(one.Name, one.Path)
			})
		}
	}
	b.t = t
	if after, err := p.Deeds(t.Context()); err != nil || after != before {
		t.Errorf("looking at pages left %d lines in the audit log (%v)", after-before, err)
	}
	b.calm()
}

// hostile is what somebody could write into a commit, a branch or a log to get
// more on a page than text.
const hostile = `"'><script id=got>alert(1)</script><img id=got src=x onerror=alert(1)><b id=got>{{.}}` + "`${alert(1)}`</textarea></title>"

func seeHostile(t *testing.T, s screen) {
	p := stillPanel(t)
	must(t, p.Own(t.Context()))
	must(t, p.Fill(t.Context(), filled(), hostile))
	b := browse(t, p.URL, s)
	b.open("/sign-in")
	b.signIn(still.Owner, still.Password)
	newest, err := p.Newest(t.Context())
	must(t, err)
	for _, all := range still.Sights(newest) {
		for _, one := range all {
			b.open(one.Path)
			b.harmless(one.Name)
			b.narrow(one.Name)
		}
	}
	b.open("/apps/" + still.Shop + "/environment")
	b.click("Show values")
	b.sees("<script id=got>", 30*time.Second)
	b.harmless("environment with values")
	b.calm()
}

// harmless holds that nobody's text became an element.
func (b *browser) harmless(what string) {
	b.t.Helper()
	got, err := eval[string](b, `[...document.querySelectorAll("#got, script:not([src]), [onerror]")].map((e) => e.outerHTML).join("\n")`)
	must(b.t, err)
	if got != "" {
		b.t.Errorf("%s: a text became an element: %s", what, got)
	}
}

// signIn is on the page for that.
func (b *browser) signIn(email, password string) {
	b.t.Helper()
	b.fill("Mail address", email)
	b.fill("Password", password)
	b.click("Sign in")
	b.sees("Sign out", 30*time.Second)
}

// doubted holds that the checks of a page do find what is wrong with one.
func (b *browser) doubted() {
	b.t.Helper()
	b.do(chromedp.Evaluate[chromedp.Void](`document.querySelector("label").remove()`))
	found, err := b.axe(nil)
	must(b.t, err)
	if !slices.ContainsFunc(found, func(f finding) bool { return f.ID == "label" && f.Impact == "critical" }) {
		b.t.Errorf("axe-core does not miss a label: %v", found)
	}
	b.do(chromedp.Evaluate[chromedp.Void](`document.body.insertAdjacentHTML("beforeend", "<b id=got onclick='x()'>x</b>")`))
	until(b.t, 30*time.Second, "the log tells of a refused handler", func() (bool, string) {
		b.mu.Lock()
		defer b.mu.Unlock()
		told := len(b.troubles) == 1
		b.troubles = nil
		return told, "nothing"
	})
	b.open("/sign-in")
}

// see looks at a page in light and dark.
func (b *browser) see(name, path string) {
	b.t.Helper()
	b.open(path)
	if at, err := eval[string](b, "location.pathname + location.search"); err != nil || at != path {
		b.t.Errorf("%s led to %s (%v)", path, at, err)
	}
	b.shot(name)
	b.accessible(name)
	b.scheme("dark")
	b.shot(name + "-dark")
	b.accessible(name+" in dark", "color-contrast")
	b.scheme("light")
	b.harmless(name)
}
