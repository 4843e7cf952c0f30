package control_test

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/serverplane/serverplane/internal/control"
	"github.com/serverplane/serverplane/internal/plane"
	"github.com/serverplane/serverplane/internal/store"
)

var read = control.BalancerWish{Acknowledge: []string{control.WarningFiles}}

func (p *panel) balancer() control.BalancerView {
	p.Helper()
	view, err := p.Balancer(p.Context(), ann, "web")
	if err != nil {
		p.Fatal(err)
	}
	return view
}

func TestEnableBalancer(t *testing.T) {
	p := newPanel(t)
	s := p.ready(1)
	a := p.app("web")
	enable := func(w control.BalancerWish) func(context.Context) error {
		return func(ctx context.Context) error { _, err := p.EnableBalancer(ctx, ann, "web", w); return err }
	}
	p.refuses("before the first deployment", plane.CodeConflict, "", enable(read))
	p.live("web")
	p.refuses("unread", plane.CodeInvalid, "acknowledge", enable(control.BalancerWish{}))
	p.refuses("another warning read", plane.CodeInvalid, "acknowledge", enable(control.BalancerWish{Acknowledge: []string{"all"}}))
	p.refuses("unknown method", plane.CodeInvalid, "method", enable(control.BalancerWish{Method: "random", Acknowledge: read.Acknowledge}))
	if err := enable(control.BalancerWish{})(t.Context()); !strings.Contains(err.Error(), "never syncs files") {
		t.Errorf("the warning is not told: %v", err)
	}
	run, err := p.EnableBalancer(t.Context(), ann, "web", read)
	if err != nil || run.Kind != plane.RunEnable || !slices.Equal(run.Servers, []string{s.ID}) || !slices.Equal(run.Locks, []string{plane.AppLock(a.ID)}) {
		t.Fatalf("%+v, %v", run, err)
	}
	if b := p.balancer(); b.Status != plane.BalancerApplying || b.Method != plane.RoundRobin || len(b.Backends) != 1 {
		t.Errorf("%+v", b)
	}
	p.refuses("twice", plane.CodeConflict, "", enable(read))

	if view, err := p.CancelRun(t.Context(), ann, run.ID); err != nil || view.State != plane.RunCancelled {
		t.Errorf("%+v, %v", view, err)
	}
	if b := p.balancer(); b.Status != plane.BalancerOff {
		t.Errorf("after the cancel it is %s", b.Status)
	}
	if _, err := p.EnableBalancer(t.Context(), ann, "web", control.BalancerWish{Method: plane.IPHash, Acknowledge: read.Acknowledge}); err != nil {
		t.Error(err)
	}
	if b := p.balancer(); b.Method != plane.IPHash {
		t.Errorf("the method is %s", b.Method)
	}
}

// balanced is a panel with a live, balanced app on s1 and s2, s3 ready.
func balanced(t *testing.T, m plane.Method) *panel {
	p := newPanel(t)
	p.ready(1)
	p.app("web")
	p.live("web")
	run, err := p.EnableBalancer(t.Context(), ann, "web", control.BalancerWish{Method: m, Acknowledge: read.Acknowledge})
	if err != nil {
		t.Fatal(err)
	}
	p.finish(run.ID)
	b := p.balancer()
	b.Status = plane.BalancerOn
	p.write(func(ctx context.Context, tx *store.Tx) error {
		return tx.SetBalancer(ctx, b.Backends[0].AppID, b.LoadBalancer)
	})
	p.ready(2)
	return p
}

func TestAddBackend(t *testing.T) {
	p := balanced(t, plane.RoundRobin)
	run, err := p.AddBackend(t.Context(), ann, "web", control.BackendWish{Server: "s2"})
	if err != nil {
		t.Fatal(err)
	}
	views, err := p.Backends(t.Context(), ann, "web")
	if err != nil || len(views) != 2 {
		t.Fatal(views, err)
	}
	b := views[1]
	if b.Primary || b.Placed || !b.Enabled || b.Weight != 1 || b.State() != plane.BackendDeploying || b.ServerName != "s2" || b.Ports.SiteB == 0 {
		t.Errorf("stored as %+v", b)
	}
	if run.Kind != plane.RunAdd || run.BackendID != b.ID || run.ServerID != b.ServerID || len(run.Servers) != 2 || !slices.Equal(run.Locks, []string{plane.Shared(plane.AppLock(b.AppID)), plane.BackendLock(b.ID)}) {
		t.Errorf("queued as %+v", run)
	}
	again := func(ctx context.Context) error {
		_, err := p.AddBackend(ctx, ann, "web", control.BackendWish{Server: "s2", Weight: 7})
		return err
	}
	p.refuses("while it is queued", plane.CodeConflict, "", again)
	if err := again(t.Context()); !strings.Contains(err.Error(), run.ID) {
		t.Errorf("the Run is not named: %v", err)
	}

	p.finish(run.ID) // it ended without placing: asked again it continues, with the new wish and the old ports
	if err := again(t.Context()); err != nil {
		t.Fatal(err)
	}
	retried, err := p.Backend(t.Context(), ann, "web", "s2")
	if err != nil || retried.ID != b.ID || retried.Ports != b.Ports || retried.Weight != 7 {
		t.Errorf("continued as %+v, %v", retried, err)
	}
	runs, err := p.Runs(t.Context(), ann, control.RunFilter{App: "web", Limit: 1})
	if err != nil || runs[0].AppName != "web" || !slices.Equal(runs[0].ServerNames, []string{"s2", "s1"}) {
		t.Errorf("%+v, %v", runs, err)
	}
	p.finish(runs[0].ID)
	retried.Placed = true
	p.write(func(ctx context.Context, tx *store.Tx) error { return tx.UpdateBackend(ctx, retried.Backend) })
	p.refuses("once it serves", plane.CodeConflict, "", again)
}

func TestAddBackendRefuses(t *testing.T) {
	p := balanced(t, plane.IPHash)
	p.add(3) // pending
	p.found.survey.OSFamily = "debian"
	ubuntu := p.ready(4)
	ubuntu.Survey.OSFamily, ubuntu.State = "suse", plane.ServerReady
	p.write(func(ctx context.Context, tx *store.Tx) error { return tx.UpdateServer(ctx, ubuntu) })
	for what, c := range map[string]struct {
		app   string
		code  plane.Code
		field string
		wish  control.BackendWish
	}{
		"a negative weight":   {"web", plane.CodeInvalid, "weight", control.BackendWish{Server: "s2", Weight: -1}},
		"a weight above 100":  {"web", plane.CodeInvalid, "weight", control.BackendWish{Server: "s2", Weight: 101}},
		"the primary":         {"web", plane.CodeConflict, "", control.BackendWish{Server: "s1"}},
		"an unknown server":   {"web", plane.CodeNotFound, "", control.BackendWish{Server: "s9"}},
		"an unknown app":      {"nope", plane.CodeNotFound, "", control.BackendWish{Server: "s2"}},
		"a pending server":    {"web", plane.CodeConflict, "", control.BackendWish{Server: "s3"}},
		"another family":      {"web", plane.CodeConflict, "", control.BackendWish{Server: "s4"}},
		"a backup of IP hash": {"web", plane.CodeInvalid, "backup", control.BackendWish{Server: "s2", Backup: true}},
	} {
		p.refuses(what, c.code, c.field, func(ctx context.Context) error { _, err := p.AddBackend(ctx, ann, c.app, c.wish); return err })
	}
	p.app("plain", "plain.example.com")
	p.refuses("an app that is not balanced", plane.CodeConflict, "", func(ctx context.Context) error {
		_, err := p.AddBackend(ctx, ann, "plain", control.BackendWish{Server: "s2"})
		return err
	})
	p.refuses("no such backend", plane.CodeNotFound, "", func(ctx context.Context) error { _, err := p.Backend(ctx, ann, "web", "s2"); return err })
}

// An app that is on its way out gets no new work, and its removal can be asked
// for again.
func TestLeavingAppGetsNoWork(t *testing.T) {
	p := balanced(t, plane.RoundRobin)
	p.set(map[string]string{"A": "1"})
	id := p.balancer().Backends[0].AppID
	p.write(func(ctx context.Context, tx *store.Tx) error {
		return tx.SetAppState(ctx, id, plane.AppRemoving, "a server did not answer", p.now())
	})
	for what, wish := range map[string]func(context.Context) error{
		"deploy": func(ctx context.Context) error {
			_, _, err := p.Deploy(ctx, ann, "web", control.DeployWish{})
			return err
		},
		"env apply": func(ctx context.Context) error { _, err := p.ApplyVariables(ctx, ann, "web", nil); return err },
		"app set": func(ctx context.Context) error {
			_, err := p.ChangeApp(ctx, ann, "web", control.AppChange{Start: text("x")})
			return err
		},
		"lb enable": func(ctx context.Context) error { _, err := p.EnableBalancer(ctx, ann, "web", read); return err },
		"backend add": func(ctx context.Context) error {
			_, err := p.AddBackend(ctx, ann, "web", control.BackendWish{Server: "s2"})
			return err
		},
	} {
		p.refuses(what, plane.CodeConflict, "", wish)
	}
	if _, err := p.RemoveApp(t.Context(), ann, "web"); err != nil {
		t.Errorf("removing again: %v", err)
	}
}
