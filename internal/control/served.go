package control

import (
	"context"
	"errors"
	"time"

	"github.com/serverplane/serverplane/internal/plane"
	"github.com/serverplane/serverplane/internal/store"
)

// TopicServed is the hint that something new was read in some entry's log.
const TopicServed = "served"

// ServedState says how far figures of who served what can be relied on.
type ServedState string

// The states of figures.
const (
	ServedCurrent ServedState = "current"
	ServedStale   ServedState = "stale"   // they end at ReadAt, for a reason
	ServedUnknown ServedState = "unknown" // the log was never read
)

// staleAfter is when figures that end there are told to be old: several looks were missed.
const staleAfter = time.Minute

// ServedView is who served what for visitors of an app. It ends at ReadAt: an
// older view is not filled up with zeros.
type ServedView struct {
	App    string
	State  ServedState
	Reason string // why it is not current
	Since  time.Time
	ReadAt time.Time
	GapAt  time.Time // when something of the last day was left out; zero: nothing was
	Gap    string    // what, in words
	Lines  []ServedLine
	Entry  ServedLine // what the entry answered by itself
}

// ServedLine is what one backend did.
type ServedLine struct {
	BackendID  string
	ServerName string
	Role       string
	Hour, Day  ServedFigures
}

// ServedFigures are what was done in the last hour or day that is known.
type ServedFigures struct {
	plane.Served
	PerSecond float64
	Share     float64 // of what all backends served, 0 to 1
}

// Served shows who served what of an app's requests.
func (c *Control) Served(ctx context.Context, _ plane.Actor, app string) (ServedView, error) {
	return read(ctx, c.store, func(tx *store.Tx) (ServedView, error) {
		a, err := appByName(ctx, tx, app)
		if err != nil {
			return ServedView{}, err
		}
		seats, err := seatsOf(ctx, tx, a)
		if err != nil {
			return ServedView{}, err
		}
		view, err := c.servedState(ctx, tx, a)
		if err != nil {
			return ServedView{}, err
		}
		hour, err := servedSpan(ctx, tx, a.ID, view, time.Hour, plane.ServedMinute)
		if err != nil {
			return ServedView{}, err
		}
		day, err := servedSpan(ctx, tx, a.ID, view, 24*time.Hour, plane.ServedQuarter)
		if err != nil {
			return ServedView{}, err
		}
		for _, s := range seats {
			id := s.Backend.ID
			view.Lines = append(view.Lines, ServedLine{BackendID: id, ServerName: s.Server.Name, Role: s.Backend.Role(), Hour: hour.of(id), Day: day.of(id)})
		}
		view.Entry = ServedLine{Hour: hour.of(""), Day: day.of("")}
		return view, nil
	})
}

func (c *Control) servedState(ctx context.Context, tx *store.Tx, a plane.App) (ServedView, error) {
	view := ServedView{App: a.Name, State: ServedUnknown, Reason: "the log of the entry was not read yet"}
	l, err := tx.EntryLog(ctx, a.ID)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return view, err
	}
	if l.Reason != "" {
		view.Reason = l.Reason
	}
	if a.LiveSlot == "" {
		view.Reason = "the app has no entry before its first completed deployment"
	}
	if l.ReadAt.IsZero() {
		return view, nil
	}
	view.State, view.Since, view.ReadAt, view.Reason = ServedCurrent, l.Since, l.ReadAt, l.Reason
	if l.GapAt.After(l.ReadAt.Add(-24 * time.Hour)) {
		view.GapAt, view.Gap = l.GapAt, l.Gap
	}
	if old := c.now().Sub(l.ReadAt) > staleAfter; old || l.Reason != "" {
		view.State = ServedStale
		if view.Reason == "" {
			view.Reason = "the panel is behind with reading the log"
		}
	}
	return view, nil
}

// span is a while with what was served in it.
type span struct {
	known time.Duration // how much of the while is known
	sums  map[string]plane.Served
	all   int // requests that any backend served
}

// servedSpan adds up the whole pieces of the last reach that is known, up to where the log was read.
func servedSpan(ctx context.Context, tx *store.Tx, appID string, v ServedView, reach, length time.Duration) (span, error) {
	s := span{sums: map[string]plane.Served{}}
	if v.ReadAt.IsZero() {
		return s, nil
	}
	from := v.ReadAt.Add(-reach).Truncate(length).Add(length)
	pieces, err := tx.ServedPieces(ctx, appID, length, from)
	if err != nil {
		return s, err
	}
	for _, p := range pieces {
		s.sums[p.BackendID] = s.sums[p.BackendID].Merge(p.Served)
		if p.BackendID != "" {
			s.all += p.Requests
		}
	}
	if v.Since.After(from) {
		from = v.Since
	}
	s.known = max(time.Second, v.ReadAt.Sub(from))
	return s, nil
}

func (s span) of(backend string) ServedFigures {
	f := ServedFigures{Served: s.sums[backend]}
	if s.known > 0 {
		f.PerSecond = float64(f.Requests) / s.known.Seconds()
	}
	if backend != "" && s.all > 0 {
		f.Share = float64(f.Requests) / float64(s.all)
	}
	return f
}

// ServedHistory is what one backend did, piece by piece.
type ServedHistory struct {
	Length time.Duration       // of each piece
	From   time.Time           // begin of the first piece; nothing is known before
	To     time.Time           // nothing is known after; zero: the log was never read
	Pieces []plane.ServedPiece // in order; one without a request is left out
}

// BackendServed shows what a backend did in the last hour by minutes, or in the
// last day by quarters of an hour.
func (c *Control) BackendServed(ctx context.Context, actor plane.Actor, app, server string, day bool) (ServedHistory, error) {
	b, err := c.Backend(ctx, actor, app, server)
	if err != nil {
		return ServedHistory{}, err
	}
	reach, h := time.Hour, ServedHistory{Length: plane.ServedMinute}
	if day {
		reach, h.Length = 24*time.Hour, plane.ServedQuarter
	}
	return read(ctx, c.store, func(tx *store.Tx) (ServedHistory, error) {
		l, err := tx.EntryLog(ctx, b.AppID)
		if errors.Is(err, store.ErrNotFound) || err == nil && l.ReadAt.IsZero() {
			return h, nil
		}
		if err != nil {
			return h, err
		}
		h.From, h.To = l.ReadAt.Add(-reach).Truncate(h.Length).Add(h.Length), l.ReadAt
		if since := l.Since.Truncate(h.Length); since.After(h.From) {
			h.From = since
		}
		all, err := tx.ServedPieces(ctx, b.AppID, h.Length, h.From)
		for _, p := range all {
			if p.BackendID == b.ID {
				h.Pieces = append(h.Pieces, p)
			}
		}
		return h, err
	})
}
