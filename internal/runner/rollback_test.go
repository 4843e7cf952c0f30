package runner

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/serverplane/serverplane/internal/ansible"
	"github.com/serverplane/serverplane/internal/mirror"
	"github.com/serverplane/serverplane/internal/plane"
	"github.com/serverplane/serverplane/internal/secret"
	"github.com/serverplane/serverplane/internal/store"
)

// rolling is a balanced app with a box, a mirror and a history: older ran in
// slot b before what is live in slot a.
type rolling struct {
	*balanced
	r     *Runner
	older plane.Deployment
}

func newRolling(t *testing.T, answer func(string) (string, bool)) *rolling {
	t.Helper()
	b := &rolling{balanced: newBalanced(t, 2, answer)}
	b.r = b.runner()
	box, err := secret.Open(filepath.Join(t.TempDir(), "keys"))
	if err != nil {
		t.Fatal(err)
	}
	b.r.Box, b.r.Mirrors = box, mirror.New(t.TempDir(), true)
	ctx, cancel := context.WithCancel(b.ctx)
	done := make(chan error, 1)
	go func() { done <- b.r.Pool.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	b.older = b.add(plane.Deployment{Slot: plane.SlotB, State: plane.DeploymentCompleted, Commit: commitID("a"), ReleaseID: "20250101000000-aaaaaaa"}, -time.Hour, "1")
	return b
}

func commitID(digit string) string { return strings.Repeat(digit, 40) }

// add stores a deployment of the app with one variable, so long after the live one.
func (b *rolling) add(d plane.Deployment, after time.Duration, variable string) plane.Deployment {
	b.t.Helper()
	d.ID, d.AppID, d.CreatedAt = plane.NewID(plane.PrefixDeployment), b.app.ID, b.live.CreatedAt.Add(after)
	if d.Spec.Start == "" {
		d.Spec = b.app.Spec
	}
	raw, err := json.Marshal(map[string]string{"A": variable})
	if err == nil {
		d.Variables, err = b.r.Box.Seal(raw, plane.SealDeployment(d.ID))
	}
	if err != nil {
		b.t.Fatal(err)
	}
	b.write(func(tx *store.Tx) error { return tx.CreateDeployment(b.ctx, d) })
	return d
}

// goingBack is the work of a rollback to older that has chosen its slot.
func (b *rolling) goingBack(variable string) *deployment {
	b.t.Helper()
	plan := b.add(plane.Deployment{
		Trigger: plane.TriggerRollback, State: plane.DeploymentPreparing, SourceID: b.older.ID, ReleaseID: b.older.ReleaseID,
		Commit: b.older.Commit, Slot: plane.SlotB,
	}, time.Hour, variable)
	return b.work(plan)
}

func (b *rolling) work(plan plane.Deployment) *deployment {
	b.t.Helper()
	d := &deployment{job: newJob(b.r, plane.Run{ID: plane.NewID(plane.PrefixRun)}), plan: plan, former: b.live, previous: plane.SlotA}
	b.write(func(tx *store.Tx) (err error) {
		if d.crew, err = loadCrew(b.ctx, tx, b.app.ID); err == nil {
			d.roster, err = enlist(d.crew, nil)
		}
		return err
	})
	return d
}

// TestSlotThatStillRunsIsNotStarted: only if it is certain that it runs exactly
// what is to go live.
func TestSlotThatStillRunsIsNotStarted(t *testing.T) {
	const folder = "/home/sp_web/releases/20250101000000-aaaaaaa"
	for name, c := range map[string]struct {
		state, folder, variable string
		since                   bool // something else was tried in that slot since
		trigger                 plane.Trigger
		want                    int
	}{
		"it runs":                    {"active", folder, "1", false, plane.TriggerRollback, 2},
		"in a folder of the release": {"active", folder + "/app", "1", false, plane.TriggerRollback, 2},
		"it was stopped":             {"inactive", folder, "1", false, plane.TriggerRollback, 0},
		"it starts over and over":    {"activating", folder, "1", false, plane.TriggerRollback, 0},
		"another release":            {"active", folder + "b", "1", false, plane.TriggerRollback, 0},
		"other variables":            {"active", folder, "2", false, plane.TriggerRollback, 0},
		"another one was tried":      {"active", folder, "1", true, plane.TriggerRollback, 0},
		"no rollback":                {"active", folder, "1", false, plane.TriggerEnvironment, 0},
	} {
		t.Run(name, func(t *testing.T) {
			b := newRolling(t, func(string) (string, bool) {
				return "ActiveState=" + c.state + "\nWorkingDirectory=" + c.folder + "\n", false
			})
			if c.since {
				b.add(plane.Deployment{Slot: plane.SlotB, State: plane.DeploymentFailed, ReleaseID: "20250102000000-ccccccc"}, time.Minute, "1")
			}
			d := b.goingBack(c.variable)
			d.plan.Trigger = c.trigger
			if got, err := d.standing(b.ctx); err != nil || len(got) != c.want {
				t.Errorf("%d of 2 stand, %v; want %d", len(got), err, c.want)
			}
		})
	}
}

// TestBuiltCommitIsNotBuiltAgain: unless what it was built of differs.
func TestBuiltCommitIsNotBuiltAgain(t *testing.T) {
	b := newRolling(t, nil)
	failed := b.add(plane.Deployment{State: plane.DeploymentFailed, Commit: commitID("c"), ReleaseID: "20250103000000-ccccccc"}, time.Minute, "1")
	other := b.app.Spec
	other.Build = []string{"make"}
	drained := b.app.Spec
	drained.Options = map[string]string{plane.OptionDrain: "9s"}
	const fresh = "20270101000000-0000000"
	for name, c := range map[string]struct {
		commit, variable string
		spec             plane.Spec
		want             string
	}{
		"built":           {b.older.Commit, "1", b.app.Spec, b.older.ReleaseID},
		"started another": {b.older.Commit, "1", drained, b.older.ReleaseID},
		"other commands":  {b.older.Commit, "1", other, fresh},
		"other variables": {b.older.Commit, "2", b.app.Spec, fresh},
		"never completed": {failed.Commit, "1", b.app.Spec, fresh},
		"never seen":      {commitID("d"), "1", b.app.Spec, fresh},
	} {
		plan := b.add(plane.Deployment{Trigger: plane.TriggerManual, State: plane.DeploymentQueued, Commit: c.commit, ReleaseID: fresh, Spec: c.spec}, time.Hour, c.variable)
		d := b.work(plan)
		if err := d.reuse(b.ctx); err != nil || d.plan.ReleaseID != c.want || (d.plan.SourceID != "") != (c.want != fresh) {
			t.Errorf("%s: starts %s of %q, %v; want %s", name, d.plan.ReleaseID, d.plan.SourceID, err, c.want)
		}
	}
}

// TestOldSlotIsLeftForARollback that waits for it; otherwise it is stopped.
func TestOldSlotIsLeftForARollback(t *testing.T) {
	for _, waits := range []bool{true, false} {
		b := newRolling(t, nil)
		played := ""
		b.r.Player = &stage{play: func(_ context.Context, p ansible.Play, _ func(ansible.Event)) (ansible.Outcome, error) {
			played += p.Playbook
			return allWell(p), nil
		}}
		d := b.work(b.live)
		d.former, d.previous = b.older, plane.SlotB
		source := b.live.ID // a rollback to something else wants nothing of the old slot
		if waits {
			source = b.older.ID
		}
		b.add(plane.Deployment{Trigger: plane.TriggerRollback, State: plane.DeploymentQueued, SourceID: source}, time.Hour, "1")
		if err := d.endOldSlot(b.ctx); err != nil {
			t.Error(err)
		}
		const disable = "systemctl disable --quiet sp-web-b.service"
		told := b.machine.told("systemctl")
		switch {
		case waits && (played != "" || len(b.machine.told(disable)) != 2 || len(told) != 2):
			t.Errorf("played %q and told %q, want both to %q alone", played, b.machine.asked, disable)
		case !waits && (played != "app_retire.yml" || len(told) != 0):
			t.Errorf("played %q and told %q", played, b.machine.asked)
		}
	}
}

// TestWhatWasLeftIsStoppedWhenNothingCameOfIt: traffic is put where the book says
// before anything is stopped.
func TestWhatWasLeftIsStoppedWhenNothingCameOfIt(t *testing.T) {
	const toA, stopB = "switch web a", "systemctl stop sp-web-b.service"
	for _, lost := range []bool{false, true} {
		b := newRolling(t, func(command string) (string, bool) {
			return `{"result":"applied"}`, lost && strings.Contains(command, toA)
		})
		d := b.goingBack("1")
		d.plan.Slot, d.plan.State = "", plane.DeploymentQueued
		d.undo(b.ctx, errors.New("s2 cannot be reached"))
		want := []string{toA, stopB, stopB}
		if lost {
			want = []string{toA}
		}
		if told := b.machine.told(toA, stopB); !slices.Equal(told, want) {
			t.Errorf("the answer was lost: %v; the servers were told %q, want %q", lost, told, want)
		}
	}
}

// TestCommitIsFetchedWhenTheMirrorLacksIt: a panel restored from its backup has
// no mirrors; a commit that is nowhere is an error before anything begins.
func TestCommitIsFetchedWhenTheMirrorLacksIt(t *testing.T) {
	b := newRolling(t, nil)
	dir, id := repository(t)
	d := b.goingBack("1")
	d.crew.app.Repository = "file://" + dir
	sealed, err := b.r.Box.Seal([]byte("key"), plane.SealDeployKey(b.app.ID))
	if err != nil {
		t.Fatal(err)
	}
	d.crew.app.DeployKeyPEM, d.plan.Commit = sealed, id
	if err := d.startAgain(b.ctx); err != nil {
		t.Error(err)
	}
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	if err := d.startAgain(b.ctx); err != nil {
		t.Errorf("what is in the mirror needs no repository: %v", err)
	}
	d.plan.Commit = commitID("f")
	if err := d.startAgain(b.ctx); err == nil {
		t.Error("a commit that is nowhere is no error")
	}
}

func repository(t *testing.T) (dir, commit string) {
	t.Helper()
	dir = t.TempDir()
	script := `git init -q -b main && git -c user.name=Ada -c user.email=ada@example.com commit -q --allow-empty -m one && git rev-parse HEAD`
	cmd := exec.Command("sh", "-c", script)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return dir, strings.TrimSpace(string(out))
}

// TestPartsTellWhoFailedAndWhoWasBehind on which server, and none is left under way.
func TestPartsTellWhoFailedAndWhoWasBehind(t *testing.T) {
	b := newRolling(t, nil)
	b.change(1, func(b *plane.Backend) { b.Enabled = false })
	d := b.goingBack("1")
	b.write(func(tx *store.Tx) error {
		return tx.Enqueue(b.ctx, plane.Run{ID: d.run.ID, AppID: b.app.ID, DeploymentID: d.plan.ID, CreatedAt: b.live.CreatedAt})
	})
	d.run.DeploymentID, d.run.AppID = d.plan.ID, b.app.ID
	d.enrol(b.ctx)
	if err := d.sift(b.ctx, map[string]error{"s2": errors.New("s2: no room\nmore")}); err != nil {
		t.Fatal(err)
	}
	err := d.sift(b.ctx, map[string]error{"s1": errors.New("s1: the build failed\nline 1")})
	if err == nil {
		t.Fatal("the primary failed and the deployment goes on")
	}
	b.write(func(tx *store.Tx) error { return d.failed(b.ctx, tx, plane.RunFailed, "s1: the build failed") })
	if got, want := b.parts(d), "s1 failed s1: the build failed, s2 behind s2: no room"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	again := b.goingBack("1")
	again.run.DeploymentID, again.run.AppID = again.plan.ID, b.app.ID
	again.enrol(b.ctx)
	again.tell(b.ctx, again.firm, plane.PartReady, "")
	b.write(func(tx *store.Tx) error { return again.failed(b.ctx, tx, plane.RunCancelled, "cancelled by a person") })
	const reason = "the deployment ended before it was switched here"
	if got, want := b.parts(again), "s1 stopped "+reason+", s2 stopped "+reason; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

func (b *rolling) parts(d *deployment) string {
	b.t.Helper()
	var out []string
	b.write(func(tx *store.Tx) error {
		now, err := tx.Deployment(b.ctx, d.plan.ID)
		out = nil
		for _, p := range now.Parts {
			out = append(out, fmt.Sprintf("%s %s %s", p.Server, p.State, p.Reason))
		}
		return err
	})
	return strings.Join(out, ", ")
}
