//go:build e2e

package e2e

import (
	"slices"
	"strings"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// The keys of somebody without a mouse, besides Tab.
const (
	enterKey = kb.Enter
	spaceKey = " "
	downKey  = kb.ArrowDown
)

// key presses one key.
func (b *browser) key(k string, more ...chromedp.KeyOption) {
	b.t.Helper()
	b.do(chromedp.KeyEvent(k, more...))
}

// focused is what has the keyboard, as a person would call it.
type focused struct {
	Name    string
	Visible bool   // one can see that it has the focus
	Where   string // for messages
	Leaves  bool
}

const nowhere = "nowhere"

const focusScript = finder + `
const nowhere = "nowhere";
const e = document.activeElement;
if (!e || e === document.body) return {Name: "", Visible: true, Where: nowhere};
const s = getComputedStyle(e), r = e.getBoundingClientRect();
const ring = s.outlineStyle !== "none" && parseFloat(s.outlineWidth) >= 2 || s.boxShadow !== "none";
const label = e.labels?.length ? said(e.labels[0].querySelector(":scope > .name") ?? e.labels[0]) : "";
return {Name: e.getAttribute("aria-label") ?? (label || said(e)), Visible: ring && shown(e) && r.bottom > 0 && r.top < innerHeight,
	Where: e.outerHTML.slice(0, 160) + " outline " + s.outline, Leaves: spot(e).Leaves === true};
`

// focus tells what has the keyboard and holds that a person sees it.
func (b *browser) focus() focused {
	b.t.Helper()
	f, err := eval[focused](b, "(() => {"+focusScript+"})()")
	must(b.t, err)
	if !f.Visible {
		b.t.Errorf("one cannot see that this has the focus: %s", f.Where)
	}
	return f
}

// tabTo goes on with Tab until something called so has the focus.
func (b *browser) tabTo(name string) focused {
	b.t.Helper()
	var passed []string
	for range 120 {
		b.key(kb.Tab)
		f := b.focus()
		if f.Name == name {
			return f
		}
		passed = append(passed, f.Name)
	}
	b.t.Fatalf("Tab does not lead to %q; it passed %s", name, strings.Join(passed, ", "))
	return focused{}
}

// enter goes to what is called so and presses it with a key.
func (b *browser) enter(name, key string) {
	b.t.Helper()
	if f := b.tabTo(name); !f.Leaves {
		b.key(key)
		return
	}
	b.leave("the key on "+name, func() { b.key(key) })
}

// skipToContents holds that the first Tab of a page leads to a link past the
// navigation, which works.
func (b *browser) skipToContents() {
	b.t.Helper()
	b.key(kb.Tab)
	if f := b.focus(); f.Name != "Skip to the contents" {
		b.t.Errorf("the first Tab leads to %q", f.Name)
	}
	b.key(enterKey)
	if ok, err := eval[bool](b, `document.activeElement.id === "main"`); err != nil || !ok {
		b.t.Errorf("the skip link does not lead to the contents (%v)", err)
	}
}

// walk goes through the whole page with Tab and some of the way back: nothing
// holds the keyboard, and the order is that of the page.
func (b *browser) walk(what string) {
	b.t.Helper()
	var way []string
	for range 150 {
		b.key(kb.Tab)
		f := b.focus()
		if f.Where == nowhere || len(way) > 0 && f.Where == way[0] {
			break
		}
		way = append(way, f.Where)
	}
	if len(way) < 5 || len(way) == 150 {
		b.t.Errorf("%s: Tab passes %d things: %s", what, len(way), strings.Join(way, "\n"))
	}
	if ahead, err := eval[int](b, `document.querySelectorAll("[tabindex]:not([tabindex='0'], [tabindex='-1'])").length`); err != nil || ahead > 0 {
		b.t.Errorf("%s: %d things are out of order (%v)", what, ahead, err)
	}
	for i := range 3 {
		b.key(kb.Tab, chromedp.KeyModifiers(chromedp.ModifierShift))
		if f := b.focus(); i > 0 && !slices.Contains(way, f.Where) {
			b.t.Errorf("%s: the way back leads to %s", what, f.Where)
		}
	}
}

// types goes to a field and types.
func (b *browser) types(label, value string) {
	b.t.Helper()
	b.tabTo(label)
	b.do(chromedp.KeyEvent(value))
}
