package plane_test

import (
	"regexp"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/serverplane/serverplane/internal/plane"
)

var runStates = []plane.RunState{
	plane.RunQueued, plane.RunRunning, plane.RunSucceeded, plane.RunFailed, plane.RunCancelled, plane.RunInterrupted,
}

// The whole machine, written out: from, then where it may go.
var runEdges = map[plane.RunState][]plane.RunState{
	plane.RunQueued:  {plane.RunRunning, plane.RunCancelled},
	plane.RunRunning: {plane.RunSucceeded, plane.RunFailed, plane.RunCancelled, plane.RunInterrupted},
}

func TestRunEdges(t *testing.T) {
	for _, from := range runStates {
		for _, to := range runStates {
			if got, want := from.MayBecome(to), slices.Contains(runEdges[from], to); got != want {
				t.Errorf("%s -> %s: got %v, want %v", from, to, got, want)
			}
		}
	}
}

func TestRunWalksEndAndStayEnded(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		state, moves := plane.RunQueued, 0
		for _, wish := range rapid.SliceOfN(rapid.SampledFrom(runStates), 1, 30).Draw(t, "wishes") {
			if !state.MayBecome(wish) {
				continue
			}
			if state.Ended() {
				t.Fatalf("%s is over and became %s", state, wish)
			}
			state, moves = wish, moves+1
		}
		if moves > 2 {
			t.Fatalf("a Run changed %d times", moves)
		}
	})
}

func TestDeploymentEnded(t *testing.T) {
	for state, want := range map[plane.DeploymentState]bool{
		plane.DeploymentQueued: false, plane.DeploymentPreparing: false, plane.DeploymentSwitching: false, plane.DeploymentVerifying: false,
		plane.DeploymentCompleted: true, plane.DeploymentFailed: true, plane.DeploymentCancelled: true, plane.DeploymentReverted: true,
	} {
		if state.Ended() != want {
			t.Errorf("%s: ended is %v", state, !want)
		}
	}
}

func TestSortLocks(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		locks := rapid.SliceOf(rapid.SampledFrom([]string{plane.AppLock("app_a"), plane.AppLock("app_b"), plane.PackagesLock("srv_a")})).Draw(t, "locks")
		before, got := slices.Clone(locks), plane.SortLocks(locks...)
		if !slices.Equal(locks, before) {
			t.Fatal("the argument was changed")
		}
		if !slices.IsSorted(got) || len(slices.Compact(slices.Clone(got))) != len(got) {
			t.Fatalf("%v", got)
		}
		for _, l := range locks {
			if !slices.Contains(got, l) {
				t.Fatalf("%s is lost", l)
			}
		}
	})
}

func TestReleaseID(t *testing.T) {
	at := time.Date(2026, 3, 1, 0, 30, 5, 9, time.FixedZone("east", 3600))
	if got := plane.ReleaseID(at, "0123456789abcdef0123456789abcdef01234567"); got != "20260228233005-0123456" {
		t.Errorf("got %s", got)
	}
}

func TestNewID(t *testing.T) {
	form, seen := regexp.MustCompile(`^run_[a-z2-7]{16}$`), map[string]bool{}
	for range 1000 {
		id := plane.NewID(plane.PrefixRun)
		if !form.MatchString(id) || seen[id] {
			t.Fatalf("bad or repeated id %q", id)
		}
		seen[id] = true
	}
}
