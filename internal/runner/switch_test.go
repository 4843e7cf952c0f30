package runner

import (
	"context"
	"crypto/ed25519"
	"errors"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/serverplane/serverplane/internal/plane"
	"github.com/serverplane/serverplane/internal/store"
)

// machine is an SSH server that notes what it is asked and answers as told.
type machine struct {
	signer ssh.Signer
	port   int
	answer func(command string) (stdout string, lost bool)

	mu    sync.Mutex
	asked []string
}

func newMachine(t *testing.T, answer func(string) (string, bool)) *machine {
	t.Helper()
	_, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	m := &machine{answer: answer}
	if m.signer, err = ssh.NewSignerFromKey(private); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	m.port = l.Addr().(*net.TCPAddr).Port
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go m.serve(conn)
		}
	}()
	return m
}

func (m *machine) hostKey() string {
	return strings.TrimSpace(string(ssh.MarshalAuthorizedKey(m.signer.PublicKey())))
}

func (m *machine) serve(conn net.Conn) {
	defer conn.Close()
	config := &ssh.ServerConfig{PublicKeyCallback: func(ssh.ConnMetadata, ssh.PublicKey) (*ssh.Permissions, error) {
		return &ssh.Permissions{}, nil
	}}
	config.AddHostKey(m.signer)
	_, channels, requests, err := ssh.NewServerConn(conn, config)
	if err != nil {
		return
	}
	go ssh.DiscardRequests(requests)
	for c := range channels {
		channel, asked, err := c.Accept()
		if err != nil {
			return
		}
		go m.session(conn, channel, asked)
	}
}

func (m *machine) session(conn net.Conn, channel ssh.Channel, asked <-chan *ssh.Request) {
	for r := range asked {
		if r.Type != "exec" {
			_ = r.Reply(false, nil)
			continue
		}
		command := strings.ReplaceAll(string(r.Payload[4:]), "'", "")
		m.mu.Lock()
		m.asked = append(m.asked, command)
		m.mu.Unlock()
		_ = r.Reply(true, nil)
		text, lost := m.answer(command)
		if lost {
			_ = conn.Close()
			return
		}
		_, _ = channel.Write([]byte(text))
		_, _ = channel.SendRequest("exit-status", false, []byte{0, 0, 0, 0})
		_ = channel.Close()
	}
}

// told lists which of the words each command held, in the order of commands.
func (m *machine) told(words ...string) []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	var out []string
	for _, command := range m.asked {
		for _, w := range words {
			if strings.Contains(command, w) {
				out = append(out, w)
			}
		}
	}
	return out
}

// TestLostAnswerOfASwitchIsTakenBack: the marker may have moved although nobody
// heard of it. Left so, the next deployment would stop the slot that visitors are on.
func TestLostAnswerOfASwitchIsTakenBack(t *testing.T) {
	const toB, toA, stopB, stopA = "switch web b", "switch web a", "stop sp-web-b.service", "stop sp-web-a.service"
	m := newMachine(t, func(command string) (string, bool) {
		return `{"result":"applied"}`, strings.Contains(command, toB)
	})
	s := newScene(t)
	s.server.SSHPort, s.server.HostKey = m.port, m.hostKey()
	now := time.Now().UTC()
	app := plane.App{
		ID: plane.NewID(plane.PrefixApp), Name: "web", Kind: plane.KindNodeJS, ServerID: s.server.ID, Repository: "https://example.com/a.git",
		Branch: "main", Spec: plane.Spec{}.WithDefaults(plane.KindNodeJS), State: plane.AppLive, Since: now, Balancer: plane.NewLoadBalancer(), CreatedAt: now,
	}
	before := plane.Deployment{
		ID: plane.NewID(plane.PrefixDeployment), AppID: app.ID, ReleaseID: "20260101000000-aaaaaaa", Slot: plane.SlotA, Spec: app.Spec,
		State: plane.DeploymentCompleted, CreatedAt: now,
	}
	d := before
	d.ID, d.Slot, d.State, d.ReleaseID = plane.NewID(plane.PrefixDeployment), plane.SlotB, plane.DeploymentSwitching, "20260101000001-bbbbbbb"
	run := plane.Run{
		ID: plane.NewID(plane.PrefixRun), Kind: plane.RunDeploy, AppID: app.ID, DeploymentID: d.ID, Servers: []string{s.server.ID},
		Locks: []string{plane.AppLock(app.ID)}, CreatedAt: now,
	}
	backend := plane.Backend{
		ID: plane.NewID(plane.PrefixBackend), AppID: app.ID, ServerID: s.server.ID, Primary: true, Enabled: true, Placed: true, Weight: 1,
		SeenAs: netip.MustParseAddr("127.0.0.1"), CreatedAt: now, Ports: plane.Ports{ProcessA: 20001, ProcessB: 20002, SiteA: 20003, SiteB: 20004},
	}
	for _, do := range []func(tx *store.Tx) error{
		func(tx *store.Tx) error { return tx.UpdateServer(s.ctx, s.server) },
		func(tx *store.Tx) error { return tx.CreateApp(s.ctx, app) },
		func(tx *store.Tx) error { return tx.CreateBackend(s.ctx, backend) },
		func(tx *store.Tx) error { return tx.CreateDeployment(s.ctx, before) },
		func(tx *store.Tx) error { return tx.SetLive(s.ctx, app.ID, plane.SlotA, before.ID) },
		func(tx *store.Tx) error { return tx.CreateDeployment(s.ctx, d) },
		func(tx *store.Tx) error { return tx.Enqueue(s.ctx, run) },
	} {
		s.write(do)
	}
	r := s.runner()
	ctx, cancel := context.WithCancel(s.ctx)
	pooled := make(chan error, 1)
	go func() { pooled <- r.Pool.Run(ctx) }()
	if !r.next(s.ctx) {
		t.Fatal("the Run was not claimed")
	}
	cancel()
	if err := <-pooled; err != nil {
		t.Error(err)
	}
	ended, events := s.ended(run.ID)
	s.write(func(tx *store.Tx) (err error) {
		if d, err = tx.Deployment(s.ctx, d.ID); err == nil {
			app, err = tx.App(s.ctx, app.ID)
		}
		return err
	})
	if ended.State != plane.RunFailed || d.State != plane.DeploymentReverted || app.LiveSlot != plane.SlotA || app.LiveID != before.ID {
		t.Errorf("Run %s, deployment %s, live %s in %q; log %+v", ended.State, d.State, app.LiveID, app.LiveSlot, events)
	}
	if told := m.told(toB, toA, stopB, stopA); !slices.Equal(told, []string{toB, toA, stopB}) {
		t.Errorf("the server was told %q", told)
	}
}

// TestStoppedRunCannotBeginLater: the program that starts a Run's unit outlives
// the Run, so the stop is noted before anything is stopped.
func TestStoppedRunCannotBeginLater(t *testing.T) {
	m := newMachine(t, func(string) (string, bool) { return "", false })
	s := newScene(t)
	s.server.SSHPort, s.server.HostKey = m.port, m.hostKey()
	r := s.runner()
	ctx, cancel := context.WithCancel(s.ctx)
	pooled := make(chan error, 1)
	go func() { pooled <- r.Pool.Run(ctx) }()
	if err := r.stopRunUnit(ctx, s.server, plane.App{Name: "web"}, "run_aaaaaaaaaaaaaaaa"); err != nil {
		t.Error(err)
	}
	cancel()
	if err := <-pooled; err != nil {
		t.Error(err)
	}
	const note, stop, unit = ">", "exec systemctl stop", "sh sp-web-run-run_aaaaaaaaaaaaaaaa /run/serverplane/web.stopped"
	if told := m.told(note, stop, unit); !slices.Equal(told, []string{note, stop, unit}) {
		t.Errorf("the server was told %q: %q", told, m.asked)
	}
}

// TestVariablesAreAppliedToWhatIsLiveByThen: while it waited, a deployment
// brought a newer commit; applying variables must not bring the older one back.
func TestVariablesAreAppliedToWhatIsLiveByThen(t *testing.T) {
	s := newScene(t)
	now := time.Now().UTC()
	app := plane.App{
		ID: plane.NewID(plane.PrefixApp), Name: "web", Kind: plane.KindNodeJS, ServerID: s.server.ID, Repository: "https://example.com/a.git",
		Branch: "main", State: plane.AppLive, Since: now, Balancer: plane.NewLoadBalancer(), CreatedAt: now,
	}
	newer := plane.Deployment{
		ID: plane.NewID(plane.PrefixDeployment), AppID: app.ID, Commit: "b", ReleaseID: "20260101000001-bbbbbbb", Slot: plane.SlotB,
		State: plane.DeploymentCompleted, CreatedAt: now,
	}
	s.write(func(tx *store.Tx) error {
		return errors.Join(tx.CreateApp(s.ctx, app), tx.CreateDeployment(s.ctx, newer), tx.SetLive(s.ctx, app.ID, plane.SlotB, newer.ID))
	})
	app.LiveSlot, app.LiveID = plane.SlotB, newer.ID
	run := plane.Run{ID: plane.NewID(plane.PrefixRun)}
	plan := plane.Deployment{Trigger: plane.TriggerEnvironment, Commit: "a", ReleaseID: "20260101000000-aaaaaaa"}
	d := &deployment{job: newJob(s.runner(), run), crew: crew{app: app}, plan: plan}
	if err := d.followLive(s.ctx); err != nil || d.plan.Commit != "b" || d.plan.ReleaseID != newer.ReleaseID {
		t.Errorf("starts %s of %s, %v", d.plan.ReleaseID, d.plan.Commit, err)
	}
	d.plan.Spec.Options = map[string]string{"version": "22", "drain": "1s"}
	if err := d.followLive(s.ctx); err != nil || d.plan.Commit != "b" || d.plan.ReleaseID != "" {
		t.Errorf("what would be built otherwise by now is started as it is: %s, %v", d.plan.ReleaseID, err)
	}
}

// TestTreeOfAFormerLifeIsReplaced: a server that was removed and added again
// has a higher count of trees than the store gives out.
func TestTreeOfAFormerLifeIsReplaced(t *testing.T) {
	var asked atomic.Int64
	m := newMachine(t, func(string) (string, bool) {
		if asked.Add(1) == 1 {
			return `{"result":"superseded","generation":40}`, false
		}
		return `{"result":"applied","generation":41}`, false
	})
	s := newScene(t)
	s.server.SSHPort, s.server.HostKey = m.port, m.hostKey()
	s.write(func(tx *store.Tx) error {
		_, err := tx.RaiseTree(s.ctx, s.server.ID)
		return errors.Join(err, tx.UpdateServer(s.ctx, s.server))
	})
	r := s.runner()
	ctx, cancel := context.WithCancel(s.ctx)
	pooled := make(chan error, 1)
	go func() { pooled <- r.Pool.Run(ctx) }()
	r.steerer.settle(s.ctx, s.server.ID)
	if now := s.serverState(); now.TreeApplied != 0 || now.TreeWanted != 41 || now.TreeError != "" {
		t.Errorf("after the first: %d of %d in force, %q", now.TreeApplied, now.TreeWanted, now.TreeError)
	}
	r.steerer.settle(s.ctx, s.server.ID)
	if now := s.serverState(); now.TreeApplied != 41 || now.TreeWanted != 41 {
		t.Errorf("after the second: %d of %d in force, %q", now.TreeApplied, now.TreeWanted, now.TreeError)
	}
	cancel()
	if err := <-pooled; err != nil {
		t.Error(err)
	}
}
