package health_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/serverplane/serverplane/internal/health"
	"github.com/serverplane/serverplane/internal/plane"
	"github.com/serverplane/serverplane/internal/probe"
	"github.com/serverplane/serverplane/internal/remote"
	"github.com/serverplane/serverplane/internal/store"
	"github.com/serverplane/serverplane/internal/stream"
)

// speed is how much faster than the wall clock a Keeper's clock goes here: an
// interval of a second passes with every look. Answers are waited for by the
// wall clock, for longer than a busy machine takes.
const speed = 8

// patient is how long a test waits for what must happen, on a machine that has other things to do.
const patient = time.Minute

// panel is a store, and the keepers that share it.
type panel struct {
	*testing.T
	store *store.Store
	hub   *stream.Hub
	begun time.Time
	speed atomic.Int64
	mu    sync.Mutex
	sites map[string]*site // by the address the entry reaches them at
}

// site is a real HTTP server in the place of a slot of a backend.
type site struct {
	status atomic.Int32
	at     string
	mu     sync.Mutex
	asked  map[string]int // how often, by the keeper's owner
}

func newPanel(t *testing.T) *panel {
	t.Helper()
	s, err := store.Open(t.Context(), store.Config{Path: filepath.Join(t.TempDir(), "panel.db")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	p := &panel{T: t, store: s, hub: stream.New(), begun: time.Now(), sites: map[string]*site{}}
	p.speed.Store(speed)
	return p
}

func (p *panel) now() time.Time {
	return p.begun.Add(time.Duration(p.speed.Load()) * time.Since(p.begun))
}

func (p *panel) write(fn func(ctx context.Context, tx *store.Tx) error) {
	p.Helper()
	if err := p.store.Write(p.Context(), func(tx *store.Tx) error { return fn(p.Context(), tx) }); err != nil {
		p.Fatal(err)
	}
}

// server is the nth one.
func (p *panel) server(n int) plane.Server {
	s := plane.Server{
		ID: fmt.Sprintf("srv_aaaaaaaaaaaaaaa%d", n), Name: fmt.Sprintf("s%d", n), SSHPort: 22, State: plane.ServerReady,
		Address: netip.MustParseAddr(fmt.Sprintf("203.0.113.%d", n)), PrivateAddress: netip.MustParseAddr(fmt.Sprintf("10.0.0.%d", n)),
		Firewall: plane.FirewallManage, Since: p.begun, CreatedAt: p.begun,
	}
	p.write(func(ctx context.Context, tx *store.Tx) error { return tx.CreateServer(ctx, s) })
	return s
}

// app is live in slot a, unless change says otherwise.
func (p *panel) app(name string, primary plane.Server, change ...func(*plane.App)) plane.App {
	a := plane.App{
		ID: plane.NewID(plane.PrefixApp), Name: name, Kind: plane.KindNodeJS, ServerID: primary.ID, Branch: "main", State: plane.AppLive,
		LiveSlot: plane.SlotA, LiveID: "dep_aaaaaaaaaaaaaaaa", Domains: []string{name + ".example.com"}, Balancer: plane.NewLoadBalancer(),
		Spec: plane.Spec{HealthPath: "/up"}, Since: p.begun, CreatedAt: p.begun,
	}
	a.Balancer.Health = plane.HealthCheck{Interval: plane.Duration(time.Second), Timeout: plane.Duration(time.Minute), Fall: 2, Rise: 2}
	for _, c := range change {
		c(&a)
	}
	p.write(func(ctx context.Context, tx *store.Tx) error {
		if err := tx.CreateApp(ctx, a); err != nil || a.LiveSlot == "" {
			return err
		}
		return tx.SetLive(ctx, a.ID, a.LiveSlot, a.LiveID)
	})
	return a
}

// backend serves at its place with the status, unless change says otherwise.
func (p *panel) backend(a plane.App, s plane.Server, status int, change ...func(*plane.Backend)) (plane.Backend, *site) {
	p.mu.Lock()
	port := 20001 + 4*len(p.sites)
	p.mu.Unlock()
	b := plane.Backend{
		ID: plane.NewID(plane.PrefixBackend), AppID: a.ID, ServerID: s.ID, Primary: s.ID == a.ServerID, Enabled: true, Placed: true, Weight: 1, DeploymentID: a.LiveID,
		Ports: plane.Ports{ProcessA: port, ProcessB: port + 1, SiteA: port + 2, SiteB: port + 3}, SeenAs: netip.MustParseAddr("127.0.0.1"),
		Health: plane.Health{State: plane.BackendDeploying, Since: p.begun}, CreatedAt: p.begun,
	}
	for _, c := range change {
		c(&b)
	}
	p.write(func(ctx context.Context, tx *store.Tx) error { return tx.CreateBackend(ctx, b) })
	host := s.PrivateAddress
	if b.Primary {
		host = netip.MustParseAddr("127.0.0.1")
	}
	return b, p.serve(netip.AddrPortFrom(host, uint16(b.Ports.SiteA)).String(), status)
}

func (p *panel) serve(address string, status int) *site {
	at := &site{asked: map[string]int{}}
	at.status.Store(int32(status))
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(int(at.status.Load())) }))
	p.Cleanup(server.Close)
	at.at = server.Listener.Addr().String()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.sites[address] = at
	return at
}

func (s *site) askedBy(owner string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.asked[owner]
}

func (s *site) askedByAll() (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, times := range s.asked {
		n += times
	}
	return n
}

// vantage is how a keeper reaches the sites; blind makes forwarding fail.
type vantage struct {
	*panel
	owner string
	blind atomic.Bool
}

func (v *vantage) Dial(ctx context.Context, t remote.Target, addr string) (net.Conn, error) {
	if v.blind.Load() {
		return nil, &remote.Error{Kind: remote.KindVantage, Target: t.Address, Op: "dialling", Err: errors.New("forwarding is forbidden")}
	}
	v.mu.Lock()
	s := v.sites[addr]
	v.mu.Unlock()
	if s == nil {
		return nil, &remote.Error{Kind: remote.KindTarget, Target: t.Address, Op: "dialling", Err: errors.New("Connection refused")}
	}
	s.mu.Lock()
	s.asked[v.owner]++
	s.mu.Unlock()
	return new(net.Dialer).DialContext(ctx, "tcp", s.at)
}

func (v *vantage) Stream(context.Context, remote.Target, remote.Command, func(string)) (remote.Result, error) {
	return remote.Result{}, errors.New("no command is run here")
}

func (v *vantage) Check(context.Context, remote.Target) error { return nil }

// keep runs a Keeper until stop is called or the test ends.
func (p *panel) keep(owner string) (v *vantage, stop func()) {
	v = &vantage{panel: p, owner: owner}
	k := health.New(health.Config{
		Store: p.store, Hub: p.hub, Prober: probe.New(v, p.now), Now: p.now, Owner: owner, Log: slog.New(slog.DiscardHandler),
	})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- k.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			p.Errorf("the keeper of %s ended with %v", owner, err)
		}
	})
	p.Cleanup(stop)
	return v, stop
}

// until waits for hints until what it looks at is as wanted.
func (p *panel) until(what string, ok func() bool) {
	p.Helper()
	hint, stop := p.hub.Subscribe(health.TopicHealth)
	defer stop()
	late := time.After(patient)
	for !ok() {
		select {
		case <-hint:
		case <-late:
			p.Fatalf("never came: %s", what)
		}
	}
}

// receive gives what comes, or is closed, next.
func receive[T any](t *testing.T, what string, from <-chan T) T {
	t.Helper()
	select {
	case got := <-from:
		return got
	case <-time.After(patient):
		t.Fatalf("never came: %s", what)
		panic("unreachable")
	}
}

func (p *panel) health(b plane.Backend) plane.Health {
	p.Helper()
	err := p.store.Read(p.Context(), func(tx *store.Tx) (err error) {
		b, err = tx.Backend(p.Context(), b.ID)
		return err
	})
	if err != nil {
		p.Fatal(err)
	}
	return b.Health
}

func (p *panel) becomes(b plane.Backend, want plane.BackendState) plane.Health {
	p.Helper()
	var h plane.Health
	p.until(fmt.Sprintf("%s is %s", b.ServerID, want), func() bool { h = p.health(b); return h.State == want })
	return h
}

func TestStatesOverTime(t *testing.T) {
	t.Parallel()
	p := newPanel(t)
	s1, s2 := p.server(1), p.server(2)
	a := p.app("web", s1)
	primary, first := p.backend(a, s1, 200)
	second, other := p.backend(a, s2, 500)
	v, _ := p.keep("panel-1")

	h := p.becomes(primary, plane.BackendHealthy)
	if h.Answer != "HTTP 200" || h.Vantage != "s1, forwarded over SSH" || h.CheckedAt.IsZero() || !h.Since.Equal(h.CheckedAt) {
		t.Errorf("healthy is told as %+v", h)
	}
	p.until("the second failed three times", func() bool { return p.health(second).Failures >= 3 })
	if h := p.health(second); h.State != plane.BackendDeploying || h.Reason != "answered 500, a server error" || !h.Since.Equal(p.begun.Truncate(time.Microsecond)) {
		t.Errorf("a backend that never passed is %+v", h)
	}

	other.status.Store(302)
	p.becomes(second, plane.BackendHealthy)
	first.status.Store(598)
	if h := p.becomes(primary, plane.BackendUnhealthy); h.Failures < 2 || h.Reason != "the app's process does not listen" {
		t.Errorf("unhealthy is told as %+v", h)
	}
	first.status.Store(200)
	if h := p.becomes(primary, plane.BackendHealthy); h.Passes < 2 {
		t.Errorf("healthy again after %d passes", h.Passes)
	}

	v.blind.Store(true)
	for _, b := range []plane.Backend{primary, second} {
		if h := p.becomes(b, plane.BackendUnknown); h.Answer != "forwarding is forbidden" {
			t.Errorf("unknown is told as %+v", h)
		}
	}
}

func TestWhoIsNotProbed(t *testing.T) {
	t.Parallel()
	p := newPanel(t)
	s1, s2 := p.server(1), p.server(2)
	a := p.app("web", s1)
	_, on := p.backend(a, s1, 200)
	quiet := map[string]*site{}
	_, quiet["off"] = p.backend(a, s2, 200, func(b *plane.Backend) { b.Enabled = false })
	for name, change := range map[string]func(*plane.Backend){
		"not placed": func(b *plane.Backend) { b.Placed = false }, "removing": func(b *plane.Backend) { b.Removing = true },
	} {
		other := p.app("other-"+name[:3], s1)
		_, quiet[name] = p.backend(other, s1, 200, change)
	}
	leaving := p.app("leaving", s1, func(a *plane.App) { a.State = plane.AppRemoving })
	_, quiet["of an app that leaves"] = p.backend(leaving, s1, 200)
	unborn := p.app("unborn", s1, func(a *plane.App) { a.State, a.LiveSlot, a.LiveID = plane.AppNew, "", "" })
	_, quiet["of an app never deployed"] = p.backend(unborn, s1, 200)

	p.keep("panel-1")
	p.until("four probes of the one that serves", func() bool { return on.askedByAll() >= 4 })
	for name, s := range quiet {
		if n := s.askedByAll(); n > 0 {
			t.Errorf("the backend %s was asked %d times", name, n)
		}
	}
}

func TestSwitchedOffBackendIsLeftAlone(t *testing.T) {
	t.Parallel()
	p := newPanel(t)
	s1, s2 := p.server(1), p.server(2)
	a := p.app("web", s1)
	_, on := p.backend(a, s1, 200)
	b, out := p.backend(a, s2, 200)
	p.keep("panel-1")
	p.becomes(b, plane.BackendHealthy)
	b.Enabled = false
	p.write(func(ctx context.Context, tx *store.Tx) error { return tx.UpdateBackend(ctx, b) })
	seen := on.askedByAll()
	p.until("a look at the new wish", func() bool { return on.askedByAll() >= seen+2 })
	asked, seen := out.askedByAll(), on.askedByAll()
	p.until("three more probes of the other", func() bool { return on.askedByAll() >= seen+3 })
	if now := out.askedByAll(); now != asked {
		t.Errorf("asked %d more times after it went off", now-asked)
	}
}

func TestRemovedBackendDoesNotSpoilTheOthers(t *testing.T) {
	t.Parallel()
	p := newPanel(t)
	s1, s2 := p.server(1), p.server(2)
	a := p.app("web", s1)
	kept, site := p.backend(a, s1, 200)
	gone, _ := p.backend(a, s2, 200)
	p.keep("panel-1")
	p.becomes(gone, plane.BackendHealthy)
	p.write(func(ctx context.Context, tx *store.Tx) error { return tx.DeleteBackend(ctx, gone.ID) })
	site.status.Store(404)
	p.becomes(kept, plane.BackendUnhealthy)
}

// Each primary's backends are probed by one panel, and by the other one once
// the first is gone.
func TestPanelsShareThePrimaries(t *testing.T) {
	t.Parallel()
	p := newPanel(t)
	p.speed.Store(2) // a panel that the machine lets wait for some seconds has not lost its lease
	var sites []*site
	for n := range 4 {
		s := p.server(n + 1)
		_, at := p.backend(p.app(fmt.Sprintf("app%d", n), s), s, 200)
		sites = append(sites, at)
	}
	_, stopFirst := p.keep("panel-1")
	p.until("the first panel has them all", func() bool { return all(sites, func(s *site) bool { return s.askedByAll() >= 1 }) })
	_, stopSecond := p.keep("panel-2")
	p.until("more probes", func() bool { return all(sites, func(s *site) bool { return s.askedByAll() >= 5 }) })
	for i, s := range sites {
		if n := s.askedBy("panel-2"); n > 0 {
			t.Errorf("backend %d was asked %d times by a second panel", i, n)
		}
	}
	stopFirst()
	p.speed.Store(speed)
	p.until("the second panel took over", func() bool { return all(sites, func(s *site) bool { return s.askedBy("panel-2") >= 2 }) })
	stopSecond()
}

func all(sites []*site, ok func(*site) bool) bool {
	return !slices.ContainsFunc(sites, func(s *site) bool { return !ok(s) })
}

// Run returns only when its probes are back, even from a backend that hangs.
func TestRunEndsWithItsProbes(t *testing.T) {
	t.Parallel()
	p := newPanel(t)
	s1 := p.server(1)
	a := p.app("web", s1)
	_, at := p.backend(a, s1, 200)
	asked, ended := make(chan struct{}), make(chan struct{})
	silent := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		close(asked)
		<-r.Context().Done()
		close(ended)
	}))
	t.Cleanup(silent.Close)
	at.at = silent.Listener.Addr().String()
	_, stop := p.keep("panel-1")
	receive(t, "the question", asked)
	stop()
	receive(t, "the end of the question", ended)
}
