package ui

import (
	"testing"
	"time"

	"github.com/serverplane/serverplane/internal/control"
	"github.com/serverplane/serverplane/internal/plane"
)

// Two visitors a second, without a break: the drawing is a level line, whatever
// moment of a minute the log was last read in.
func TestADrawingDoesNotEndInAFall(t *testing.T) {
	from := time.Date(2026, 3, 4, 5, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		over  time.Duration // of the minute under way
		drawn int
	}{{0, 6}, {7 * time.Second, 6}, {10 * time.Second, 7}, {59 * time.Second, 7}} {
		h := control.ServedHistory{Length: plane.ServedMinute, From: from, To: from.Add(6*time.Minute + c.over)}
		for at := from; at.Before(h.To); at = at.Add(h.Length) {
			piece := plane.ServedPiece{Begin: at}
			piece.Requests = int(2 * min(h.Length, h.To.Sub(at)).Seconds())
			h.Pieces = append(h.Pieces, piece)
		}
		past := pastOf(h)
		if len(past.Pieces) != c.drawn || past.Sum.Requests != int(2*h.To.Sub(from).Seconds()) || past.Sum.PerSecond != 2 {
			t.Errorf("%s into a minute: %d pieces are drawn of %d requests, %v a second", c.over, len(past.Pieces), past.Sum.Requests, past.Sum.PerSecond)
		}
		for _, p := range past.Pieces {
			if p.PerSecond != 2 {
				t.Errorf("%s into a minute: %v a second at %s", c.over, p.PerSecond, p.At)
			}
		}
	}
}
