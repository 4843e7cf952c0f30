package store

import (
	"context"

	"github.com/serverplane/serverplane/internal/plane"
)

const selectUser = `SELECT id, email, role, password_hash, created_at FROM users `

func scanUser(r row, u *plane.User) error {
	return r.Scan(&u.ID, &u.Email, &u.Role, &u.PasswordHash, instant{&u.CreatedAt})
}

// CreateUser stores a new user; a mail address that is taken, whatever its
// case, is a conflict.
func (t *Tx) CreateUser(ctx context.Context, u plane.User) error {
	return t.insert(ctx, "user", u.Email, `INSERT INTO users (id, email, role, password_hash, created_at)
		VALUES ($1, $2, $3, $4, $5)`, u.ID, u.Email, string(u.Role), u.PasswordHash, micros(u.CreatedAt))
}

// User returns the user with the id, or ErrNotFound.
func (t *Tx) User(ctx context.Context, id string) (plane.User, error) {
	return one(ctx, t, "user", id, scanUser, selectUser+`WHERE id = $1`, id)
}

// SetRole gives the user another role.
func (t *Tx) SetRole(ctx context.Context, id string, r plane.Role) error {
	return t.change(ctx, "user", id, `UPDATE users SET role = $2 WHERE id = $1`, id, string(r))
}

// SetPasswordHash gives the user another password.
func (t *Tx) SetPasswordHash(ctx context.Context, id, hash string) error {
	return t.change(ctx, "user", id, `UPDATE users SET password_hash = $2 WHERE id = $1`, id, hash)
}

// DeleteUser forgets the user with all sessions and tokens.
func (t *Tx) DeleteUser(ctx context.Context, id string) error {
	return t.change(ctx, "user", id, `DELETE FROM users WHERE id = $1`, id)
}

// UserByEmail returns the user with the mail address, whatever its case, or
// ErrNotFound.
func (t *Tx) UserByEmail(ctx context.Context, email string) (plane.User, error) {
	return one(ctx, t, "user", email, scanUser, selectUser+`WHERE lower(email) = lower($1)`, email)
}

// Users returns all users by mail address.
func (t *Tx) Users(ctx context.Context) ([]plane.User, error) {
	return many(ctx, t, "list users", scanUser, selectUser+`ORDER BY lower(email)`)
}
