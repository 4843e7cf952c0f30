package plane

import (
	"reflect"
	"testing"
	"time"
)

func TestMedian(t *testing.T) {
	for _, c := range []struct {
		all  []time.Duration
		want time.Duration
	}{{nil, 0}, {[]time.Duration{7}, 7}, {[]time.Duration{9, 1}, 5}, {[]time.Duration{100, 2, 3}, 3}, {[]time.Duration{8, 2, 100, 4}, 6}} {
		given := append([]time.Duration{}, c.all...)
		if got := Median(c.all); got != c.want || !reflect.DeepEqual(given, append([]time.Duration{}, c.all...)) {
			t.Errorf("the median of %v is %v, want %v; left %v", given, got, c.want, c.all)
		}
	}
}

func TestStepsLastUntilTheNextOne(t *testing.T) {
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	begins := []Event{{Step: "fetch", Time: at}, {Step: "build", Time: at.Add(2 * time.Second)}, {Step: "switch", Time: at.Add(time.Minute)}}
	got := StepTimes(begins, at.Add(61*time.Second))
	want := []StepTime{{"fetch", at, 2 * time.Second}, {"build", at.Add(2 * time.Second), 58 * time.Second}, {"switch", at.Add(time.Minute), time.Second}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%+v", got)
	}
	if got := StepTimes(begins[:1], at.Add(-time.Second)); got[0].Took != 0 {
		t.Errorf("a clock that was set back makes a step last %s", got[0].Took)
	}
}

// TestExpectationTakesTheNewestOnesSteps: one that the newest no longer had is
// not expected.
func TestExpectationTakesTheNewestOnesSteps(t *testing.T) {
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	took := func(total, live int) Deployment {
		return Deployment{StartedAt: at, LiveAt: at.Add(time.Duration(live) * time.Second), FinishedAt: at.Add(time.Duration(total) * time.Second)}
	}
	steps := func(names ...string) (out []StepTime) {
		for i, n := range names {
			out = append(out, StepTime{Name: n, StartedAt: at, Took: time.Duration(i+1) * time.Second})
		}
		return out
	}
	e := Expect([]Deployment{took(10, 5), took(30, 9), took(20, 6)}, [][]StepTime{steps("fetch", "build"), steps("fetch", "migrate", "build"), steps("fetch", "build")})
	if e.Total != 20*time.Second || e.Live != 6*time.Second {
		t.Errorf("%+v", e)
	}
	if want := []StepTime{{Name: "fetch", Took: time.Second}, {Name: "build", Took: 2 * time.Second}}; !reflect.DeepEqual(e.Steps, want) {
		t.Errorf("%+v", e.Steps)
	}
	if e.Step("build") != 2*time.Second || e.Step("migrate") != 0 || !reflect.DeepEqual(Expect(nil, nil), Expectation{}) {
		t.Errorf("%+v", e)
	}
}

func TestIsID(t *testing.T) {
	for id, want := range map[string]bool{
		NewID(PrefixDeployment): true, "dep_1": true, "dep_": false, "run_1": false, "": false, "dep_a\x00": false, "dep_../x": false,
		"dep_aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa": false,
	} {
		if got := IsID(PrefixDeployment, id); got != want {
			t.Errorf("%q: %v", id, got)
		}
	}
}
