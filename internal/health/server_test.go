package health_test

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"testing"

	"github.com/serverplane/serverplane/internal/health"
	"github.com/serverplane/serverplane/internal/plane"
	"github.com/serverplane/serverplane/internal/remote"
	"github.com/serverplane/serverplane/internal/store"
)

// signs answers for servers, by their id.
type signs struct {
	mu    sync.Mutex
	dead  map[string]bool
	asked map[string]int
	hook  func(id string)
	nginx func(id string) (remote.Outcome, error)
}

func (s *signs) Check(_ context.Context, t remote.Target) error {
	s.hook(t.ID)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked[t.ID]++
	if s.dead[t.ID] {
		return &remote.Error{Kind: remote.KindUnreachable, Target: t.ID, Op: "connecting", Err: errors.New("no route to host")}
	}
	return nil
}

func (s *signs) TestNginx(_ context.Context, t remote.Target) (remote.Outcome, error) {
	if s.nginx == nil {
		return remote.Outcome{Result: remote.Unchanged}, nil
	}
	return s.nginx(t.ID)
}

// lines sends each message that is logged.
type lines struct {
	slog.Handler
	said chan string
}

func (l lines) Handle(_ context.Context, r slog.Record) error { l.said <- r.Message; return nil }

func (l lines) Enabled(context.Context, slog.Level) bool { return true }

func TestServersSignsOfLife(t *testing.T) {
	t.Parallel()
	p := newPanel(t)
	state := func(s plane.Server, to plane.ServerState) plane.Server {
		p.write(func(ctx context.Context, tx *store.Tx) error { return tx.SetServerState(ctx, s.ID, to, "", p.begun) })
		return s
	}
	dead, back, pending, fine := p.server(1), state(p.server(2), plane.ServerUnreachable), state(p.server(3), plane.ServerPending), p.server(4)
	broken, mute := state(p.server(6), plane.ServerFailed), state(p.server(7), plane.ServerFailed)
	taken := p.server(5) // a Run takes it while it is asked
	s := &signs{dead: map[string]bool{dead.ID: true, pending.ID: true, taken.ID: true, mute.ID: true}, asked: map[string]int{}}
	s.hook = func(id string) {
		if id == taken.ID {
			state(taken, plane.ServerProvisioning)
		}
	}
	log := lines{slog.DiscardHandler, make(chan string, 10)}
	keeper := health.NewServers(health.Config{Store: p.store, Hub: p.hub, Now: p.now, Owner: "panel-1", Log: slog.New(log)}, s)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- keeper.Run(ctx) }()
	for range 3 {
		p.hear(log.said, "server changed")
	}
	cancel()
	if err := receive(t, "Run's end", done); err != nil {
		t.Error(err)
	}
	for _, c := range []struct {
		server plane.Server
		want   plane.ServerState
		asked  int
	}{
		{dead, plane.ServerUnreachable, 1}, {back, plane.ServerReady, 1}, {pending, plane.ServerPending, 0}, {fine, plane.ServerReady, 1},
		{taken, plane.ServerProvisioning, 1}, {broken, plane.ServerFailed, 1}, {mute, plane.ServerFailed, 1},
	} {
		var got plane.Server
		if err := p.store.Read(t.Context(), func(tx *store.Tx) (err error) { got, err = tx.Server(t.Context(), c.server.ID); return err }); err != nil {
			t.Fatal(err)
		}
		if got.State != c.want || s.asked[c.server.ID] != c.asked || s.dead[got.ID] && c.asked > 0 && c.want != plane.ServerProvisioning != (got.Reason != "") {
			t.Errorf("%s is %s (%q), asked %d times; want %s, %d", got.Name, got.State, got.Reason, s.asked[c.server.ID], c.want, c.asked)
		}
	}
}
