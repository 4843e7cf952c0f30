package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
)

// Tx is one transaction of a Store; good only inside the function it was
// handed to, and for one goroutine.
type Tx struct{ tx *sql.Tx }

type row interface{ Scan(into ...any) error }

// exec returns the number of rows changed.
func (t *Tx) exec(ctx context.Context, doing, query string, args ...any) (int64, error) {
	result, err := t.tx.ExecContext(ctx, query, args...)
	if err != nil {
		return 0, fmt.Errorf("%s: %w", doing, err)
	}
	n, err := result.RowsAffected()
	if err != nil {
		return 0, fmt.Errorf("%s: %w", doing, err)
	}
	return n, nil
}

// insert writes one row; a broken unique rule is a conflict about noun and name.
func (t *Tx) insert(ctx context.Context, noun, name, query string, args ...any) error {
	if _, err := t.tx.ExecContext(ctx, query, args...); err != nil {
		return kept(err, noun, name, "create")
	}
	return nil
}

// change updates or deletes one row; none is ErrNotFound.
func (t *Tx) change(ctx context.Context, noun, name, query string, args ...any) error {
	result, err := t.tx.ExecContext(ctx, query, args...)
	if err != nil {
		return kept(err, noun, name, "change")
	}
	n, err := result.RowsAffected()
	if err != nil {
		return fmt.Errorf("change %s %q: %w", noun, name, err)
	}
	if n == 0 {
		return missing(noun, name)
	}
	return nil
}

// one reads one row; none is ErrNotFound.
func one[T any](ctx context.Context, t *Tx, noun, name string, scan func(row, *T) error, query string, args ...any) (T, error) {
	var v T
	err := scan(t.tx.QueryRowContext(ctx, query, args...), &v)
	if errors.Is(err, sql.ErrNoRows) {
		return v, missing(noun, name)
	}
	if err != nil {
		return v, fmt.Errorf("read %s %q: %w", noun, name, err)
	}
	return v, nil
}

// many reads all rows before it returns, so that the next query can follow.
func many[T any](ctx context.Context, t *Tx, doing string, scan func(row, *T) error, query string, args ...any) ([]T, error) {
	rows, err := t.tx.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", doing, err)
	}
	defer rows.Close() // rows.Err tells
	var all []T
	for rows.Next() {
		var v T
		if err := scan(rows, &v); err != nil {
			return nil, fmt.Errorf("%s: %w", doing, err)
		}
		all = append(all, v)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("%s: %w", doing, err)
	}
	return all, nil
}

// single scans a row of one column.
func single[T any](r row, v *T) error { return r.Scan(v) }

// The most rows a listing gives at once, and how many when not told.
const (
	maxLimit     = 1000
	defaultLimit = 100
)

func limited(n int) int {
	if n <= 0 {
		return defaultLimit
	}
	return min(n, maxLimit)
}
