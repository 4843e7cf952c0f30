package ui

import (
	"slices"
	"testing"

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
