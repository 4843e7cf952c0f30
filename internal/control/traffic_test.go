package control_test

import (
	"cmp"
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/serverplane/serverplane/internal/control"
	"github.com/serverplane/serverplane/internal/plane"
	"github.com/serverplane/serverplane/internal/store"
)

// serving is a balanced app that s1 and s2 serve, both healthy.
func serving(t *testing.T, m plane.Method) *panel {
	p := balanced(t, m)
	run, err := p.AddBackend(t.Context(), ann, "web", control.BackendWish{Server: "s2"})
	if err != nil {
		t.Fatal(err)
	}
	p.finish(run.ID)
	for _, s := range []string{"s1", "s2"} {
		p.edit(s, func(b *plane.Backend, a plane.App) { b.Placed, b.DeploymentID = true, a.LiveID })
		p.health(s, plane.BackendHealthy)
	}
	return p
}

func (p *panel) edit(server string, change func(b *plane.Backend, a plane.App)) {
	p.Helper()
	p.write(func(ctx context.Context, tx *store.Tx) error {
		v, err := p.Backend(ctx, ann, "web", server)
		if err != nil {
			return err
		}
		a, err := tx.App(ctx, v.AppID)
		if err != nil {
			return err
		}
		b := v.Backend
		change(&b, a)
		return tx.UpdateBackend(ctx, b)
	})
}

func (p *panel) health(server string, state plane.BackendState) {
	p.Helper()
	v := p.backend(server)
	v.Health.State = state
	p.write(func(ctx context.Context, tx *store.Tx) error { return tx.SetHealth(ctx, v.ID, v.Health) })
}

func (p *panel) backend(server string) control.BackendView {
	p.Helper()
	v, err := p.Backend(p.Context(), ann, "web", server)
	if err != nil {
		p.Fatal(err)
	}
	return v
}

// steered plays the steerer until the test ends: every wish comes into force, or
// is refused with the text, and whoever waits for it has the patience to see it.
func (p *panel) steered(refusal string) {
	p.steers, p.config.Patience = true, time.Minute
	p.Control = control.New(p.config)
	ctx, stop := context.WithCancel(p.Context())
	hint, leave := p.hub.Subscribe(control.TopicTree)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			select {
			case <-ctx.Done():
				return
			case <-hint:
				p.settle(ctx, refusal)
			}
		}
	}()
	p.Cleanup(func() { stop(); <-done; leave() })
}

// settled waits until nothing is left to be put in force.
func (p *panel) settled() {
	p.Helper()
	for limit := time.Now().Add(time.Minute); time.Now().Before(limit); time.Sleep(time.Millisecond) {
		var pending []plane.Server
		err := p.store.Read(p.Context(), func(tx *store.Tx) (err error) {
			pending, err = tx.ServersWithPendingTree(p.Context())
			return err
		})
		if err != nil {
			p.Fatal(err)
		}
		if len(pending) == 0 {
			return
		}
	}
	p.Fatal("the steerer did not put everything in force")
}

func (p *panel) settle(ctx context.Context, refusal string) {
	err := p.store.Write(ctx, func(tx *store.Tx) error {
		pending, err := tx.ServersWithPendingTree(ctx)
		for _, s := range pending {
			if err == nil {
				err = tx.SettleTree(ctx, s.ID, s.TreeWanted, refusal)
			}
		}
		return err
	})
	if err != nil && ctx.Err() == nil {
		p.Error(err)
	}
	p.hub.Publish(control.TopicSettled(p.serverID("s1")))
}

func (p *panel) serverID(name string) string {
	v, err := p.Server(context.Background(), ann, name)
	if err != nil {
		p.Error(err)
	}
	return v.ID
}

func TestSwitchOffAndOn(t *testing.T) {
	p := serving(t, plane.RoundRobin)
	p.steered("")
	done, err := p.SwitchOff(t.Context(), ann, "web", "s2", false)
	if err != nil || !done.InForce || done.Run != nil {
		t.Fatalf("%+v, %v", done, err)
	}
	off := p.backend("s2")
	if off.Enabled || off.State() != plane.BackendOff || off.Since().IsZero() || !off.Since().Equal(off.WishedAt) {
		t.Errorf("%+v", off)
	}
	if a := p.lastAudit(); a.Action != "backend.off" || a.Subject != "web on s2" {
		t.Errorf("%+v", a)
	}
	again, err := p.SwitchOff(t.Context(), ann, "web", "s2", false)
	if err != nil || !again.InForce || p.backend("s2").WishedAt != off.WishedAt {
		t.Errorf("off twice: %+v, %v", again, err)
	}
	if done, err := p.SwitchOn(t.Context(), ann, "web", "s2"); err != nil || !done.InForce || !p.backend("s2").Enabled {
		t.Errorf("%+v, %v", done, err)
	}
}

func TestSwitchOffRefuses(t *testing.T) {
	p := serving(t, plane.RoundRobin)
	p.health("s2", plane.BackendUnhealthy)
	off := func(server string) func(context.Context) error {
		return func(ctx context.Context) error { _, err := p.SwitchOff(ctx, ann, "web", server, false); return err }
	}
	p.refuses("the last healthy one", plane.CodeConflict, "yes", off("s1"))
	p.refuses("a server that is not there", plane.CodeNotFound, "", off("s9"))
	p.ready(3)
	p.refuses("a server that is no backend", plane.CodeNotFound, "", off("s3"))
	p.edit("s2", func(b *plane.Backend, _ plane.App) { b.Enabled = false })
	p.refuses("the last one that serves", plane.CodeConflict, "", off("s1"))
	p.edit("s2", func(b *plane.Backend, _ plane.App) { b.Enabled, b.Removing = true, true })
	p.refuses("one on its way out", plane.CodeConflict, "", off("s2"))
	p.refuses("the last beside one on its way out", plane.CodeConflict, "", off("s1"))
}

// A wish that cannot be put in force stays wished, says why, and has a Run that
// goes on waiting.
func TestRefusedWishIsKept(t *testing.T) {
	p := serving(t, plane.RoundRobin)
	const why = "nginx on s1: unknown directive \"oops\" (another site's file /etc/nginx/conf.d/x.conf line 3)"
	p.steered(why)
	done, err := p.SwitchOff(t.Context(), ann, "web", "s2", false)
	if err != nil || done.InForce || done.Reason != why || done.Run == nil || done.Run.Kind != plane.RunSteer || len(done.Run.Locks) != 0 {
		t.Fatalf("%+v, %v", done, err)
	}
	if !strings.Contains(string(done.Run.Args), p.serverID("s1")) {
		t.Errorf("the Run does not know what it waits for: %s", done.Run.Args)
	}
	if p.backend("s2").Enabled {
		t.Error("the wish was dropped")
	}
	if b := p.balancer(); !b.Pending || b.PendingReason != why {
		t.Errorf("pending %t: %q", b.Pending, b.PendingReason)
	}
}

func TestSwitchOnCatchesUp(t *testing.T) {
	p := serving(t, plane.RoundRobin)
	p.steered("")
	p.edit("s2", func(b *plane.Backend, _ plane.App) { b.Enabled, b.DeploymentID = false, "dep_former" })
	done, err := p.SwitchOn(t.Context(), ann, "web", "s2")
	if err != nil || done.InForce || done.Run == nil || done.Run.Kind != plane.RunRepair || !strings.Contains(string(done.Run.Args), "true") {
		t.Fatalf("%+v, %v", done, err)
	}
	if p.backend("s2").Enabled {
		t.Error("visitors are sent to an old release")
	}
	p.refuses("again", plane.CodeConflict, "", func(ctx context.Context) error { _, err := p.SwitchOn(ctx, ann, "web", "s2"); return err })
}

func TestSetBackend(t *testing.T) {
	p := serving(t, plane.RoundRobin)
	p.steered("")
	five, zero, yes := 5, 0, true
	if done, err := p.SetBackend(t.Context(), ann, "web", "s2", control.BackendChange{Weight: &five}); err != nil || !done.InForce || p.backend("s2").Weight != 5 {
		t.Errorf("%+v, %v", done, err)
	}
	if a := p.lastAudit(); a.Detail != "weight 1 to 5, backup false to false" {
		t.Errorf("%+v", a)
	}
	set := func(server string, ch control.BackendChange) func(context.Context) error {
		return func(ctx context.Context) error { _, err := p.SetBackend(ctx, ann, "web", server, ch); return err }
	}
	p.refuses("weight 0", plane.CodeInvalid, "weight", set("s2", control.BackendChange{Weight: &zero}))
	if err := set("s2", control.BackendChange{Backup: &yes})(t.Context()); err != nil {
		t.Error(err)
	}
	p.refuses("only backups", plane.CodeConflict, "", set("s1", control.BackendChange{Backup: &yes}))
	hash := plane.IPHash
	p.refuses("IP hash beside a backup", plane.CodeInvalid, "method", func(ctx context.Context) error {
		_, err := p.SetBalancer(ctx, ann, "web", control.BalancerChange{Method: &hash})
		return err
	})
}

func TestSetBalancer(t *testing.T) {
	p := serving(t, plane.RoundRobin)
	p.steered("")
	hash, path, long, many, none := plane.IPHash, "/up", plane.Duration(1e12), 9, 0
	random, bad := plane.Method("random"), "/\n}"
	set := func(ch control.BalancerChange) func(context.Context) error {
		return func(ctx context.Context) error { _, err := p.SetBalancer(ctx, ann, "web", ch); return err }
	}
	if err := set(control.BalancerChange{Method: &hash, HealthPath: &path})(t.Context()); err != nil {
		t.Fatal(err)
	}
	if b := p.balancer(); b.Method != hash || b.Path != path || b.Pending {
		t.Errorf("%+v", b)
	}
	p.refuses("an unknown method", plane.CodeInvalid, "method", set(control.BalancerChange{Method: &random}))
	p.refuses("a path that would break Nginx", plane.CodeInvalid, "health_path", set(control.BalancerChange{HealthPath: &bad}))
	p.refuses("a long interval", plane.CodeInvalid, "interval", set(control.BalancerChange{Interval: &long}))
	p.refuses("no failures", plane.CodeInvalid, "fall", set(control.BalancerChange{Fall: &none}))
	p.refuses("a floor above the number of backends", plane.CodeInvalid, "floor", set(control.BalancerChange{Floor: &many}))
}

func TestRemoveBackend(t *testing.T) {
	p := serving(t, plane.RoundRobin)
	remove := func(server string) func(context.Context) error {
		return func(ctx context.Context) error {
			_, err := p.RemoveBackend(ctx, ann, "web", server, control.RemoveWish{})
			return err
		}
	}
	p.refuses("the primary", plane.CodeConflict, "", remove("s1"))
	run, err := p.RemoveBackend(t.Context(), ann, "web", "s2", control.RemoveWish{Discard: true})
	if err != nil || run.Kind != plane.RunLeave || string(run.Args) != `{"discard":true}` {
		t.Fatalf("%+v, %v", run, err)
	}
	if b := p.backend("s2"); b.State() != plane.BackendRemoving || b.Serving() {
		t.Errorf("%+v", b)
	}
	if s, err := p.Server(t.Context(), ann, "s1"); err != nil || s.TreeWanted == s.TreeApplied {
		t.Errorf("the entry is not told: %+v, %v", s, err)
	}
	p.refuses("while it is under way", plane.CodeConflict, "", remove("s2"))
	p.refuses("to be added meanwhile", plane.CodeConflict, "", func(ctx context.Context) error {
		_, err := p.AddBackend(ctx, ann, "web", control.BackendWish{Server: "s2"})
		return err
	})
	p.finish(run.ID) // it could not be finished: asked again it continues
	if _, err := p.RemoveBackend(t.Context(), ann, "web", "s2", control.RemoveWish{}); err != nil {
		t.Error(err)
	}
}

// A server that is dead for good must not stay in the panel for ever.
func TestForgetLeftOvers(t *testing.T) {
	p := serving(t, plane.RoundRobin)
	p.edit("s2", func(b *plane.Backend, _ plane.App) { b.Removing = true })
	forget := func(ctx context.Context) error { return p.RemoveServer(ctx, ann, "s2", true) }
	p.refuses("a server that can be reached", plane.CodeConflict, "", forget)
	p.write(func(ctx context.Context, tx *store.Tx) error {
		return tx.SetServerState(ctx, p.serverID("s2"), plane.ServerUnreachable, "no route", p.now())
	})
	p.refuses("without the word for it", plane.CodeConflict, "", func(ctx context.Context) error { return p.RemoveServer(ctx, ann, "s2", false) })
	if err := forget(t.Context()); err != nil {
		t.Fatal(err)
	}
	if a := p.lastAudit(); a.Action != "server.remove" || !strings.Contains(a.Detail, "web") {
		t.Errorf("%+v", a)
	}
}

func TestPreview(t *testing.T) {
	p := serving(t, plane.RoundRobin)
	before, err := p.PreviewBalancer(t.Context(), ann, "web", "")
	if err != nil || before.Path != "conf.d/sp-web.conf" || strings.Contains(before.Text, "ip_hash") {
		t.Fatalf("%+v, %v", before, err)
	}
	hash, err := p.PreviewBalancer(t.Context(), ann, "web", plane.IPHash)
	if err != nil || !strings.Contains(hash.Text, "ip_hash") {
		t.Errorf("%+v, %v", hash, err)
	}
	p.refuses("an unknown method", plane.CodeInvalid, "method", func(ctx context.Context) error {
		_, err := p.PreviewBalancer(ctx, ann, "web", "random")
		return err
	})
}

func TestDisableBalancer(t *testing.T) {
	p := serving(t, plane.RoundRobin)
	disable := func(ctx context.Context) error {
		_, err := p.DisableBalancer(ctx, ann, "web", control.DisableWish{RemoveBackends: true})
		return err
	}
	if err := disable(t.Context()); err != nil {
		t.Fatal(err)
	}
	p.refuses("twice", plane.CodeConflict, "", disable)
}

// refusedOnce plays a steerer that refuses the newest tree before a verb looks.
func (p *panel) refusedOnce(why string) {
	p.Helper()
	s := p.serverID("s1")
	p.write(func(ctx context.Context, tx *store.Tx) error {
		generation, err := tx.RaiseTree(ctx, s)
		if err != nil {
			return err
		}
		return tx.SettleTree(ctx, s, generation, why)
	})
}

// What is wished already writes nothing: no row, no audit line, no generation.
func TestWishedAgainWritesNothing(t *testing.T) {
	p := serving(t, plane.RoundRobin)
	p.steered("")
	if _, err := p.SwitchOff(t.Context(), ann, "web", "s2", false); err != nil {
		t.Fatal(err)
	}
	one, no, method, path := 1, false, plane.RoundRobin, "/"
	before := p.contents()
	for what, verb := range map[string]func(context.Context) (control.Steered, error){
		"off": func(ctx context.Context) (control.Steered, error) { return p.SwitchOff(ctx, ann, "web", "s2", false) },
		"on":  func(ctx context.Context) (control.Steered, error) { return p.SwitchOn(ctx, ann, "web", "s1") },
		"set": func(ctx context.Context) (control.Steered, error) {
			return p.SetBackend(ctx, ann, "web", "s1", control.BackendChange{Weight: &one, Backup: &no})
		},
		"lb set": func(ctx context.Context) (control.Steered, error) {
			return p.SetBalancer(ctx, ann, "web", control.BalancerChange{Method: &method, HealthPath: &path})
		},
	} {
		if done, err := verb(t.Context()); err != nil || !done.InForce {
			t.Errorf("%s: %+v, %v", what, done, err)
		}
		if diff := gocmp.Diff(before, p.contents()); diff != "" {
			t.Errorf("%s wrote (-before +after):\n%s", what, diff)
		}
	}
}

// Asked again while the cause lasts, the same Run is the answer; mended, none is.
func TestRefusedWishHasOneRun(t *testing.T) {
	p := serving(t, plane.RoundRobin)
	p.refusedOnce("nginx says no")
	on := func() control.Steered {
		done, err := p.SwitchOn(t.Context(), ann, "web", "s2")
		if err != nil {
			t.Fatal(err)
		}
		return done
	}
	first, runs := on(), p.count("runs")
	if first.InForce || first.Reason != "nginx says no" || first.Run == nil {
		t.Fatalf("%+v", first)
	}
	if again := on(); again.Run == nil || again.Run.ID != first.Run.ID || p.count("runs") != runs {
		t.Errorf("again: %+v, %d Runs after %d", again, p.count("runs"), runs)
	}
	p.settle(t.Context(), "")
	if mended := on(); !mended.InForce || mended.Run != nil {
		t.Errorf("mended: %+v", mended)
	}
}

// Nobody steers: patience ends, and the Run is told where to wait for what.
func TestPatienceEnds(t *testing.T) {
	p := serving(t, plane.RoundRobin)
	done, err := p.SwitchOff(t.Context(), ann, "web", "s2", false)
	if err != nil || done.InForce || done.Run == nil || !strings.Contains(done.Reason, "s1") {
		t.Fatalf("%+v, %v", done, err)
	}
	view, err := p.Server(t.Context(), ann, "s1")
	if want := fmt.Sprintf(`{"generation":%d,"server":%q}`, view.TreeWanted, view.ID); err != nil || string(done.Run.Args) != want {
		t.Errorf("told %s, want %s, %v", done.Run.Args, want, err)
	}
}

// The health check is in force with the next probe, whatever Nginx says.
func TestHealthCheckIsSetBesideABrokenNginx(t *testing.T) {
	p := serving(t, plane.RoundRobin)
	p.refusedOnce("nginx says no")
	fall, floor := 3, 2
	done, err := p.SetBalancer(t.Context(), ann, "web", control.BalancerChange{Fall: &fall, Floor: &floor})
	if err != nil || !done.InForce || done.Run != nil {
		t.Errorf("%+v, %v", done, err)
	}
	if a := p.lastAudit(); a.Action != "lb.set" || !strings.Contains(a.Detail, "fall 3") {
		t.Errorf("audited as %+v", a)
	}
}

// An off that a Run would undo is not answered with "done".
func TestOffWhileItIsAboutToComeOn(t *testing.T) {
	p := serving(t, plane.RoundRobin)
	p.edit("s2", func(b *plane.Backend, _ plane.App) { b.Enabled, b.DeploymentID = false, "dep_former" })
	done, err := p.SwitchOn(t.Context(), ann, "web", "s2")
	if err != nil || done.Run == nil {
		t.Fatalf("%+v, %v", done, err)
	}
	off := func(ctx context.Context) error { _, err := p.SwitchOff(ctx, ann, "web", "s2", false); return err }
	p.refuses("while it catches up", plane.CodeConflict, "", off)
	if _, err := p.CancelRun(t.Context(), ann, done.Run.ID); err != nil {
		t.Fatal(err)
	}
	p.settle(t.Context(), "")
	if err := off(t.Context()); err != nil {
		t.Error(err)
	}
}

// A backend that is wished on and behind gets no visitors: it must not be the only one left.
func TestTheOneThatIsBehindDoesNotCount(t *testing.T) {
	p := serving(t, plane.RoundRobin)
	p.edit("s2", func(b *plane.Backend, _ plane.App) { b.DeploymentID = "dep_former" })
	yes := true
	for what, wish := range map[string]func(context.Context) error{
		"off": func(ctx context.Context) error { _, err := p.SwitchOff(ctx, ann, "web", "s1", true); return err },
		"backup": func(ctx context.Context) error {
			_, err := p.SetBackend(ctx, ann, "web", "s1", control.BackendChange{Backup: &yes, Yes: true})
			return err
		},
	} {
		p.refuses(what, plane.CodeConflict, "", wish)
	}
}

func TestDeployWithout(t *testing.T) {
	p := serving(t, plane.RoundRobin)
	deploy := func(names ...string) func(context.Context) error {
		return func(ctx context.Context) error {
			_, _, err := p.Deploy(ctx, ann, "web", control.DeployWish{Without: names})
			return err
		}
	}
	p.refuses("the primary", plane.CodeInvalid, "without", deploy("s1"))
	p.refuses("a server that is not there", plane.CodeNotFound, "without", deploy("s9"))
	p.refuses("one twice", plane.CodeInvalid, "without", deploy("s2", "s2"))
	p.refuses("shell text", plane.CodeNotFound, "without", deploy("$(id)"))
	_, run, err := p.Deploy(t.Context(), ann, "web", control.DeployWish{Without: []string{"s2"}})
	if err != nil || string(run.Args) != `{"without":["s2"]}` || p.lastAudit().Detail != "without s2" {
		t.Errorf("%s, %v, %+v", run.Args, err, p.lastAudit())
	}
}

// Two people switch the two last ones off at once: one of them is refused.
func TestBothCannotGoOffAtOnce(t *testing.T) {
	p := serving(t, plane.RoundRobin)
	p.steered("")
	refused := make(chan error, 2)
	for _, server := range []string{"s1", "s2"} {
		go func() {
			_, err := p.SwitchOff(t.Context(), ann, "web", server, true)
			refused <- err
		}()
	}
	first, second := <-refused, <-refused
	if (first == nil) == (second == nil) || plane.CodeOf(cmp.Or(first, second)) != plane.CodeConflict {
		t.Errorf("%v and %v", first, second)
	}
	if p.backend("s1").Enabled == p.backend("s2").Enabled {
		t.Error("not exactly one of them is on")
	}
}

// A server is not forgotten with a backend on it that nobody removed, and one
// that carries nothing needs no word about left-overs.
func TestForgetOnlyLeftOvers(t *testing.T) {
	p := serving(t, plane.RoundRobin)
	p.write(func(ctx context.Context, tx *store.Tx) error {
		return tx.SetServerState(ctx, p.serverID("s2"), plane.ServerUnreachable, "no route", p.now())
	})
	p.refuses("a backend nobody removed", plane.CodeConflict, "", func(ctx context.Context) error { return p.RemoveServer(ctx, ann, "s2", true) })
	p.ready(3)
	if err := p.RemoveServer(t.Context(), ann, "s3", true); err != nil {
		t.Error(err)
	}
	if a := p.lastAudit(); a.Action != "server.remove" || a.Detail != "" {
		t.Errorf("audited as %+v", a)
	}
}
