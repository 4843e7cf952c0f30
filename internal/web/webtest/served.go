package webtest

import (
	"context"
	"time"

	"github.com/serverplane/serverplane/internal/control"
	"github.com/serverplane/serverplane/internal/plane"
)

// Served answers what s1 served of web's requests, or what Serve was told.
func (p *Panel) Served(_ context.Context, _ plane.Actor, app string) (control.ServedView, error) {
	err := p.called("Served", app)
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.served != nil {
		return *p.served, err
	}
	view := ServedBy(control.ServedLine{BackendID: "bck_1", ServerName: "s1", Role: "primary", Hour: Figures(7200, 36, 5), Day: Figures(86400, 0, 0)})
	if p.name != "" {
		view.App, view.State, view.Reason, view.Gap, view.GapAt = p.name, control.ServedStale, p.name, p.name, At()
	}
	return view, err
}

// Serve is what Served answers from now on.
func (p *Panel) Serve(v control.ServedView) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.served = &v
}

// ServedBy is what these backends served of web's requests, and the entry by itself.
func ServedBy(lines ...control.ServedLine) control.ServedView {
	entry := control.ServedLine{Hour: Figures(3, 1, 0), Day: Figures(3, 1, 0)}
	entry.Hour.Latency, entry.Day.Latency, entry.Hour.Share, entry.Day.Share = nil, nil, 0, 0
	return control.ServedView{App: "web", State: control.ServedCurrent, Since: At().Add(-48 * time.Hour), ReadAt: At(), Lines: lines, Entry: entry}
}

// Figures are those of one who served all there was, in 4 ms or, one in ten, 40 ms.
func Figures(requests, errors, passedOn int) control.ServedFigures {
	f := control.ServedFigures{Served: plane.Served{Requests: requests, Errors: errors, PassedOn: passedOn}, PerSecond: float64(requests) / 3600, Share: 1}
	for _, took := range []int{4, 4, 4, 4, 4, 4, 4, 4, 4, 40} {
		f.Latency = f.Latency.Add(time.Duration(took) * time.Millisecond)
	}
	return f
}

// BackendServed answers three minutes, or quarters of an hour.
func (p *Panel) BackendServed(_ context.Context, _ plane.Actor, app, server string, day bool) (control.ServedHistory, error) {
	p.about("BackendServed", app)
	h := control.ServedHistory{Length: plane.ServedMinute}
	if day {
		h.Length = plane.ServedQuarter
	}
	h.To = At()
	h.From = h.To.Truncate(h.Length).Add(-10 * h.Length)
	for i := range 3 {
		h.Pieces = append(h.Pieces, plane.ServedPiece{BackendID: "bck_1", Begin: h.From.Add(time.Duration(i+1) * h.Length), Served: Figures(60*(i+1), i, 0).Served})
	}
	return h, p.called("BackendServed", day)
}
