// Package app wires the panel together: it makes every part, hands each what it
// needs, and runs and stops them as one.
package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/serverplane/serverplane/internal/ansible"
	"github.com/serverplane/serverplane/internal/config"
	"github.com/serverplane/serverplane/internal/control"
	"github.com/serverplane/serverplane/internal/files"
	"github.com/serverplane/serverplane/internal/health"
	"github.com/serverplane/serverplane/internal/mirror"
	"github.com/serverplane/serverplane/internal/plane"
	"github.com/serverplane/serverplane/internal/probe"
	"github.com/serverplane/serverplane/internal/remote"
	"github.com/serverplane/serverplane/internal/runner"
	"github.com/serverplane/serverplane/internal/secret"
	"github.com/serverplane/serverplane/internal/store"
	"github.com/serverplane/serverplane/internal/stream"
	"github.com/serverplane/serverplane/internal/survey"
	"github.com/serverplane/serverplane/internal/tail"
	"github.com/serverplane/serverplane/internal/traffic"
	"github.com/serverplane/serverplane/internal/web"
	"github.com/serverplane/serverplane/playbooks"
)

// App makes panels.
type App struct {
	log     *slog.Logger
	said    io.Writer // for what only the person who starts the panel may read
	version string
}

// New returns an App; it starts nothing.
func New(log *slog.Logger, said io.Writer, version string) *App {
	return &App{log: log, said: said, version: version}
}

// base is what the running panel and the admin commands share.
type base struct {
	store    *store.Store
	box      *secret.Box
	identity identity
}

func open(ctx context.Context, c config.Config) (*base, error) {
	if err := os.MkdirAll(c.DataDir, 0o700); err != nil {
		return nil, fmt.Errorf("make the data folder: %w", err)
	}
	box, err := secret.Open(filepath.Join(c.DataDir, "secret.key"))
	if err != nil {
		return nil, err
	}
	s, err := store.Open(ctx, store.Config{Path: filepath.Join(c.DataDir, "serverplane.db"), URL: c.DatabaseURL})
	if err != nil {
		return nil, err
	}
	id, err := identify(ctx, s, box)
	if err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return &base{store: s, box: box, identity: id}, nil
}

// Serve runs the panel until ctx ends. Another panel on the same data folder is
// refused.
func (a *App) Serve(ctx context.Context, c config.Config) (err error) {
	b, err := open(ctx, c)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.store.Close()) }()
	lock, owner, err := own(c.DataDir)
	if err != nil {
		return err
	}
	defer lock.Close()
	listener, err := net.Listen("tcp", c.Listen)
	if err != nil {
		return fmt.Errorf("listen on %s: %w", c.Listen, err)
	}
	for _, w := range c.Warnings() {
		a.log.Warn(w)
	}
	a.log.Info("panel is up", "url", "http://"+listener.Addr().String(), "data", c.DataDir, "version", a.version)
	return a.run(ctx, c, b, owner, listener)
}

// run makes all parts and runs them until ctx ends or one of them fails.
func (a *App) run(ctx context.Context, c config.Config, b *base, owner string, l net.Listener) error {
	hub := stream.New()
	pool := remote.NewPool(b.identity.signer, a.log)
	looker := survey.New(pool, b.identity.pem, b.identity.public, files.Login, time.Now)
	prober := probe.New(pool, time.Now)
	watch := health.Config{Store: b.store, Hub: hub, Prober: prober, Now: time.Now, Owner: owner, Log: a.log}
	counter := traffic.New(traffic.Config{Store: b.store, Hub: hub, Executor: pool, Now: time.Now, Owner: owner, Log: a.log})
	keeper, signs, processes := health.New(watch), health.NewServers(watch, pool), health.NewProcesses(watch, pool)
	mirrors := mirror.New(filepath.Join(c.DataDir, "mirrors"), c.AllowInsecureRepositories)
	verbs := control.New(control.Config{
		Store: b.store, Box: b.box, Hub: hub, Sources: mirrors, Surveyor: looker, Checker: keeper, Seer: processes, Logs: tail.New(pool), Engines: looker, Now: time.Now, PanelID: b.identity.id,
		PanelKey: b.identity.public, Insecure: c.AllowInsecureRepositories, Log: a.log,
	})
	work := runner.New(runner.Config{
		Store: b.store, Box: b.box, Hub: hub, Pool: pool, Prober: prober, Looker: looker,
		Player: ansible.New(ansible.Config{
			Playbooks: playbooks.FS, Signer: b.identity.signer, Dir: filepath.Join(c.DataDir, "work"), Log: a.log,
		}),
		Mirrors: mirrors,
		Now:     time.Now, PanelID: b.identity.id, Owner: owner, Log: a.log,
	})
	trusted, err := c.Trusted()
	if err != nil {
		return err
	}
	server := web.New(web.Config{Control: verbs, Pages: verbs, Hints: hub, Log: a.log, Version: a.version, Trusted: trusted})
	if err := a.welcome(ctx, verbs, l.Addr()); err != nil {
		return err
	}

	poolCtx, closePool := context.WithCancel(context.WithoutCancel(ctx))
	pooled := make(chan error, 1)
	go func() { pooled <- pool.Run(poolCtx) }()
	parts, ctx := errgroup.WithContext(ctx)
	parts.Go(func() error { return work.Run(ctx) })
	parts.Go(func() error { return keeper.Run(ctx) })
	parts.Go(func() error { return signs.Run(ctx) })
	parts.Go(func() error { return counter.Run(ctx) })
	parts.Go(func() error { return processes.Run(ctx) })
	parts.Go(func() error { return server.Run(ctx, l) })
	err = parts.Wait()
	closePool() // last: Runs that end use it to clean up
	return errors.Join(err, <-pooled)
}

// welcome tells who starts the panel how its first owner gets in. Not through
// the log, which others may read.
func (a *App) welcome(ctx context.Context, verbs *control.Control, at net.Addr) error {
	token, err := verbs.OpenSetup(ctx)
	if err != nil || token == "" {
		return err
	}
	_, err = fmt.Fprintf(a.said, "Nobody can sign in yet. Become the owner at http://%s/setup with this setup token:\n\n    %s\n\n", at, token)
	return err
}

// Admin does what needs no sign-in: whoever can read the data folder may.
type Admin struct {
	base    *base
	control *control.Control
}

// Admin opens the panel's data beside a running panel.
func (a *App) Admin(ctx context.Context, c config.Config) (*Admin, error) {
	b, err := open(ctx, c)
	if err != nil {
		return nil, err
	}
	verbs := control.New(control.Config{Store: b.store, Box: b.box, Hub: stream.New(), Now: time.Now, Log: a.log})
	return &Admin{base: b, control: verbs}, nil
}

func local() plane.Actor {
	return plane.Actor{Email: "admin command", Role: plane.RoleOwner, From: "local"}
}

// CreateUser makes a person who may sign in.
func (m *Admin) CreateUser(ctx context.Context, email string, role plane.Role, password string) (plane.User, error) {
	return m.control.CreateUser(ctx, local(), email, role, password)
}

// CreateToken makes a token for a person; it is returned once.
func (m *Admin) CreateToken(ctx context.Context, email, name string) (string, error) {
	return m.control.CreateToken(ctx, local(), email, name)
}

// Close closes the data.
func (m *Admin) Close() error { return m.base.store.Close() }
