package control

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/serverplane/serverplane/internal/plane"
	"github.com/serverplane/serverplane/internal/store"
)

// ChangeApp changes how an app is built, run and reached.
func (c *Control) ChangeApp(ctx context.Context, actor plane.Actor, name string, ch AppChange) (plane.App, error) {
	return c.ChangeAppSeen(ctx, actor, name, "", ch)
}

// ChangeAppSeen is ChangeApp for somebody who looked at SeenApp before.
func (c *Control) ChangeAppSeen(ctx context.Context, actor plane.Actor, name string, seen Seen, ch AppChange) (plane.App, error) {
	var app plane.App
	err := c.changeNoting(ctx, actor, "app.set", name, func(tx *store.Tx) (string, error) {
		was, err := appByName(ctx, tx, name)
		if err != nil {
			return "", err
		}
		if err := cmp.Or(refuseLeaving(was), seen.still(SeenApp(was)), plane.CheckAcknowledged("acknowledge", ch.Acknowledge)); err != nil {
			return "", err
		}
		app = was
		ch.apply(&app)
		if err := c.mayChange(ctx, tx, was, app, ch.Acknowledge); err != nil {
			return "", err
		}
		if err := tx.UpdateApp(ctx, app); err != nil {
			return "", err
		}
		if was.Spec.Timezone().String() != app.Spec.Timezone().String() {
			if err := c.resetClocks(ctx, tx, actor, app); err != nil {
				return "", err
			}
		}
		_, err = tx.RaiseTree(ctx, app.ServerID)
		return acknowledged(ch.Acknowledge), err
	})
	c.hub.Publish(TopicTree)
	c.hub.Publish(TopicQueue)
	return app, err
}

func (c *Control) mayChange(ctx context.Context, tx *store.Tx, was, is plane.App, acknowledge []string) error {
	if err := c.checkApp(is); err != nil {
		return err
	}
	backends, err := tx.BackendsOf(ctx, is.ID)
	if err != nil {
		return err
	}
	if err := refuseGap(was, is, backends, acknowledge); err != nil {
		return err
	}
	for _, b := range backends {
		if err := refuseTakenPort(ctx, tx, is, b.ServerID); err != nil {
			return err
		}
	}
	return refuseNames(ctx, tx, is.ServerID, is)
}

// refuseTakenPort holds that a fixed port is one app's on a server.
func refuseTakenPort(ctx context.Context, tx *store.Tx, a plane.App, serverID string) error {
	if a.Spec.FixedPort() == 0 {
		return nil
	}
	others, err := tx.AppsOn(ctx, serverID)
	if err != nil {
		return err
	}
	for _, o := range others {
		if o.ID != a.ID && o.Spec.FixedPort() == a.Spec.FixedPort() {
			return plane.Conflict(fmt.Sprintf("port %d is the fixed port of app %q on the same server", a.Spec.FixedPort(), o.Name), "let one of them listen on $PORT, or give it another server")
		}
	}
	return nil
}

// refuseGap holds that a person knows what it costs to restart the only backend,
// when that becomes the app's way.
func refuseGap(was, is plane.App, backends []plane.Backend, acknowledge []string) error {
	if !is.Spec.Restarts() || was.Spec.Restarts() || !plane.GapAhead(backends) || slices.Contains(acknowledge, plane.AckGap) {
		return nil
	}
	return &plane.Error{
		Code: plane.CodeConflict, Field: "acknowledge", Message: plane.OptionSwitch + "=" + plane.SwitchRestart + ": " + plane.RestartCost(backends),
		Hint: "that is right for what cannot run twice on a server (a fixed port, a lock file, a small server): add --acknowledge " + plane.AckGap + "; with a second backend there is no gap",
	}
}

func (ch AppChange) apply(a *plane.App) {
	put(&a.Branch, ch.Branch)
	put(&a.Domains, ch.Domains)
	put(&a.Spec.Build, ch.Build)
	put(&a.Spec.Start, ch.Start)
	put(&a.Spec.RunOnce, ch.RunOnce)
	put(&a.Spec.Root, ch.Root)
	put(&a.Spec.HealthPath, ch.HealthPath)
	put(&a.Repository, ch.Repository)
	a.Spec.Options = withOptions(a.Spec.Options, ch.Options)
}

func withOptions(now, change map[string]string) map[string]string {
	if len(change) == 0 {
		return now
	}
	out := maps.Clone(now)
	if out == nil {
		out = map[string]string{}
	}
	for name, value := range change {
		out[name] = value
		if value == "" {
			delete(out, name)
		}
	}
	return out
}

func put[T any](at *T, value *T) {
	if value != nil {
		*at = *value
	}
}
