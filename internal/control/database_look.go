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
	v, err := read(ctx, c.store, func(tx *store.Tx) (engineSeat, error) { return seatOfDatabase(ctx, tx, name) })
	if err != nil {
		return plane.DatabaseLook{}, err
	}
	look, fresh := c.looks.fresh(v.db.ID, c.now())
	if fresh {
		return look, nil
	}
	if why := c.blindFor(v); why != "" {
		return v.unknown(why, c.now()), nil
	}
	bounded, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	look, err = c.engines.LookAtDatabase(bounded, v.on, plane.DatabaseQuery{Engine: v.db.Engine, Port: v.engine.Port, Database: v.db.Role(), Roles: v.db.Logins()})
	if ctx.Err() != nil {
		return plane.DatabaseLook{}, ctx.Err()
	}
	if err != nil {
		look = v.unknown(reasonOf(err), c.now())
	}
	look.TakenAt = c.now().UTC()
	c.looks.keep(v.db.ID, look)
	return look, nil
}

// engineSeat is a database with where it is.
type engineSeat struct {
	db     plane.Database
	engine plane.DatabaseServer // zero: nothing of it was made yet
	on     plane.Server
}

func seatOfDatabase(ctx context.Context, tx *store.Tx, name string) (v engineSeat, err error) {
	if v.db, err = databaseByName(ctx, tx, name); err != nil {
		return v, err
	}
	if v.on, err = tx.Server(ctx, v.db.ServerID); err != nil {
		return v, err
	}
	v.engine, err = tx.DatabaseServer(ctx, v.db.ServerID, v.db.Engine)
	if errors.Is(err, store.ErrNotFound) {
		return v, nil
	}
	return v, err
}

// blindFor says why nobody need ask, or nothing.
func (c *Control) blindFor(v engineSeat) string {
	switch {
	case c.engines == nil:
		return "this panel does not look at servers"
	case v.db.State == plane.DatabaseCreating || v.engine.SeenAt.IsZero():
		return "it is not made yet"
	}
	return ""
}

func (v engineSeat) unknown(why string, at time.Time) plane.DatabaseLook {
	return plane.DatabaseLook{TakenAt: at.UTC(), Vantage: v.on.Name + ", over SSH", Reason: why}
}

// reasonOf is an error in words for a person, without its hint.
func reasonOf(err error) string {
	if told, ok := errors.AsType[*plane.Error](err); ok {
		return told.Message
	}
	return err.Error()
}
