package control

import (
	"context"
	"errors"
	"time"

	"github.com/serverplane/serverplane/internal/auth"
	"github.com/serverplane/serverplane/internal/plane"
	"github.com/serverplane/serverplane/internal/store"
)

// CreateUser makes a person who may sign in.
func (c *Control) CreateUser(ctx context.Context, actor plane.Actor, email string, role plane.Role, password string) (plane.User, error) {
	for _, err := range []error{plane.CheckEmail("email", email), plane.CheckRole("role", role), plane.CheckPassword("password", password)} {
		if err != nil {
			return plane.User{}, err
		}
	}
	hash, err := auth.HashPassword(password)
	if err != nil {
		return plane.User{}, err
	}
	u := plane.User{ID: plane.NewID(plane.PrefixUser), Email: email, Role: role, PasswordHash: hash, CreatedAt: c.now().UTC()}
	return u, c.change(ctx, actor, "user.create", email, func(tx *store.Tx) error { return tx.CreateUser(ctx, u) })
}

// CreateToken makes a token with which a program acts as the user; it is
// returned once and only its hash is kept.
func (c *Control) CreateToken(ctx context.Context, actor plane.Actor, email, name string) (string, error) {
	if name == "" || len(name) > 100 {
		return "", plane.Invalid("name", "must be 1 to 100 characters", "name what will use the token")
	}
	token, hash := auth.NewToken()
	err := c.change(ctx, actor, "token.create", email+" "+name, func(tx *store.Tx) error {
		u, err := tx.UserByEmail(ctx, email)
		if err != nil {
			return orNotFound(err, "user", email)
		}
		return tx.CreateToken(ctx, plane.Token{ID: plane.NewID(plane.PrefixToken), UserID: u.ID, Name: name, Hash: hash, CreatedAt: c.now().UTC()})
	})
	return token, err
}

// touchEvery is how coarsely a token's last use is kept.
const touchEvery = time.Minute

// Authenticate tells who acts with a token.
func (c *Control) Authenticate(ctx context.Context, token, from string) (plane.Actor, error) {
	var actor plane.Actor
	var used plane.Token
	err := c.store.Read(ctx, func(tx *store.Tx) error {
		var err error
		if used, err = tx.TokenByHash(ctx, auth.HashToken(token)); err != nil {
			return err
		}
		u, err := tx.User(ctx, used.UserID)
		actor = plane.Actor{UserID: u.ID, Email: u.Email, Role: u.Role, From: from}
		return err
	})
	if errors.Is(err, store.ErrNotFound) {
		return plane.Actor{}, &plane.Error{Code: plane.CodeUnauthorized, Message: "the token is not valid", Hint: "make one with serverplane admin create-token"}
	}
	if err != nil {
		return plane.Actor{}, err
	}
	if now := c.now().UTC(); now.Sub(used.UsedAt) > touchEvery {
		err = c.store.Write(ctx, func(tx *store.Tx) error { return tx.TouchToken(ctx, used.ID, now) })
	}
	return actor, err
}

// Audits lists who did what, newest first.
func (c *Control) Audits(ctx context.Context, _ plane.Actor, before string, limit int) ([]plane.Audit, error) {
	return read(ctx, c.store, func(tx *store.Tx) ([]plane.Audit, error) { return tx.Audits(ctx, before, limit) })
}
