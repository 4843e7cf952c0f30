package runner

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/serverplane/serverplane/internal/mirror"
	"github.com/serverplane/serverplane/internal/plane"
	"github.com/serverplane/serverplane/internal/recipe"
	"github.com/serverplane/serverplane/internal/store"
)

// deployment makes a commit live on every backend: prepare on all, run-once on
// the primary, switch, verify, retire. A failure before the switch leaves
// everything as it was; one after it goes back.
type deployment struct {
	*job
	roster
	crew     crew
	rebuild  bool // build although the commit is built already
	plan     plane.Deployment
	former   plane.Deployment // what was live, or the zero Deployment
	previous plane.Slot       // its slot, or empty
	reverted bool
	versions map[string]string // of the kind's runtime, by the server's name
	stale    bool              // processes could not be started anew: some may run as before
	resumed  bool              // another panel, or a former life of this one, began it
}

// passage is how an app gets from its old slot to the new one.
type passage interface {
	steps(begins bool) int           // how many lie ahead, what all passages have in common left out
	ready(ctx context.Context) error // all that can be done while visitors notice nothing
	cross(ctx context.Context) error // visitors get the new slot, on every backend
	back(ctx context.Context) error  // and the old one again
	end(ctx context.Context) error   // nothing but the new slot is left
}

func (d *deployment) passage() passage {
	if d.takesTurns() {
		return inTurn{d}
	}
	return beside{d}
}

func (d *deployment) do(ctx context.Context) error {
	if err := d.load(ctx); err != nil {
		return err
	}
	if d.crew.app.State == plane.AppRemoving {
		return plane.Conflict("the app is being removed", "")
	}
	way := d.passage()
	d.steps(d.count() + way.steps(!d.resumed))
	if d.resumed {
		if err := d.carryForward(ctx); err != nil {
			return err
		}
	} else if err := d.prepare(ctx, way); err != nil {
		return err
	}
	err := way.cross(ctx)
	if err == nil {
		err = d.verify(ctx)
	}
	switch {
	case errors.Is(err, errLost), errors.Is(context.Cause(ctx), errLost):
		return errLost // another panel carries it forward: nothing is switched here any more
	case err != nil && d.plan.State == plane.DeploymentPreparing:
		return err
	case err != nil:
		return errors.Join(err, way.back(ctx))
	}
	if err := d.renewProcesses(ctx); err != nil {
		return err
	}
	return way.end(ctx)
}

// carryForward takes a deployment up where another panel left it. What its slots were started with is asked again: the
// answers went with that panel.
func (d *deployment) carryForward(ctx context.Context) error {
	d.say("", "continues a deployment that was interrupted while it was %s", d.plan.State)
	return d.rememberRuntimes(ctx)
}

// count is how many steps lie ahead, whatever the passage.
func (d *deployment) count() int {
	total := 2 // verify, end
	if !d.resumed {
		total++ // fetch
		if d.runsOnce() {
			total++
		}
	}
	return total
}

// runsOnce tells whether migrations and the like belong to this deployment.
func (d *deployment) runsOnce() bool {
	return len(d.plan.Spec.RunOnce) > 0 && (d.plan.Trigger == plane.TriggerManual || d.plan.Trigger == plane.TriggerPush)
}

func (d *deployment) load(ctx context.Context) error {
	a, err := d.args()
	if err != nil {
		return err
	}
	d.rebuild = a.Rebuild
	err = d.Store.Read(ctx, func(tx *store.Tx) (err error) {
		if d.crew, err = loadCrew(ctx, tx, d.run.AppID); err != nil {
			return err
		}
		if d.plan, err = tx.Deployment(ctx, d.run.DeploymentID); err != nil {
			return err
		}
		d.former, err = former(ctx, tx, d.crew.app, d.plan)
		d.previous = d.former.Slot
		return err
	})
	switch {
	case err != nil:
		return err
	case d.plan.State == plane.DeploymentQueued:
		d.roster, err = enlist(d.crew, a.Without)
		return err
	}
	d.resumed = true
	d.roster = resume(d.crew, d.took)
	return nil
}

// refresh reads the seats anew: a person may have turned one on or off, and a
// deployment itself changes what the book says of them.
func (d *deployment) refresh(ctx context.Context) error {
	var now crew
	err := d.Store.Read(ctx, func(tx *store.Tx) (err error) {
		now, err = loadCrew(ctx, tx, d.run.AppID)
		return err
	})
	if err != nil {
		return err
	}
	d.crew = now
	for _, list := range []([]recipe.Seat){d.firm, d.loose, d.out} {
		for i, s := range list {
			if fresh, there := now.seat(s.Server.ID); there {
				list[i] = fresh
			}
		}
	}
	return nil
}

// former is the deployment to go back to: what is live or, when this one is
// live already because it is carried forward, the last that completed before.
// It is the zero Deployment for an app's first one.
func former(ctx context.Context, tx *store.Tx, a plane.App, plan plane.Deployment) (plane.Deployment, error) {
	if a.LiveID == "" {
		return plane.Deployment{}, nil
	}
	if a.LiveID != plan.ID {
		return tx.Deployment(ctx, a.LiveID)
	}
	history, err := tx.Deployments(ctx, a.ID, "", 0)
	for _, h := range history {
		if h.State == plane.DeploymentCompleted && h.Slot == plan.Slot.Other() {
			return h, err
		}
	}
	return plane.Deployment{}, err
}

// save keeps the plan as it is by now.
func (d *deployment) save(ctx context.Context, state plane.DeploymentState) error {
	d.plan.State = state
	return d.Store.Write(ctx, func(tx *store.Tx) error { return tx.UpdateDeployment(ctx, d.plan) })
}

func (d *deployment) prepare(ctx context.Context, way passage) error {
	if err := d.step(ctx, "fetch the commit"); err != nil {
		return err
	}
	d.plan.StartedAt = d.Now().UTC()
	d.enrol(ctx)
	if err := d.refuseAway(ctx); err != nil {
		return err
	}
	if err := d.fetch(ctx); err != nil {
		return err
	}
	if err := d.renewPasswords(ctx); err != nil {
		return err
	}
	if err := d.begin(ctx); err != nil {
		return err
	}
	if err := d.chooseSlot(ctx); err != nil {
		return err
	}
	return way.ready(ctx)
}

func (d *deployment) probeAll(ctx context.Context) error {
	failed := d.probeEach(ctx, d.crew, d.taking(), d.plan.Slot, d.crew.app.Spec.HealthPath)
	if err := context.Cause(ctx); err != nil {
		return err
	}
	return d.sift(ctx, failed)
}

// followLive makes an application of variables start what is live now: a
// deployment it waited behind may have brought a newer commit. Where variables
// are part of what is built, or it would be built otherwise by now, the live commit is built anew.
func (d *deployment) followLive(ctx context.Context) error {
	if d.plan.Trigger != plane.TriggerEnvironment {
		return nil
	}
	return d.Store.Read(ctx, func(tx *store.Tx) error {
		live, err := tx.Deployment(ctx, d.crew.app.LiveID)
		if err != nil {
			return fmt.Errorf("find what is live: %w", err)
		}
		d.plan.Ref, d.plan.Commit, d.plan.Author, d.plan.Subject = live.Commit, live.Commit, live.Author, live.Subject
		if kind, err := d.Kinds.Of(d.crew.app.Kind); err != nil || kind.Baked || !sameBuild(live.Spec, d.plan.Spec) {
			d.plan.ReleaseID, d.plan.SourceID = "", ""
			return err
		}
		d.plan.ReleaseID, d.plan.SourceID = live.ReleaseID, live.ID
		return nil
	})
}

// fetch finds the exact commit, unless the deployment starts a release anew.
func (d *deployment) fetch(ctx context.Context) error {
	if err := d.followLive(ctx); err != nil {
		return err
	}
	if d.plan.ReleaseID != "" {
		return d.startAgain(ctx)
	}
	if err := d.bring(ctx); err != nil {
		return err
	}
	a := d.crew.app
	commit, err := d.Mirrors.Resolve(ctx, a.ID, d.plan.Ref)
	if err != nil {
		return fmt.Errorf("find %q in %s: %w", d.plan.Ref, a.Repository, err)
	}
	if err := d.Mirrors.Keep(ctx, a.ID, d.plan.ID, commit.ID); err != nil {
		return err
	}
	d.plan.Commit, d.plan.Author, d.plan.Subject = commit.ID, commit.Author, commit.Subject
	d.plan.ReleaseID = plane.ReleaseID(d.Now(), commit.ID)
	d.say("", "%s is %s %q by %s", d.plan.Ref, commit.ID[:7], commit.Subject, commit.Author)
	if d.rebuild {
		return nil
	}
	return d.reuse(ctx)
}

// bring brings the panel's copy of the repository up to date.
func (d *deployment) bring(ctx context.Context) error {
	a := d.crew.app
	key, err := d.Box.Unseal(a.DeployKeyPEM, plane.SealDeployKey(a.ID))
	if err != nil {
		return fmt.Errorf("open the deploy key: %w", err)
	}
	limited, cancel := context.WithTimeout(ctx, 10*time.Minute)
	defer cancel()
	if err := d.Mirrors.Fetch(limited, mirror.Source{App: a.ID, Address: a.Repository, Key: key}); err != nil {
		return fmt.Errorf("fetch %s: %w", a.Repository, err)
	}
	return nil
}

// begin records what is about to be built, and that the app's first deployment
// is under way.
func (d *deployment) begin(ctx context.Context) error {
	d.plan.State = plane.DeploymentPreparing
	return d.Store.Write(ctx, func(tx *store.Tx) error {
		if d.crew.app.LiveID == "" {
			if err := tx.SetAppState(ctx, d.crew.app.ID, plane.AppDeploying, "", d.Now().UTC()); err != nil {
				return err
			}
		}
		all, err := tx.DatabasesOf(ctx, d.crew.app.ID)
		if err != nil {
			return err
		}
		d.plan.Databases = plane.UsesOf(all)
		return tx.UpdateDeployment(ctx, d.plan)
	})
}

// chooseSlot takes the idle slot and makes sure that it is idle: an earlier
// switch whose answer was lost may have moved traffic into it. The slot that is
// live by our book was not stopped then, so traffic goes back there first.
func (d *deployment) chooseSlot(ctx context.Context) error {
	if d.previous != "" {
		if err := d.mark(ctx, d.previous); err != nil {
			return err
		}
	}
	d.plan.Slot = d.previous.Other()
	return d.save(ctx, plane.DeploymentPreparing)
}

// runOnce runs migrations and the like on the primary, before any switch.
func (d *deployment) runOnce(ctx context.Context) error {
	if !d.runsOnce() {
		return nil
	}
	if err := d.step(ctx, "run-once commands on "+d.crew.primary().Server.Name); err != nil {
		return err
	}
	play, err := recipe.RunOnce(d.run.ID, d.crew.app, d.plan, d.crew.primary())
	if err != nil {
		return err
	}
	return d.play(ctx, play)
}

// kept lists the releases that stay on disk: this one and those of the last
// deployments that were live.
func (d *deployment) kept(ctx context.Context) ([]string, error) {
	keep := []string{d.plan.ReleaseID}
	err := d.Store.Read(ctx, func(tx *store.Tx) error {
		history, err := tx.Deployments(ctx, d.crew.app.ID, "", 50)
		if err != nil {
			return err
		}
		for _, h := range history {
			if len(keep) < plane.KeepReleases && h.State == plane.DeploymentCompleted && !slices.Contains(keep, h.ReleaseID) {
				keep = append(keep, h.ReleaseID)
			}
		}
		return nil
	})
	return keep, err
}

// undo stops what was started beside the live slot. After the switch nothing
// is undone here: traffic may be on the new slot.
func (d *deployment) undo(ctx context.Context, _ error) {
	if len(d.crew.seats) == 0 {
		return
	}
	if d.plan.Slot == "" {
		d.stopLeft(ctx)
		return
	}
	seats := servers(d.taking())
	d.stopRunUnits(ctx, d.crew.app, seats)
	if d.plan.LiveAt.IsZero() && d.plan.State == plane.DeploymentPreparing || d.reverted {
		d.stopSlot(ctx, d.crew.app, seats, d.plan.Slot)
	}
	if d.reverted {
		for name, err := range d.atBoot(ctx, d.taking(), d.plan.Slot, "disable") {
			d.say(name, "warning: could not keep the new slot from starting at boot: %v", err)
		}
	}
}

func (d *deployment) done(ctx context.Context, tx *store.Tx) error {
	d.plan.State, d.plan.FinishedAt, d.plan.Reason = plane.DeploymentCompleted, d.Now().UTC(), ""
	if err := tx.UpdateDeployment(ctx, d.plan); err != nil {
		return err
	}
	if err := d.catchUp(ctx, tx); err != nil {
		return err
	}
	return tx.SetAppState(ctx, d.run.AppID, plane.AppLive, "", d.Now().UTC())
}

// catchUp counts in who was behind before this deployment and took part in it.
// Only now: had traffic gone back, they would have nothing to go back to.
func (d *deployment) catchUp(ctx context.Context, tx *store.Tx) error {
	late := false
	for _, s := range d.taking() {
		err := change(ctx, tx, s.Backend.ID, func(b *plane.Backend) {
			late = late || b.DeploymentID != d.plan.ID
			b.Placed, b.ReleaseID, b.DeploymentID = true, d.plan.ReleaseID, d.plan.ID
			b.Runtime = cmp.Or(d.versions[s.Server.Name], b.Runtime)
		})
		if err != nil {
			return err
		}
	}
	if !late {
		return nil
	}
	_, err := raise(ctx, tx, []string{d.crew.primary().Server.ID})
	return err
}

// failed records how the deployment ended. It reads the deployment anew, so
// that it serves a Run whose panel died as well.
func (d *deployment) failed(ctx context.Context, tx *store.Tx, state plane.RunState, reason string) error {
	plan, err := tx.Deployment(ctx, d.run.DeploymentID)
	if err != nil {
		return err
	}
	plan.Reason, plan.FinishedAt = reason, d.Now().UTC()
	switch {
	case d.reverted:
		plan.State = plane.DeploymentReverted
	case state == plane.RunCancelled:
		plan.State = plane.DeploymentCancelled
	default:
		plan.State = plane.DeploymentFailed
	}
	if err := errors.Join(tx.UpdateDeployment(ctx, plan), endParts(ctx, tx, plan)); err != nil {
		return err
	}
	app, err := tx.App(ctx, d.run.AppID)
	if err != nil {
		return err
	}
	if app.State == plane.AppLive {
		return nil // what was live still is
	}
	return tx.SetAppState(ctx, app.ID, plane.AppFailed, reason, d.Now().UTC())
}
