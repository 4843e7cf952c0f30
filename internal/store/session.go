package store

import (
	"context"
	"time"

	"github.com/serverplane/serverplane/internal/plane"
)

const selectSession = `SELECT id, user_id, hash, remote, agent, created_at, used_at FROM sessions `

func scanSession(r row, s *plane.Session) error {
	return r.Scan(&s.ID, &s.UserID, &s.Hash, &s.From, &s.Agent, instant{&s.CreatedAt}, instant{&s.UsedAt})
}

// CreateSession stores a new session by its hash.
func (t *Tx) CreateSession(ctx context.Context, s plane.Session) error {
	return t.insert(ctx, "session", s.ID, `INSERT INTO sessions (id, user_id, hash, remote, agent, created_at, used_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7)`, s.ID, s.UserID, s.Hash, s.From, s.Agent, micros(s.CreatedAt), micros(s.UsedAt))
}

// Session returns the session with the id, or ErrNotFound.
func (t *Tx) Session(ctx context.Context, id string) (plane.Session, error) {
	return one(ctx, t, "session", id, scanSession, selectSession+`WHERE id = $1`, id)
}

// SessionByHash returns the session with the hash, or ErrNotFound; the error
// does not repeat the hash.
func (t *Tx) SessionByHash(ctx context.Context, hash string) (plane.Session, error) {
	return one(ctx, t, "session", "given", scanSession, selectSession+`WHERE hash = $1`, hash)
}

// Sessions returns the user's sessions, the one used last first.
func (t *Tx) Sessions(ctx context.Context, userID string) ([]plane.Session, error) {
	return many(ctx, t, "list sessions", scanSession, selectSession+`WHERE user_id = $1 ORDER BY used_at DESC, id`, userID)
}

// TouchSession notes when the session was used last.
func (t *Tx) TouchSession(ctx context.Context, id string, at time.Time) error {
	return t.change(ctx, "session", id, `UPDATE sessions SET used_at = $2 WHERE id = $1`, id, micros(at))
}

// DeleteSession forgets the session.
func (t *Tx) DeleteSession(ctx context.Context, id string) error {
	return t.change(ctx, "session", id, `DELETE FROM sessions WHERE id = $1`, id)
}

// DeleteSessionsBut forgets the user's sessions except the one with the id keep.
func (t *Tx) DeleteSessionsBut(ctx context.Context, userID, keep string) error {
	_, err := t.exec(ctx, "end sessions", `DELETE FROM sessions WHERE user_id = $1 AND id <> $2`, userID, keep)
	return err
}

// SweepSessions forgets the sessions not used since idle, or made before born.
func (t *Tx) SweepSessions(ctx context.Context, idle, born time.Time) error {
	_, err := t.exec(ctx, "sweep sessions", `DELETE FROM sessions WHERE used_at <= $1 OR created_at <= $2`, micros(idle), micros(born))
	return err
}
