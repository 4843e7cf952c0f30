package runner

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/serverplane/serverplane/internal/files"
	"github.com/serverplane/serverplane/internal/plane"
	"github.com/serverplane/serverplane/internal/recipe"
	"github.com/serverplane/serverplane/internal/remote"
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
	if b.made, err = b.dump(ctx, recipe.Dump{}); err != nil {
		return err
	}
	if err := b.Store.Write(ctx, func(tx *store.Tx) error { return tx.CreateBackup(ctx, b.made) }); err != nil {
		return err
	}
	return b.letGo(ctx)
}

// letGo removes the dumps that are more than is kept, when the new one is in the book: a panel that
// ends in between leaves one too many. While a restore stands cut off, an older dump may be
// the only one of the whole.
func (b *backup) letGo(ctx context.Context) error {
	if len(b.drop) == 0 {
		return nil
	}
	const script = `if [ -e "$1" ]; then echo kept; exit; fi; shift; exec rm -f -- "$@"`
	args := []string{"sh", "-c", script, "sh", files.HalfRestored(b.db.Role())}
	for _, old := range b.drop {
		args = append(args, files.DumpPath(b.db.Name, old.File))
	}
	res, err := b.Pool.Exec(ctx, recipe.Target(b.primary()), remote.Command{Args: args, Sudo: true})
	if err == nil && res.Exit != 0 {
		err = errors.New(firstLine(string(res.Stderr)))
	}
	switch {
	case context.Cause(ctx) != nil:
		return context.Cause(ctx)
	case err != nil:
		b.say(b.primary().Name, "warning: older dumps could not be removed, the next dump tries again: %v", err)
	case strings.TrimSpace(string(res.Stdout)) == "kept":
		b.say(b.primary().Name, "warning: no older dump was removed: a restore of %s was cut off, and this one may hold a part only; give db restore again", b.db.Name)
	default:
		return nil
	}
	b.drop = nil
	return nil
}

// dumpFacts is what a dump turned out to be.
type dumpFacts struct {
	Path  string           `json:"path"`
	Bytes int64            `json:"bytes"`
	Rows  map[string]int64 `json:"rows"`
	Gone  bool             `json:"gone"` // there was nothing to dump
}

// dump makes one dump and tells where it is and what is in it. One with no path
// was not made, since there is no such database: only where the order allows it.
func (d *databaseJob) dump(ctx context.Context, order recipe.Dump) (plane.Backup, error) {
	if err := d.step(ctx, "dump the database and read the dump back"); err != nil {
		return plane.Backup{}, err
	}
	if err := d.refuseUnreachable(ctx, []recipe.Seat{d.crew.primary()}); err != nil {
		return plane.Backup{}, err
	}
	b := plane.Backup{ID: plane.NewID(plane.PrefixBackup), DatabaseID: d.db.ID, Actor: d.run.Actor, CreatedAt: d.Now().UTC()}
	b.File = plane.BackupFile(b.ID, b.CreatedAt)
	order.Run, order.Server, order.Database, order.File = d.run.ID, d.primary(), d.db, b.File
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
	if f.Gone {
		return b, nil
	}
	d.say(d.primary().Name, "%s holds %d rows of %d tables, %d bytes", b.Path, b.Sum(), len(b.Rows), b.Bytes)
	return b, nil
}

func (b *backup) done(ctx context.Context, tx *store.Tx) error {
	for _, old := range b.drop {
		if err := tx.DeleteBackup(ctx, old.ID); err != nil {
			return err
		}
	}
	if err := tx.SetBackupTrouble(ctx, b.db.ID, "", b.Now().UTC()); err != nil {
		return err
	}
	return b.databaseJob.done(ctx, tx)
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
	if err := d.stopRunUnit(ctx, d.primary(), databaseWork, d.run.ID); err != nil {
		d.say(d.primary().Name, "warning: could not stop what this Run started: %v", err)
	}
}

// databaseWork names, in the place of an app, the units and marks of what Runs do
// with databases on a server (in_unit of playbooks/steps/database.py).
var databaseWork = plane.App{Name: "database"}

// restoration brings a dump back, after a dump of what is there now.
type restoration struct {
	backup
	inPlace bool // the dump had taken its place when the Run was cut short
}

func (r *restoration) inForce() bool { return r.inPlace }

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
	if r.made, err = r.dump(ctx, recipe.Dump{}); err != nil {
		return fmt.Errorf("nothing was restored, since what is there now could not be dumped first: %w", err)
	}
	if err := r.Store.Write(ctx, func(tx *store.Tx) error { return tx.CreateBackup(ctx, r.made) }); err != nil {
		return err
	}
	if err := r.step(ctx, "restore and compare rows"); err != nil {
		return err
	}
	play, err := recipe.RestoreDatabase(recipe.Dump{Run: r.run.ID, Server: r.primary(), Database: r.db, File: wanted.File, Rows: wanted.Rows, Before: r.made.File})
	if err != nil {
		return err
	}
	if err := r.play(ctx, play); err != nil {
		return fmt.Errorf("%w\nwhat was there before is backup %s", err, r.made.ID)
	}
	r.say("", "what was there before is backup %s", r.made.ID)
	return nil
}

func (r *restoration) done(ctx context.Context, tx *store.Tx) error {
	return r.databaseJob.done(ctx, tx)
}

func (r *restoration) failed(context.Context, *store.Tx, plane.RunState, string) error { return nil }

// undo waits until the step on the server has come to its end: it puts back what
// was there, or the dump had taken its place before it could be stopped.
func (r *restoration) undo(ctx context.Context, cause error) {
	r.backup.undo(ctx, cause)
	if r.made.ID == "" {
		return // nothing was begun
	}
	const script = `flock -w 60 "$1" true || exit 1; [ ! -e "$3" ] || exit 2; cat "$2" 2>/dev/null; exit 0`
	res, err := r.Pool.Exec(ctx, recipe.Target(r.primary()), remote.Command{
		Args: []string{"sh", "-c", script, "sh", files.DatabaseLock, files.DatabaseRestored, files.HalfRestored(r.db.Role())}, Sudo: true,
	})
	switch {
	case err != nil:
		r.say(r.primary().Name, "warning: could not see how the restore ended: %v; should the server have gone down in the middle, it puts back what was there before when it comes up", err)
	case res.Exit == 2:
		r.say(r.primary().Name, "warning: it may hold a part of the dump only, since what was there before could not be put back; that is backup %s", r.made.ID)
	case res.Exit != 0:
		r.say(r.primary().Name, "what was there before is still being put back; the next Run about a database here waits for that")
	case strings.TrimSpace(string(res.Stdout)) == r.run.ID:
		r.inPlace = true
		r.say(r.primary().Name, "the dump had taken its place before it could be stopped; what was there before is backup %s", r.made.ID)
	default:
		r.say(r.primary().Name, "nothing was restored: the database is what it was before")
	}
}
