package recipe

import (
	"slices"
	"strings"
	"testing"

	"github.com/serverplane/serverplane/internal/plane"
)

// TestWhoIsInTheUpstream: a backend is written as its number and what is the
// matter with it: o off, n not current, t taken out, b backup, u not placed yet,
// r on its way out. Expected are those who get requests, b for a backup that
// only waits.
func TestWhoIsInTheUpstream(t *testing.T) {
	for _, c := range []struct{ backends, want string }{
		{"1 2 3", "1 2 3"},
		{"1 2o 3", "1 3"},
		{"1 2n 3", "1 3"},
		{"1 2u 3", "1 3"},
		{"1 2r 3", "1 3"},
		{"1o 2 3", "2 3"},
		{"1 2t 3", "1 3"},
		{"1t 2t 3", "3"},
		{"1t 2t 3t", "1 2 3"}, // fail-open
		{"1t 2o 3n", "1"},
		{"1t 2tn 3to", "1"}, // fail-open lets in nobody who is off or behind
		{"1 2 3b", "1 2 3b"},
		{"1t 2t 3b", "3"}, // a backup is for when the others are out
		{"1t 2 3b", "2 3b"},
		{"1t 2t 3bt", "1 2 3b"},
		{"1n 2n 3b", "3"},
		{"1o 2n 3r", ""},
	} {
		a := plane.App{LiveID: "live", LiveSlot: plane.SlotA}
		a.Balancer.Status = plane.BalancerOn
		seats := cast(c.backends)
		var got []string
		for _, s := range kept(eligible(a, seats)) {
			name := s.Backend.ID
			if s.Backend.Backup {
				name += "b"
			}
			got = append(got, name)
		}
		if strings.Join(got, " ") != c.want {
			t.Errorf("%q: %q are in, want %q", c.backends, got, c.want)
		}
		for _, s := range seats {
			if in := slices.ContainsFunc(got, func(n string) bool { return n[:1] == s.Backend.ID }); in != InUpstream(a, seats, s.Backend.ID) {
				t.Errorf("%q: InUpstream(%s) is not %v", c.backends, s.Backend.ID, in)
			}
		}
		a.Balancer.Status = plane.BalancerOff
		if off := kept(eligible(a, seats)); len(off) != 1 || !off[0].Backend.Primary {
			t.Errorf("%q, balancer off: %v are in", c.backends, off)
		}
	}
}

func cast(text string) []Seat {
	var seats []Seat
	for word := range strings.FieldsSeq(text) {
		has := func(mark string) bool { return strings.Contains(word, mark) }
		b := plane.Backend{
			ID: word[:1], Primary: has("1"), Enabled: !has("o"), Placed: !has("u"), Removing: has("r"), TakenOut: has("t"), Backup: has("b"),
			DeploymentID: "live",
		}
		if has("n") {
			b.DeploymentID = "former"
		}
		seats = append(seats, Seat{Backend: b})
	}
	return seats
}

// TestOthersServe: whoever is asked whether it may stand aside must not leave
// the entry with those only that were taken out as unhealthy.
func TestOthersServe(t *testing.T) {
	for backends, want := range map[string]bool{"1 2": true, "1 2t": false, "1 2o": false, "1 2n": false, "1": false, "1 2t 3b": true} {
		a := plane.App{LiveID: "live", LiveSlot: plane.SlotA}
		a.Balancer.Status = plane.BalancerOn
		if got := OthersServe(a, cast(backends), "1"); got != want {
			t.Errorf("%q: %v", backends, got)
		}
	}
}
