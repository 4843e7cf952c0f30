package store

import (
	"context"
	"errors"
	"time"

	"github.com/serverplane/serverplane/internal/plane"
)

// AddServed counts what a backend of the app, or the entry itself, did in a
// minute into that minute and into its quarter of an hour. What is older than
// is kept, seen from now, is not counted.
func (t *Tx) AddServed(ctx context.Context, appID string, p plane.ServedPiece, now time.Time) error {
	for _, length := range []time.Duration{plane.ServedMinute, plane.ServedQuarter} {
		begun := p.Begin.UTC().Truncate(length)
		if begun.Before(now.Add(-keptServed(length))) {
			continue
		}
		if err := t.addServed(ctx, appID, p.BackendID, length, begun, p.Served); err != nil {
			return err
		}
	}
	return nil
}

func keptServed(length time.Duration) time.Duration {
	if length == plane.ServedMinute {
		return plane.KeptServedMinutes
	}
	return plane.KeptServed
}

func (t *Tx) addServed(ctx context.Context, appID, backendID string, length time.Duration, begun time.Time, s plane.Served) error {
	seconds := int64(length / time.Second)
	known, err := one(ctx, t, "served", backendID, scanServed, selectServed+`WHERE app_id = $1 AND seconds = $2 AND begun = $3 AND backend_id = $4`,
		appID, seconds, micros(begun), backendID)
	if err != nil && !errors.Is(err, ErrNotFound) {
		return err
	}
	s = s.Merge(known.Served)
	return t.insert(ctx, "served", backendID, `INSERT INTO served (app_id, seconds, begun, backend_id, requests, errors, passed_on, latency)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
		ON CONFLICT (app_id, seconds, begun, backend_id) DO UPDATE SET requests = excluded.requests, errors = excluded.errors,
		passed_on = excluded.passed_on, latency = excluded.latency`,
		appID, seconds, micros(begun), backendID, s.Requests, s.Errors, s.PassedOn, document{s.Latency})
}

const selectServed = `SELECT backend_id, begun, requests, errors, passed_on, latency FROM served `

func scanServed(r row, p *plane.ServedPiece) error {
	return r.Scan(&p.BackendID, instant{&p.Begin}, &p.Requests, &p.Errors, &p.PassedOn, document{&p.Latency})
}

// ServedPieces returns what the app's backends and its entry did in the pieces of
// this length (plane.ServedMinute or plane.ServedQuarter) that began at since or later, in order.
func (t *Tx) ServedPieces(ctx context.Context, appID string, length time.Duration, since time.Time) ([]plane.ServedPiece, error) {
	return many(ctx, t, "list what was served", scanServed, selectServed+`WHERE app_id = $1 AND seconds = $2 AND begun >= $3
		ORDER BY begun, backend_id`, appID, int64(length/time.Second), micros(since))
}

// forgetServed drops what is older than is kept.
func (t *Tx) forgetServed(ctx context.Context, appID string, now time.Time) error {
	for _, length := range []time.Duration{plane.ServedMinute, plane.ServedQuarter} {
		_, err := t.exec(ctx, "forget what was served", `DELETE FROM served WHERE app_id = $1 AND seconds = $2 AND begun < $3`,
			appID, int64(length/time.Second), micros(now.Add(-keptServed(length))))
		if err != nil {
			return err
		}
	}
	return nil
}

// EntryLog returns how far the log of the app's entry was read, or ErrNotFound.
func (t *Tx) EntryLog(ctx context.Context, appID string) (plane.EntryLog, error) {
	return one(ctx, t, "entry log of app", appID, scanEntryLog, `SELECT app_id, since, read_at, reason, gap_at, gap, places
		FROM entry_logs WHERE app_id = $1`, appID)
}

func scanEntryLog(r row, l *plane.EntryLog) error {
	return r.Scan(&l.AppID, instant{&l.Since}, instant{&l.ReadAt}, &l.Reason, instant{&l.GapAt}, &l.Gap, document{&l.Places})
}

// SetEntryLog stores how far the log was read, and forgets what was served
// longer ago than is kept.
func (t *Tx) SetEntryLog(ctx context.Context, l plane.EntryLog, now time.Time) error {
	if err := t.forgetServed(ctx, l.AppID, now); err != nil {
		return err
	}
	return t.insert(ctx, "entry log of app", l.AppID, `INSERT INTO entry_logs (app_id, since, read_at, reason, gap_at, gap, places)
		VALUES ($1, $2, $3, $4, $5, $6, $7)
		ON CONFLICT (app_id) DO UPDATE SET since = excluded.since, read_at = excluded.read_at, reason = excluded.reason,
		gap_at = excluded.gap_at, gap = excluded.gap, places = excluded.places`,
		l.AppID, micros(l.Since), micros(l.ReadAt), storable(l.Reason), micros(l.GapAt), storable(l.Gap), document{l.Places})
}
