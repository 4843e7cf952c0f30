package runner

import (
	"context"
	"errors"
	"fmt"

	"github.com/serverplane/serverplane/internal/plane"
	"github.com/serverplane/serverplane/internal/recipe"
	"github.com/serverplane/serverplane/internal/store"
)

// adjustment brings an engine to what db set wrote: its limit, and whether it
// lets anybody in without encryption.
type adjustment struct{ databaseJob }

func (s *adjustment) do(ctx context.Context) error {
	s.steps(2)
	a, err := s.args()
	if err != nil {
		return err
	}
	if err := s.load(ctx); err != nil {
		return err
	}
	if err := s.step(ctx, "bring the engine to it"); err != nil {
		return err
	}
	if err := s.bringEngine(ctx, s.primary(), s.db.Engine, engineOrder{restart: a.Restart}); err != nil {
		return err
	}
	if err := s.step(ctx, "sign in from every backend"); err != nil {
		return err
	}
	return s.proveSeats(ctx, s.db, s.crew, s.admitted(ctx))
}

// admitted lists the seats that may connect by the book.
func (d *databaseJob) admitted(ctx context.Context) []recipe.Seat {
	var out []recipe.Seat
	err := d.Store.Read(ctx, func(tx *store.Tx) error {
		access, err := tx.AccessTo(ctx, d.db.ID)
		out = nil
		for _, s := range d.crew.seats {
			for _, a := range access {
				if a.BackendID == s.Backend.ID && !s.Backend.Removing {
					out = append(out, s)
				}
			}
		}
		return err
	})
	if err != nil {
		d.say("", "could not read who may connect: %v", err)
	}
	return out
}

// drop takes a database away after a last dump, whose place the receipt tells.
type drop struct{ databaseJob }

func (r *drop) do(ctx context.Context) error {
	r.steps(2)
	if err := r.load(ctx); err != nil {
		return err
	}
	if err := r.dumpLast(ctx); err != nil {
		return err
	}
	if err := r.step(ctx, "remove database, role and access"); err != nil {
		return err
	}
	err := r.Store.Write(ctx, func(tx *store.Tx) error { return tx.RaiseDatabaseServer(ctx, r.db.ServerID, r.db.Engine) })
	if errors.Is(err, store.ErrNotFound) {
		return nil // its engine was never touched
	}
	if err != nil {
		return err
	}
	if err := r.bringEngine(ctx, r.primary(), r.db.Engine, engineOrder{gone: r.db.ID}); err != nil {
		return err
	}
	r.note(plane.ReceiptLine{Server: r.primary().Name, What: "database and role " + r.db.Role(), Done: true})
	return nil
}

// dumpLast leaves a dump of everything that was ever ready; one that never came
// to be holds nothing.
func (r *drop) dumpLast(ctx context.Context) error {
	if r.db.Stranger.At.IsZero() { // a creation looks for strangers at its end
		r.say("", "it was never ready: there is nothing to dump")
		return nil
	}
	b, err := r.dump(ctx, nil)
	if err != nil {
		return fmt.Errorf("nothing was removed, since it could not be dumped first: %w", err)
	}
	r.note(plane.ReceiptLine{Server: r.primary().Name, What: "last dump", Done: true, Detail: fmt.Sprintf("%s, %d rows", b.Path, b.Sum())})
	return nil
}

func (r *drop) done(ctx context.Context, tx *store.Tx) error { return tx.DeleteDatabase(ctx, r.db.ID) }

func (r *drop) failed(ctx context.Context, tx *store.Tx, state plane.RunState, reason string) error {
	a, err := r.args()
	if err != nil {
		return err
	}
	text := fmt.Sprintf("removing it was %s: %s; db remove again continues", state, reason)
	return tx.SetDatabaseState(ctx, a.Database, plane.DatabaseRemoving, text, r.Now().UTC())
}
