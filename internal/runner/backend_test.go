package runner

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/serverplane/serverplane/internal/ansible"
	"github.com/serverplane/serverplane/internal/plane"
	"github.com/serverplane/serverplane/internal/store"
)

// stage stands for Ansible where several plays happen, also at once.
type stage struct {
	play func(ctx context.Context, p ansible.Play, event func(ansible.Event)) (ansible.Outcome, error)
}

func (s *stage) Run(ctx context.Context, p ansible.Play, event func(ansible.Event)) (ansible.Outcome, error) {
	return s.play(ctx, p, event)
}

func (s *stage) Sweep(context.Context) error { return nil }

func allWell(p ansible.Play) ansible.Outcome {
	out := ansible.Outcome{Hosts: map[string]ansible.HostResult{}}
	for _, h := range p.Hosts {
		out.Hosts[h.Name] = ansible.HostResult{OK: true}
	}
	return out
}

// balanced is a live app with a backend on each of several servers, all of them
// one stand-in that says yes.
type balanced struct {
	*scene
	machine  *machine
	app      plane.App
	live     plane.Deployment
	backends []plane.Backend // the primary first
}

func newBalanced(t *testing.T, backends int, answer func(string) (string, bool)) *balanced {
	t.Helper()
	if answer == nil {
		answer = func(string) (string, bool) { return `{"result":"applied"}`, false }
	}
	b := &balanced{scene: newScene(t), machine: newMachine(t, answer)}
	b.server.SSHPort, b.server.HostKey = b.machine.port, b.machine.hostKey()
	now := time.Now().UTC().Truncate(time.Microsecond)
	b.app = plane.App{
		ID: plane.NewID(plane.PrefixApp), Name: "web", Kind: plane.KindNodeJS, ServerID: b.server.ID, Repository: "https://example.com/a.git",
		Branch: "main", State: plane.AppLive, Since: now, Balancer: plane.NewLoadBalancer(), CreatedAt: now,
		Spec: plane.Spec{Options: map[string]string{plane.OptionDrain: "0s"}}.WithDefaults(plane.KindNodeJS),
	}
	b.app.Balancer.Status = plane.BalancerOn
	b.live = plane.Deployment{
		ID: plane.NewID(plane.PrefixDeployment), AppID: b.app.ID, ReleaseID: "20260101000000-aaaaaaa", Slot: plane.SlotA, Spec: b.app.Spec,
		State: plane.DeploymentCompleted, CreatedAt: now,
	}
	b.write(func(tx *store.Tx) error {
		return errors.Join(tx.UpdateServer(b.ctx, b.server), tx.CreateApp(b.ctx, b.app), tx.CreateDeployment(b.ctx, b.live),
			tx.SetLive(b.ctx, b.app.ID, plane.SlotA, b.live.ID))
	})
	for n := range backends {
		b.join(n, now)
	}
	return b
}

func (b *balanced) join(n int, now time.Time) {
	server := b.server
	if n > 0 {
		server.ID, server.Name = plane.NewID(plane.PrefixServer), fmt.Sprintf("s%d", n+1)
		server.PrivateAddress = netip.AddrFrom4([4]byte{10, 0, 0, byte(n + 1)})
	}
	base := 20001 + 4*n
	backend := plane.Backend{
		ID: plane.NewID(plane.PrefixBackend), AppID: b.app.ID, ServerID: server.ID, Primary: n == 0, Enabled: true, Placed: true, Weight: 1,
		SeenAs: netip.MustParseAddr("127.0.0.1"), CreatedAt: now.Add(time.Duration(n) * time.Second), ReleaseID: b.live.ReleaseID, DeploymentID: b.live.ID,
		Ports: plane.Ports{ProcessA: base, ProcessB: base + 1, SiteA: base + 2, SiteB: base + 3},
	}
	b.write(func(tx *store.Tx) error {
		if n > 0 {
			if err := tx.CreateServer(b.ctx, server); err != nil {
				return err
			}
		}
		return tx.CreateBackend(b.ctx, backend)
	})
	b.backends = append(b.backends, backend)
}

func (b *balanced) now(n int) (got plane.Backend) {
	b.t.Helper()
	b.write(func(tx *store.Tx) (err error) {
		got, err = tx.Backend(b.ctx, b.backends[n].ID)
		return err
	})
	return got
}

func (b *balanced) change(n int, set func(b *plane.Backend)) {
	b.t.Helper()
	b.write(func(tx *store.Tx) error { return change(b.ctx, tx, b.backends[n].ID, set) })
}

func (b *balanced) queueFor(kind plane.RunKind, n int, args string) plane.Run {
	b.t.Helper()
	r := plane.Run{
		ID: plane.NewID(plane.PrefixRun), Kind: kind, AppID: b.app.ID, BackendID: b.backends[n].ID, ServerID: b.backends[n].ServerID,
		Locks:     []string{plane.Shared(plane.AppLock(b.app.ID)), plane.BackendLock(b.backends[n].ID)},
		CreatedAt: time.Now().UTC(), Args: json.RawMessage(args),
	}
	b.write(func(tx *store.Tx) error { return tx.Enqueue(b.ctx, r) })
	return r
}

// started runs a runner with the stage and its connections until the test ends.
func (b *balanced) started(s *stage) {
	r := b.runner()
	r.Player = s
	ctx, cancel := context.WithCancel(b.ctx)
	var all sync.WaitGroup
	all.Go(func() {
		if err := r.Pool.Run(ctx); err != nil {
			b.t.Error(err)
		}
	})
	all.Go(func() {
		if err := r.Run(ctx); err != nil {
			b.t.Error(err)
		}
	})
	b.t.Cleanup(func() {
		cancel()
		all.Wait()
	})
}

// TestTwoBackendsOfOneAppAtOnce: each play waits for the other to have begun, so
// that one after the other would never end.
func TestTwoBackendsOfOneAppAtOnce(t *testing.T) {
	b := newBalanced(t, 3, nil)
	var begun sync.WaitGroup
	begun.Add(2)
	stage := &stage{play: func(ctx context.Context, p ansible.Play, event func(ansible.Event)) (ansible.Outcome, error) {
		begun.Done()
		both := make(chan struct{})
		go func() { begun.Wait(); close(both) }()
		select {
		case <-both:
		case <-ctx.Done():
			return ansible.Outcome{Cancelled: true}, nil
		}
		event(ansible.Event{Kind: "changed", Host: p.Hosts[0].Name, Task: "Remove the app",
			Stdout: "receipt: {\"what\":\"user\",\"done\":true,\"detail\":\"\"}\nchanged: something\n"})
		return allWell(p), nil
	}}
	one, two := b.queueFor(plane.RunLeave, 1, ""), b.queueFor(plane.RunLeave, 2, "")
	b.started(stage)
	for _, queued := range []plane.Run{one, two} {
		r, events := b.ended(queued.ID)
		if r.State != plane.RunSucceeded {
			t.Fatalf("%s: %s", r.State, r.Reason)
		}
		var told []string
		for _, l := range r.Receipt {
			told = append(told, fmt.Sprint(l.What, " ", l.Done))
		}
		if !slices.Equal(told, []string{"place in the upstream true", "Nginx site true", "user true"}) {
			t.Errorf("the receipt says %q", told)
		}
		for _, e := range events {
			if strings.Contains(e.Text, "receipt:") {
				t.Errorf("a person reads %q", e.Text)
			}
		}
	}
	b.write(func(tx *store.Tx) error {
		left, err := tx.BackendsOf(b.ctx, b.app.ID)
		if len(left) != 1 || !left[0].Primary {
			t.Errorf("left are %+v", left)
		}
		return err
	})
}

// TestWhatIsLeftStaysListed: the entry's part has happened, the backend stays
// with what is left, and asking again finishes.
func TestWhatIsLeftStaysListed(t *testing.T) {
	b := newBalanced(t, 2, nil)
	fails := true
	stage := &stage{play: func(_ context.Context, p ansible.Play, event func(ansible.Event)) (ansible.Outcome, error) {
		if !fails {
			return allWell(p), nil
		}
		said := "receipt: {\"what\":\"process and units\",\"done\":true,\"detail\":\"\"}\nreceipt: {\"what\":\"user\",\"done\":false,\"detail\":\"busy\"}\n"
		event(ansible.Event{Kind: "failed", Host: "s2", Task: "Remove the app", Message: "something is left", Stdout: said})
		return ansible.Outcome{Hosts: map[string]ansible.HostResult{"s2": {Task: "Remove the app", Message: "something is left", Stdout: said}}}, nil
	}}
	b.started(stage)
	r, _ := b.ended(b.queueFor(plane.RunLeave, 1, "").ID)
	got := b.now(1)
	if r.State != plane.RunFailed || !got.Removing || got.Placed {
		t.Errorf("%s: %s; %+v", r.State, r.Reason, got)
	}
	if want := "left on s2: user; backend remove web s2 again continues"; !strings.Contains(got.Health.Reason, want) {
		t.Errorf("it says %q, want %q in it", got.Health.Reason, want)
	}
	if !slices.Contains(r.Receipt, plane.ReceiptLine{Server: "s2", What: "user", Detail: "busy"}) {
		t.Errorf("the receipt says %+v", r.Receipt)
	}
	fails = false
	if r, _ := b.ended(b.queueFor(plane.RunLeave, 1, "").ID); r.State != plane.RunSucceeded {
		t.Errorf("again: %s: %s", r.State, r.Reason)
	}
	if r, _ := b.ended(b.queueFor(plane.RunLeave, 1, "").ID); r.State != plane.RunSucceeded {
		t.Errorf("when it is gone: %s: %s", r.State, r.Reason)
	}
}

// TestNothingIsRemovedWhileVisitorsAreSentThere: the entry could not be changed.
func TestNothingIsRemovedWhileVisitorsAreSentThere(t *testing.T) {
	b := newBalanced(t, 2, func(string) (string, bool) { return `{"result":"refused","message":"unknown directive"}`, false })
	b.started(&stage{play: func(context.Context, ansible.Play, func(ansible.Event)) (ansible.Outcome, error) {
		t.Error("a play began")
		return ansible.Outcome{}, nil
	}})
	r, _ := b.ended(b.queueFor(plane.RunLeave, 1, "").ID)
	if got := b.now(1); r.State != plane.RunFailed || !strings.Contains(r.Reason, "unknown directive") || !got.Removing || !got.Placed {
		t.Errorf("%s: %s; %+v", r.State, r.Reason, got)
	}
}

// TestWhatWaitedForABackendThatWentEnds: load balancing was switched off with its backends
// while work on one of them was queued.
func TestWhatWaitedForABackendThatWentEnds(t *testing.T) {
	for _, kind := range []plane.RunKind{plane.RunAdd, plane.RunRepair, plane.RunLeave} {
		t.Run(string(kind), func(t *testing.T) {
			b := newBalanced(t, 2, nil)
			run := b.queueFor(kind, 1, "")
			b.write(func(tx *store.Tx) error { return tx.DeleteBackend(b.ctx, b.backends[1].ID) })
			b.started(&stage{})
			r, _ := b.ended(run.ID)
			if gone := kind == plane.RunLeave; gone != (r.State == plane.RunSucceeded) || !gone && !strings.Contains(r.Reason, "no longer part of web") {
				t.Errorf("%s: %s", r.State, r.Reason)
			}
		})
	}
}

func TestPrimaryIsNotRemoved(t *testing.T) {
	b := newBalanced(t, 2, nil)
	b.started(&stage{})
	r, _ := b.ended(b.queueFor(plane.RunLeave, 0, "").ID)
	if r.State != plane.RunFailed || b.now(0).Removing {
		t.Errorf("%s: %s", r.State, r.Reason)
	}
}

// TestTheOnlyOneIsNotRepaired: its process would stop with nobody beside it.
func TestTheOnlyOneIsNotRepaired(t *testing.T) {
	b := newBalanced(t, 2, nil)
	b.change(1, func(b *plane.Backend) { b.Enabled = false })
	b.started(&stage{})
	r, _ := b.ended(b.queueFor(plane.RunRepair, 0, "").ID)
	if got := b.now(0); r.State != plane.RunFailed || !strings.Contains(r.Reason, "the only one that serves web") || got.DeploymentID != b.live.ID {
		t.Errorf("%s: %s; %+v", r.State, r.Reason, got)
	}
}

// TestRepairCancelledInTimePutsBack: while requests finish, its slot is still
// what it was.
func TestRepairCancelledInTimePutsBack(t *testing.T) {
	b := newBalanced(t, 2, nil)
	b.app.Spec.Options[plane.OptionDrain] = "10m"
	b.write(func(tx *store.Tx) error { return tx.UpdateApp(b.ctx, b.app) })
	run := b.queueFor(plane.RunRepair, 0, "")
	hint, stop := b.hub.Subscribe(topicSettled(b.server.ID))
	defer stop()
	b.started(&stage{})
	<-hint // the entry has the tree without it
	if got := b.now(0); got.DeploymentID != "" || !got.Placed || !got.Enabled {
		t.Errorf("aside: %+v", got)
	}
	b.write(func(tx *store.Tx) error { return tx.RequestCancel(b.ctx, run.ID, time.Now().UTC()) })
	b.hub.Publish(topicCancel(run.ID))
	r, _ := b.ended(run.ID)
	if got := b.now(0); r.State != plane.RunCancelled || got.DeploymentID != b.live.ID || got.ReleaseID != b.live.ReleaseID {
		t.Errorf("%s: %+v", r.State, got)
	}
}

// TestSteering: the answer to an older try is no answer to this one.
func TestSteering(t *testing.T) {
	for result, want := range map[string]plane.RunState{"applied": plane.RunSucceeded, "refused": plane.RunFailed} {
		b := newBalanced(t, 1, func(string) (string, bool) {
			return `{"result":"` + result + `","message":"unknown directive","file":"/etc/nginx/x","line":3}`, false
		})
		var generation int64
		b.write(func(tx *store.Tx) (err error) {
			if generation, err = tx.RaiseTree(b.ctx, b.server.ID); err != nil {
				return err
			}
			return tx.SettleTree(b.ctx, b.server.ID, generation, "an older answer")
		})
		run := b.queueFor(plane.RunSteer, 0, fmt.Sprintf(`{"server":%q,"generation":%d}`, b.server.ID, generation))
		b.started(&stage{})
		if r, _ := b.ended(run.ID); r.State != want || want == plane.RunFailed && !strings.Contains(r.Reason, "/etc/nginx/x line 3") {
			t.Errorf("%s: %s: %s", result, r.State, r.Reason)
		}
	}
}

func TestDisableRefusesAPrimaryThatIsBehind(t *testing.T) {
	b := newBalanced(t, 2, nil)
	b.change(0, func(b *plane.Backend) { b.DeploymentID = "dep_former" })
	b.started(&stage{})
	r, _ := b.ended(b.queueFor(plane.RunDisable, 0, "").ID)
	if r.State != plane.RunFailed || !strings.Contains(r.Reason, "cannot serve alone") || !b.now(1).Enabled {
		t.Errorf("%s: %s", r.State, r.Reason)
	}
}

// TestLostRunsIdleSlotIsStopped: what a dead panel had started beside the live
// slot would use memory until the next deployment. The live one is left alone.
func TestLostRunsIdleSlotIsStopped(t *testing.T) {
	for name, c := range map[string]struct {
		kind   plane.RunKind
		state  plane.DeploymentState
		placed bool
		want   []string
	}{
		"preparing":       {plane.RunDeploy, plane.DeploymentPreparing, true, []string{"stop sp-web-b.service"}},
		"switching":       {plane.RunDeploy, plane.DeploymentSwitching, true, nil},
		"adding":          {plane.RunAdd, "", false, []string{"stop sp-web-a.service"}},
		"added":           {plane.RunAdd, "", true, nil},
		"repairing":       {plane.RunRepair, "", true, nil},
		"being taken off": {plane.RunLeave, "", true, nil},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBalanced(t, 2, nil)
			b.change(1, func(b *plane.Backend) { b.Placed = c.placed })
			run := b.lose(c.kind, c.state)
			r := b.runner()
			ctx, cancel := context.WithCancel(b.ctx)
			pooled := make(chan error, 1)
			go func() { pooled <- r.Pool.Run(ctx) }()
			if err := r.rescueOwn(ctx); err != nil { // ends when the slots are stopped
				t.Error(err)
			}
			cancel()
			if err := <-pooled; err != nil {
				t.Error(err)
			}
			if ended, _ := b.ended(run.ID); ended.State != plane.RunInterrupted {
				t.Errorf("the Run is %s", ended.State)
			}
			if told := b.machine.told("stop sp-web-a.service", "stop sp-web-b.service"); !slices.Equal(told, c.want) {
				t.Errorf("the servers were told %q, want %q", told, c.want)
			}
		})
	}
}

// lose leaves a Run claimed by a panel that died.
func (b *balanced) lose(kind plane.RunKind, state plane.DeploymentState) plane.Run {
	b.t.Helper()
	d := b.live
	d.ID, d.Slot, d.State, d.ReleaseID = plane.NewID(plane.PrefixDeployment), plane.SlotB, state, "20260101000001-bbbbbbb"
	run := plane.Run{
		ID: plane.NewID(plane.PrefixRun), Kind: kind, AppID: b.app.ID, BackendID: b.backends[1].ID, Servers: []string{b.server.ID}, CreatedAt: time.Now().UTC(),
	}
	if kind == plane.RunDeploy {
		run.DeploymentID = d.ID
	}
	b.write(func(tx *store.Tx) error {
		if kind == plane.RunDeploy {
			if err := tx.CreateDeployment(b.ctx, d); err != nil {
				return err
			}
		}
		if err := tx.Enqueue(b.ctx, run); err != nil {
			return err
		}
		_, _, err := tx.Claim(b.ctx, "ins_one", time.Now().UTC(), time.Hour)
		return err
	})
	return run
}
