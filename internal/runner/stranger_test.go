package runner

import (
	"testing"

	"github.com/serverplane/serverplane/internal/plane"
)

// TestWorse: whoever got in one way is in, and a way that proves nothing is no refusal.
func TestWorse(t *testing.T) {
	order := []plane.Verdict{plane.Fail, plane.Blind, plane.Pass}
	for n, a := range order {
		for m, b := range order {
			if got := worse(plane.Proof{Verdict: a}, plane.Proof{Verdict: b}).Verdict; got != order[max(n, m)] {
				t.Errorf("of %s and %s: %s", a, b, got)
			}
		}
	}
}
