package ui

import (
	"fmt"
	"time"

	"github.com/serverplane/serverplane/internal/control"
	"github.com/serverplane/serverplane/internal/plane"
)

// past is what is kept of a backend, in pieces fit to be looked at.
type past struct {
	Reach   string // 1h or 24h
	Changes []plane.HealthChange
	Pieces  []piece
	Probes  int
	Failed  int
	Blind   int
	Mean    time.Duration
	Slowest time.Duration
}

// piece is what the probes of a while came to.
type piece struct {
	At            time.Time
	Minutes       int
	Probes        int
	Failed, Blind int
	Mean, Slowest time.Duration
}

// Look is how the while looks: nothing known, all well, some or all failed.
func (p piece) Look() string {
	switch {
	case p.Probes == 0:
		return "none"
	case p.Failed == p.Probes-p.Blind && p.Failed > 0:
		return "bad"
	case p.Failed > 0:
		return "warn"
	case p.Blind == p.Probes:
		return "unknown"
	}
	return "good"
}

// Millis is the mean for a drawing.
func (p piece) Millis() string { return fmt.Sprintf("%.2f", float64(p.Mean.Microseconds())/1000) }

// MillisMax is the slowest for a drawing.
func (p piece) MillisMax() string { return fmt.Sprintf("%.2f", float64(p.Slowest.Microseconds())/1000) }

const changesShown = 20

func (u *UI) pastOf(v *visit, app, server, reach string) (past, error) {
	span, each := time.Hour, time.Minute
	if reach == "24h" {
		span, each = 24*time.Hour, 15*time.Minute
	} else {
		reach = "1h"
	}
	h, err := u.control.BackendHistory(v.ctx(), v.actor, app, server, control.HistoryWish{Changes: changesShown, Reach: span})
	if err != nil {
		return past{}, err
	}
	p := past{Reach: reach, Changes: h.Changes, Pieces: piecesOf(h.Minutes, u.now(), span, each)}
	for _, one := range p.Pieces {
		p.add(one)
	}
	return p, nil
}

func (p *past) add(one piece) {
	had, has := p.Probes-p.Failed-p.Blind, one.Probes-one.Failed-one.Blind
	if had+has > 0 {
		p.Mean = (p.Mean*time.Duration(had) + one.Mean*time.Duration(has)) / time.Duration(had+has)
	}
	p.Probes, p.Failed, p.Blind, p.Slowest = p.Probes+one.Probes, p.Failed+one.Failed, p.Blind+one.Blind, max(p.Slowest, one.Slowest)
}

// piecesOf sorts minutes into pieces of the same length up to now; a while
// nobody probed is a piece without probes.
func piecesOf(minutes []plane.HealthMinute, now time.Time, span, each time.Duration) []piece {
	first := now.UTC().Truncate(each).Add(each - span)
	pieces := make([]piece, int(span/each))
	for i := range pieces {
		pieces[i] = piece{At: first.Add(time.Duration(i) * each), Minutes: int(each.Minutes())}
	}
	for _, m := range minutes {
		if i := int(m.Minute.Sub(first) / each); !m.Minute.Before(first) && i < len(pieces) {
			pieces[i].add(m)
		}
	}
	return pieces
}

func (p *piece) add(m plane.HealthMinute) {
	had, has := p.Probes-p.Failed-p.Blind, m.Passed()
	if had+has > 0 {
		p.Mean = (p.Mean*time.Duration(had) + m.Latency*time.Duration(has)) / time.Duration(had+has)
	}
	p.Probes, p.Failed, p.Blind, p.Slowest = p.Probes+m.Probes, p.Failed+m.Failures, p.Blind+m.Blind, max(p.Slowest, m.Slowest)
}
