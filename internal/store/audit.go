package store

import (
	"context"

	"github.com/serverplane/serverplane/internal/plane"
)

// AppendAudit adds a line to the audit trail.
func (t *Tx) AppendAudit(ctx context.Context, a plane.Audit) error {
	return t.insert(ctx, "audit", a.ID, `INSERT INTO audits (id, at, user_id, email, remote, action, subject, detail)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`,
		a.ID, micros(a.Time), a.UserID, a.Email, a.From, a.Action, a.Subject, a.Detail)
}

// Audits returns the audit trail, newest first: lines older than the one with
// the id before, unless it is empty. Limit 0 means 100; at most 1000 come.
func (t *Tx) Audits(ctx context.Context, before string, limit int) ([]plane.Audit, error) {
	return many(ctx, t, "list audits", scanAudit, `SELECT id, at, user_id, email, remote, action, subject, detail FROM audits
		WHERE $1 = '' OR (at, id) < (SELECT a.at, a.id FROM audits a WHERE a.id = $1)
		ORDER BY at DESC, id DESC LIMIT $2`, before, limited(limit))
}

func scanAudit(r row, a *plane.Audit) error {
	return r.Scan(&a.ID, instant{&a.Time}, &a.UserID, &a.Email, &a.From, &a.Action, &a.Subject, &a.Detail)
}
