//go:build e2e

package e2e

import (
	"context"
	"encoding/json"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	cdplog "github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"

	"github.com/serverplane/serverplane/e2e/lab"
)

// screen is what a person holds or sits before.
type screen struct {
	name          string // part of a picture's name
	width, height int64
	touch         bool // a finger instead of a mouse
}

var (
	desktop   = screen{name: "1440", width: 1440, height: 900}
	telephone = screen{name: "390", width: 390, height: 844, touch: true}
)

// browser is one person's headless Chromium on the dashboard. What it does to a
// page is what a person can do: see, point, type. Scripts of the test only look.
type browser struct {
	t    *testing.T
	ctx  context.Context
	base string
	screen

	mu       sync.Mutex
	troubles []string // what may not happen: errors of scripts, refused by the policy, dialogs
	forgiven []string // what may happen now, such as a panel that does not answer
}

// browse opens a browser. Whoever asks calm at the end holds that nothing was in
// its log.
func browse(t *testing.T, base string, s screen) *browser {
	t.Helper()
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.NoSandbox, chromedp.ExecPath("/usr/bin/chromium"))
	allocated, end := chromedp.NewExecAllocator(t.Context(), options...)
	t.Cleanup(end)
	ctx, closeTab := chromedp.NewContext(allocated)
	t.Cleanup(closeTab)
	must(t, chromedp.Do(ctx)) // opened by a context that lasts as long as the tab
	b := &browser{t: t, ctx: ctx, base: base, screen: s}
	b.listen()
	view := []chromedp.EmulateViewportOption{}
	if s.touch {
		view = append(view, chromedp.EmulateMobile, chromedp.EmulateTouch)
	}
	b.do(chromedp.EmulateViewport(s.width, s.height, view...))
	b.scheme("light")
	return b
}

// atDashboard is the owner at a screen.
func (w *world) atDashboard(t *testing.T, s screen) *browser {
	t.Helper()
	b := browse(t, w.panel.URL, s)
	b.open("/")
	b.signIn(lab.Owner, lab.Password)
	return b
}

// listen collects what the browser and its pages complain about.
func (b *browser) listen() {
	must(b.t, call(b, cdplog.Enable, cdp.Empty{}))
	follow(b, cdplog.EntryAdded, func(e cdplog.EventEntryAdded) {
		if string(e.Entry.Level) == "error" {
			b.note(e.Entry.Text + " at " + e.Entry.URL)
		}
	})
	follow(b, runtime.ConsoleAPICalled, func(e runtime.EventConsoleAPICalled) {
		if e.Type == "error" || e.Type == "assert" {
			b.note("console." + string(e.Type) + quote(string(e.Args[0].Value)) + e.Args[0].Description)
		}
	})
	follow(b, runtime.ExceptionThrown, func(e runtime.EventExceptionThrown) {
		b.note("exception: " + e.ExceptionDetails.Text + " " + e.ExceptionDetails.Exception.Description)
	})
	follow(b, page.JavascriptDialogOpening, func(e page.EventJavascriptDialogOpening) {
		b.note("a dialog opened: " + e.Message)
		_ = call(b, page.HandleJavaScriptDialog, page.HandleJavaScriptDialogParams{})
	})
}

// follow hands every event to fn until the tab is closed.
func follow[E any](b *browser, of cdp.Event[E], fn func(E)) {
	events := chromedp.Events(b.ctx, of)
	go func() {
		for e, err := range events {
			if err != nil {
				return
			}
			fn(e)
		}
	}()
}

// call sends a command of the browser's protocol whose answer nobody needs.
func call[P, R any](b *browser, command cdp.Command[P, R], params P) error {
	ctx, cancel := context.WithTimeout(b.ctx, 20*time.Second)
	defer cancel()
	_, err := chromedp.Call(ctx, command, params)
	return err
}

// note keeps what may not happen; a form that was refused on purpose answers
// 4xx, which the browser logs as well.
func (b *browser) note(text string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, f := range append([]string{"status of 4"}, b.forgiven...) {
		if strings.Contains(text, f) {
			return
		}
	}
	b.troubles = append(b.troubles, text)
}

// forgive lets what holds one of the texts happen, until it is called with none.
func (b *browser) forgive(texts ...string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.forgiven = texts
}

// calm holds that nothing happened that may not, and that no page got an element
// from somebody's text.
func (b *browser) calm() {
	b.t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.troubles) > 0 {
		b.t.Errorf("the browser's log: %s", strings.Join(b.troubles, "\n"))
		b.troubles = nil
	}
}

func (b *browser) do(steps ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, time.Minute)
	defer cancel()
	if err := chromedp.Do(ctx, steps...); err != nil {
		b.t.Fatalf("the browser: %v", err)
	}
}

// eval asks the page; while it is being left there is no answer.
func eval[T any](b *browser, script string) (T, error) {
	ctx, cancel := context.WithTimeout(b.ctx, 20*time.Second)
	defer cancel()
	return chromedp.Run(ctx, chromedp.Evaluate[T](script))
}

// open goes to a page by its address, as a bookmark would.
func (b *browser) open(path string) {
	b.t.Helper()
	b.do(chromedp.Navigate(b.base + path))
}

// scheme is what the person's system asks for: light or dark. Nothing moves, so
// that a page is looked at as it ends up.
func (b *browser) scheme(is string) {
	b.t.Helper()
	must(b.t, call(b, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
		Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: is}, {Name: "prefers-reduced-motion", Value: "reduce"}},
	}))
}

// withoutScripts lets pages run none from now on.
func (b *browser) withoutScripts() {
	b.t.Helper()
	must(b.t, call(b, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true}))
}

// until waits for a condition of the page, in its own words.
func (b *browser) until(what, script string, patience time.Duration) {
	b.t.Helper()
	for end := time.Now().Add(patience); ; time.Sleep(100 * time.Millisecond) {
		if ok, err := eval[bool](b, script); err == nil && ok {
			return
		}
		if time.Now().After(end) {
			b.lost(what, patience)
		}
	}
}

// lost ends the test with what the page shows.
func (b *browser) lost(what string, patience time.Duration) {
	b.t.Helper()
	text, _ := eval[string](b, `location.href + "\n" + document.body.innerText`)
	b.picture("failed")
	b.t.Fatalf("waited %s for %s; the page says:\n%s", patience, what, text)
}

// sees waits until the page shows the text.
func (b *browser) sees(text string, patience time.Duration) {
	b.t.Helper()
	b.until("the text "+text, `document.body.innerText.includes(`+quote(text)+`)`, patience)
}

// seesAfterReload is sees for pages that do not change by themselves.
func (b *browser) seesAfterReload(text string, patience time.Duration) {
	b.t.Helper()
	for end := time.Now().Add(patience); ; time.Sleep(time.Second) {
		if ok, err := eval[bool](b, `document.body.innerText.includes(`+quote(text)+`)`); err == nil && ok {
			return
		}
		if time.Now().After(end) {
			b.lost("the text "+text, patience)
		}
		b.do(chromedp.Reload())
	}
}

// stays marks the page; the answer holds that it was never left or loaded again.
func (b *browser) stays() func() {
	b.t.Helper()
	b.do(chromedp.Evaluate[chromedp.Void](`window.stayed = true`))
	return func() {
		b.t.Helper()
		if ok, err := eval[bool](b, `window.stayed === true`); err != nil || !ok {
			b.t.Errorf("the page was loaded again (%v)", err)
		}
	}
}

func quote(text string) string {
	out, _ := json.Marshal(text)
	return string(out)
}
