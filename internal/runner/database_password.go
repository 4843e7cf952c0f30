package runner

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/serverplane/serverplane/internal/plane"
	"github.com/serverplane/serverplane/internal/recipe"
	"github.com/serverplane/serverplane/internal/store"
)

// otherPassword is that of a database's other login, or empty where it signs in
// no more.
func (r *Runner) otherPassword(d plane.Database) (string, error) {
	if len(d.Other()) == 0 {
		return "", nil
	}
	return r.opened(d, d.Other())
}

// renewPasswords makes the passwords that wait for a deployment valid beside those in use, proves them from every
// backend, and only then has the app's variables hold them. What runs goes on with the
// former ones until endPasswords (docs/adr/0020).
func (d *deployment) renewPasswords(ctx context.Context) error {
	waiting, err := d.databasesThat(ctx, func(db plane.Database) bool { return len(db.Next) > 0 })
	if err != nil || len(waiting) == 0 {
		return err
	}
	if err := d.step(ctx, "make the new database password valid beside the old one"); err != nil {
		return err
	}
	for _, e := range enginesOf(waiting) {
		if err := d.bringEngine(ctx, d.crew.primary().Server, e, engineOrder{}); err != nil {
			return err
		}
	}
	for _, db := range waiting {
		if err := d.proveNext(ctx, db); err != nil {
			return err
		}
		if err := d.renew(ctx, db); err != nil {
			return err
		}
		d.say("", "database %s: the new password is valid for %s; the one before stays valid until everything was started anew", db.Name, db.OtherLogin())
	}
	return nil
}

func (d *deployment) databasesThat(ctx context.Context, fit func(plane.Database) bool) ([]plane.Database, error) {
	all, err := d.databasesOf(ctx, d.crew.app.ID)
	return slices.DeleteFunc(all, func(db plane.Database) bool { return !fit(db) }), err
}

// proveNext signs in with the next password from the place of each who takes part.
func (d *deployment) proveNext(ctx context.Context, db plane.Database) error {
	password, err := d.opened(db, db.Next)
	if err != nil {
		return err
	}
	engine, err := d.engineOf(ctx, db)
	if err != nil {
		return err
	}
	failed := eachSeat(d.taking(), func(s recipe.Seat) error {
		at := databaseAt(engine, d.crew.primary().Server, s)
		proof, err := d.loginAs(ctx, s.Server, db, credentials{db.OtherLogin(), password}, at, engine.TLS)
		if err == nil && proof.Verdict != plane.Pass {
			err = fmt.Errorf("%s cannot sign in to database %s with the new password: %s", s.Server.Name, db.Name, proof.Answer)
		}
		return err
	})
	if err := context.Cause(ctx); err != nil {
		return err
	}
	return d.sift(ctx, failed)
}

// renew writes that processes started from now on are given the next password,
// unless it was replaced since it was proven.
func (d *deployment) renew(ctx context.Context, proven plane.Database) error {
	return d.Store.Write(ctx, func(tx *store.Tx) error {
		now, err := tx.Database(ctx, proven.ID)
		if err != nil {
			return err
		}
		if !bytes.Equal(now.Next, proven.Next) {
			return fmt.Errorf("the password of database %s was changed once more meanwhile", now.Name)
		}
		now = now.Renewed()
		now.PasswordAt = d.Now().UTC()
		return tx.UpdateDatabase(ctx, now)
	})
}

// endPasswords makes the former passwords invalid: nothing was started with them that still runs, unless somebody
// took no part. What cannot be done is said and done by a later deployment; this one is live.
func (d *deployment) endPasswords(ctx context.Context) error {
	ending, err := d.databasesThat(ctx, func(db plane.Database) bool { return len(db.Former) > 0 })
	if err != nil || len(ending) == 0 {
		return err
	}
	if err := d.step(ctx, "make the former database password invalid"); err != nil {
		return err
	}
	for _, db := range ending {
		err := d.endPassword(ctx, db)
		switch {
		case errors.Is(err, errLost):
			return err
		case err != nil:
			d.error(fmt.Errorf("the former password of database %s stays valid, env apply %s tries again: %w", db.Name, d.crew.app.Name, err))
		default:
			d.say("", "database %s: the former password, of %s, is valid no more", db.Name, db.OtherLogin())
		}
	}
	return nil
}

func (d *deployment) endPassword(ctx context.Context, db plane.Database) error {
	if len(d.out) > 0 {
		return fmt.Errorf("%s took no part in this deployment and may still use it", strings.Join(names(d.out), ", "))
	}
	if d.stale {
		return errors.New("processes that could not be started anew may still use it")
	}
	former, err := d.opened(db, db.Former)
	if err != nil {
		return err
	}
	if err := d.keepFormer(ctx, db.ID, nil); err != nil {
		return err
	}
	err = d.bringEngine(ctx, d.crew.primary().Server, db.Engine, engineOrder{})
	if err == nil {
		err = d.proveEnded(ctx, db, former)
	}
	if err != nil {
		return errors.Join(err, d.keepFormer(context.WithoutCancel(ctx), db.ID, db.Former))
	}
	return nil
}

func (d *deployment) keepFormer(ctx context.Context, id string, sealed []byte) error {
	return d.Store.Write(ctx, func(tx *store.Tx) error {
		db, err := tx.Database(ctx, id)
		if err != nil {
			return err
		}
		db.Former = sealed
		if err := tx.UpdateDatabase(ctx, db); err != nil {
			return err
		}
		return tx.RaiseDatabaseServer(ctx, db.ServerID, db.Engine)
	})
}

// proveEnded tries the former password where it was good: on the primary.
func (d *deployment) proveEnded(ctx context.Context, db plane.Database, former string) error {
	engine, err := d.engineOf(ctx, db)
	if err != nil {
		return err
	}
	primary := d.crew.primary()
	at := databaseAt(engine, primary.Server, primary)
	proof, err := d.loginAs(ctx, primary.Server, db, credentials{db.OtherLogin(), former}, at, engine.TLS)
	if err == nil && proof.Verdict == plane.Pass {
		err = errors.New("the engine still takes it")
	}
	return err
}

func names(seats []recipe.Seat) []string {
	out := make([]string, len(seats))
	for i, s := range seats {
		out[i] = s.Server.Name
	}
	return out
}
