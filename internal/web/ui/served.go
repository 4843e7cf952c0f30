package ui

import (
	"context"
	"fmt"
	"time"

	"github.com/serverplane/serverplane/internal/control"
	"github.com/serverplane/serverplane/internal/plane"
)

// ServedVerbs are the verbs about who served what.
type ServedVerbs interface {
	Served(ctx context.Context, actor plane.Actor, app string) (control.ServedView, error)
	BackendServed(ctx context.Context, actor plane.Actor, app, server string, day bool) (control.ServedHistory, error)
}

// servedView is who served what of an app's requests.
type servedView struct {
	control.ServedView
	Lines []servedLine
	Entry servedLine
}

func (u *UI) servedOf(v *visit, app string) (servedView, error) {
	all, err := u.control.Served(v.ctx(), v.actor, app)
	s := servedView{ServedView: all, Entry: servedLineOf(all.Entry)}
	for _, l := range all.Lines {
		s.Lines = append(s.Lines, servedLineOf(l))
	}
	return s, err
}

// Known tells whether there are figures at all, current or not.
func (s servedView) Known() bool { return s.State != control.ServedUnknown }

// Twice is for the two halves of a table's head.
func (s servedView) Twice() []string { return []string{"1h", "24h"} }

// Nobody tells that no request came in the last day that is known.
func (s servedView) Nobody() bool {
	all := s.Entry.Day.Requests
	for _, l := range s.Lines {
		all += l.Day.Requests
	}
	return all == 0
}

// Of is what the backend on the server did.
func (s servedView) Of(server string) servedLine {
	for _, l := range s.Lines {
		if l.Server == server {
			return l
		}
	}
	return servedLine{Server: server}
}

// servedLine is what one backend did.
type servedLine struct {
	Server    string
	Hour, Day figures
}

func servedLineOf(l control.ServedLine) servedLine {
	return servedLine{Server: l.ServerName, Hour: figures{l.Hour}, Day: figures{l.Day}}
}

// figures are what was done in a while, in words.
type figures struct{ control.ServedFigures }

// Percent is its share of all that backends served.
func (f figures) Percent() string { return shareOfAll(f.Share) }

// Rate is requests a second.
func (f figures) Rate() string {
	switch {
	case f.PerSecond >= 100:
		return fmt.Sprintf("%.0f", f.PerSecond)
	case f.PerSecond >= 1 || f.Requests == 0:
		return fmt.Sprintf("%.1f", f.PerSecond)
	}
	return fmt.Sprintf("%.2g", f.PerSecond)
}

// Failed is the share of its requests that ended in a 5xx.
func (f figures) Failed() string { return shareOfAll(f.ErrorShare()) }

// P50 is how long half of its answers took at most, or a dash.
func (f figures) P50() string { return within(f.Latency, 0.5) }

// P95 is how long all but a twentieth of its answers took at most, or a dash.
func (f figures) P95() string { return within(f.Latency, 0.95) }

func within(l plane.Latencies, share float64) string {
	took, ok := l.Within(share)
	if !ok {
		return "–"
	}
	return millis(took)
}

func shareOfAll(share float64) string {
	switch p := 100 * share; {
	case p == 0 || p >= 9.95:
		return fmt.Sprintf("%.0f %%", p)
	case p < 0.1:
		return "< 0.1 %"
	default:
		return fmt.Sprintf("%.1f %%", p)
	}
}

// servedPast is what a backend did, in pieces fit to be drawn.
type servedPast struct {
	To     time.Time
	Sum    figures
	Pieces []servedPiece
}

// servedPiece is one piece of time; a backend that did nothing then has zeros.
type servedPiece struct {
	At time.Time
	figures
}

// ErrorsPerSecond is for a drawing.
func (p servedPiece) ErrorsPerSecond() float64 {
	if p.Requests == 0 {
		return 0
	}
	return p.PerSecond * p.ErrorShare()
}

// Millis50 is the p50 for a drawing, or empty.
func (p servedPiece) Millis50() string { return millisOf(p.Latency, 0.5) }

// Millis95 is the p95 for a drawing, or empty.
func (p servedPiece) Millis95() string { return millisOf(p.Latency, 0.95) }

func millisOf(l plane.Latencies, share float64) string {
	took, ok := l.Within(share)
	if !ok {
		return ""
	}
	return fmt.Sprintf("%.1f", float64(took.Microseconds())/1000)
}

// servedPastOf is what the backend on the server did in the last hour, or day.
func (u *UI) servedPastOf(v *visit, app, server, reach string) (servedPast, error) {
	h, err := u.control.BackendServed(v.ctx(), v.actor, app, server, reach == "24h")
	if err != nil || h.To.IsZero() || h.Length <= 0 {
		return servedPast{}, err
	}
	return pastOf(h), nil
}

// youngPiece is how much of a piece must be over before it tells of a rate: the
// entry holds its newest lines back for a moment.
const youngPiece = 10 * time.Second

// pastOf fills what lies between the first and the last moment that is known
// with pieces without a request: there nothing was served. The piece under way
// counts by what of it is over, else every drawing would end in a fall.
func pastOf(h control.ServedHistory) servedPast {
	did, p := map[time.Time]plane.Served{}, servedPast{To: h.To}
	for _, piece := range h.Pieces {
		did[piece.Begin.UTC()] = piece.Served
		p.Sum.Served = p.Sum.Merge(piece.Served)
	}
	for at := h.From.UTC(); at.Before(h.To) && len(p.Pieces) < 200; at = at.Add(h.Length) {
		over := min(h.Length, h.To.Sub(at))
		if over < youngPiece {
			break
		}
		f := control.ServedFigures{Served: did[at], PerSecond: float64(did[at].Requests) / over.Seconds()}
		p.Pieces = append(p.Pieces, servedPiece{at, figures{f}})
	}
	p.Sum.PerSecond = float64(p.Sum.Requests) / max(1, h.To.Sub(h.From).Seconds())
	return p
}
