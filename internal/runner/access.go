package runner

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"github.com/serverplane/serverplane/internal/plane"
	"github.com/serverplane/serverplane/internal/recipe"
	"github.com/serverplane/serverplane/internal/store"
)

// admit writes down that a backend may connect to databases, under the address
// the primary sees it as. The engine learns of it by bringEngine.
func (j *job) admit(ctx context.Context, c crew, s recipe.Seat, all []plane.Database) error {
	address := netip.AddrFrom4([4]byte{127, 0, 0, 1})
	if !s.Backend.Primary {
		var err error
		if address, err = j.measure(ctx, s.Server, c.primary().Server); err != nil {
			return err
		}
	}
	return j.Store.Write(ctx, func(tx *store.Tx) error {
		for _, d := range all {
			if err := tx.SetAccess(ctx, plane.Access{DatabaseID: d.ID, BackendID: s.Backend.ID, Address: address}); err != nil {
				return err
			}
			if err := tx.RaiseDatabaseServer(ctx, d.ServerID, d.Engine); err != nil {
				return err
			}
		}
		return nil
	})
}

// databasesOf reads the app's databases that its processes use.
func (r *Runner) databasesOf(ctx context.Context, appID string) ([]plane.Database, error) {
	var all []plane.Database
	err := r.Store.Read(ctx, func(tx *store.Tx) (err error) {
		all, err = tx.DatabasesOf(ctx, appID)
		return err
	})
	return slices.DeleteFunc(all, func(d plane.Database) bool { return !d.Usable() }), err
}

func enginesOf(all []plane.Database) []plane.Engine {
	var out []plane.Engine
	for _, d := range all {
		if !slices.Contains(out, d.Engine) {
			out = append(out, d.Engine)
		}
	}
	return out
}

// openDatabases lets one seat connect to what its app uses, before its process
// starts there: exactly its address, to exactly these databases.
func (j *job) openDatabases(ctx context.Context, c crew, s recipe.Seat, restart bool) error {
	all, err := j.databasesOf(ctx, c.app.ID)
	if err != nil || len(all) == 0 {
		return err
	}
	if err := j.step(ctx, "open the database for it"); err != nil {
		return err
	}
	if err := j.admit(ctx, c, s, all); err != nil {
		return err
	}
	for _, e := range enginesOf(all) {
		if err := j.bringEngine(ctx, c.primary().Server, e, engineOrder{restart: restart}); err != nil {
			return err
		}
	}
	return nil
}

// closeDatabases takes a backend's access away and proves that it is refused. What
// could not be done stays in the book, and in the receipt.
func (j *job) closeDatabases(ctx context.Context, c crew, s recipe.Seat) error {
	var all []plane.Database
	err := j.Store.Write(ctx, func(tx *store.Tx) error {
		all = nil
		access, err := tx.AccessOf(ctx, s.Backend.ID)
		if err != nil {
			return err
		}
		for _, a := range access {
			d, err := tx.Database(ctx, a.DatabaseID)
			if err != nil {
				return err
			}
			all = append(all, d)
			if err := tx.RaiseDatabaseServer(ctx, d.ServerID, d.Engine); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil || len(all) == 0 {
		return err
	}
	unseen, err := j.shut(ctx, c, s, all)
	for _, d := range all {
		line := plane.ReceiptLine{Server: s.Server.Name, What: "access to database " + d.Name, Done: err == nil}
		switch {
		case err != nil:
			line.Detail = firstLine(err.Error())
		case slices.Contains(unseen, d.Name):
			line.Detail = "that it is refused was not proven: it may still know the password; db rotate-password " + d.Name
		}
		j.note(line)
	}
	if err != nil {
		return fmt.Errorf("take away the access of %s to the database: %w", s.Server.Name, err)
	}
	return nil
}

// shut also names the databases of which it could not be tried from the backend's
// place whether they refuse it.
func (j *job) shut(ctx context.Context, c crew, s recipe.Seat, all []plane.Database) (unseen []string, err error) {
	for _, e := range enginesOf(all) {
		if err := j.bringEngine(ctx, c.primary().Server, e, engineOrder{}); err != nil {
			return nil, err
		}
	}
	var errs []error
	for _, d := range all {
		tried, err := j.proveShut(ctx, c, s, d)
		if errs = append(errs, err); err == nil && !tried {
			unseen = append(unseen, d.Name)
		}
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return unseen, j.Store.Write(ctx, func(tx *store.Tx) error { return tx.DeleteAccess(ctx, s.Backend.ID) })
}

func (j *job) proveShut(ctx context.Context, c crew, s recipe.Seat, d plane.Database) (tried bool, err error) {
	engine, err := j.engineOf(ctx, d)
	if err != nil {
		return false, err
	}
	proof, err := j.tryStranger(ctx, d, engine, s.Server, c.primary().Server)
	switch {
	case err != nil:
		return false, err
	case proof.Verdict == plane.Pass:
		return true, fmt.Errorf("%s can still sign in to database %s; %s", s.Server.Name, d.Name, letInBy(d.Engine))
	case proof.Verdict == plane.Fail:
		j.say(s.Server.Name, "is refused by database %s: %s", d.Name, proof.Answer)
		return true, nil
	}
	j.say(s.Server.Name, "warning: may not connect to database %s any more; that it is refused is not proven: %s", d.Name, proof.Answer)
	return false, nil
}
