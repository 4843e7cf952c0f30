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
	u, err := c.newUser(email, role, password)
	if err != nil {
		return plane.User{}, err
	}
	return u, c.change(ctx, actor, "user.create", email, func(tx *store.Tx) error { return tx.CreateUser(ctx, u) })
}

func (c *Control) newUser(email string, role plane.Role, password string) (plane.User, error) {
	for _, err := range []error{plane.CheckEmail("email", email), plane.CheckRole("role", role), plane.CheckPassword("password", password)} {
		if err != nil {
			return plane.User{}, err
		}
	}
	hash, err := auth.HashPassword(password)
	return plane.User{ID: plane.NewID(plane.PrefixUser), Email: email, Role: role, PasswordHash: hash, CreatedAt: c.now().UTC()}, err
}

// Users lists who may sign in, by mail address.
func (c *Control) Users(ctx context.Context, _ plane.Actor) ([]plane.User, error) {
	return read(ctx, c.store, func(tx *store.Tx) ([]plane.User, error) { return tx.Users(ctx) })
}

// SetRole gives a person, by id, another role, from their next request on.
func (c *Control) SetRole(ctx context.Context, actor plane.Actor, id string, role plane.Role) error {
	if err := plane.CheckRole("role", role); err != nil {
		return err
	}
	return c.aboutUser(ctx, actor, "user.set-role", id, func(tx *store.Tx, u plane.User) (string, error) {
		if role != plane.RoleOwner {
			if err := anotherOwner(ctx, tx, u); err != nil {
				return "", err
			}
		}
		return string(u.Role) + " to " + string(role), tx.SetRole(ctx, id, role)
	})
}

// RemoveUser forgets a person, by id; their sessions and tokens end at once.
func (c *Control) RemoveUser(ctx context.Context, actor plane.Actor, id string) error {
	return c.aboutUser(ctx, actor, "user.remove", id, func(tx *store.Tx, u plane.User) (string, error) {
		if err := anotherOwner(ctx, tx, u); err != nil {
			return "", err
		}
		return "", tx.DeleteUser(ctx, id)
	})
}

// aboutUser is changeNoting for a person found by id; the audit log names them
// by mail address.
func (c *Control) aboutUser(ctx context.Context, actor plane.Actor, action, id string, fn func(tx *store.Tx, u plane.User) (string, error)) error {
	if !isText(id) {
		return plane.NotFound("user", id)
	}
	return c.store.Write(ctx, func(tx *store.Tx) error {
		u, err := tx.User(ctx, id)
		if err != nil {
			return err
		}
		detail, err := fn(tx, u)
		if err != nil {
			return err
		}
		return c.audit(ctx, tx, actor, action, u.Email, detail)
	})
}

// anotherOwner holds that the panel keeps an owner without u.
func anotherOwner(ctx context.Context, tx *store.Tx, u plane.User) error {
	all, err := tx.Users(ctx)
	if err != nil || u.Role != plane.RoleOwner {
		return err
	}
	for _, other := range all {
		if other.ID != u.ID && other.Role == plane.RoleOwner {
			return nil
		}
	}
	return plane.Conflict(u.Email+" is the last owner", "make somebody else an owner first")
}

// ChangePassword gives the actor another password and ends their other
// sessions; tokens stay, they are revoked one by one.
func (c *Control) ChangePassword(ctx context.Context, actor plane.Actor, old, password string) error {
	if err := plane.CheckPassword("password", password); err != nil {
		return err
	}
	u, err := c.proven(ctx, actor, old)
	if err != nil {
		return err
	}
	hash, err := auth.HashPassword(password)
	if err != nil {
		return err
	}
	return c.aboutUser(ctx, actor, "user.change-password", u.ID, func(tx *store.Tx, is plane.User) (string, error) {
		if is.PasswordHash != u.PasswordHash {
			return "", plane.Conflict("the password was changed a moment ago", "sign in again")
		}
		if err := tx.SetPasswordHash(ctx, u.ID, hash); err != nil {
			return "", err
		}
		return "", tx.DeleteSessionsBut(ctx, u.ID, actor.SessionID)
	})
}

// proven is the actor's row once they have shown their password.
func (c *Control) proven(ctx context.Context, actor plane.Actor, password string) (plane.User, error) {
	if err := c.door.knock(actor.From, person(actor.Email), c.now()); err != nil {
		return plane.User{}, err
	}
	u, err := read(ctx, c.store, func(tx *store.Tx) (plane.User, error) { return tx.User(ctx, actor.UserID) })
	if err != nil {
		return plane.User{}, err
	}
	ok, err := c.door.knows(ctx, u.PasswordHash, password)
	if err != nil {
		return plane.User{}, err
	}
	if !ok {
		return plane.User{}, plane.Invalid("old", "is not your password", "")
	}
	c.door.welcome(actor.From, person(actor.Email))
	return u, nil
}

// Tokens lists the actor's tokens by age.
func (c *Control) Tokens(ctx context.Context, actor plane.Actor) ([]plane.Token, error) {
	return read(ctx, c.store, func(tx *store.Tx) ([]plane.Token, error) { return tx.Tokens(ctx, actor.UserID) })
}

// RevokeToken ends one of the actor's own tokens, or anybody's by an owner.
func (c *Control) RevokeToken(ctx context.Context, actor plane.Actor, id string) error {
	if !isText(id) {
		return plane.NotFound("token", id)
	}
	return c.change(ctx, actor, "token.revoke", id, func(tx *store.Tx) error {
		k, err := tx.Token(ctx, id)
		if err != nil {
			return err
		}
		if err := ownOrOwner(actor, k.UserID, "token", id); err != nil {
			return err
		}
		return tx.DeleteToken(ctx, id)
	})
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
		if err := ownOrOwner(actor, u.ID, "user", email); err != nil {
			return err
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
