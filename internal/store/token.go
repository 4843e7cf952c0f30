package store

import (
	"context"
	"time"

	"github.com/serverplane/serverplane/internal/plane"
)

const selectToken = `SELECT id, user_id, name, hash, created_at, used_at FROM tokens `

func scanToken(r row, k *plane.Token) error {
	return r.Scan(&k.ID, &k.UserID, &k.Name, &k.Hash, instant{&k.CreatedAt}, instant{&k.UsedAt})
}

// CreateToken stores a new token by its hash.
func (t *Tx) CreateToken(ctx context.Context, k plane.Token) error {
	return t.insert(ctx, "token", k.Name, `INSERT INTO tokens (id, user_id, name, hash, created_at, used_at)
		VALUES ($1, $2, $3, $4, $5, $6)`, k.ID, k.UserID, k.Name, k.Hash, micros(k.CreatedAt), micros(k.UsedAt))
}

// TokenByHash returns the token with the hash, or ErrNotFound; the error does
// not repeat the hash.
func (t *Tx) TokenByHash(ctx context.Context, hash string) (plane.Token, error) {
	return one(ctx, t, "token", "given", scanToken, selectToken+`WHERE hash = $1`, hash)
}

// Token returns the token with the id, or ErrNotFound.
func (t *Tx) Token(ctx context.Context, id string) (plane.Token, error) {
	return one(ctx, t, "token", id, scanToken, selectToken+`WHERE id = $1`, id)
}

// Tokens returns the user's tokens by age.
func (t *Tx) Tokens(ctx context.Context, userID string) ([]plane.Token, error) {
	return many(ctx, t, "list tokens", scanToken, selectToken+`WHERE user_id = $1 ORDER BY created_at, id`, userID)
}

// TouchToken notes when the token was used last.
func (t *Tx) TouchToken(ctx context.Context, id string, at time.Time) error {
	return t.change(ctx, "token", id, `UPDATE tokens SET used_at = $2 WHERE id = $1`, id, micros(at))
}

// DeleteToken forgets the token.
func (t *Tx) DeleteToken(ctx context.Context, id string) error {
	return t.change(ctx, "token", id, `DELETE FROM tokens WHERE id = $1`, id)
}
