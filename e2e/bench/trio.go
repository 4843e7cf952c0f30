package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/serverplane/serverplane/client"
	"github.com/serverplane/serverplane/e2e/fleet"
	"github.com/serverplane/serverplane/e2e/lab"
)

// trio is the ordinary case: a panel with three servers that it provisioned.
type trio struct {
	panel   *lab.Panel
	api     *client.Client
	servers []*fleet.Server
	dir     string
}

func (t *trio) primary() *fleet.Server { return t.servers[0] }

// panelTopics measures what needs three servers and a panel.
func (b *bench) panelTopics(ctx context.Context) (err error) {
	t, err := b.makeTrio(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, t.panel.Stop()) }()
	for _, part := range []struct {
		name    string
		measure func(context.Context, *trio) error
	}{
		{"traffic", b.traffic}, {"adding", b.adding}, {"panel", b.panelItself},
	} {
		if !b.wants(part.name) {
			continue
		}
		b.say("%s", part.name)
		if err := part.measure(ctx, t); err != nil {
			return fmt.Errorf("%s: %w", part.name, err)
		}
	}
	return b.dismiss(ctx, t.servers...)
}

func (b *bench) makeTrio(ctx context.Context) (*trio, error) {
	t := &trio{dir: filepath.Join(b.dir, "trio")}
	err := os.MkdirAll(t.dir, 0o700)
	if err != nil {
		return nil, err
	}
	if t.panel, err = lab.NewPanel(b.binary, t.dir); err != nil {
		return nil, err
	}
	if t.servers, err = b.fleet.StartAll(ctx, fleet.Spec{Name: "s1"}, fleet.Spec{Name: "s2"}, fleet.Spec{Name: "s3"}); err != nil {
		return nil, err
	}
	if err := t.panel.Start(ctx); err != nil {
		return nil, err
	}
	if t.api, err = client.New(t.panel.URL, t.panel.Token, client.Options{}); err != nil {
		return nil, err
	}
	var all errgroup.Group
	for _, s := range t.servers {
		all.Go(func() error { return t.panel.AddServer(ctx, s.Name, s.Addr.String(), s.KeyFile) })
	}
	return t, all.Wait()
}

// cli runs a command that must succeed and returns how long it took.
func (t *trio) cli(ctx context.Context, args ...string) (time.Duration, error) {
	begin := time.Now()
	_, err := t.panel.CLI(ctx, args...)
	return time.Since(begin), err
}

// steps runs commands one after the other.
func (t *trio) steps(ctx context.Context, commands ...[]string) error {
	for _, args := range commands {
		if _, err := t.cli(ctx, args...); err != nil {
			return err
		}
	}
	return nil
}

// How the panel itself is measured.
const (
	starts    = 20
	idleFor   = 60 * time.Second
	idleLimit = 60   // MB
	startTime = 1000 // ms
)

// panelItself measures its start and what it holds when nobody asks anything.
func (b *bench) panelItself(ctx context.Context, t *trio) error {
	var begun sample
	for range starts {
		if err := t.panel.Stop(); err != nil {
			return err
		}
		begin := time.Now()
		if err := t.panel.Start(ctx); err != nil {
			return err
		}
		begun.add(time.Since(begin))
	}
	if err := pause(ctx, idleFor); err != nil {
		return err
	}
	used := resident(t.panel.Pid())
	b.topics = append(b.topics, topic{
		title: "The panel itself",
		how: fmt.Sprintf("A panel with three servers. Memory: resident set %s after a start, nobody asking anything but health checks and keep-alives going on. Start: "+
			"from running the program until `/healthz` answers, asked every 20 ms, on the same data.", idleFor),
		rows: []row{
			{what: "idle memory (RSS)", figure: fmt.Sprintf("%.0f MB", used), target: fmt.Sprintf("under %d MB", idleLimit), met: used < idleLimit},
			latency("start", begun, startTime, "p95 under 1 s"),
		},
	})
	return nil
}
