package control_test

import (
	"context"
	"strings"
	"testing"

	"github.com/serverplane/serverplane/internal/control"
	"github.com/serverplane/serverplane/internal/plane"
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

// TestAcknowledgedMemoryReachesTheRun of a deployment.
func TestAcknowledgedMemoryReachesTheRun(t *testing.T) {
	p := newPanel(t)
	p.ready(1)
	p.app("web")
	_, run, err := p.Deploy(t.Context(), ann, "web", control.DeployWish{Acknowledge: []string{plane.AckMemory}})
	if err != nil || !strings.Contains(string(run.Args), `"memory":true`) {
		t.Errorf("told %s, %v", run.Args, err)
	}
	p.refuses("no id", plane.CodeInvalid, "acknowledge", func(ctx context.Context) error {
		_, _, err := p.Deploy(ctx, ann, "web", control.DeployWish{Acknowledge: []string{"Memory!"}})
		return err
	})
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
