package runner

import (
	"testing"
	"time"

	"github.com/serverplane/serverplane/internal/plane"
	"github.com/serverplane/serverplane/internal/store"
)

// TestFormerIsWhatToGoBackTo: also when the panel died after the switch was
// written down, so that the deployment itself is what is live.
func TestFormerIsWhatToGoBackTo(t *testing.T) {
	s := newScene(t)
	now := time.Now().UTC()
	app := plane.App{
		ID: plane.NewID(plane.PrefixApp), Name: "web", Kind: plane.KindNodeJS, ServerID: s.server.ID, Repository: "https://example.com/a.git",
		Branch: "main", Spec: plane.Spec{}.WithDefaults(plane.KindNodeJS), State: plane.AppLive, Since: now, Balancer: plane.NewLoadBalancer(), CreatedAt: now,
	}
	deploy := func(n int, slot plane.Slot, state plane.DeploymentState) plane.Deployment {
		return plane.Deployment{
			ID: plane.NewID(plane.PrefixDeployment), AppID: app.ID, RunID: plane.NewID(plane.PrefixRun), Trigger: plane.TriggerManual, Ref: "main",
			Slot: slot, Spec: app.Spec, State: state, CreatedAt: now.Add(time.Duration(n) * time.Second),
		}
	}
	old, before := deploy(0, plane.SlotB, plane.DeploymentCompleted), deploy(1, plane.SlotA, plane.DeploymentCompleted)
	broken, plan := deploy(2, plane.SlotB, plane.DeploymentFailed), deploy(3, plane.SlotB, plane.DeploymentVerifying)
	s.write(func(tx *store.Tx) error {
		if err := tx.CreateApp(s.ctx, app); err != nil {
			return err
		}
		for _, d := range []plane.Deployment{old, before, broken, plan} {
			if err := tx.CreateDeployment(s.ctx, d); err != nil {
				return err
			}
		}
		return nil
	})
	for name, c := range map[string]struct{ live, want string }{
		"an app's first deployment": {"", ""},
		"one that has not switched": {before.ID, before.ID},
		"one that is live already":  {plan.ID, before.ID},
	} {
		app.LiveID = c.live
		var got plane.Deployment
		s.write(func(tx *store.Tx) (err error) {
			got, err = former(s.ctx, tx, app, plan)
			return err
		})
		if got.ID != c.want {
			t.Errorf("%s goes back to %q, want %q", name, got.ID, c.want)
		}
	}
}
