package runner

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/serverplane/serverplane/internal/files"
	"github.com/serverplane/serverplane/internal/mirror"
	"github.com/serverplane/serverplane/internal/plane"
	"github.com/serverplane/serverplane/internal/recipe"
	"github.com/serverplane/serverplane/internal/remote"
	"github.com/serverplane/serverplane/internal/store"
)

// startAgain prepares a deployment of a release that was built before. A server
// that has it no more builds it from the mirror, so the commit must be there.
func (d *deployment) startAgain(ctx context.Context) error {
	d.say("", "starts release %s again", d.plan.ReleaseID)
	_, err := d.Mirrors.Resolve(ctx, d.crew.app.ID, d.plan.Commit)
	if errors.Is(err, mirror.ErrNoCommit) {
		d.say("", "the panel's copy of the repository lacks %.7s", d.plan.Commit)
		if err := d.bring(ctx); err != nil {
			return err
		}
		_, err = d.Mirrors.Resolve(ctx, d.crew.app.ID, d.plan.Commit)
	}
	if err != nil {
		return fmt.Errorf("find the commit of release %s: %w", d.plan.ReleaseID, err)
	}
	return nil
}

// reuse takes the release of an earlier deployment that completed, if it was
// built of the same commit by the same commands with the same variables.
func (d *deployment) reuse(ctx context.Context) error {
	var history []plane.Deployment
	err := d.Store.Read(ctx, func(tx *store.Tx) (err error) {
		history, err = tx.Deployments(ctx, d.crew.app.ID, "", 50)
		return err
	})
	if err != nil {
		return err
	}
	for _, h := range history {
		if h.State != plane.DeploymentCompleted || h.Commit != d.plan.Commit || !sameBuild(h.Spec, d.plan.Spec) {
			continue
		}
		if same, err := d.sameVariables(h); err != nil || !same {
			continue // also one sealed with a key that is gone: it is built anew
		}
		d.plan.ReleaseID, d.plan.SourceID = h.ReleaseID, h.ID
		d.say("", "is built already: starts release %s again; deploy --rebuild builds it anew", h.ReleaseID)
		return nil
	}
	return nil
}

func sameBuild(a, b plane.Spec) bool {
	return a.Root == b.Root && slices.Equal(a.Build, b.Build) && maps.Equal(whileBuilding(a.Options), whileBuilding(b.Options))
}

// whileBuilding leaves out the options that matter only to what runs.
func whileBuilding(options map[string]string) map[string]string {
	rest := maps.Clone(options)
	delete(rest, plane.OptionDrain)
	delete(rest, plane.OptionTimezone)
	delete(rest, plane.OptionSwitch)
	delete(rest, plane.OptionFixedPort)
	return rest
}

// sameVariables tells whether another deployment had the variables of this one.
func (d *deployment) sameVariables(other plane.Deployment) (bool, error) {
	mine, err := d.variables(d.plan)
	if err != nil {
		return false, err
	}
	theirs, err := d.variables(other)
	return err == nil && maps.Equal(mine, theirs), err
}

// standing lists the seats whose idle slot still runs exactly what is to go live:
// going back to it takes the switch alone.
func (d *deployment) standing(ctx context.Context) ([]recipe.Seat, error) {
	if d.plan.Trigger != plane.TriggerRollback {
		return nil, nil
	}
	holds, err := d.slotHoldsSource(ctx)
	if err != nil || !holds {
		return nil, err
	}
	unit := files.UnitName(d.crew.app.Name, string(d.plan.Slot))
	folder := files.ReleaseDir(d.crew.app.Name, d.plan.ReleaseID)
	failed := eachSeat(d.taking(), func(s recipe.Seat) error { return d.runs(ctx, s.Server, unit, folder) })
	return slices.DeleteFunc(d.taking(), func(s recipe.Seat) bool { return failed[s.Server.Name] != nil }), context.Cause(ctx)
}

// slotHoldsSource tells by the book whether the idle slot was started last by the
// deployment to go back to, in the same way: whatever else was tried in that slot
// since has left its own files there.
func (d *deployment) slotHoldsSource(ctx context.Context) (bool, error) {
	var last plane.Deployment
	err := d.Store.Read(ctx, func(tx *store.Tx) error {
		history, err := tx.Deployments(ctx, d.crew.app.ID, "", 50)
		for _, h := range history {
			if h.ID != d.plan.ID && h.Slot == d.plan.Slot {
				last = h
				break
			}
		}
		return err
	})
	if err != nil || last.ID != d.plan.SourceID {
		return false, err
	}
	same, err := d.sameVariables(last)
	if !slices.Equal(last.Databases, d.plan.Databases) {
		return false, nil // a password may have changed since
	}
	if err != nil {
		return false, nil // cannot be compared: it is started anew
	}
	return same, nil
}

// runs errs unless the unit is active in that release's folder.
func (d *deployment) runs(ctx context.Context, s plane.Server, unit, folder string) error {
	res, err := d.Pool.Exec(ctx, recipe.Target(s), remote.Command{
		Args: []string{"systemctl", "show", "--property=ActiveState", "--property=WorkingDirectory", unit},
	})
	if err != nil {
		return err
	}
	lines := strings.Split(strings.TrimSpace(string(res.Stdout)), "\n")
	in := func(line string) bool {
		at, ok := strings.CutPrefix(line, "WorkingDirectory=")
		return ok && (at == folder || strings.HasPrefix(at, folder+"/"))
	}
	if res.Exit != 0 || !slices.Contains(lines, "ActiveState=active") || !slices.ContainsFunc(lines, in) {
		return fmt.Errorf("%s on %s does not run it", unit, s.Name)
	}
	return nil
}

// wantedBack tells whether somebody waits for the slot that was live before: it
// is left running then, so that going back is a switch.
func (d *deployment) wantedBack(ctx context.Context) bool {
	wanted := false
	err := d.Store.Read(ctx, func(tx *store.Tx) error {
		open, err := tx.UnfinishedDeployments(ctx, d.crew.app.ID)
		wanted = slices.ContainsFunc(open, func(o plane.Deployment) bool {
			return d.former.ID != "" && o.State == plane.DeploymentQueued && o.Trigger == plane.TriggerRollback && o.SourceID == d.former.ID
		})
		return err
	})
	return err == nil && wanted
}

// leaveForRollback keeps the old slot running, but not over a reboot.
func (d *deployment) leaveForRollback(ctx context.Context) {
	d.say("", "leaves the old slot running: a rollback to it waits")
	for name, err := range d.atBoot(ctx, d.taking(), d.previous, "disable") {
		d.say(name, "warning: could not keep the old slot from starting at boot: %v", err)
	}
}

// stopLeft stops the slot that was left running for this rollback, which came to
// nothing before it chose one. Traffic is put where the book says first.
func (d *deployment) stopLeft(ctx context.Context) {
	if d.plan.Trigger != plane.TriggerRollback || d.previous == "" {
		return
	}
	if err := d.mark(ctx, d.previous); err != nil {
		d.say("", "the old slot is left alone: %v", err)
		return
	}
	d.stopSlot(ctx, d.crew.app, servers(d.taking()), d.previous.Other())
}
