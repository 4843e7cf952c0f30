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
// lets anybody in without encryption; and tries anew, if asked to, that nobody else gets in.
type adjustment struct {
	databaseJob
	brought bool // the engine has it
}

func (s *adjustment) do(ctx context.Context) error {
	a, err := s.args()
	if err != nil {
		return err
	}
	s.steps(2)
	if a.Prove {
		s.steps(3)
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
	s.brought = true
	if err := s.step(ctx, "sign in from every backend"); err != nil {
		return err
	}
	if err := s.proveSeats(ctx, s.db, s.crew, s.admitted(ctx)); err != nil || !a.Prove {
		return err
	}
	if err := s.step(ctx, "see that nobody else gets in"); err != nil {
		return err
	}
	return s.refuseStrangers(ctx, s.db, s.crew)
}

// failed takes back what could not be brought to the engine: with a wish that it
// does not take, every later Run there would fail.
func (s *adjustment) failed(ctx context.Context, tx *store.Tx, _ plane.RunState, _ string) error {
	a, err := s.args()
	if err != nil || a.Change == nil || s.brought {
		return err
	}
	err = tx.AmendEngine(ctx, a.Database, a.Change.TakeBack)
	if errors.Is(err, store.ErrNotFound) {
		return nil
	}
	return err
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
		d.say("", "warning: could not read who may connect: %v", err)
	}
	return out
}

// drop takes a database away after a last dump, whose place the receipt tells.
// Its steps can be repeated; the book says how far it got: a database is removing
// from the moment on in which something may be gone.
type drop struct{ databaseJob }

func (r *drop) do(ctx context.Context) error {
	r.steps(3)
	if err := r.load(ctx); err != nil {
		return err
	}
	_, err := r.engineOf(ctx, r.db)
	if errors.Is(err, store.ErrNotFound) {
		r.say("", "its engine was never touched")
		return nil
	}
	if err != nil {
		return err
	}
	begun, err := r.begun(ctx)
	if err != nil {
		return err
	}
	if !begun {
		if err := r.begin(ctx); err != nil {
			return err
		}
	}
	if err := r.step(ctx, "remove access, database and role"); err != nil {
		return err
	}
	if err := r.bringEngine(ctx, r.primary(), r.db.Engine, engineOrder{gone: r.db.ID}); err != nil {
		return err
	}
	r.note(plane.ReceiptLine{Server: r.primary().Name, What: "database and role " + r.db.Role(), Done: true})
	return nil
}

// begun tells whether an earlier Run made the last dump and began to take the
// database away: what is left of it must not be dumped again.
func (r *drop) begun(ctx context.Context) (bool, error) {
	if r.db.State != plane.DatabaseRemoving {
		return false, nil
	}
	if !r.wasReady() {
		return true, nil
	}
	var all []plane.Backup
	err := r.Store.Read(ctx, func(tx *store.Tx) (err error) {
		all, err = tx.Backups(ctx, r.db.ID)
		return err
	})
	for _, b := range all {
		if b.ID == r.db.LastDump {
			r.noteDump(b)
			return true, err
		}
	}
	return false, err
}

// wasReady tells whether it ever held anything: a creation looks for strangers at
// its end.
func (r *drop) wasReady() bool { return !r.db.Stranger.At.IsZero() }

// begin makes sure that the engine would take the change, and writes in one
// transaction that there is no way back.
func (r *drop) begin(ctx context.Context) error {
	if err := r.refuseUnreachable(ctx, []recipe.Seat{r.crew.primary()}); err != nil {
		return err
	}
	last, err := r.dumpLast(ctx)
	if err != nil {
		return err
	}
	if last.Path != "" {
		if err := r.step(ctx, "see that the engine takes changes"); err != nil {
			return err
		}
		if err := r.bringEngine(ctx, r.primary(), r.db.Engine, engineOrder{}); err != nil {
			return fmt.Errorf("nothing was removed: %w", err)
		}
	}
	return r.Store.Write(ctx, func(tx *store.Tx) error {
		d, err := tx.Database(ctx, r.db.ID)
		if err != nil {
			return err
		}
		d.State, d.Reason, d.Since = plane.DatabaseRemoving, "its removal has begun", r.Now().UTC()
		if last.Path != "" {
			d.LastDump = last.ID
			if err := tx.CreateBackup(ctx, last); err != nil {
				return err
			}
		}
		if err := tx.UpdateDatabase(ctx, d); err != nil {
			return err
		}
		return tx.RaiseDatabaseServer(ctx, r.db.ServerID, r.db.Engine)
	})
}

// dumpLast leaves a dump of everything that was ever ready, unless somebody has
// taken the database away already: then the dump has no path.
func (r *drop) dumpLast(ctx context.Context) (plane.Backup, error) {
	if !r.wasReady() {
		r.say("", "it was never ready: there is nothing to dump")
		return plane.Backup{}, nil
	}
	b, err := r.dump(ctx, recipe.Dump{OrGone: true})
	if err != nil {
		return b, fmt.Errorf("nothing was removed, since it could not be dumped first: %w", err)
	}
	if b.Path == "" {
		r.say(r.primary().Name, "%s is not in the engine any more: there is nothing to dump", r.db.Role())
		return b, nil
	}
	r.noteDump(b)
	return b, nil
}

func (r *drop) noteDump(b plane.Backup) {
	r.note(plane.ReceiptLine{Server: r.primary().Name, What: "last dump", Done: true, Detail: fmt.Sprintf("%s, %d rows", b.Path, b.Sum())})
}

func (r *drop) done(ctx context.Context, tx *store.Tx) error { return tx.DeleteDatabase(ctx, r.db.ID) }

// failed leaves the database what it was, unless its removal has begun.
func (r *drop) failed(ctx context.Context, tx *store.Tx, state plane.RunState, reason string) error {
	a, err := r.args()
	if err != nil {
		return err
	}
	d, err := tx.Database(ctx, a.Database)
	if errors.Is(err, store.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	return tx.SetDatabaseState(ctx, d.ID, d.State, d.AfterRemoval(fmt.Sprintf("removing it was %s: %s", state, reason)), d.Since)
}
