package runner

import (
	"context"
	"crypto/ed25519"
	"errors"
	"log/slog"
	"net/netip"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/serverplane/serverplane/internal/ansible"
	"github.com/serverplane/serverplane/internal/plane"
	"github.com/serverplane/serverplane/internal/remote"
	"github.com/serverplane/serverplane/internal/store"
	"github.com/serverplane/serverplane/internal/store/storetest"
	"github.com/serverplane/serverplane/internal/stream"
)

// player stands for Ansible where only the life of a Run is in question.
type player struct {
	began chan struct{}
	play  func(ctx context.Context, event func(ansible.Event)) (ansible.Outcome, error)
}

func (p *player) Run(ctx context.Context, _ ansible.Play, event func(ansible.Event)) (ansible.Outcome, error) {
	close(p.began)
	return p.play(ctx, event)
}

func (p *player) Sweep(context.Context) error { return nil }

// looker finds the server as it was added.
type looker struct{}

func (looker) Survey(_ context.Context, s plane.Server) (plane.Survey, error) { return s.Survey, nil }

// scene is a runner on a real store, with one server whose SSH port is closed.
type scene struct {
	t      *testing.T
	ctx    context.Context
	store  *store.Store
	hub    *stream.Hub
	player *player
	server plane.Server
}

func newScene(t *testing.T) *scene {
	t.Helper()
	s := &scene{t: t, ctx: t.Context(), store: storetest.SQLite(t), hub: stream.New(), player: &player{began: make(chan struct{})}}
	now := time.Now().UTC()
	s.server = plane.Server{
		ID: plane.NewID(plane.PrefixServer), Name: "s1", Address: netip.MustParseAddr("127.0.0.1"), PrivateAddress: netip.MustParseAddr("127.0.0.1"),
		SSHPort: 1, HostKey: hostKey(t), Firewall: plane.FirewallManage, State: plane.ServerPending, Since: now, CreatedAt: now,
		Survey: plane.Survey{OS: "Debian", OSFamily: "debian"},
	}
	s.write(func(tx *store.Tx) error { return tx.CreateServer(s.ctx, s.server) })
	return s
}

func hostKey(t *testing.T) string {
	t.Helper()
	public, _, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	key, err := ssh.NewPublicKey(public)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(ssh.MarshalAuthorizedKey(key)))
}

func (s *scene) write(fn func(tx *store.Tx) error) {
	s.t.Helper()
	if err := s.store.Write(s.ctx, fn); err != nil {
		s.t.Fatal(err)
	}
}

func (s *scene) queue(kind plane.RunKind) plane.Run {
	s.t.Helper()
	r := plane.Run{
		ID: plane.NewID(plane.PrefixRun), Kind: kind, ServerID: s.server.ID, Servers: []string{s.server.ID},
		Locks: []string{plane.PackagesLock(s.server.ID)}, State: plane.RunQueued, CreatedAt: time.Now().UTC(),
	}
	s.write(func(tx *store.Tx) error { return tx.Enqueue(s.ctx, r) })
	return r
}

func (s *scene) runner() *Runner {
	_, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		s.t.Fatal(err)
	}
	signer, err := ssh.NewSignerFromKey(private)
	if err != nil {
		s.t.Fatal(err)
	}
	log := slog.New(slog.DiscardHandler)
	return New(Config{
		Store: s.store, Hub: s.hub, Player: s.player, Pool: remote.NewPool(signer, log), Looker: looker{},
		Now: time.Now, PanelID: "pnl_aaaaaaaaaaaaaaaa", Owner: "ins_one", Log: log,
	})
}

// start runs a runner until the returned function is called.
func (s *scene) start() (stop func()) {
	ctx, cancel := context.WithCancel(s.ctx)
	done := make(chan error, 1)
	r := s.runner()
	go func() { done <- r.Run(ctx) }()
	return func() {
		cancel()
		if err := <-done; err != nil {
			s.t.Error(err)
		}
	}
}

// ended waits until the Run is over and returns it with its log.
func (s *scene) ended(id string) (plane.Run, []plane.Event) {
	s.t.Helper()
	hint, stop := s.hub.Subscribe(topicRun(id))
	defer stop()
	limit := time.NewTimer(time.Minute)
	defer limit.Stop()
	for {
		var r plane.Run
		var events []plane.Event
		s.write(func(tx *store.Tx) (err error) {
			if r, err = tx.Run(s.ctx, id); err == nil {
				events, err = tx.Events(s.ctx, id, 0, 1000)
			}
			return err
		})
		if r.State.Ended() {
			return r, events
		}
		select {
		case <-hint:
		case <-limit.C:
			s.t.Fatalf("the Run is %s at %q after a minute", r.State, r.Step)
		}
	}
}

func (s *scene) serverState() plane.Server {
	s.t.Helper()
	var now plane.Server
	s.write(func(tx *store.Tx) (err error) {
		now, err = tx.Server(s.ctx, s.server.ID)
		return err
	})
	return now
}

func TestFailedPlayFailsTheRunWithTheLastLines(t *testing.T) {
	s := newScene(t)
	s.player.play = func(_ context.Context, event func(ansible.Event)) (ansible.Outcome, error) {
		for range 100 {
			event(ansible.Event{Kind: "ok", Host: "s1", Task: "look"})
		}
		return ansible.Outcome{Hosts: map[string]ansible.HostResult{"s1": {Task: "Packages", Message: "no room", Stdout: strings.Repeat("old\n", 100) + "disk full"}}}, nil
	}
	run := s.queue(plane.RunProvision)
	defer s.start()()
	r, events := s.ended(run.ID)
	if r.State != plane.RunFailed || r.Reason != "s1: Packages: no room" {
		t.Errorf("the Run is %s: %s", r.State, r.Reason)
	}
	tasks, told := 0, ""
	for i, e := range events {
		if e.Seq != int64(i+1) {
			t.Fatalf("line %d has number %d", i+1, e.Seq)
		}
		if e.Kind == plane.EventTask {
			tasks++
		}
		if e.Kind == plane.EventError {
			told = e.Text
		}
	}
	if tasks != 100 {
		t.Errorf("%d of 100 tasks are in the log", tasks)
	}
	if !strings.HasSuffix(told, "disk full") || strings.Count(told, "\n") != lastLines {
		t.Errorf("the error does not end with the last %d lines:\n%s", lastLines, told)
	}
	if events[len(events)-1].Kind != plane.EventEnd {
		t.Errorf("the log ends with %+v", events[len(events)-1])
	}
	if now := s.serverState(); now.State != plane.ServerFailed || !strings.Contains(now.Reason, "server provision") {
		t.Errorf("the server is %s: %s", now.State, now.Reason)
	}
}

func TestCancelEndsTheRunAtOnce(t *testing.T) {
	s := newScene(t)
	s.player.play = func(ctx context.Context, _ func(ansible.Event)) (ansible.Outcome, error) {
		<-ctx.Done()
		return ansible.Outcome{Cancelled: true}, nil
	}
	run := s.queue(plane.RunProvision)
	defer s.start()()
	<-s.player.began
	s.write(func(tx *store.Tx) error { return tx.RequestCancel(s.ctx, run.ID, time.Now().UTC()) })
	s.hub.Publish(topicCancel(run.ID))
	if r, _ := s.ended(run.ID); r.State != plane.RunCancelled {
		t.Errorf("the Run is %s: %s", r.State, r.Reason)
	}
}

func TestPanicOfOursIsAFailedRun(t *testing.T) {
	s := newScene(t)
	s.player.play = func(context.Context, func(ansible.Event)) (ansible.Outcome, error) { panic("oops") }
	run := s.queue(plane.RunProvision)
	defer s.start()()
	if r, _ := s.ended(run.ID); r.State != plane.RunFailed || !strings.Contains(r.Reason, "internal error") {
		t.Errorf("the Run is %s: %s", r.State, r.Reason)
	}
}

func TestUnknownKindFails(t *testing.T) {
	s := newScene(t)
	run := s.queue("brew-coffee")
	defer s.start()()
	if r, _ := s.ended(run.ID); r.State != plane.RunFailed || !strings.Contains(r.Reason, "brew-coffee") {
		t.Errorf("the Run is %s: %s", r.State, r.Reason)
	}
}

func TestStoppingPanelLeavesAnInterruptedRun(t *testing.T) {
	s := newScene(t)
	s.player.play = func(ctx context.Context, _ func(ansible.Event)) (ansible.Outcome, error) {
		<-ctx.Done()
		return ansible.Outcome{Cancelled: true}, nil
	}
	run := s.queue(plane.RunProvision)
	stop := s.start()
	<-s.player.began
	stop()
	if r, _ := s.ended(run.ID); r.State != plane.RunInterrupted || !strings.Contains(r.Reason, "repeat") {
		t.Errorf("the Run is %s: %s", r.State, r.Reason)
	}
}

func TestFormerLifesRunsAreRescuedAtStart(t *testing.T) {
	s := newScene(t)
	run := s.queue(plane.RunProvision)
	s.write(func(tx *store.Tx) error {
		_, found, err := tx.Claim(s.ctx, "ins_one", time.Now().UTC(), time.Hour)
		if err == nil && !found {
			err = errors.New("the Run was not claimed")
		}
		return err
	})
	defer s.start()()
	r, events := s.ended(run.ID)
	if r.State != plane.RunInterrupted || len(events) == 0 || events[len(events)-1].Kind != plane.EventEnd {
		t.Errorf("the Run is %s, its log %+v", r.State, events)
	}
	if now := s.serverState(); now.State != plane.ServerFailed || !strings.Contains(now.Reason, "panel stopped") {
		t.Errorf("the server is %s: %s", now.State, now.Reason)
	}
	again := s.queue(plane.RunProvision)
	s.player.play = func(context.Context, func(ansible.Event)) (ansible.Outcome, error) {
		return ansible.Outcome{}, errors.New("seen")
	}
	s.hub.Publish(topicQueue)
	if r, _ := s.ended(again.ID); r.Reason != "carry out provision.yml: seen" {
		t.Errorf("the lock of the rescued Run was not freed: %s %s", r.State, r.Reason)
	}
}

// TestLostLeaseEndsNothing: another panel took the Run, so this one stops its
// own work and leaves the Run alone.
func TestLostLeaseEndsNothing(t *testing.T) {
	s := newScene(t)
	stopped := make(chan struct{})
	s.player.play = func(ctx context.Context, _ func(ansible.Event)) (ansible.Outcome, error) {
		<-ctx.Done()
		close(stopped)
		return ansible.Outcome{Cancelled: true}, nil
	}
	run := s.queue(plane.RunProvision)
	defer s.start()()
	<-s.player.began
	s.write(func(tx *store.Tx) error {
		_, err := tx.InterruptOwner(s.ctx, "ins_one", time.Now().UTC())
		return err
	})
	s.hub.Publish(topicCancel(run.ID))
	<-stopped
	if r, _ := s.ended(run.ID); r.State != plane.RunInterrupted {
		t.Errorf("the Run is %s: %s", r.State, r.Reason)
	}
}
