package control

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/serverplane/serverplane/internal/plane"
	"github.com/serverplane/serverplane/internal/store"
)

// DatabaseLooker asks a database engine how a database is at this moment; a
// person waits for the answer.
type DatabaseLooker interface {
	LookAtDatabase(ctx context.Context, s plane.Server, q plane.DatabaseQuery) (plane.DatabaseLook, error)
}

// lookFresh is how long what an engine said is told again instead of asking: a
// page that is open in many browsers must not be felt by the engine.
const lookFresh = 5 * time.Second

// looks keeps what engines said last, by the database's id.
type looks struct {
	mu   sync.Mutex
	last map[string]plane.DatabaseLook
}

func (l *looks) fresh(id string, now time.Time) (plane.DatabaseLook, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	look, known := l.last[id]
	return look, known && now.Sub(look.TakenAt) < lookFresh
}

func (l *looks) keep(id string, look plane.DatabaseLook) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.last[id] = look
}

// LookAtDatabase tells how a database is now, or in Reason why that cannot be
// said. It waits for the engine as long as limit at most.
func (c *Control) LookAtDatabase(ctx context.Context, _ plane.Actor, name string, limit time.Duration) (plane.DatabaseLook, error) {
	var d plane.Database
	var engine plane.DatabaseServer
	var on plane.Server
	err := c.store.Read(ctx, func(tx *store.Tx) (err error) {
		if d, err = databaseByName(ctx, tx, name); err != nil {
			return err
		}
		if on, err = tx.Server(ctx, d.ServerID); err != nil {
			return err
		}
		engine, err = tx.DatabaseServer(ctx, d.ServerID, d.Engine)
		if errors.Is(err, store.ErrNotFound) {
			return nil // nothing of it was made yet
		}
		return err
	})
	if err != nil {
		return plane.DatabaseLook{}, err
	}
	blind := plane.DatabaseLook{TakenAt: c.now().UTC(), Vantage: on.Name + ", over SSH"}
	switch {
	case c.engines == nil:
		blind.Reason = "this panel does not look at servers"
		return blind, nil
	case d.State == plane.DatabaseCreating || engine.SeenAt.IsZero():
		blind.Reason = "it is not made yet"
		return blind, nil
	}
	if look, fresh := c.looks.fresh(d.ID, c.now()); fresh {
		return look, nil
	}
	bounded, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	look, err := c.engines.LookAtDatabase(bounded, on, plane.DatabaseQuery{Engine: d.Engine, Port: engine.Port, Database: d.Role(), Roles: d.Logins()})
	if ctx.Err() != nil {
		return plane.DatabaseLook{}, ctx.Err()
	}
	if err != nil {
		look = blind
		look.Reason = reasonOf(err)
	}
	look.TakenAt = c.now().UTC()
	c.looks.keep(d.ID, look)
	return look, nil
}

// reasonOf is an error in words for a person, without its hint.
func reasonOf(err error) string {
	if told, ok := errors.AsType[*plane.Error](err); ok {
		return told.Message
	}
	return err.Error()
}
