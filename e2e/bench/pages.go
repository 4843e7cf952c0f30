package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/serverplane/serverplane/e2e/still"
)

// The panel with much in its store, and the one it is compared with.
var (
	large = still.Size{Servers: 50, Apps: 200, Backends: 5, Deployments: 3, Runs: 1500, Lines: 20, Audits: 2000, Minutes: 180}
	small = still.Size{Servers: 7, Apps: 3, Backends: 4, Deployments: 2, Runs: 9, Lines: 20, Audits: 5, Minutes: 5}
)

const (
	pageRounds = 40
	pageLimit  = 100 // ms, p95 of every page
)

// stillPage is one page on both panels.
type stillPage struct {
	name string
	at   [2]string
	took [2]sample // ms
	size int       // bytes on the large one
}

// pages measures what every page costs the panel that serves it: 200 apps and
// 1000 backends, page by page in turn with a panel that has next to nothing.
func (b *bench) pages(ctx context.Context) (err error) {
	ctx, stop := context.WithCancel(ctx)
	var panels [2]*still.Panel
	defer func() {
		stop()
		for _, p := range panels {
			if p != nil {
				err = errors.Join(err, p.Close())
			}
		}
	}()
	var clients [2]*http.Client
	var newest [2]still.Newest
	for i, size := range []still.Size{large, small} {
		dir := filepath.Join(b.dir, fmt.Sprintf("pages%d", i))
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return err
		}
		if panels[i], clients[i], newest[i], err = furnished(ctx, dir, size); err != nil {
			return err
		}
	}
	all := stillPages(newest)
	for range pageRounds {
		for n := range all {
			for i := range panels {
				if err := all[n].ask(ctx, i, panels[i].URL, clients[i]); err != nil {
					return err
				}
			}
		}
	}
	b.topics = append(b.topics, pagesTopic(all))
	return nil
}

func furnished(ctx context.Context, dir string, size still.Size) (p *still.Panel, c *http.Client, n still.Newest, err error) {
	if p, err = still.Open(ctx, dir); err != nil {
		return nil, nil, n, err
	}
	if err = p.Own(ctx); err != nil {
		return p, nil, n, err
	}
	if err = p.Fill(ctx, size, ""); err != nil {
		return p, nil, n, err
	}
	if c, err = p.Stranger(); err == nil {
		err = p.SignIn(c, still.Owner)
	}
	if err == nil {
		n, err = p.Newest(ctx)
	}
	return p, c, n, err
}

// stillPages are all pages of the dashboard with their addresses on both panels.
func stillPages(newest [2]still.Newest) []stillPage {
	on := [2]map[string][]still.Sight{still.Sights(newest[0]), still.Sights(newest[1])}
	var all []stillPage
	for _, pattern := range slices.Sorted(maps.Keys(on[0])) {
		for k, sight := range on[0][pattern] {
			all = append(all, stillPage{name: sight.Name, at: [2]string{sight.Path, on[1][pattern][k].Path}})
		}
	}
	return all
}

// ask loads the page once, whole.
func (p *stillPage) ask(ctx context.Context, i int, base string, c *http.Client) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, base+p.at[i], nil)
	if err != nil {
		return err
	}
	began := time.Now()
	answer, err := c.Do(req)
	if err != nil {
		return fmt.Errorf("load %s: %w", p.name, err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err == nil && answer.StatusCode != http.StatusOK {
		err = fmt.Errorf("load %s: status %d", p.name, answer.StatusCode)
	}
	p.took[i] = append(p.took[i], float64(time.Since(began).Microseconds())/1000)
	if i == 0 {
		p.size = len(body)
	}
	return err
}

func pagesTopic(all []stillPage) topic {
	t := topic{
		title: "Pages with 200 apps and 1000 backends",
		how: fmt.Sprintf("The dashboard's pages and verbs on a store that is filled by hand: %d servers, %d apps with %d backends each, %d Runs, %d lines of audit; "+
			"in turn with a store of %d servers and %d apps. Time until the page is there whole over loopback, %d times each; nothing else happens on these panels. "+
			"The ratio is the median of the rounds' ratios to the small store.", large.Servers, large.Apps, large.Backends, large.Runs, large.Audits, small.Servers, small.Apps, pageRounds),
	}
	for _, p := range all {
		r := latency(p.name, p.took[0], pageLimit, fmt.Sprintf("p95 under %d ms", pageLimit))
		r.figure += fmt.Sprintf(", %.1f × the small store, %d KiB", p.took[0].over(p.took[1]).median(), p.size>>10)
		t.rows = append(t.rows, r)
	}
	return t
}
