package control

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/serverplane/serverplane/internal/auth"
	"github.com/serverplane/serverplane/internal/plane"
	"github.com/serverplane/serverplane/internal/store"
)

const maxAgent = 300 // bytes kept of what a browser calls itself

// OpenSetup draws the token with which the first owner sets the panel up, and
// returns it once; it is good until the panel stops or somebody exists. Empty
// when somebody does already.
func (c *Control) OpenSetup(ctx context.Context) (string, error) {
	open, err := c.SetupOpen(ctx)
	if err != nil || !open {
		return "", err
	}
	token, hash := auth.NewToken()
	c.door.setToken(hash)
	return token, nil
}

// SetupOpen tells whether the panel waits for its first owner.
func (c *Control) SetupOpen(ctx context.Context) (bool, error) {
	all, err := read(ctx, c.store, func(tx *store.Tx) ([]plane.User, error) { return tx.Users(ctx) })
	return len(all) == 0, err
}

// SetUp makes the first owner and signs them in.
func (c *Control) SetUp(ctx context.Context, from plane.Visitor, token, email, password string) (string, error) {
	if err := c.door.knock(from.From, "", c.now()); err != nil {
		return "", err
	}
	if !c.door.opens(token) {
		return "", &plane.Error{Code: plane.CodeUnauthorized, Field: "token", Message: "is not the token of this start", Hint: "serverplane serve prints it while nobody exists"}
	}
	u, err := c.newUser(email, plane.RoleOwner, password)
	if err != nil {
		return "", err
	}
	secret, s := c.newSession(u, from)
	err = c.change(ctx, actorOf(u, from.From), "panel.set-up", u.Email, func(tx *store.Tx) error {
		if all, err := tx.Users(ctx); err != nil || len(all) > 0 {
			return errors.Join(err, plane.Conflict("this panel has an owner already", "sign in"))
		}
		if err := tx.CreateUser(ctx, u); err != nil {
			return err
		}
		return tx.CreateSession(ctx, s)
	})
	if err != nil {
		return "", err
	}
	c.door.setToken("")
	return secret, nil
}

// SignIn lets a person in who knows their password, with a fresh secret. For an
// unknown person it does the same work and says the same.
func (c *Control) SignIn(ctx context.Context, from plane.Visitor, email, password string) (string, error) {
	now := c.now()
	if err := c.door.knock(from.From, person(email), now); err != nil {
		return "", err
	}
	u, err := c.somebody(ctx, email)
	if err != nil {
		return "", err
	}
	ok, err := c.door.knows(ctx, u.PasswordHash, password)
	if err != nil {
		return "", err
	}
	if !ok || u.ID == "" {
		c.log.Warn("sign-in refused", "from", from.From)
		return "", cmp.Or(c.keepRefusal(ctx, from, u, now), wrongPassword())
	}
	c.door.welcome(from.From, person(email))
	return c.letIn(ctx, u, from)
}

// keepRefusal writes a refused sign-in into the audit, within bounds. What was
// typed is not kept: it may be a password in the wrong field.
func (c *Control) keepRefusal(ctx context.Context, from plane.Visitor, u plane.User, now time.Time) error {
	keep, left := c.door.keeps(now)
	if !keep {
		return nil
	}
	detail := "wrong password"
	if u.ID == "" {
		detail = "nobody has that mail address"
	}
	if left > 0 {
		detail += fmt.Sprintf("; %d refusals before it are not listed", left)
	}
	stranger := plane.Actor{Email: "not signed in", From: from.From}
	return c.store.Write(ctx, func(tx *store.Tx) error {
		return c.audit(ctx, tx, stranger, "session.refuse", u.Email, detail)
	})
}

// somebody is the person with the mail address, or a nobody whose password
// takes as long to look at.
func (c *Control) somebody(ctx context.Context, email string) (plane.User, error) {
	nobody := plane.User{PasswordHash: auth.Decoy}
	if !isText(email) || len(email) > 254 {
		return nobody, nil
	}
	u, err := read(ctx, c.store, func(tx *store.Tx) (plane.User, error) { return tx.UserByEmail(ctx, email) })
	if errors.Is(err, store.ErrNotFound) {
		return nobody, nil
	}
	return u, err
}

// letIn holds that the person and the password are still what was looked at.
func (c *Control) letIn(ctx context.Context, u plane.User, from plane.Visitor) (string, error) {
	secret, s := c.newSession(u, from)
	err := c.change(ctx, actorOf(u, from.From), "session.create", u.Email, func(tx *store.Tx) error {
		is, err := tx.User(ctx, u.ID)
		if errors.Is(err, store.ErrNotFound) || err == nil && is.PasswordHash != u.PasswordHash {
			return wrongPassword()
		}
		if err != nil {
			return err
		}
		if err := tx.SweepSessions(ctx, s.CreatedAt.Add(-plane.SessionIdle), s.CreatedAt.Add(-plane.SessionLife)); err != nil {
			return err
		}
		return tx.CreateSession(ctx, s)
	})
	if err != nil {
		return "", err
	}
	return secret, nil
}

func (c *Control) newSession(u plane.User, from plane.Visitor) (string, plane.Session) {
	secret, hash := auth.NewToken()
	now := c.now().UTC()
	agent := strings.ToValidUTF8(from.Agent[:min(len(from.Agent), maxAgent)], "")
	return secret, plane.Session{
		ID: plane.NewID(plane.PrefixSession), UserID: u.ID, Hash: hash, From: from.From,
		Agent: strings.ReplaceAll(agent, "\x00", ""), CreatedAt: now, UsedAt: now,
	}
}

// WhoseSession tells who acts in a browser; unauthorized when the session has
// ended, is unknown, or its person is gone. The role is the one of now.
func (c *Control) WhoseSession(ctx context.Context, secret string) (plane.Actor, error) {
	var s plane.Session
	u, err := read(ctx, c.store, func(tx *store.Tx) (u plane.User, err error) {
		if s, err = tx.SessionByHash(ctx, auth.HashToken(secret)); err != nil {
			return u, err
		}
		return tx.User(ctx, s.UserID)
	})
	now := c.now().UTC()
	if errors.Is(err, store.ErrNotFound) || err == nil && s.Over(now) {
		return plane.Actor{}, sessionOver()
	}
	if err != nil {
		return plane.Actor{}, err
	}
	actor := actorOf(u, "")
	actor.SessionID = s.ID
	return actor, c.touchSession(ctx, s.ID, s.UsedAt.Add(touchEvery).Before(now))
}

// touchSession keeps the use coarsely; a session that just ended says so.
func (c *Control) touchSession(ctx context.Context, id string, due bool) error {
	if !due {
		return nil
	}
	err := c.store.Write(ctx, func(tx *store.Tx) error { return tx.TouchSession(ctx, id, c.now().UTC()) })
	if errors.Is(err, store.ErrNotFound) {
		return sessionOver()
	}
	return err
}

// SignOut ends the session at once; one that has ended already is no error.
func (c *Control) SignOut(ctx context.Context, actor plane.Actor, secret string) error {
	err := c.change(ctx, actor, "session.end", actor.Email, func(tx *store.Tx) error {
		s, err := tx.SessionByHash(ctx, auth.HashToken(secret))
		if err != nil {
			return err
		}
		return tx.DeleteSession(ctx, s.ID)
	})
	if errors.Is(err, store.ErrNotFound) {
		return nil
	}
	return err
}

// Sessions lists where the actor is signed in, the one used last first.
func (c *Control) Sessions(ctx context.Context, actor plane.Actor) ([]plane.Session, error) {
	all, err := read(ctx, c.store, func(tx *store.Tx) ([]plane.Session, error) { return tx.Sessions(ctx, actor.UserID) })
	var live []plane.Session
	for _, s := range all {
		if !s.Over(c.now()) {
			live = append(live, s)
		}
	}
	return live, err
}

// RevokeSession ends one of the actor's own sessions, or anybody's by an owner.
func (c *Control) RevokeSession(ctx context.Context, actor plane.Actor, id string) error {
	if !isText(id) {
		return plane.NotFound("session", id)
	}
	return c.change(ctx, actor, "session.revoke", id, func(tx *store.Tx) error {
		s, err := tx.Session(ctx, id)
		if err != nil {
			return err
		}
		if err := ownOrOwner(actor, s.UserID, "session", id); err != nil {
			return err
		}
		return tx.DeleteSession(ctx, id)
	})
}

// ownOrOwner lets people at what is theirs, and who may change people at
// everybody's; for others it does not exist.
func ownOrOwner(actor plane.Actor, userID, noun, name string) error {
	if actor.UserID == userID || auth.Allow(actor.Role, auth.UserWrite) {
		return nil
	}
	return plane.NotFound(noun, name)
}

func actorOf(u plane.User, from string) plane.Actor {
	return plane.Actor{UserID: u.ID, Email: u.Email, Role: u.Role, From: from}
}

func isText(s string) bool { return utf8.ValidString(s) && !strings.ContainsRune(s, 0) }

func wrongPassword() error {
	return &plane.Error{Code: plane.CodeUnauthorized, Message: "mail address or password is wrong", Hint: "an owner of this panel can make you a new account"}
}

func sessionOver() error {
	return &plane.Error{Code: plane.CodeUnauthorized, Message: "the session has ended", Hint: "sign in again"}
}
