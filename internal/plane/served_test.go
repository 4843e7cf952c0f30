package plane_test

import (
	"math"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"github.com/serverplane/serverplane/internal/plane"
)

func times() *rapid.Generator[[]time.Duration] {
	ms := rapid.OneOf(rapid.IntRange(0, 20), rapid.IntRange(0, 3000), rapid.IntRange(0, 60000))
	return rapid.SliceOfN(rapid.Map(ms, func(n int) time.Duration { return time.Duration(n) * time.Millisecond }), 1, 300)
}

func counted(all []time.Duration) (l plane.Latencies) {
	for _, d := range all {
		l = l.Add(d)
	}
	return l
}

// TestWithinIsRight holds every share against the true one: a tenth off at most,
// or what Nginx cannot measure.
func TestWithinIsRight(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		all := times().Draw(t, "times")
		share := rapid.SampledFrom([]float64{0.01, 0.5, 0.9, 0.95, 0.99, 1}).Draw(t, "share")
		got, ok := counted(all).Within(share)
		slices.Sort(all)
		want := all[max(0, int(math.Ceil(share*float64(len(all))))-1)]
		if off := math.Abs(float64(got - want)); !ok || off > 0.1*float64(want)+float64(500*time.Microsecond) {
			t.Fatalf("%v of %v is %v, %v; want %v", share, all, got, ok, want)
		}
	})
}

// TestMergingIsCountingTogether: whatever is kept apart comes to the same.
func TestMergingIsCountingTogether(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		one, other := times().Draw(t, "one"), times().Draw(t, "other")
		a := plane.Served{Requests: len(one), Errors: 1, Latency: counted(one)}
		b := plane.Served{Requests: len(other), PassedOn: 2, Latency: counted(other)}
		before := slices.Clone(a.Latency)
		want := plane.Served{Requests: len(one) + len(other), Errors: 1, PassedOn: 2, Latency: counted(append(slices.Clone(one), other...))}
		for _, got := range []plane.Served{a.Merge(b), b.Merge(a)} {
			if d := cmp.Diff(want, got, cmpopts.EquateEmpty()); d != "" {
				t.Fatal(d)
			}
		}
		if !slices.Equal(before, a.Latency) || want.Latency.Count() != len(one)+len(other) {
			t.Fatal("merging changed what was merged, or lost some")
		}
	})
}

func TestServedOfNothing(t *testing.T) {
	var s plane.Served
	if _, ok := s.Latency.Within(0.5); ok || s.ErrorShare() != 0 {
		t.Errorf("of nothing: %v", s)
	}
	l := plane.Latencies(nil).Add(-time.Second).Add(24 * time.Hour)
	if got, _ := l.Within(1); len(l) != 66 || got != 65*time.Second {
		t.Errorf("%d steps, the longest %s", len(l), got)
	}
}
