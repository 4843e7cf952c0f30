package store

import (
	"context"
	"time"
)

// Lease takes or renews the name for the owner until now + d; false means that
// another owner holds it.
func (t *Tx) Lease(ctx context.Context, name, owner string, now time.Time, d time.Duration) (bool, error) {
	n, err := t.exec(ctx, "lease "+name, `INSERT INTO leases (name, owner, until) VALUES ($1, $2, $3)
		ON CONFLICT (name) DO UPDATE SET owner = excluded.owner, until = excluded.until
		WHERE leases.owner = excluded.owner OR leases.until <= $4`, name, owner, micros(now.Add(d)), micros(now))
	return n > 0, err
}

// Release gives the name back, if it is the owner's.
func (t *Tx) Release(ctx context.Context, name, owner string) error {
	_, err := t.exec(ctx, "release "+name, `DELETE FROM leases WHERE name = $1 AND owner = $2`, name, owner)
	return err
}
