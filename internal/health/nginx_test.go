package health_test

import (
	"context"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/serverplane/serverplane/internal/health"
	"github.com/serverplane/serverplane/internal/plane"
	"github.com/serverplane/serverplane/internal/remote"
	"github.com/serverplane/serverplane/internal/store"
)

// guards answers for the guard of each server, and lists who was asked.
type guards struct {
	mu    sync.Mutex
	say   map[string]func(times int) (remote.Outcome, error)
	asked map[string]int
}

func (g *guards) answer(id string) (remote.Outcome, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.asked[id]++
	if say := g.say[id]; say != nil {
		return say(g.asked[id])
	}
	return remote.Outcome{Result: remote.Unchanged}, nil
}

func (g *guards) times(id string) int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.asked[id]
}

func foreign(line int) (remote.Outcome, error) {
	return remote.Outcome{Result: remote.Refused, File: "/etc/nginx/conf.d/blog.conf", Line: line, Message: "unknown directive"}, nil
}

func (p *panel) known(s plane.Server) plane.Server {
	p.Helper()
	if err := p.store.Read(p.Context(), func(tx *store.Tx) (err error) { s, err = tx.Server(p.Context(), s.ID); return err }); err != nil {
		p.Fatal(err)
	}
	return s
}

// watch runs a keeper of servers whose guards answer as told.
func (p *panel) watch(g *guards) (said chan string) {
	quiet := &signs{dead: map[string]bool{}, asked: map[string]int{}, hook: func(string) {}, nginx: g.answer}
	log := lines{slog.DiscardHandler, make(chan string, 100)}
	k := health.NewServers(health.Config{Store: p.store, Hub: p.hub, Now: p.now, Owner: "panel-1", Log: slog.New(log)}, quiet)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- k.Run(ctx) }()
	p.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			p.Error(err)
		}
	})
	return log.said
}

func (p *panel) hear(said chan string, want string) {
	p.Helper()
	select {
	case got := <-said:
		if got != want {
			p.Fatalf("said %q, want %q", got, want)
		}
	case <-time.After(patient):
		p.Fatalf("never said %q", want)
	}
}

// poll looks until it is so; what it waits for is told by nobody.
func (p *panel) poll(what string, ok func() bool) {
	p.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for late := time.After(patient); !ok(); {
		select {
		case <-tick.C:
		case <-late:
			p.Fatalf("never came: %s", what)
		}
	}
}

// A foreign broken file is known before it is in the way, and its mending too.
func TestNginxIsAsked(t *testing.T) {
	t.Parallel()
	p := newPanel(t)
	broken, fine, pending := p.server(1), p.server(2), p.server(3)
	p.write(func(ctx context.Context, tx *store.Tx) error {
		return tx.SetServerState(ctx, pending.ID, plane.ServerPending, "", p.begun)
	})
	g := &guards{asked: map[string]int{}, say: map[string]func(int) (remote.Outcome, error){
		broken.ID: func(times int) (remote.Outcome, error) {
			if times <= 2 {
				return foreign(3)
			}
			return remote.Outcome{Result: remote.Unchanged}, nil
		},
	}}
	woken, stop := p.hub.Subscribe("tree")
	defer stop()
	said := p.watch(g)
	p.hear(said, "nginx refuses the server's tree")
	if got := p.known(broken); got.NginxError != "/etc/nginx/conf.d/blog.conf:3: unknown directive" || got.NginxCheckedAt.IsZero() {
		t.Errorf("told as %q at %v", got.NginxError, got.NginxCheckedAt)
	}
	p.hear(said, "nginx accepts the server's tree again")
	receive(t, "the hint about the tree", woken)
	if got := p.known(broken); got.NginxError != "" {
		t.Errorf("still told: %q", got.NginxError)
	}
	p.poll("a look at the other", func() bool { return !p.known(fine).NginxCheckedAt.IsZero() })
	if g.times(fine.ID) != 1 || g.times(pending.ID) != 0 {
		t.Errorf("asked %v", g.asked)
	}
}

// What Nginx says while a change of our own is put in place is not believed.
func TestNginxRefusalDuringOurChange(t *testing.T) {
	t.Parallel()
	p := newPanel(t)
	changing, meanwhile, once, moving := p.server(1), p.server(2), p.server(3), p.server(4)
	raise := func(s plane.Server) {
		p.write(func(ctx context.Context, tx *store.Tx) error { _, err := tx.RaiseTree(ctx, s.ID); return err })
	}
	raise(changing)
	g := &guards{asked: map[string]int{}, say: map[string]func(int) (remote.Outcome, error){
		meanwhile.ID: func(times int) (remote.Outcome, error) {
			if times == 2 {
				raise(meanwhile)
			}
			return foreign(1)
		},
		once.ID: func(times int) (remote.Outcome, error) {
			if times == 1 {
				return foreign(1)
			}
			return remote.Outcome{Result: remote.Unchanged}, nil
		},
		moving.ID: foreign, // another line each time
	}}
	p.watch(g)
	p.poll("two looks at each", func() bool { return g.times(meanwhile.ID) >= 2 && g.times(once.ID) >= 2 && g.times(moving.ID) >= 4 })
	p.poll("the end of one", func() bool { return !p.known(once).NginxCheckedAt.IsZero() })
	for _, s := range []plane.Server{changing, meanwhile, once, moving} {
		if got := p.known(s); got.NginxError != "" {
			t.Errorf("%s: believed %q", s.Name, got.NginxError)
		}
	}
	if n := g.times(changing.ID); n != 0 {
		t.Errorf("asked %d times while a change was wished", n)
	}
}

// A server that failed later carries apps; one that was asked in vain is told.
func TestNginxOfAFailedServerAndOneThatCannotBeAsked(t *testing.T) {
	t.Parallel()
	p := newPanel(t)
	failed, fresh, silent := p.server(1), p.server(2), p.server(3)
	p.write(func(ctx context.Context, tx *store.Tx) error {
		if _, err := tx.RaiseTree(ctx, failed.ID); err != nil {
			return err
		}
		if err := tx.SettleTree(ctx, failed.ID, 1, ""); err != nil {
			return err
		}
		if err := tx.SetServerState(ctx, fresh.ID, plane.ServerFailed, "apt", p.begun); err != nil {
			return err
		}
		return tx.SetServerState(ctx, failed.ID, plane.ServerFailed, "apt", p.begun)
	})
	g := &guards{asked: map[string]int{}, say: map[string]func(int) (remote.Outcome, error){
		silent.ID: func(int) (remote.Outcome, error) {
			return remote.Outcome{Result: remote.Failed, Message: "killed"}, nil
		},
	}}
	said := p.watch(g)
	p.hear(said, "ask nginx whether its tree is sound")
	p.poll("a look at the failed one", func() bool { return !p.known(failed).NginxCheckedAt.IsZero() })
	if got := p.known(silent); got.NginxError != "" || !got.NginxCheckedAt.IsZero() {
		t.Errorf("what is not known is told as %+v", got)
	}
	if n := g.times(fresh.ID); n != 0 {
		t.Errorf("one that never carried anything was asked %d times", n)
	}
}
