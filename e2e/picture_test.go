//go:build e2e

package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// screenshots is where pages are kept as pictures, for people to look at.
const screenshots = "../out/screenshots"

// axeFile is fetched by make assets.
const axeFile = "../out/assets/node_modules/axe-core/axe.min.js"

// shot keeps the page as a picture, and holds that nothing needs scrolling sideways.
func (b *browser) shot(name string) {
	b.t.Helper()
	b.picture(name)
	b.narrow(name)
}

// narrow holds that a page is not wider than its window.
func (b *browser) narrow(name string) {
	b.t.Helper()
	wide, err := eval[bool](b, "document.documentElement.scrollWidth > window.innerWidth + 1")
	must(b.t, err)
	if wide {
		b.t.Errorf("%s at %s px is wider than the window", name, b.name)
	}
}

func (b *browser) picture(name string) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, time.Minute)
	defer cancel()
	png, err := chromedp.Run(ctx, chromedp.FullScreenshot(100))
	must(b.t, err)
	must(b.t, os.MkdirAll(screenshots, 0o755))
	must(b.t, os.WriteFile(filepath.Join(screenshots, name+"-"+b.name+".png"), png, 0o644))
}

// accessible holds that axe-core finds nothing serious on the page; only some
// rules where they are named. It runs in a world of its own, so that the page's
// policy stays as it is.
func (b *browser) accessible(what string, rules ...string) {
	b.t.Helper()
	found, err := b.axe(rules)
	must(b.t, err)
	for _, f := range found {
		if f.Impact == "serious" || f.Impact == "critical" {
			b.t.Errorf("%s at %s px: %s", what, b.name, f)
		}
	}
}

// finding is one rule of axe-core's that a page breaks.
type finding struct {
	ID, Impact, Help string
	Nodes            []struct {
		HTML           string `json:"html"`
		FailureSummary string `json:"failureSummary"`
	}
}

func (f finding) String() string {
	var s strings.Builder
	fmt.Fprintf(&s, "%s (%s): %s", f.ID, f.Impact, f.Help)
	for _, n := range f.Nodes {
		fmt.Fprintf(&s, "\n  %s\n    %s", n.HTML, strings.ReplaceAll(n.FailureSummary, "\n", " "))
	}
	return s.String()
}

func (b *browser) axe(rules []string) (found []finding, err error) {
	source, err := os.ReadFile(axeFile)
	if err != nil {
		return nil, fmt.Errorf("make assets fetches axe-core: %w", err)
	}
	only, err := json.Marshal(rules)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(b.ctx, time.Minute)
	defer cancel()
	text, err := chromedp.Run(ctx, func(ctx context.Context, tab *chromedp.Target) (string, error) {
		world, err := besides(ctx, tab)
		if err != nil {
			return "", err
		}
		if known, err := promised(ctx, tab, world, `typeof axe`); err != nil || known == "undefined" {
			if _, err = promised(ctx, tab, world, string(source)+`;"loaded"`); err != nil {
				return "", err
			}
		}
		return promised(ctx, tab, world, `(async () => {
			const rules = `+string(only)+`, options = {resultTypes: ["violations"], preload: false};
			if (rules) options.runOnly = {type: "rule", values: rules};
			return JSON.stringify((await axe.run(document, options)).violations);
		})()`)
	})
	if err != nil {
		return nil, fmt.Errorf("axe-core: %w", err)
	}
	return found, json.Unmarshal([]byte(text), &found)
}

// besides is a world of its own on the page: it shares the page's elements and
// neither its scripts nor its policy.
func besides(ctx context.Context, tab *chromedp.Target) (runtime.ExecutionContextID, error) {
	tree, err := cdp.Call(ctx, tab, page.GetFrameTree, cdp.Empty{})
	if err != nil {
		return 0, err
	}
	world, err := cdp.Call(ctx, tab, page.CreateIsolatedWorld, page.CreateIsolatedWorldParams{FrameID: tree.FrameTree.Frame.ID, WorldName: "axe"})
	return world.ExecutionContextID, err
}

// promised evaluates a script that is or promises a text.
func promised(ctx context.Context, tab *chromedp.Target, world runtime.ExecutionContextID, script string) (text string, err error) {
	result, err := cdp.Call(ctx, tab, runtime.Evaluate, runtime.EvaluateParams{
		Expression: script, ContextID: world, AwaitPromise: new(true), ReturnByValue: new(true),
	})
	if err != nil {
		return "", err
	}
	if result.ExceptionDetails != nil {
		return "", fmt.Errorf("%s %s", result.ExceptionDetails.Text, result.ExceptionDetails.Exception.Description)
	}
	return text, json.Unmarshal(result.Result.Value, &text)
}
