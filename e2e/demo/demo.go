package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/serverplane/serverplane/e2e/fleet"
	"github.com/serverplane/serverplane/e2e/lab"
)

const (
	app      = "hello"
	requests = 30
	patience = 20 * time.Minute // for all of the work, a first base image included
)

// demo is one showing. What it has made so far is what clear takes away.
type demo struct {
	told   *narrator
	binary string
	check  bool

	dir     string
	fleet   *fleet.Fleet
	servers []*fleet.Server
	panel   *lab.Panel
	entry   *forward
}

func newDemo(out io.Writer, binary string, check bool) *demo {
	return &demo{told: newNarrator(out), binary: binary, check: check}
}

// run shows everything and leaves nothing, whatever happens in between.
func (d *demo) run(ctx context.Context) (err error) {
	defer func() { err = errors.Join(err, d.clear()) }()
	err = d.show(ctx)
	if ctx.Err() != nil {
		d.told.say("Interrupted.")
		if d.check {
			return errors.New("interrupted before the check was done")
		}
		return nil
	}
	return err
}

func (d *demo) show(ctx context.Context) error {
	work, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for _, step := range []func(context.Context) error{d.prepare, d.boot, d.addServers, d.createApp, d.balance} {
		if err := step(work); err != nil {
			return err
		}
	}
	if err := d.share(); err != nil || d.check {
		return err
	}
	d.told.howToReach(d)
	<-ctx.Done()
	return nil
}

// prepare makes the folder everything lives in, the program and a panel.
func (d *demo) prepare(ctx context.Context) (err error) {
	if d.dir, err = os.MkdirTemp("", "serverplane-demo-"); err != nil {
		return fmt.Errorf("make a folder: %w", err)
	}
	if d.binary == "" {
		d.told.say("I build the serverplane program.")
		if d.binary, err = lab.Build(ctx, d.dir); err != nil {
			return err
		}
	}
	if d.binary, err = filepath.Abs(d.binary); err != nil {
		return fmt.Errorf("find the serverplane program: %w", err)
	}
	if d.panel, err = lab.NewPanel(d.binary, d.dir); err != nil {
		return err
	}
	return d.panel.Start(ctx)
}

// boot makes three servers.
func (d *demo) boot(ctx context.Context) (err error) {
	d.told.say("The panel runs at %s. I boot three Debian servers (the first time, their base image takes a minute).", d.panel.URL)
	if d.fleet, err = fleet.New(fleet.Config{Log: d.told}); err != nil {
		return err
	}
	d.servers, err = d.fleet.StartAll(ctx, fleet.Spec{Name: "s1"}, fleet.Spec{Name: "s2"}, fleet.Spec{Name: "s3"})
	return err
}

// addServers hands the servers to the panel, all at once.
func (d *demo) addServers(ctx context.Context) error {
	d.told.say("Three servers are up, empty but for sshd. I hand them to the panel, which provisions them.")
	group, ctx := errgroup.WithContext(ctx)
	for _, s := range d.servers {
		group.Go(func() error {
			if err := d.panel.AddServer(ctx, s.Name, s.Addr.String(), s.KeyFile); err != nil {
				return err
			}
			d.told.say("%s is ready.", s.Name)
			return nil
		})
	}
	return group.Wait()
}

// createApp deploys the example from a repository of its own.
func (d *demo) createApp(ctx context.Context) error {
	repository, err := lab.NewRepository(filepath.Join(d.dir, "repository"), filepath.Join("examples", "nodejs"))
	if err != nil {
		return err
	}
	d.told.say("I create the app %s on s1 from a Git repository. s1 installs Node.js, then builds and starts the app.", app)
	_, err = d.panel.CLI(ctx, "app", "create", app, "--server", "s1", "--kind", "nodejs", "--repo", repository.URL(), "--option", "drain=2s", "--wait")
	return err
}

// balance turns s1 into the entry and adds the others.
func (d *demo) balance(ctx context.Context) error {
	d.told.say("%s serves from s1. I enable its load balancer and add s2 and s3.", app)
	if _, err := d.panel.CLI(ctx, "lb", "enable", app, "--yes", "--wait"); err != nil {
		return err
	}
	for _, s := range d.servers[1:] {
		if _, err := d.panel.CLI(ctx, "backend", "add", app, s.Name, "--wait"); err != nil {
			return err
		}
		d.told.say("%s serves too.", s.Name)
	}
	return nil
}

// share opens the way to the entry, sends requests through it and shows who
// answered them.
func (d *demo) share() (err error) {
	if d.entry, err = openForward(d.servers[0].Addr.String() + ":80"); err != nil {
		return err
	}
	d.told.say("I send %d requests through the entry on s1.", requests)
	count, err := lab.Spread(d.entry.url(), requests)
	d.told.spread(count, d.servers)
	if err != nil {
		return fmt.Errorf("send requests through the entry: %w", err)
	}
	return even(count, d.servers)
}

// even tells whether every request was answered and every server had its part,
// give or take one.
func even(c lab.Count, servers []*fleet.Server) error {
	part := requests / len(servers)
	if c.Sent != requests || c.Lost > 0 {
		return fmt.Errorf("%d of %d requests were lost: %s", c.Lost, c.Sent, c.First)
	}
	for _, s := range servers {
		if n := c.Served[s.Name]; n < part-1 || n > part+1 {
			return fmt.Errorf("%s served %d of %d requests, expected %d, give or take one", s.Name, n, requests, part)
		}
	}
	return nil
}

// clear takes everything away, the newest first, and goes on after an error.
func (d *demo) clear() error {
	var errs []error
	if d.entry != nil {
		errs = append(errs, d.entry.close())
	}
	if d.panel != nil {
		d.told.say("I stop the panel; work under way is ended in order.")
		errs = append(errs, d.panel.Stop())
	}
	if d.fleet != nil {
		d.told.say("I take the servers away.")
		errs = append(errs, d.fleet.Close())
	}
	if d.dir != "" {
		errs = append(errs, os.RemoveAll(d.dir))
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("take everything away: %w", err)
	}
	d.told.say("Nothing is left.")
	return nil
}
