package ui

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/serverplane/serverplane/internal/control"
	"github.com/serverplane/serverplane/internal/plane"
)

func TestStepsOfAnAdditionThatAreToComeAreShown(t *testing.T) {
	known := additionSteps()
	for name, c := range map[string]struct {
		kind  plane.RunKind
		state plane.RunState
		begun []string
		want  []string
	}{
		"nothing yet":                 {plane.RunAdd, plane.RunQueued, nil, known},
		"in the middle":               {plane.RunAdd, plane.RunRunning, known[:2], known},
		"a step for the app's own":    {plane.RunAdd, plane.RunRunning, []string{known[0], "open the database for it"}, append([]string{known[0], "open the database for it"}, known[1:]...)},
		"ended":                       {plane.RunAdd, plane.RunFailed, known[:1], known[:1]},
		"of another kind, in no list": {plane.RunRepair, plane.RunRunning, known[:1], known[:1]},
	} {
		var begun []Step
		for _, text := range c.begun {
			begun = append(begun, Step{Text: text, Look: "busy"})
		}
		var got []string
		for i, s := range withWaiting(control.RunView{Run: plane.Run{Kind: c.kind, State: c.state}}, begun) {
			if waits := s.Look == "off"; waits != (i >= len(begun)) {
				t.Errorf("%s: step %q looks %s", name, s.Text, s.Look)
			}
			got = append(got, s.Text)
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

// TestMeasuresTick, but for those that warn and the one that stopped the Run.
func TestMeasuresTick(t *testing.T) {
	got := saidBy([]plane.Event{
		{Kind: plane.EventStep, Text: "preflight"},
		{Kind: plane.EventLog, Server: "s2", Text: "is reached, has 900 MiB of disk free and 512 MiB of memory"},
		{Kind: plane.EventTask, Server: "s2", Text: "Gather: ok"},
		{Kind: plane.EventLog, Server: "s2", Text: "warning: traffic between s1 and s2 crosses a public network"},
		{Kind: plane.EventError, Text: "s2 is out of reach"},
	})
	want := []saidLine{
		{"good", "s2", "is reached, has 900 MiB of disk free and 512 MiB of memory"},
		{"warn", "s2", "traffic between s1 and s2 crosses a public network"},
		{"bad", "", "s2 is out of reach"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}
