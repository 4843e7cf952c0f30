//go:build e2e

// Package e2e tells what a person does with ServerPlane, on real servers with
// the real binary. Nothing here knows the inside of the panel.
package e2e

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/serverplane/serverplane/client"
	"github.com/serverplane/serverplane/e2e/fleet"
	"github.com/serverplane/serverplane/e2e/lab"
)

// world is one fleet with one panel and one app's repository.
type world struct {
	ctx     context.Context
	fleet   *fleet.Fleet
	servers map[string]*fleet.Server
	panel   *lab.Panel
	repo    *lab.Repository
	api     *client.Client
	sights  *sights
}

// newWorld starts fresh Debian servers of these names and a panel.
func newWorld(t *testing.T, names ...string) *world {
	t.Helper()
	return makeWorld(t, fleet.Config{Log: os.Stderr}, named(names)...)
}

// newEquippedWorld is newWorld on servers that have the packages which the
// panel would install: for stories that are not about a first installation.
func newEquippedWorld(t *testing.T, specs ...fleet.Spec) *world {
	t.Helper()
	return makeWorld(t, fleet.Config{Log: os.Stderr, Packages: lab.Packages()}, specs...)
}

// newUnownedWorld is newEquippedWorld with a panel that nobody can sign in to yet.
func newUnownedWorld(t *testing.T, specs ...fleet.Spec) *world {
	t.Helper()
	w := makeFleet(t, fleet.Config{Log: os.Stderr, Packages: lab.Packages()}, specs...)
	w.makePanel(t)
	must(t, w.panel.Launch(w.ctx))
	return w
}

func named(names []string) []fleet.Spec {
	specs := make([]fleet.Spec, len(names))
	for i, n := range names {
		specs[i] = fleet.Spec{Name: n}
	}
	return specs
}

func makeWorld(t *testing.T, config fleet.Config, specs ...fleet.Spec) *world {
	t.Helper()
	w := makeFleet(t, config, specs...)
	w.startPanel(t)
	return w
}

func makeFleet(t *testing.T, config fleet.Config, specs ...fleet.Spec) *world {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 35*time.Minute)
	t.Cleanup(cancel)
	f, err := fleet.New(config)
	must(t, err)
	t.Cleanup(func() { must(t, f.Close()) })
	w := &world{ctx: ctx, fleet: f, servers: map[string]*fleet.Server{}}
	w.start(t, specs...)
	return w
}

// start adds fresh servers to the world.
func (w *world) start(t *testing.T, specs ...fleet.Spec) {
	t.Helper()
	started, err := w.fleet.StartAll(w.ctx, specs...)
	must(t, err)
	for _, s := range started {
		w.servers[s.Name] = s
	}
}

func (w *world) startPanel(t *testing.T) {
	t.Helper()
	w.makePanel(t)
	must(t, w.panel.Start(w.ctx))
	w.befriended(t)
}

// befriended lets the world use the panel's API.
func (w *world) befriended(t *testing.T) {
	t.Helper()
	var err error
	w.api, err = client.New(w.panel.URL, w.panel.Token, client.Options{})
	must(t, err)
}

// makePanel builds the program and prepares a panel, with a repository to deploy
// from; what runs in the end is stopped.
func (w *world) makePanel(t *testing.T) {
	t.Helper()
	dir := t.TempDir()
	binary, err := lab.Build(w.ctx, dir)
	must(t, err)
	w.repo, err = lab.NewRepository(filepath.Join(dir, "repo"), "../examples/nodejs")
	must(t, err)
	w.panel, err = lab.NewPanel(binary, dir)
	must(t, err)
	t.Cleanup(func() {
		must(t, w.panel.Stop())
		if t.Failed() {
			log, _ := os.ReadFile(w.panel.Log)
			t.Logf("the panel's log ends with:\n%s", lastLines(string(log), 60))
		}
	})
}

// add adds servers to the panel, all at once, as a person would.
func (w *world) add(t *testing.T, names ...string) {
	t.Helper()
	var all errgroup.Group
	for _, n := range names {
		s := w.servers[n]
		all.Go(func() error { return w.panel.AddServer(w.ctx, n, s.Addr.String(), s.KeyFile) })
	}
	must(t, all.Wait())
}

// cli runs a command that must succeed.
func (w *world) cli(t *testing.T, args ...string) string {
	t.Helper()
	out, err := w.panel.CLI(w.ctx, args...)
	must(t, err)
	return strings.TrimSpace(out)
}

// refuse runs a command that must fail with this exit code; it returns all it said.
func (w *world) refuse(t *testing.T, exit int, args ...string) string {
	t.Helper()
	_, err := w.panel.CLI(w.ctx, args...)
	failure, ok := err.(*lab.Failure)
	if !ok || failure.Exit != exit {
		t.Fatalf("serverplane %s: %v; want exit %d", strings.Join(args, " "), err, exit)
	}
	return failure.Stdout + failure.Stderr
}

// ssh runs a command on a server as root, beside ServerPlane.
func (w *world) ssh(t *testing.T, server, command string) string {
	t.Helper()
	out, err := w.servers[server].SSH(w.ctx, command, nil)
	must(t, err)
	return strings.TrimSpace(out)
}

// entry is where visitors reach an app that answers any name on a server.
func (w *world) entry(server string) string { return "http://" + w.servers[server].Addr.String() + "/" }

// backend reads one backend as the API shows it.
func (w *world) backend(t *testing.T, app, server string) client.Backend {
	t.Helper()
	b, err := w.api.Backend(w.ctx, app, server)
	must(t, err)
	return b
}

// until waits for something that must become true, and says what was last seen.
func until(t *testing.T, limit time.Duration, what string, look func() (bool, string)) {
	t.Helper()
	deadline := time.NewTimer(limit)
	defer deadline.Stop()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		ok, seen := look()
		if ok {
			return
		}
		select {
		case <-deadline.C:
			t.Fatalf("%s: not within %s; last seen: %s", what, limit, seen)
		case <-tick.C:
		}
	}
}

// untilState waits until a backend shows a state.
func (w *world) untilState(t *testing.T, app, server, state string, limit time.Duration) client.Backend {
	t.Helper()
	var b client.Backend
	until(t, limit, server+" becomes "+state, func() (bool, string) {
		b = w.backend(t, app, server)
		return b.State == state, fmt.Sprintf("%s: %s (%s)", b.State, b.Reason, b.Answer)
	})
	return b
}

// lastRun is the newest Run of a kind.
func (w *world) lastRun(t *testing.T, kind string) client.Run {
	t.Helper()
	return w.lastRunOf(t, "", kind)
}

// lastRunOf is the newest Run of a kind for one app.
func (w *world) lastRunOf(t *testing.T, app, kind string) client.Run {
	t.Helper()
	all, err := w.api.Runs(w.ctx, client.RunFilter{App: app})
	must(t, err)
	for _, r := range all.Items {
		if r.Kind == kind {
			return r
		}
	}
	t.Fatalf("there is no Run of kind %s", kind)
	return client.Run{}
}

// underWay waits until the transient unit of a Run is active on a server: a
// build is really running there.
func (w *world) underWay(t *testing.T, app, run, server string) {
	t.Helper()
	unit := "sp-" + app + "-run-" + run
	until(t, 5*time.Minute, unit+" runs on "+server, func() (bool, string) {
		out, err := w.servers[server].SSH(w.ctx, "systemctl is-active "+unit+" || true", nil)
		must(t, err)
		return strings.TrimSpace(out) == "active", out
	})
}

// noneLost fails when visitors lost anything.
func noneLost(t *testing.T, c lab.Count) {
	t.Helper()
	t.Logf("visitors: %d requests, %d lost, served by %v", c.Sent, c.Lost, c.Served)
	if c.Sent == 0 || c.Lost > 0 {
		t.Errorf("%d of %d requests were lost, the first: %s", c.Lost, c.Sent, c.First)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func lastLines(text string, n int) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	if len(lines) > n {
		lines = lines[len(lines)-n:]
	}
	return strings.Join(lines, "\n")
}
