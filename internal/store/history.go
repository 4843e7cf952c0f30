package store

import (
	"context"
	"errors"
	"time"

	"github.com/serverplane/serverplane/internal/plane"
)

// AppendHealthChange adds a line to the backend's history, which keeps the
// newest plane.KeptChanges. A line never comes before the last one, whatever
// the clock says: two of one moment keep their order.
func (t *Tx) AppendHealthChange(ctx context.Context, backendID string, c plane.HealthChange) error {
	last, err := one(ctx, t, "backend", backendID, single[int64],
		`SELECT coalesce(max(at), 0) FROM health_changes WHERE backend_id = $1`, backendID)
	if err != nil {
		return err
	}
	err = t.insert(ctx, "health change", backendID, `INSERT INTO health_changes (backend_id, at, was, became, vantage, answer, reason)
		VALUES ($1, $2, $3, $4, $5, $6, $7)`, backendID, max(micros(c.At), last+1), string(c.Was), string(c.Became),
		c.Vantage, storable(c.Answer), storable(c.Reason))
	if err != nil {
		return err
	}
	_, err = t.exec(ctx, "forget old health changes", `DELETE FROM health_changes WHERE backend_id = $1 AND at <= (
		SELECT at FROM health_changes WHERE backend_id = $1 ORDER BY at DESC LIMIT 1 OFFSET $2)`, backendID, plane.KeptChanges)
	return err
}

// HealthChanges returns the backend's history, newest first. Limit 0 means 100.
func (t *Tx) HealthChanges(ctx context.Context, backendID string, limit int) ([]plane.HealthChange, error) {
	return many(ctx, t, "list health changes", scanHealthChange, `SELECT at, was, became, vantage, answer, reason
		FROM health_changes WHERE backend_id = $1 ORDER BY at DESC LIMIT $2`, backendID, limited(limit))
}

func scanHealthChange(r row, c *plane.HealthChange) error {
	return r.Scan(instant{&c.At}, &c.Was, &c.Became, &c.Vantage, &c.Answer, &c.Reason)
}

const selectMinute = `SELECT minute, probes, failures, blind, latency, slowest FROM health_minutes `

// AddHealthMinute counts probes into a minute of the backend and forgets its
// minutes more than plane.KeptMinutes older. It reports ErrNotFound for a
// backend that is gone.
func (t *Tx) AddHealthMinute(ctx context.Context, backendID string, m plane.HealthMinute) error {
	if _, err := t.Backend(ctx, backendID); err != nil {
		return err
	}
	m.Minute = plane.Minute(m.Minute)
	known, err := one(ctx, t, "minute", backendID, scanMinute, selectMinute+`WHERE backend_id = $1 AND minute = $2`, backendID, micros(m.Minute))
	if err != nil && !errors.Is(err, ErrNotFound) {
		return err
	}
	m = m.Merge(known)
	if _, err := t.exec(ctx, "forget old health minutes", `DELETE FROM health_minutes WHERE backend_id = $1 AND minute < $2`,
		backendID, micros(m.Minute.Add(-plane.KeptMinutes))); err != nil {
		return err
	}
	return t.insert(ctx, "health minute", backendID, `INSERT INTO health_minutes (backend_id, minute, probes, failures, blind, latency, slowest)
		VALUES ($1, $2, $3, $4, $5, $6, $7)
		ON CONFLICT (backend_id, minute) DO UPDATE SET probes = excluded.probes, failures = excluded.failures,
		blind = excluded.blind, latency = excluded.latency, slowest = excluded.slowest`,
		backendID, micros(m.Minute), m.Probes, m.Failures, m.Blind, int64(m.Latency), int64(m.Slowest))
}

func scanMinute(r row, m *plane.HealthMinute) error {
	return r.Scan(instant{&m.Minute}, &m.Probes, &m.Failures, &m.Blind, (*int64)(&m.Latency), (*int64)(&m.Slowest))
}

// HealthMinutes returns the backend's minutes that began at since or later, in order.
func (t *Tx) HealthMinutes(ctx context.Context, backendID string, since time.Time) ([]plane.HealthMinute, error) {
	return many(ctx, t, "list health minutes", scanMinute, selectMinute+`WHERE backend_id = $1 AND minute >= $2 ORDER BY minute`,
		backendID, micros(since))
}
