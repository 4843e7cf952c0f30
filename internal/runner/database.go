package runner

import (
	"context"
	"fmt"

	"github.com/serverplane/serverplane/internal/plane"
	"github.com/serverplane/serverplane/internal/recipe"
	"github.com/serverplane/serverplane/internal/store"
)

// databaseJob is what the Runs about one database share.
type databaseJob struct {
	*job
	db   plane.Database
	crew crew
}

// load reads the database and its app as they are now.
func (d *databaseJob) load(ctx context.Context) error {
	a, err := d.args()
	if err != nil {
		return err
	}
	return d.Store.Read(ctx, func(tx *store.Tx) (err error) {
		if d.db, err = tx.Database(ctx, a.Database); err != nil {
			return err
		}
		d.crew, err = loadCrew(ctx, tx, d.db.AppID)
		return err
	})
}

func (d *databaseJob) primary() plane.Server { return d.crew.primary().Server }

// done lets go of what was said when an earlier Run did not get to its end.
func (d *databaseJob) done(ctx context.Context, tx *store.Tx) error {
	return tx.SetDatabaseState(ctx, d.db.ID, d.db.State, "", d.db.Since)
}

// creation installs the engine if it is not there, makes database and role, opens
// it to every backend the app has, and proves both: that they get in, and that
// nobody else does. Every step can be repeated, so asking again continues.
type creation struct{ databaseJob }

func (c *creation) do(ctx context.Context) error {
	c.steps(4)
	a, err := c.args()
	if err != nil {
		return err
	}
	if err := c.load(ctx); err != nil {
		return err
	}
	if err := c.step(ctx, "see as what the primary sees each backend"); err != nil {
		return err
	}
	if err := c.refuseUnreachable(ctx, []recipe.Seat{c.crew.primary()}); err != nil {
		return err
	}
	if err := c.admitAll(ctx); err != nil {
		return err
	}
	if err := c.step(ctx, fmt.Sprintf("make database and role in %s on %s", c.db.Engine.Title(), c.primary().Name)); err != nil {
		return err
	}
	if err := c.bringEngine(ctx, c.primary(), c.db.Engine, engineOrder{fresh: c.db.ID, restart: a.Restart}); err != nil {
		return err
	}
	if err := c.step(ctx, "sign in from every backend"); err != nil {
		return err
	}
	if err := c.proveSeats(ctx, c.db, c.crew, c.members()); err != nil {
		return err
	}
	if err := c.step(ctx, "see that nobody else gets in"); err != nil {
		return err
	}
	return c.refuseStrangers(ctx, c.db, c.crew)
}

// members are the seats whose processes use the database.
func (c *creation) members() []recipe.Seat {
	var out []recipe.Seat
	for _, s := range c.crew.seats {
		if s.Backend.Primary || s.Backend.Placed && !s.Backend.Removing {
			out = append(out, s)
		}
	}
	return out
}

func (c *creation) admitAll(ctx context.Context) error {
	if err := c.certify(ctx, c.primary(), c.db.Engine); err != nil {
		return err
	}
	for _, s := range c.members() {
		if err := c.admit(ctx, c.crew, s, []plane.Database{c.db}); err != nil {
			return err
		}
	}
	return nil
}

func (c *creation) done(ctx context.Context, tx *store.Tx) error {
	return tx.SetDatabaseState(ctx, c.db.ID, plane.DatabaseReady, "", c.Now().UTC())
}

func (c *creation) failed(ctx context.Context, tx *store.Tx, state plane.RunState, reason string) error {
	a, err := c.args()
	if err != nil {
		return err
	}
	text := fmt.Sprintf("creating it was %s: %s; db create again continues, db remove takes away what there is", state, reason)
	return tx.SetDatabaseState(ctx, a.Database, plane.DatabaseFailed, text, c.Now().UTC())
}
