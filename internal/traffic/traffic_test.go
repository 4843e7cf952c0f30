package traffic_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/serverplane/serverplane/internal/plane"
	"github.com/serverplane/serverplane/internal/remote"
	"github.com/serverplane/serverplane/internal/store"
	"github.com/serverplane/serverplane/internal/stream"
	"github.com/serverplane/serverplane/internal/traffic"
)

// site is an app with two backends, whose entry's log lies in a folder of the
// test, and the panels that read it. Each runs the real program on this machine.
type site struct {
	*testing.T
	store    *store.Store
	app      plane.App
	one, two string // ids of its backends
	dir      string
	now      time.Time
	sent     int // requests written into the log

	mu     sync.Mutex
	broken error
	looks  map[string]int // by panel
}

const addressOne, addressTwo = "127.0.0.1:20003", "10.0.0.2:20007"

func newSite(t *testing.T) *site {
	t.Helper()
	s, err := store.Open(t.Context(), store.Config{Path: filepath.Join(t.TempDir(), "panel.db")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	p := &site{T: t, store: s, dir: t.TempDir(), now: time.Now().UTC(), looks: map[string]int{}}
	p.write(func(ctx context.Context, tx *store.Tx) error { return p.furnish(ctx, tx) })
	return p
}

func (p *site) furnish(ctx context.Context, tx *store.Tx) error {
	for n := 1; n <= 2; n++ {
		err := tx.CreateServer(ctx, plane.Server{
			ID: fmt.Sprintf("srv_aaaaaaaaaaaaaaa%d", n), Name: fmt.Sprintf("s%d", n), SSHPort: 22, State: plane.ServerReady,
			Address: netip.MustParseAddr(fmt.Sprintf("203.0.113.%d", n)), PrivateAddress: netip.MustParseAddr(fmt.Sprintf("10.0.0.%d", n)),
		})
		if err != nil {
			return err
		}
	}
	p.app = plane.App{ID: plane.NewID(plane.PrefixApp), Name: "web", Kind: plane.KindNodeJS, ServerID: "srv_aaaaaaaaaaaaaaa1", State: plane.AppLive, Balancer: plane.NewLoadBalancer()}
	if err := tx.CreateApp(ctx, p.app); err != nil {
		return err
	}
	if err := tx.SetLive(ctx, p.app.ID, plane.SlotA, "dep_1"); err != nil {
		return err
	}
	p.one, p.two = plane.NewID(plane.PrefixBackend), plane.NewID(plane.PrefixBackend)
	for i, id := range []string{p.one, p.two} {
		err := tx.CreateBackend(ctx, plane.Backend{
			ID: id, AppID: p.app.ID, ServerID: fmt.Sprintf("srv_aaaaaaaaaaaaaaa%d", i+1), Primary: i == 0, Weight: 1, Enabled: true, Placed: true,
			Ports: plane.Ports{ProcessA: 20001, ProcessB: 20002, SiteA: 20003 + 4*i, SiteB: 20004 + 4*i},
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func (p *site) write(fn func(ctx context.Context, tx *store.Tx) error) {
	p.Helper()
	if err := p.store.Write(context.Background(), func(tx *store.Tx) error { return fn(context.Background(), tx) }); err != nil {
		p.Fatal(err)
	}
}

// panel is how one panel reaches the server.
type panel struct {
	*site
	name string
}

// Exec runs the program as the server would, but finds the log in the folder.
func (p panel) Exec(ctx context.Context, _ remote.Target, cmd remote.Command) (remote.Result, error) {
	p.mu.Lock()
	broken := p.broken
	p.looks[p.name]++
	p.mu.Unlock()
	if broken != nil {
		return remote.Result{}, broken
	}
	input, err := io.ReadAll(cmd.Stdin)
	if err != nil {
		return remote.Result{}, err
	}
	c := exec.CommandContext(ctx, cmd.Args[0], cmd.Args[1:]...)
	var out, said bytes.Buffer
	c.Stdin, c.Stdout, c.Stderr = bytes.NewReader(bytes.ReplaceAll(input, []byte("/var/log/nginx"), []byte(p.dir))), &out, &said
	if err := c.Run(); ctx.Err() != nil {
		return remote.Result{}, ctx.Err()
	} else if err != nil {
		p.Errorf("%v: %s", err, said.Bytes())
	}
	return remote.Result{Stdout: bytes.ReplaceAll(out.Bytes(), []byte(p.dir), []byte("/var/log/nginx"))}, nil
}

// open starts a panel that reads without a pause.
func (p *site) open(name string) (stop func()) {
	r := traffic.New(traffic.Config{
		Store: p.store, Hub: stream.New(), Executor: panel{p, name}, Now: func() time.Time { return time.Now() }, Owner: name,
		Every: 20 * time.Millisecond, Log: slog.New(slog.DiscardHandler),
	})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			p.Error(err)
		}
	})
	p.Cleanup(stop)
	return stop
}

func (p *site) path() string { return filepath.Join(p.dir, "sp-web.access.log") }

// visit writes n requests in turn to both backends, the way Nginx does.
func (p *site) visit(n int) {
	p.Helper()
	p.append(p.path(), n)
}

func (p *site) append(path string, n int) {
	p.Helper()
	var text strings.Builder
	for range n {
		at := []string{addressOne, addressTwo}[p.sent%2]
		fmt.Fprintf(&text, "%s 198.51.100.%d \"GET /secret-%d\\x22 x\" 200 0.004 \"%s\" \"200\" \"0.003\"\n", time.Now().UTC().Format(time.RFC3339), p.sent%250, p.sent, at)
		p.sent++
	}
	f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o640)
	if err == nil {
		_, err = f.WriteString(text.String())
	}
	if err := errors.Join(err, f.Close()); err != nil {
		p.Fatal(err)
	}
}

func (p *site) rotate() {
	p.Helper()
	if err := os.Rename(p.path(), p.path()+".1"); err != nil {
		p.Fatal(err)
	}
}

func (p *site) log() (l plane.EntryLog) {
	p.Helper()
	err := p.store.Read(context.Background(), func(tx *store.Tx) (err error) { l, err = tx.EntryLog(context.Background(), p.app.ID); return err })
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		p.Fatal(err)
	}
	return l
}

// sum is what is kept of each backend.
func (p *site) sum() map[string]plane.Served {
	p.Helper()
	var pieces []plane.ServedPiece
	err := p.store.Read(context.Background(), func(tx *store.Tx) (err error) {
		pieces, err = tx.ServedPieces(context.Background(), p.app.ID, plane.ServedMinute, p.now.Add(-time.Hour))
		return err
	})
	if err != nil {
		p.Fatal(err)
	}
	sum := map[string]plane.Served{}
	for _, one := range pieces {
		sum[one.BackendID] = sum[one.BackendID].Merge(one.Served)
	}
	return sum
}

func (p *site) until(what string, ok func() bool) {
	p.Helper()
	for limit := time.Now().Add(time.Minute); time.Now().Before(limit); time.Sleep(5 * time.Millisecond) {
		if ok() {
			return
		}
	}
	p.Fatalf("%s: not in time; counted are %+v, the log is %+v", what, p.sum(), p.log())
}

// counts waits until every request that was written is counted, half for each backend, and
// that it stays so over some more looks.
func (p *site) counts() {
	p.Helper()
	all := func() int { s := p.sum(); return s[p.one].Requests + s[p.two].Requests }
	p.until(fmt.Sprintf("%d requests", p.sent), func() bool { return all() >= p.sent })
	p.more(3)
	if s := p.sum(); s[p.one].Requests != (p.sent+1)/2 || s[p.two].Requests != p.sent/2 || s[p.one].Latency.Count() != (p.sent+1)/2 || len(s) != 2 {
		p.Fatalf("of %d requests: %+v", p.sent, s)
	}
}

// more waits for some more looks, whoever makes them.
func (p *site) more(n int) {
	p.Helper()
	looks := func() (all int) {
		p.mu.Lock()
		defer p.mu.Unlock()
		for _, one := range p.looks {
			all += one
		}
		return all
	}
	from := looks()
	p.until("more looks", func() bool { return looks() >= from+n+1 })
}

func TestEachRequestIsCountedOnce(t *testing.T) {
	t.Parallel()
	begun := time.Now().Truncate(time.Second) // as exact as a line of the log
	p := newSite(t)
	p.visit(5)
	stop := p.open("panel-1")
	p.counts()
	p.visit(1000)
	p.counts()
	for range 2 { // as logrotate does, while the old file is still written to
		p.rotate()
		p.append(p.path()+".1", 7)
		p.more(1)
		p.append(p.path()+".1", 8)
		p.visit(20)
		p.append(p.path()+".1", 5)
		p.counts()
	}
	stop()
	p.visit(10)
	p.rotate()
	p.visit(31)
	p.open("panel-1") // in its next life
	p.open("panel-2") // the first one still holds the server's lease
	for range 4 {
		p.visit(11)
		p.more(1)
	}
	p.counts()
	if l := p.log(); l.Reason != "" || l.Gap != "" || l.ReadAt.IsZero() || l.Since.Before(begun) {
		t.Errorf("the log is %+v", l)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.looks["panel-2"] > 0 {
		t.Errorf("the other panel looked %d times beside the one that holds the lease", p.looks["panel-2"])
	}
}

func TestHalfALineWaitsForItsEnd(t *testing.T) {
	t.Parallel()
	p := newSite(t)
	p.visit(4)
	text, err := os.ReadFile(p.path())
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(p.path(), text[:20], 0o640); err != nil { // not even one line, so that the file has no name yet
		t.Fatal(err)
	}
	put := func(part []byte) { // at the end: a look that finds the file empty would tell of a loss
		f, err := os.OpenFile(p.path(), os.O_APPEND|os.O_WRONLY, 0)
		if err == nil {
			_, err = f.Write(part)
		}
		if err := errors.Join(err, f.Close()); err != nil {
			t.Fatal(err)
		}
	}
	p.open("panel-1")
	p.until("a look", func() bool { return !p.log().ReadAt.IsZero() || len(p.log().Places) > 0 })
	put(text[20 : len(text)-10])
	p.until("three requests", func() bool { s := p.sum(); return s[p.one].Requests+s[p.two].Requests == 3 })
	put(text[len(text)-10:])
	p.counts()
	if l := p.log(); l.Gap != "" {
		t.Errorf("a gap is told: %s", l.Gap)
	}
}

func TestWhatIsLostIsSaid(t *testing.T) {
	t.Parallel()
	p := newSite(t)
	p.visit(10)
	stop := p.open("panel-1")
	p.counts()
	stop()
	for name, harm := range map[string]func(){
		"emptied and written anew": func() {
			if err := os.Truncate(p.path(), 0); err != nil {
				t.Fatal(err)
			}
			p.visit(40) // longer than before
		},
		"rotated twice": func() {
			p.rotate()
			p.visit(3)
			p.rotate()
			p.visit(4)
		},
		"with lines of others": func() {
			if err := os.WriteFile(p.path(), []byte("203.0.113.1 - - [x] \"GET / HTTP/1.1\" 200\nnonsense\n"), 0o640); err != nil {
				t.Fatal(err)
			}
			p.visit(2)
		},
	} {
		before := p.log().GapAt
		harm()
		stop := p.open("panel-1")
		p.counts()
		p.until("the gap after it was "+name, func() bool { return p.log().GapAt.After(before) })
		t.Logf("%s: %s", name, p.log().Gap)
		stop()
	}
}

// TestAFailedLookLeavesTheFigures: with the time they are from, and the reason.
func TestAFailedLookLeavesTheFigures(t *testing.T) {
	t.Parallel()
	p := newSite(t)
	stop := p.open("panel-1")
	p.until("the reason why there is no log", func() bool { return strings.Contains(p.log().Reason, "keeps no log yet") })
	if l := p.log(); !l.ReadAt.IsZero() || !l.Since.IsZero() {
		t.Errorf("known of no log: %+v", l)
	}
	p.visit(9)
	p.counts()
	if l := p.log(); l.Reason != "" || l.Since.IsZero() {
		t.Errorf("the log is there: %+v", l)
	}
	p.mu.Lock()
	p.broken = errors.New("connection refused")
	p.mu.Unlock()
	p.until("the reason", func() bool { return p.log().Reason == "s1: connection refused" })
	read := p.log().ReadAt
	p.visit(9)
	p.more(2)
	if l := p.log(); !l.ReadAt.Equal(read) || p.sum()[p.one].Requests != 5 {
		t.Errorf("after a failure: %+v, %+v", l, p.sum())
	}
	p.mu.Lock()
	p.broken = nil
	p.mu.Unlock()
	p.counts()
	stop()
	if l := p.log(); l.Reason != "" || l.Gap != "" || !l.ReadAt.After(read) {
		t.Errorf("after it is mended: %+v", l)
	}
}

// TestALogFarBehindIsCaughtUp in bounded looks, or what is left out is said.
func TestALogFarBehindIsCaughtUp(t *testing.T) {
	t.Parallel()
	p := newSite(t)
	p.visit(60_000) // 6 MB: more than one look
	p.open("panel-1")
	p.counts()
	if l := p.log(); l.Gap != "" {
		t.Errorf("left out: %s", l.Gap)
	}
	p.more(1)
	far := newSite(t)
	far.visit(800_000) // 83 MB
	far.open("panel-1")
	far.until("the end of the log", func() bool { return !far.log().ReadAt.IsZero() })
	s := far.sum()
	if all := s[far.one].Requests + s[far.two].Requests; all == 0 || all > 50_000 || !strings.Contains(far.log().Gap, "MB of the log were left out") {
		t.Errorf("%d counted, %+v", all, far.log())
	}
}

// TestNothingOfAVisitorComesAcross: neither address nor path.
func TestNothingOfAVisitorComesAcross(t *testing.T) {
	t.Parallel()
	p := newSite(t)
	p.visit(100)
	l := listener{panel{p, "panel-1"}, make(chan []byte, 100)}
	r := traffic.New(traffic.Config{Store: p.store, Hub: stream.New(), Executor: l, Now: time.Now, Owner: "panel-1", Every: time.Hour, Log: slog.New(slog.DiscardHandler)})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx) }()
	var text []byte
	select {
	case text = <-l.heard:
	case <-time.After(time.Minute):
		t.Error("the program was not asked")
	}
	cancel()
	<-done // before the store is closed
	if n := bytes.Count(text, []byte("\n")); n != 101 || bytes.Contains(text, []byte("198.51")) || bytes.Contains(text, []byte("secret")) {
		t.Errorf("%d lines come across: %.500s", n, text)
	}
}

type listener struct {
	panel
	heard chan []byte
}

func (l listener) Exec(ctx context.Context, t remote.Target, cmd remote.Command) (remote.Result, error) {
	res, err := l.panel.Exec(ctx, t, cmd)
	l.heard <- res.Stdout
	return res, err
}
