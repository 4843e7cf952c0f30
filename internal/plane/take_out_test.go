package plane_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/serverplane/serverplane/internal/plane"
)

// serving backends, one for each letter: Healthy, Unhealthy, unKnown, Deploying;
// a small letter is taken out already.
func letters(text string) []plane.Backend {
	states := map[string]plane.BackendState{
		"H": plane.BackendHealthy, "U": plane.BackendUnhealthy, "K": plane.BackendUnknown, "D": plane.BackendDeploying,
	}
	var all []plane.Backend
	for i, c := range strings.Split(text, "") {
		all = append(all, plane.Backend{
			ID: fmt.Sprint(i), Enabled: true, Placed: true, TakenOut: strings.ToUpper(c) != c, Health: plane.Health{State: states[strings.ToUpper(c)]},
		})
	}
	return all
}

func TestKeptOut(t *testing.T) {
	for _, c := range []struct {
		backends string
		floor    int
		out      string
	}{
		{"HHH", 0, ""}, {"HUH", 0, "1"}, {"UUH", 0, "0 1"}, {"UUU", 0, ""}, {"uuu", 0, ""}, {"U", 0, ""},
		{"HUU", 2, ""}, {"HHU", 2, "2"}, {"HHu", 3, ""}, {"HHHU", 9, ""},
		{"hH", 0, ""}, {"uH", 0, "0"}, // back when healthy
		{"KH", 0, ""}, {"KK", 0, ""}, {"KU", 0, "1"}, {"DU", 0, "1"}, // unknown takes nothing out
		{"kH", 0, "0"}, {"kK", 0, "0"}, {"dH", 0, "0"}, // nor back
	} {
		got := plane.HealthCheck{TakeOut: true, Floor: c.floor}.KeptOut(letters(c.backends))
		if ids := strings.Join(slices.Sorted(maps.Keys(got)), " "); ids != c.out {
			t.Errorf("of %s at least %d: out are %q, want %q", c.backends, c.floor, ids, c.out)
		}
		if got := (plane.HealthCheck{Floor: c.floor}).KeptOut(letters(c.backends)); len(got) > 0 {
			t.Errorf("of %s: out are %v without the option", c.backends, got)
		}
	}
}

// TestKeptOutOnlyThoseWhoServe: who gets no traffic anyway is not counted.
func TestKeptOutOnlyThoseWhoServe(t *testing.T) {
	for what, spoil := range map[string]func(*plane.Backend){
		"off": func(b *plane.Backend) { b.Enabled = false }, "backup": func(b *plane.Backend) { b.Backup = true },
		"removing": func(b *plane.Backend) { b.Removing = true }, "not placed": func(b *plane.Backend) { b.Placed = false },
	} {
		all := letters("HU")
		spoil(&all[0])
		if got := (plane.HealthCheck{TakeOut: true}).KeptOut(all); len(got) > 0 {
			t.Errorf("the last one is out beside one that is %s", what)
		}
		all = letters("Hu")
		spoil(&all[1])
		if got := (plane.HealthCheck{TakeOut: true}).KeptOut(all); len(got) > 0 {
			t.Errorf("one that is %s is kept out", what)
		}
	}
}

// TestTakeOutOverTime walks random healths: the upstream is never empty, never
// below the floor unless all are in, and an unknown one stays where it was.
func TestTakeOutOverTime(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		check := plane.HealthCheck{TakeOut: true, Floor: rapid.IntRange(0, 4).Draw(t, "floor")}
		all := letters(strings.Repeat("H", rapid.IntRange(1, 6).Draw(t, "backends")))
		for range rapid.IntRange(1, 30).Draw(t, "steps") {
			b := &all[rapid.IntRange(0, len(all)-1).Draw(t, "which")]
			b.Health.State = rapid.SampledFrom([]plane.BackendState{plane.BackendHealthy, plane.BackendUnhealthy, plane.BackendUnknown}).Draw(t, "state")
			out := check.KeptOut(all)
			in := len(all) - len(out)
			if in < 1 || len(out) > 0 && in < check.Floor {
				t.Fatalf("%d of %d are in, the floor is %d", in, len(all), check.Floor)
			}
			if b.Health.State == plane.BackendUnknown && !b.TakenOut && out[b.ID] {
				t.Fatal("one that cannot be seen was taken out")
			}
			for i := range all {
				if all[i].Health.State == plane.BackendHealthy && out[all[i].ID] {
					t.Fatal("a healthy one is out")
				}
				all[i].TakenOut = out[all[i].ID]
			}
		}
	})
}
