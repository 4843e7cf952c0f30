package runner

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/serverplane/serverplane/internal/plane"
	"github.com/serverplane/serverplane/internal/recipe"
	"github.com/serverplane/serverplane/internal/store"
)

// backup dumps a database on its server, reads the dump back, and lets go of what
// is more than is kept.
type backup struct {
	databaseJob
	made plane.Backup
	drop []plane.Backup
}

func (b *backup) do(ctx context.Context) error {
	b.steps(1)
	if err := b.load(ctx); err != nil {
		return err
	}
	err := b.Store.Read(ctx, func(tx *store.Tx) error {
		all, err := tx.Backups(ctx, b.db.ID)
		if keep := b.db.Backups.Keep; len(all) >= keep {
			b.drop = all[keep-1:]
		}
		return err
	})
	if err != nil {
		return err
	}
	b.made, err = b.dump(ctx, b.drop)
	return err
}

// dumpFacts is what a dump turned out to be.
type dumpFacts struct {
	Path  string           `json:"path"`
	Bytes int64            `json:"bytes"`
	Rows  map[string]int64 `json:"rows"`
}

// dump makes one dump and tells where it is and what is in it.
func (d *databaseJob) dump(ctx context.Context, drop []plane.Backup) (plane.Backup, error) {
	if err := d.step(ctx, "dump the database and read the dump back"); err != nil {
		return plane.Backup{}, err
	}
	if err := d.refuseUnreachable(ctx, []recipe.Seat{d.crew.primary()}); err != nil {
		return plane.Backup{}, err
	}
	b := plane.Backup{ID: plane.NewID(plane.PrefixBackup), DatabaseID: d.db.ID, Actor: d.run.Actor, CreatedAt: d.Now().UTC()}
	b.File = plane.BackupFile(b.ID, b.CreatedAt)
	order := recipe.Dump{Run: d.run.ID, Server: d.primary(), Database: d.db, File: b.File}
	for _, old := range drop {
		order.Drop = append(order.Drop, old.File)
	}
	play, err := recipe.DumpDatabase(order)
	if err != nil {
		return b, err
	}
	if err := d.play(ctx, play); err != nil {
		return b, err
	}
	var f dumpFacts
	if err := json.Unmarshal([]byte(d.learned[d.primary().Name]), &f); err != nil {
		return b, fmt.Errorf("read what the dump turned out to be: %w", err)
	}
	b.Path, b.Bytes, b.Rows = f.Path, f.Bytes, f.Rows
	d.say(d.primary().Name, "%s holds %d rows of %d tables, %d bytes", b.Path, b.Sum(), len(b.Rows), b.Bytes)
	return b, nil
}

func (b *backup) done(ctx context.Context, tx *store.Tx) error {
	for _, old := range b.drop {
		if err := tx.DeleteBackup(ctx, old.ID); err != nil {
			return err
		}
	}
	if err := tx.CreateBackup(ctx, b.made); err != nil {
		return err
	}
	return tx.SetBackupTrouble(ctx, b.db.ID, "", b.Now().UTC())
}

// failed keeps why there is no dump, where db show tells of it.
func (b *backup) failed(ctx context.Context, tx *store.Tx, state plane.RunState, reason string) error {
	a, err := b.args()
	if err != nil {
		return err
	}
	err = tx.SetBackupTrouble(ctx, a.Database, string(state)+": "+reason, b.Now().UTC())
	if errors.Is(err, store.ErrNotFound) {
		return nil // removed since
	}
	return err
}

// undo stops a dump that is under way, by its unit's name.
func (d *databaseJob) undo(ctx context.Context, _ error) {
	if len(d.crew.seats) == 0 {
		return
	}
	if err := d.stopUnit(ctx, d.primary(), "sp-database-run-"+d.run.ID); err != nil {
		d.say(d.primary().Name, "could not stop what this Run started: %v", err)
	}
}

// restoration brings a dump back, after a dump of what is there now.
type restoration struct {
	backup
}

func (r *restoration) do(ctx context.Context) error {
	r.steps(2)
	a, err := r.args()
	if err != nil {
		return err
	}
	if err := r.load(ctx); err != nil {
		return err
	}
	var wanted plane.Backup
	err = r.Store.Read(ctx, func(tx *store.Tx) (err error) {
		wanted, err = tx.Backup(ctx, a.Backup)
		return err
	})
	if err != nil {
		return fmt.Errorf("find the backup: %w", err)
	}
	if r.made, err = r.dump(ctx, nil); err != nil {
		return fmt.Errorf("nothing was restored, since what is there now could not be dumped first: %w", err)
	}
	if err := r.Store.Write(ctx, func(tx *store.Tx) error { return tx.CreateBackup(ctx, r.made) }); err != nil {
		return err
	}
	if err := r.step(ctx, "restore and compare rows"); err != nil {
		return err
	}
	play, err := recipe.RestoreDatabase(recipe.Dump{Run: r.run.ID, Server: r.primary(), Database: r.db, File: wanted.File, Rows: wanted.Rows})
	if err != nil {
		return err
	}
	if err := r.play(ctx, play); err != nil {
		return fmt.Errorf("%w\nwhat was there before is backup %s", err, r.made.ID)
	}
	r.say("", "what was there before is backup %s", r.made.ID)
	return nil
}

func (r *restoration) done(context.Context, *store.Tx) error { return nil }

func (r *restoration) failed(context.Context, *store.Tx, plane.RunState, string) error { return nil }
