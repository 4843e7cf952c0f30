package runner

import (
	"strings"
	"testing"
	"time"

	"github.com/serverplane/serverplane/internal/plane"
)

// TestSlowWayIsWarnedOf from 5 ms on, with what a page costs and where to look.
func TestSlowWayIsWarnedOf(t *testing.T) {
	for seconds, warned := range map[string]bool{"0.009": true, "0.004": false} {
		k := newKept(t, func(string) (string, bool) { return strings.Repeat(seconds+"\n", wayConnects), false })
		j := newJob(k.begin(), plane.Run{ID: plane.NewID(plane.PrefixRun)})
		j.weighWay(t.Context(), k.server, k.server)
		var said string
		for _, e := range j.journal.take() {
			said += e.Text + "\n"
		}
		if !strings.Contains(said, "the median of 20") || strings.Contains(said, "waits 9ms for its answer, since the two are far apart") != warned {
			t.Errorf("%s: %s", seconds, said)
		}
	}
}

func TestMedian(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"0.003\n": 3 * time.Millisecond, "0.009\n0.001\n0.002\n": 2 * time.Millisecond, "1.2e-05\n": 12 * time.Microsecond, "": 0, "no\n": 0,
	} {
		got, err := median(text)
		if got != want || (err == nil) != (want != 0) {
			t.Errorf("%q: %s, %v", text, got, err)
		}
	}
}
