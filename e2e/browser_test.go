//go:build e2e

package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	cdplog "github.com/chromedp/cdproto/log"
	"github.com/chromedp/chromedp"
)

// screenshots is where pages are kept as pictures, for people to look at.
const screenshots = "../out/screenshots"

// browser is one person's headless Chromium on the dashboard.
type browser struct {
	t    *testing.T
	ctx  context.Context
	base string
	size string // part of a picture's name

	mu       sync.Mutex
	troubles []string // what the browser's own log says: errors, refused by the policy
}

// browse opens a browser with a window that wide. At the end of the test
// nothing may be in its log.
func browse(t *testing.T, base string, width int64) *browser {
	t.Helper()
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.NoSandbox, chromedp.ExecPath("/usr/bin/chromium"))
	allocated, end := chromedp.NewExecAllocator(t.Context(), options...)
	t.Cleanup(end)
	ctx, closeTab := chromedp.NewContext(allocated)
	t.Cleanup(closeTab)
	must(t, chromedp.Do(ctx)) // opened by a context that lasts as long as the tab
	b := &browser{t: t, ctx: ctx, base: base, size: fmt.Sprint(width)}
	b.do(chromedp.Func(func(ctx context.Context, tab *chromedp.Target) error {
		_, err := cdp.Call(ctx, tab, cdplog.Enable, cdp.Empty{})
		return err
	}))
	entries := chromedp.Events(ctx, cdplog.EntryAdded)
	go func() {
		for e, err := range entries {
			if err != nil {
				return
			}
			b.note(string(e.Entry.Level), e.Entry.Text, e.Entry.URL)
		}
	}()
	b.do(chromedp.EmulateViewport(width, 900))
	return b
}

// note keeps what may not happen; a form that was refused on purpose answers
// 4xx, which the browser logs as well.
func (b *browser) note(level, text, at string) {
	if level != "error" || strings.Contains(text, "status of 4") {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.troubles = append(b.troubles, text+" at "+at)
}

func (b *browser) calm() {
	b.t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.troubles) > 0 {
		b.t.Errorf("the browser's log: %s", strings.Join(b.troubles, "\n"))
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

// until waits for a condition of the page, in its own words.
func (b *browser) until(what, script string, patience time.Duration) {
	b.t.Helper()
	for end := time.Now().Add(patience); ; time.Sleep(100 * time.Millisecond) {
		if ok, err := eval[bool](b, script); err == nil && ok {
			return
		}
		if time.Now().After(end) {
			text, _ := eval[string](b, `location.href + "\n" + document.body.innerText`)
			b.shot("failed")
			b.t.Fatalf("waited %s for %s; the page says:\n%s", patience, what, text)
		}
	}
}

// sees waits until the page shows the text.
func (b *browser) sees(text string, patience time.Duration) {
	b.t.Helper()
	b.until("the text "+text, `document.body.innerText.includes(`+quote(text)+`)`, patience)
}

// click presses what a person would call by that name: a button, a link, a tick.
func (b *browser) click(name string) {
	b.t.Helper()
	b.until("something to press called "+name, `(() => {
		const name = `+quote(name)+`;
		for (const e of document.querySelectorAll("button, a, summary, label"))
			if (e.textContent.replace(/\s+/g, " ").trim() === name && e.checkVisibility()) { e.scrollIntoView(); e.click(); return true; }
		return false;
	})()`, 10*time.Second)
	time.Sleep(50 * time.Millisecond) // the browser begins to leave the page
}

// fill types into the field with the name.
func (b *browser) fill(field, value string) {
	b.t.Helper()
	b.until("a field "+field, `(() => {
		const e = document.querySelector("[name="+`+quote(field)+`+"]:not([type=hidden])");
		if (!e || !e.checkVisibility()) return false;
		e.focus(); e.value = `+quote(value)+`; e.dispatchEvent(new Event("input", {bubbles: true})); e.dispatchEvent(new Event("change", {bubbles: true}));
		return true;
	})()`, 10*time.Second)
}

// choose presses one of several radio buttons.
func (b *browser) choose(field, value string) {
	b.t.Helper()
	b.until("a choice "+value+" of "+field, `(() => {
		const e = document.querySelector("[name="+`+quote(field)+`+"][value="+CSS.escape(`+quote(value)+`)+"]");
		if (!e || e.disabled) return false;
		e.click();
		return true;
	})()`, 10*time.Second)
}

// shot keeps the page as a picture, and holds that nothing needs scrolling sideways.
func (b *browser) shot(name string) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, time.Minute)
	defer cancel()
	picture, err := chromedp.Run(ctx, chromedp.FullScreenshot(100))
	must(b.t, err)
	must(b.t, os.MkdirAll(screenshots, 0o755))
	must(b.t, os.WriteFile(filepath.Join(screenshots, name+"-"+b.size+".png"), picture, 0o644))
	wide, err := eval[bool](b, "document.documentElement.scrollWidth > window.innerWidth + 1")
	must(b.t, err)
	if wide {
		b.t.Errorf("%s at %s px is wider than the window", name, b.size)
	}
}

func quote(text string) string {
	out, _ := json.Marshal(text)
	return string(out)
}
