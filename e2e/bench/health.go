package main

import (
	"context"
	"fmt"
	"math"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/serverplane/serverplane/client"
	"github.com/serverplane/serverplane/e2e/fleet"
	"github.com/serverplane/serverplane/e2e/lab"
	"github.com/serverplane/serverplane/internal/files"
	"github.com/serverplane/serverplane/internal/plane"
	"github.com/serverplane/serverplane/internal/store"
)

// The estate: every app has its primary on one server and a backend on each.
const (
	primaries   = 10
	appsOnEach  = 5
	estateApps  = primaries * appsOnEach
	watchedFor  = 60 * time.Second
	estatePort  = 21000 // of the first app; the next ones follow
	healthLimit = 15.0  // per cent of one core
)

// estate is ten servers with fifty apps, known to a panel that did not deploy
// them: its store is written by hand, its health checks are real.
type estate struct {
	panel   *lab.Panel
	api     *client.Client
	servers []*fleet.Server
}

// health measures what watching 500 backends costs the real panel.
func (b *bench) health(ctx context.Context) (err error) {
	e := &estate{}
	if e.servers, err = b.fleet.StartAll(ctx, named("estate", primaries)...); err != nil {
		return err
	}
	if e.panel, err = lab.NewPanel(b.binary, filepath.Join(b.dir, "estate")); err != nil {
		return err
	}
	defer func() { _ = e.panel.Stop() }() // its folder goes anyway
	if err := e.settle(ctx); err != nil {
		return err
	}
	if err := e.allHealthy(ctx); err != nil {
		return err
	}
	b.say("500 backends are healthy; watching for %s", watchedFor)
	seen, err := e.watch(ctx)
	if err != nil {
		return err
	}
	b.topics = append(b.topics, seen.topic())
	return b.dismiss(ctx, e.servers...)
}

// settle gives the panel its key's way into the servers, and what it knows.
func (e *estate) settle(ctx context.Context) (err error) {
	if err := os.MkdirAll(filepath.Dir(e.panel.Dir), 0o700); err != nil {
		return err
	}
	if err := e.panel.Start(ctx); err != nil { // makes the key and the schema
		return err
	}
	if e.api, err = client.New(e.panel.URL, e.panel.Token, client.Options{}); err != nil {
		return err
	}
	key, err := e.api.PanelKey(ctx)
	if err != nil {
		return err
	}
	if err := e.panel.Stop(); err != nil {
		return err
	}
	var all errgroup.Group
	for _, s := range e.servers {
		all.Go(func() error { return furnish(ctx, s, key.Key) })
	}
	if err := all.Wait(); err != nil {
		return err
	}
	if err := e.seed(ctx); err != nil {
		return err
	}
	return e.panel.Start(ctx)
}

// furnish makes a server one that the panel can sign in to, with a site for
// each app's backend that counts what it was asked.
func furnish(ctx context.Context, s *fleet.Server, key string) error {
	var sites strings.Builder
	for n := range estateApps {
		port := estatePort + n
		fmt.Fprintf(&sites, "server { listen 127.0.0.1:%[1]d; listen %[2]s:%[1]d; location / { return 200 ok; } }\n", port, s.Addr)
	}
	conf := "user www-data;\npid /run/bench-estate.pid;\nerror_log stderr;\nevents { worker_connections 768; }\nhttp {\naccess_log /var/log/bench/asked.log;\n" +
		sites.String() + "}\n"
	err := place(ctx, s, file{"/etc/bench/estate.conf", conf},
		file{"/etc/sudoers.d/serverplane", files.Login + " ALL=(ALL) NOPASSWD: ALL\n"},
		file{"/home/" + files.Login + "/.ssh/authorized_keys", key + "\n"})
	if err != nil {
		return err
	}
	if _, err := s.SSH(ctx, "useradd --shell /bin/bash "+files.Login+" && chown -R "+files.Login+": /home/"+files.Login+" && chmod 440 /etc/sudoers.d/serverplane", nil); err != nil {
		return err
	}
	return runUnit(ctx, s, "bench-estate", "nginx -c /etc/bench/estate.conf -g 'daemon off;'")
}

// seed writes servers, apps and backends as a panel would have that deployed them.
func (e *estate) seed(ctx context.Context) error {
	s, err := store.Open(ctx, store.Config{Path: filepath.Join(e.panel.Dir, "serverplane.db")})
	if err != nil {
		return err
	}
	defer func() { _ = s.Close() }()
	return s.Write(ctx, func(tx *store.Tx) error {
		known, err := e.seedServers(ctx, tx)
		if err != nil {
			return err
		}
		for n := range estateApps {
			if err := seedApp(ctx, tx, n, known); err != nil {
				return err
			}
		}
		return nil
	})
}

func (e *estate) seedServers(ctx context.Context, tx *store.Tx) ([]plane.Server, error) {
	now := time.Now().UTC()
	known := make([]plane.Server, len(e.servers))
	for i, s := range e.servers {
		key, err := hostKey(s)
		if err != nil {
			return nil, err
		}
		known[i] = plane.Server{
			ID: plane.NewID(plane.PrefixServer), Name: s.Name, Address: s.Addr, PrivateAddress: s.Addr, SSHPort: 22,
			HostKey: key, Firewall: plane.FirewallLeave, State: plane.ServerReady,
			Since: now, CreatedAt: now,
		}
		if err := tx.CreateServer(ctx, known[i]); err != nil {
			return nil, err
		}
	}
	return known, nil
}

// seedApp writes the nth app, at home on one server, with a backend on each.
func seedApp(ctx context.Context, tx *store.Tx, n int, known []plane.Server) error {
	now, home := time.Now().UTC(), known[n%len(known)]
	app := plane.App{
		ID: plane.NewID(plane.PrefixApp), Name: fmt.Sprintf("app%d", n), Kind: plane.KindNodeJS, ServerID: home.ID, Branch: plane.DefaultBranch,
		Domains: []string{fmt.Sprintf("app%d.example.com", n)}, Spec: plane.Spec{}.WithDefaults(plane.KindNodeJS), State: plane.AppLive,
		Since: now, CreatedAt: now, Balancer: plane.NewLoadBalancer(), Repository: "https://example.com/app.git",
	}
	app.Balancer.Status = plane.BalancerOn
	if err := tx.CreateApp(ctx, app); err != nil {
		return err
	}
	if err := tx.SetLive(ctx, app.ID, plane.SlotA, plane.NewID(plane.PrefixDeployment)); err != nil {
		return err
	}
	for _, s := range known {
		backend := plane.Backend{
			ID: plane.NewID(plane.PrefixBackend), AppID: app.ID, ServerID: s.ID, Primary: s.ID == home.ID, Enabled: true, Placed: true, Weight: 1,
			Ports:  plane.Ports{ProcessA: 23000 + n, ProcessB: 24000 + n, SiteA: estatePort + n, SiteB: 22000 + n},
			SeenAs: netip.MustParseAddr("127.0.0.1"), CreatedAt: now, Health: plane.Health{State: plane.BackendDeploying, Since: now},
		}
		if err := tx.CreateBackend(ctx, backend); err != nil {
			return err
		}
	}
	return nil
}

// allHealthy waits until the panel has seen every backend answer.
func (e *estate) allHealthy(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 90*time.Second)
	defer cancel()
	return poll(ctx, time.Second, func() (bool, error) {
		healthy, _, err := e.look(ctx)
		return healthy == estateApps*primaries, err
	})
}

// look counts the healthy backends and returns the age of the oldest look.
func (e *estate) look(ctx context.Context) (healthy int, oldest time.Duration, err error) {
	for n := range estateApps {
		list, err := e.api.Backends(ctx, fmt.Sprintf("app%d", n))
		if err != nil {
			return 0, 0, err
		}
		for _, b := range list.Items {
			if b.State == "healthy" {
				healthy++
			}
			oldest = max(oldest, time.Since(b.CheckedAt))
		}
	}
	return healthy, oldest, nil
}

// tally is how many questions had arrived at a moment.
type tally struct {
	asked int
	at    time.Time
}

// asked counts the questions that arrived at all backends so far, all servers
// at once.
func (e *estate) asked(ctx context.Context) (tally, error) {
	counts := make([]int, len(e.servers))
	var all errgroup.Group
	t := tally{at: time.Now()}
	for i, s := range e.servers {
		all.Go(func() error {
			out, err := s.SSH(ctx, "wc -l </var/log/bench/asked.log", nil)
			if err == nil {
				_, err = fmt.Sscan(out, &counts[i])
			}
			return err
		})
	}
	err := all.Wait()
	for _, n := range counts {
		t.asked += n
	}
	return t, err
}

// watched is what a minute of watching cost.
type watched struct {
	core    float64 // per cent of one core
	rss     float64 // MB
	probes  float64 // per second
	healthy int
	oldest  time.Duration
}

func (e *estate) watch(ctx context.Context) (watched, error) {
	var w watched
	before, err := e.asked(ctx)
	if err != nil {
		return w, err
	}
	begin, used := time.Now(), processorTime(e.panel.Pid())
	if err := pause(ctx, watchedFor); err != nil {
		return w, err
	}
	w.core = 100 * (processorTime(e.panel.Pid()) - used).Seconds() / time.Since(begin).Seconds()
	w.rss = resident(e.panel.Pid())
	after, err := e.asked(ctx)
	if err != nil {
		return w, err
	}
	w.probes = float64(after.asked-before.asked) / after.at.Sub(before.at).Seconds()
	w.healthy, w.oldest, err = e.look(ctx)
	return w, err
}

func (w watched) topic() topic {
	total := estateApps * primaries
	return topic{
		title: fmt.Sprintf("Health of %d backends", total),
		how: fmt.Sprintf("The real panel with a store of %d servers and %d apps, each with its primary on one server and a backend on every one: %d backends asked at the "+
			"default interval of 10 s through the held SSH connections to %d real primaries. Processor time of the panel's process, everything it does included, over %s; the "+
			"backends count what they are asked.", primaries, estateApps, total, primaries, watchedFor),
		rows: []row{
			{what: "processor", figure: fmt.Sprintf("%.1f %% of one core", w.core), target: fmt.Sprintf("under %.0f %%", healthLimit), met: w.core < healthLimit},
			{what: "memory of the panel (RSS)", figure: fmt.Sprintf("%.0f MB", w.rss)},
			{what: "questions that arrived", figure: fmt.Sprintf("%.1f per second", w.probes), target: "50, within 5 %", met: math.Abs(w.probes-50) <= 2.5},
			{what: "backends healthy at the end", figure: fmt.Sprintf("%d of %d", w.healthy, total), target: "all", met: w.healthy == total},
			{what: "oldest look at the end", figure: fmt.Sprintf("%.1f s ago", w.oldest.Seconds()), target: "under 12 s", met: w.oldest < 12*time.Second},
		},
	}
}
