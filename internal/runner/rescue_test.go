package runner

import (
	"cmp"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/serverplane/serverplane/internal/plane"
	"github.com/serverplane/serverplane/internal/store"
)

// lostDeployment leaves a deployment in a state, its Run claimed by a panel
// that died, and rescues it.
func lostDeployment(t *testing.T, state plane.DeploymentState) (plane.Deployment, []plane.Run) {
	t.Helper()
	_, d, runs := rescued(t, state)
	return d, runs
}

func rescued(t *testing.T, state plane.DeploymentState) (*scene, plane.Deployment, []plane.Run) {
	t.Helper()
	s := newScene(t)
	now := time.Now().UTC()
	app := plane.App{
		ID: plane.NewID(plane.PrefixApp), Name: "web", Kind: plane.KindNodeJS, ServerID: s.server.ID, Repository: "https://example.com/a.git",
		Branch: "main", Spec: plane.Spec{}.WithDefaults(plane.KindNodeJS), State: plane.AppDeploying, Since: now, Balancer: plane.NewLoadBalancer(), CreatedAt: now,
	}
	run := plane.Run{
		ID: plane.NewID(plane.PrefixRun), Kind: plane.RunDeploy, AppID: app.ID, DeploymentID: plane.NewID(plane.PrefixDeployment),
		Locks: []string{plane.AppLock(app.ID)}, State: plane.RunQueued, CreatedAt: now,
	}
	d := plane.Deployment{
		ID: run.DeploymentID, AppID: app.ID, RunID: run.ID, Trigger: plane.TriggerManual, Ref: "main", Slot: plane.SlotA, Spec: app.Spec,
		State: state, CreatedAt: now, StartedAt: now,
	}
	s.write(func(tx *store.Tx) error {
		if err := errors.Join(tx.CreateApp(s.ctx, app), tx.Enqueue(s.ctx, run), tx.CreateDeployment(s.ctx, d)); err != nil {
			return err
		}
		_, _, err := tx.Claim(s.ctx, "ins_one", now, time.Hour)
		return err
	})
	if err := s.runner().rescueOwn(s.ctx); err != nil {
		t.Fatal(err)
	}
	var runs []plane.Run
	s.write(func(tx *store.Tx) (err error) {
		if d, err = tx.Deployment(s.ctx, d.ID); err == nil {
			runs, err = tx.Runs(s.ctx, store.RunFilter{AppID: app.ID})
		}
		return err
	})
	return s, d, runs
}

// TestCarriedForwardBeforeWhatWaited: a deployment that waited behind the lost
// one would build in the slot that traffic may have moved to.
func TestCarriedForwardBeforeWhatWaited(t *testing.T) {
	s, d, runs := rescued(t, plane.DeploymentSwitching)
	later := plane.Run{
		ID: plane.NewID(plane.PrefixRun), Kind: plane.RunDeploy, AppID: d.AppID, DeploymentID: "dep_later",
		Locks: []string{plane.AppLock(d.AppID)}, CreatedAt: runs[1].CreatedAt.Add(time.Microsecond),
	}
	s.write(func(tx *store.Tx) error {
		if err := tx.Enqueue(s.ctx, later); err != nil {
			return err
		}
		got, found, err := tx.Claim(s.ctx, "ins_one", time.Now().UTC(), time.Hour)
		if err == nil && (!found || got.DeploymentID != d.ID) {
			t.Errorf("claimed %+v before the one that is carried forward", got)
		}
		return err
	})
}

func TestLostBeforeTheSwitchFails(t *testing.T) {
	for _, state := range []plane.DeploymentState{plane.DeploymentQueued, plane.DeploymentPreparing} {
		d, runs := lostDeployment(t, state)
		if d.State != plane.DeploymentFailed || d.Reason != lostReason || len(runs) != 1 || runs[0].State != plane.RunInterrupted {
			t.Errorf("%s became %s (%s) with Runs %+v", state, d.State, d.Reason, runs)
		}
	}
}

func TestLostAtTheSwitchIsCarriedForward(t *testing.T) {
	for _, state := range []plane.DeploymentState{plane.DeploymentSwitching, plane.DeploymentVerifying} {
		d, runs := lostDeployment(t, state)
		slices.SortFunc(runs, func(a, b plane.Run) int { return cmp.Compare(b.State, a.State) }) // of one age: queued, interrupted
		if d.State != state || len(runs) != 2 || d.RunID != runs[0].ID || runs[0].State != plane.RunQueued || runs[1].State != plane.RunInterrupted {
			t.Errorf("%s became %s with Runs %+v", state, d.State, runs)
		}
	}
}

// TestLostRunAboutNothingDoesNotStopThePanel: what the Run was about may be
// gone; the panel must start all the same.
func TestLostRunAboutNothingDoesNotStopThePanel(t *testing.T) {
	s := newScene(t)
	run := plane.Run{
		ID: plane.NewID(plane.PrefixRun), Kind: plane.RunAdd, AppID: "app_gone", BackendID: "bck_gone", ServerID: s.server.ID,
		State: plane.RunQueued, CreatedAt: time.Now().UTC(),
	}
	s.write(func(tx *store.Tx) error {
		if err := tx.Enqueue(s.ctx, run); err != nil {
			return err
		}
		_, _, err := tx.Claim(s.ctx, "ins_one", time.Now().UTC(), time.Hour)
		return err
	})
	if err := s.runner().rescueOwn(s.ctx); err != nil {
		t.Fatal(err)
	}
	if r, _ := s.ended(run.ID); r.State != plane.RunInterrupted {
		t.Errorf("the Run is %s", r.State)
	}
}

// TestLostRepairIsCarriedForward where the backend stood aside for it: nobody is sent there until a repair ends.
func TestLostRepairIsCarriedForward(t *testing.T) {
	for name, c := range map[string]struct {
		set    func(b *plane.Backend)
		cancel bool
		queued int
	}{
		"before it stood aside":      {func(*plane.Backend) {}, false, 0},
		"while it stood aside":       {func(b *plane.Backend) { b.ReleaseID, b.DeploymentID = "", "" }, false, 1},
		"asked to stop":              {func(b *plane.Backend) { b.ReleaseID, b.DeploymentID = "", "" }, true, 0},
		"and it is being removed":    {func(b *plane.Backend) { b.ReleaseID, b.DeploymentID, b.Removing = "", "", true }, false, 0},
		"which was never in service": {func(b *plane.Backend) { b.ReleaseID, b.DeploymentID, b.Placed = "", "", false }, false, 0},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBalanced(t, 2, nil)
			lost := b.queueFor(plane.RunRepair, 1, `{"enable":true}`)
			b.write(func(tx *store.Tx) error {
				_, _, err := tx.Claim(b.ctx, "ins_one", time.Now().UTC(), time.Hour)
				return err
			})
			b.change(1, c.set)
			if c.cancel {
				b.write(func(tx *store.Tx) error { return tx.RequestCancel(b.ctx, lost.ID, time.Now().UTC()) })
			}
			if err := b.runner().rescueOwn(b.ctx); err != nil {
				t.Fatal(err)
			}
			b.write(func(tx *store.Tx) error {
				queued, err := tx.Runs(b.ctx, store.RunFilter{AppID: b.app.ID, State: plane.RunQueued})
				if len(queued) != c.queued || len(queued) == 1 && (queued[0].Kind != plane.RunRepair || string(queued[0].Args) != `{"enable":true}`) {
					t.Errorf("queued is %+v", queued)
				}
				return err
			})
		})
	}
}
