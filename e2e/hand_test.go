//go:build e2e

package e2e

import (
	"time"

	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// spot is where a person points to.
type spot struct {
	X, Y   float64
	Leaves bool   // pressing it leaves the page
	Why    string // nothing is there that can be pressed
}

// finder looks for what a person calls by a name. Something another thing lies
// over cannot be pressed.
const finder = `
const said = (e) => e.textContent.replace(/\s+/g, " ").trim();
const called = (e, name) => e.getAttribute("aria-label") === name || said(e) === name || said(e.querySelector(":scope > .name") ?? e) === name;
const shown = (e) => e.checkVisibility({visibilityProperty: true, opacityProperty: true});
const spot = (e) => {
	e.scrollIntoView({block: "center", inline: "center", behavior: "instant"});
	const r = e.getClientRects()[0];
	if (!r) return {Why: "it has no place on the page"};
	const x = r.left + r.width / 2, y = r.top + r.height / 2, hit = document.elementFromPoint(x, y);
	if (!hit || !(e.contains(hit) || e.labels && [...e.labels].some((l) => l.contains(hit)))) return {Why: "it is covered by " + (hit ? hit.outerHTML.slice(0, 200) : "nothing: outside the window")};
	return {X: x, Y: y, Leaves: e.matches("a[href]:not([href^='#'])") || e.matches("button:not([type=button])") && !!e.form};
};
const press = (name) => {
	for (const e of document.querySelectorAll("button, a[href], summary, label"))
		if (called(e, name) && shown(e)) return e.disabled || e.control?.disabled ? {Why: "it is disabled"} : spot(e);
	return {Why: "nothing is called so"};
};
const field = (name) => {
	for (const l of document.querySelectorAll("label"))
		if (said(l) === name && l.control && shown(l.control)) return l.control;
};
`

// look waits until finder's answer is a place.
func (b *browser) look(what, script string) spot {
	b.t.Helper()
	var last spot
	for end := time.Now().Add(30 * time.Second); ; time.Sleep(100 * time.Millisecond) {
		at, err := eval[spot](b, "(() => {"+finder+script+"})()")
		if err == nil && at.Why == "" {
			return at
		}
		if last = at; time.Now().After(end) {
			b.lost(what+": "+last.Why, 30*time.Second)
		}
	}
}

// point presses a place with the mouse, or with a finger.
func (b *browser) point(at spot) {
	b.t.Helper()
	if b.touch {
		b.do(chromedp.TapXY(at.X, at.Y))
		return
	}
	b.do(chromedp.MouseEvent(input.DispatchMouseEventTypeMouseMoved, at.X, at.Y), chromedp.MouseClickXY(at.X, at.Y))
}

// click presses what a person would call by that name: a button, a link, a tick,
// a choice. What leads to another page is waited for.
func (b *browser) click(name string) {
	b.t.Helper()
	at := b.look("something to press called "+name, "return press("+quote(name)+")")
	if !at.Leaves {
		b.point(at)
		return
	}
	b.leave("pressing "+name, func() { b.point(at) })
}

// leave does what leads to another page, and waits for that page.
func (b *browser) leave(what string, do func()) {
	b.t.Helper()
	b.do(chromedp.Evaluate[chromedp.Void](`document.documentElement.setAttribute("data-left", "")`))
	do()
	b.until(what+" to lead on", `!document.documentElement.hasAttribute("data-left") && document.readyState !== "loading"`, time.Minute)
}

// fill types into the field with the label, over what is there.
func (b *browser) fill(label, value string) {
	b.t.Helper()
	b.point(b.look("a field "+label, "const e = field("+quote(label)+"); return e ? spot(e) : {Why: 'no field is called so'}"))
	b.until("the field "+label+" to have the focus", "(() => {"+finder+"return document.activeElement === field("+quote(label)+")})()", 30*time.Second)
	must(b.t, call(b, input.DispatchKeyEvent, input.DispatchKeyEventParams{Type: input.DispatchKeyEventTypeRawKeyDown, Commands: []string{"selectAll"}}))
	b.do(chromedp.KeyEvent(kb.Backspace))
	must(b.t, call(b, input.InsertText, input.InsertTextParams{Text: value}))
}

// pick chooses an option of a list by typing how it begins.
func (b *browser) pick(label, option string) {
	b.t.Helper()
	b.point(b.look("a list "+label, `for (const l of document.querySelectorAll("label")) if (said(l) === `+quote(label)+`) return spot(l); return {Why: "no list is called so"}`))
	b.do(chromedp.KeyEvent(option))
	b.until("the list "+label+" to say "+option, "(() => {"+finder+"return field("+quote(label)+").selectedOptions[0].text.startsWith("+quote(option)+")})()", 30*time.Second)
}
