package plane

import (
	"slices"
	"time"
)

// StepTime is one step of a Run and how long it took.
type StepTime struct {
	Name      string
	StartedAt time.Time
	Took      time.Duration // until the next step, or the end given
}

// StepTimes reads the steps from where each begins (events of kind step, in
// order) and when the last one ended, or now.
func StepTimes(begins []Event, end time.Time) []StepTime {
	out := make([]StepTime, len(begins))
	for i, e := range begins {
		until := end
		if i+1 < len(begins) {
			until = begins[i+1].Time
		}
		out[i] = StepTime{Name: e.Step, StartedAt: e.Time, Took: max(0, until.Sub(e.Time))}
	}
	return out
}

// Median is the middle one, or the mean of the two in the middle; 0 of none.
func Median(all []time.Duration) time.Duration {
	if len(all) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(all))
	middle := len(sorted) / 2
	if len(sorted)%2 == 1 {
		return sorted[middle]
	}
	return (sorted[middle-1] + sorted[middle]) / 2
}

// Expectation is how long a deployment may be expected to take, from completed
// ones of its kind. Its zero value says that none is known.
type Expectation struct {
	Total time.Duration
	Live  time.Duration // until visitors get it
	Steps []StepTime    // in the order of the newest one; Took is the median
}

// Expect makes the expectation of completed deployments, newest first, each with
// its steps.
func Expect(done []Deployment, steps [][]StepTime) Expectation {
	var total, live []time.Duration
	byName := map[string][]time.Duration{}
	for i, d := range done {
		total, live = append(total, d.FinishedAt.Sub(d.StartedAt)), append(live, d.LiveAt.Sub(d.StartedAt))
		for _, s := range steps[i] {
			byName[s.Name] = append(byName[s.Name], s.Took)
		}
	}
	e := Expectation{Total: Median(total), Live: Median(live)}
	if len(steps) == 0 {
		return e
	}
	for _, s := range steps[0] {
		e.Steps = append(e.Steps, StepTime{Name: s.Name, Took: Median(byName[s.Name])})
	}
	return e
}

// Step returns the expected time of the step of this name, 0 if unknown.
func (e Expectation) Step(name string) time.Duration {
	i := slices.IndexFunc(e.Steps, func(s StepTime) bool { return s.Name == name })
	if i < 0 {
		return 0
	}
	return e.Steps[i].Took
}
