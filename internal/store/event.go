package store

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/serverplane/serverplane/internal/plane"
)

// AppendEvents adds lines to the Run's log and returns them with RunID and
// Seq, which counts from 1 without holes however many append at once.
func (t *Tx) AppendEvents(ctx context.Context, runID string, events []plane.Event) ([]plane.Event, error) {
	if len(events) == 0 {
		return nil, nil
	}
	last, err := one(ctx, t, "run", runID, single[int64],
		`UPDATE runs SET events = events + $2 WHERE id = $1 RETURNING events`, runID, len(events))
	if err != nil {
		return nil, err
	}
	numbered := slices.Clone(events)
	for i := range numbered {
		numbered[i].RunID, numbered[i].Seq = runID, last-int64(len(events)-1-i)
	}
	for batch := range slices.Chunk(numbered, 200) {
		if err := t.insertEvents(ctx, batch); err != nil {
			return nil, err
		}
	}
	return numbered, nil
}

func (t *Tx) insertEvents(ctx context.Context, events []plane.Event) error {
	var query strings.Builder
	query.WriteString(`INSERT INTO run_events (run_id, seq, at, kind, server, step, text) VALUES `)
	args := make([]any, 0, 7*len(events))
	for i, e := range events {
		if i > 0 {
			query.WriteString(", ")
		}
		n := len(args)
		fmt.Fprintf(&query, "($%d, $%d, $%d, $%d, $%d, $%d, $%d)", n+1, n+2, n+3, n+4, n+5, n+6, n+7)
		args = append(args, e.RunID, e.Seq, micros(e.Time), string(e.Kind), e.Server, e.Step, storable(e.Text))
	}
	_, err := t.exec(ctx, "append events", query.String(), args...)
	return err
}

// storable makes a program's output text that both engines keep: PostgreSQL
// refuses NUL and bytes that are not UTF-8.
func storable(text string) string {
	return strings.ReplaceAll(strings.ToValidUTF8(text, "\uFFFD"), "\x00", "\uFFFD")
}

// Events returns the Run's lines whose Seq is above after, in order. Limit 0
// means 100; at most 1000 come.
func (t *Tx) Events(ctx context.Context, runID string, after int64, limit int) ([]plane.Event, error) {
	return many(ctx, t, "list events", scanEvent, `SELECT run_id, seq, at, kind, server, step, text FROM run_events
		WHERE run_id = $1 AND seq > $2 ORDER BY seq LIMIT $3`, runID, after, limited(limit))
}

// Steps returns where the Run's steps begin, in order; at most 1000.
func (t *Tx) Steps(ctx context.Context, runID string) ([]plane.Event, error) {
	return many(ctx, t, "list steps", scanEvent, `SELECT run_id, seq, at, kind, server, step, text FROM run_events
		WHERE run_id = $1 AND kind = 'step' ORDER BY seq LIMIT 1000`, runID)
}

// LastEvent returns the Seq of the Run's last line, 0 while there is none, or
// ErrNotFound.
func (t *Tx) LastEvent(ctx context.Context, runID string) (int64, error) {
	return one(ctx, t, "run", runID, single[int64], `SELECT events FROM runs WHERE id = $1`, runID)
}

func scanEvent(r row, e *plane.Event) error {
	return r.Scan(&e.RunID, &e.Seq, instant{&e.Time}, &e.Kind, &e.Server, &e.Step, &e.Text)
}
