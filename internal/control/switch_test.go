package control_test

import (
	"context"
	"strings"
	"testing"

	"github.com/serverplane/serverplane/internal/control"
	"github.com/serverplane/serverplane/internal/plane"
	"github.com/serverplane/serverplane/internal/store"
)

// TestRestartOfAnOnlyBackendIsAcknowledged, once, when it becomes the app's way.
func TestRestartOfAnOnlyBackendIsAcknowledged(t *testing.T) {
	p := newPanel(t)
	p.ready(1)
	wish := wishedApp("web", "www.example.com")
	wish.Spec.Options = map[string]string{plane.OptionSwitch: plane.SwitchRestart}
	create := func(ids ...string) func(context.Context) error {
		return func(ctx context.Context) error {
			wish.Acknowledge = ids
			_, _, err := p.CreateApp(ctx, ann, wish)
			return err
		}
	}
	p.refuses("created without a word", plane.CodeConflict, "acknowledge", create())
	p.refuses("acknowledged twice", plane.CodeInvalid, "acknowledge", create(plane.AckGap, plane.AckGap))
	if err := create(plane.AckGap)(t.Context()); err != nil {
		t.Fatal(err)
	}
	set := func(way string, ids ...string) func(context.Context) error {
		return func(ctx context.Context) error {
			_, err := p.ChangeApp(ctx, ann, "web", control.AppChange{Options: map[string]string{plane.OptionSwitch: way}, Acknowledge: ids})
			return err
		}
	}
	for _, step := range []func(context.Context) error{set(plane.SwitchRestart), set("")} {
		if err := step(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	p.refuses("changed without a word", plane.CodeConflict, "acknowledge", set(plane.SwitchRestart))
	if err := set(plane.SwitchRestart)(t.Context()); !strings.Contains(err.Error(), "visitors get an error") || !strings.Contains(err.Error(), "--acknowledge gap") {
		t.Errorf("the cost is not told: %v", err)
	}
	if err := set(plane.SwitchRestart, plane.AckGap)(t.Context()); err != nil {
		t.Fatal(err)
	}
	a, err := p.App(t.Context(), ann, "web")
	if err != nil || !a.Spec.Restarts() || !a.Gap || !strings.Contains(a.RestartCost, "only one backend") {
		t.Errorf("%+v, %v", a, err)
	}
}

// TestFixedPortIsOneAppsOnAServer, whether it is created, changed or given one more backend there.
func TestFixedPortIsOneAppsOnAServer(t *testing.T) {
	p := newPanel(t)
	p.ready(1)
	fixed := map[string]string{plane.OptionSwitch: plane.SwitchRestart, plane.OptionFixedPort: "3000"}
	wish := wishedApp("web", "www.example.com")
	wish.Spec.Options, wish.Acknowledge = fixed, []string{plane.AckGap}
	if _, _, err := p.CreateApp(t.Context(), ann, wish); err != nil {
		t.Fatal(err)
	}
	p.refuses("created with a port that is taken", plane.CodeConflict, "", func(ctx context.Context) error {
		other := wishedApp("shop", "shop.example.com")
		other.Spec.Options, other.Acknowledge = fixed, []string{plane.AckGap}
		_, _, err := p.CreateApp(ctx, ann, other)
		return err
	})
	p.app("shop", "shop.example.com")
	p.refuses("changed to a port that is taken", plane.CodeConflict, "", func(ctx context.Context) error {
		_, err := p.ChangeApp(ctx, ann, "shop", control.AppChange{Options: fixed, Acknowledge: []string{plane.AckGap}})
		return err
	})
	fixed[plane.OptionFixedPort] = "3001"
	if _, err := p.ChangeApp(t.Context(), ann, "shop", control.AppChange{Options: fixed, Acknowledge: []string{plane.AckGap}}); err != nil {
		t.Error(err)
	}
}

// passages are the verbs that take an app from slot to slot, by what the audit log calls them.
func (p *panel) passages(back string) map[string]func(ctx context.Context, ids []string) (plane.Run, error) {
	run := func(_ plane.Deployment, r plane.Run, err error) (plane.Run, error) { return r, err }
	return map[string]func(context.Context, []string) (plane.Run, error){
		"app.deploy": func(ctx context.Context, ids []string) (plane.Run, error) {
			return run(p.Deploy(ctx, ann, "web", control.DeployWish{Acknowledge: ids}))
		},
		"app.rollback": func(ctx context.Context, ids []string) (plane.Run, error) {
			return run(p.Rollback(ctx, ann, "web", control.RollbackWish{Deployment: back, Acknowledge: ids}))
		},
		"env.apply": func(ctx context.Context, ids []string) (plane.Run, error) {
			r, err := p.ApplyVariables(ctx, ann, "web", ids)
			if r == nil {
				r = &plane.Run{}
			}
			return *r, err
		},
		"db.rotate-password": func(ctx context.Context, ids []string) (plane.Run, error) {
			return p.RotatePassword(ctx, ann, "shop", ids)
		},
	}
}

// TestConsentIsOneRule for whatever takes an app from slot to slot: what was read reaches the Run and the audit log, what can be
// no warning is refused, and the gap of an app whose load balancer has one backend left is asked for.
func TestConsentIsOneRule(t *testing.T) {
	p := newPanel(t)
	p.ready(1)
	p.app("web")
	p.made("shop", "", plane.DatabaseServer{Port: 5432, TLS: true, Open: true, MaxConnections: 100, Reserved: 3, SeenAt: day})
	all := p.past("web", plane.DeploymentCompleted, plane.DeploymentCompleted)
	p.set(map[string]string{"A": "1"})
	verbs := p.passages(all[0].ID)
	refused := func(what string, code plane.Code, ids ...string) {
		t.Helper()
		for name, do := range verbs {
			p.refuses(name+", "+what, code, "acknowledge", func(ctx context.Context) error { _, err := do(ctx, ids); return err })
		}
	}
	refused("no id", plane.CodeInvalid, "Memory!")
	refused("twice", plane.CodeInvalid, plane.AckMemory, plane.AckMemory)
	restarts := control.AppChange{Options: map[string]string{plane.OptionSwitch: plane.SwitchRestart}, Acknowledge: []string{plane.AckGap}}
	if _, err := p.ChangeApp(t.Context(), ann, "web", restarts); err != nil {
		t.Fatal(err)
	}
	alone := p.appNamed("web").Balancer
	balanced := alone
	balanced.Status = plane.BalancerOn
	balance := func(b plane.LoadBalancer) {
		p.write(func(ctx context.Context, tx *store.Tx) error { return tx.SetBalancer(ctx, all[0].AppID, b) })
	}
	balance(balanced)
	refused("a gap nobody expects", plane.CodeConflict)
	refused("another warning", plane.CodeConflict, plane.AckMemory)
	for name, do := range verbs {
		run, err := do(t.Context(), []string{plane.AckGap, plane.AckMemory})
		if err != nil || !strings.Contains(string(run.Args), `"memory":true`) {
			t.Errorf("%s is told %s, %v", name, run.Args, err)
		}
		if a := p.lastAudit(); a.Action != name || !strings.Contains(a.Detail, "acknowledged: gap, memory") {
			t.Errorf("the audit log has %+v", a)
		}
	}
	balance(alone) // acknowledged when it became the app's way
	if _, _, err := p.Deploy(t.Context(), ann, "web", control.DeployWish{}); err != nil {
		t.Error(err)
	}
}
