package runner

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/serverplane/serverplane/internal/plane"
	"github.com/serverplane/serverplane/internal/store"
)

// TestOlderDumpsGoLast: at no moment is the only dump of the book one that is gone, and none goes
// while the database may hold a part only.
func TestOlderDumpsGoLast(t *testing.T) {
	for name, c := range map[string]struct {
		answer string
		lost   bool
		kept   int
		says   string
	}{
		"all is well":                   {"", false, 1, ""},
		"a restore that was cut off":    {"kept\n", false, 2, "no older dump was removed: a restore of shop was cut off"},
		"the connection ends meanwhile": {"", true, 2, "older dumps could not be removed, the next dump tries again"},
	} {
		t.Run(name, func(t *testing.T) {
			var k *kept
			listed := func() (all []plane.Backup) {
				k.write(func(tx *store.Tx) (err error) { all, err = tx.Backups(k.ctx, k.db.ID); return err })
				return all
			}
			var removed atomic.Bool
			k = newKept(t, func(command string) (string, bool) {
				if !strings.Contains(command, "rm -f") {
					return "", false
				}
				removed.Store(true)
				if all := listed(); len(all) != 2 || all[1].File != "old.dump" {
					t.Errorf("removed while the book has %+v", all)
				}
				if !strings.Contains(command, "/var/lib/serverplane/restoring-sp_shop") || !strings.Contains(command, "/var/backups/serverplane/databases/shop/old.dump") {
					t.Errorf("the server is told %s", command)
				}
				return c.answer, c.lost
			})
			k.write(func(tx *store.Tx) error {
				d, err := tx.Database(k.ctx, k.db.ID)
				if err != nil {
					return err
				}
				d.Backups.Keep = 1
				old := plane.Backup{ID: plane.NewID(plane.PrefixBackup), DatabaseID: k.db.ID, File: "old.dump", CreatedAt: time.Now().UTC().Add(-time.Hour)}
				return errors.Join(tx.UpdateDatabase(k.ctx, d), tx.CreateBackup(k.ctx, old))
			})
			k.begin()
			r, said := k.ended(k.queue(plane.RunBackup, k.db, "").ID)
			if r.State != plane.RunSucceeded || !removed.Load() || len(listed()) != c.kept {
				t.Errorf("%s: %s; listed are %+v", r.State, r.Reason, listed())
			}
			if !slices.ContainsFunc(said, func(e plane.Event) bool { return strings.Contains(e.Text, c.says) }) {
				t.Errorf("it does not say %q: %+v", c.says, said)
			}
		})
	}
}

// TestRestoreCancelledTooLate: a Run is cancelled only where nothing was brought
// back; one that was stopped after the dump had taken its place is a restore.
func TestRestoreCancelledTooLate(t *testing.T) {
	for name, c := range map[string]struct {
		inPlace bool
		state   plane.RunState
		says    string
	}{
		"before the swap": {false, plane.RunCancelled, "nothing was restored: the database is what it was before"},
		"after the swap":  {true, plane.RunSucceeded, "the dump had taken its place before it could be stopped"},
	} {
		t.Run(name, func(t *testing.T) {
			var run plane.Run
			k := newKept(t, func(command string) (string, bool) {
				if c.inPlace && strings.Contains(command, "database.restored") {
					return run.ID + "\n", false
				}
				return "", false
			})
			b := plane.Backup{ID: plane.NewID(plane.PrefixBackup), DatabaseID: k.db.ID, File: "f", CreatedAt: time.Now().UTC()}
			k.write(func(tx *store.Tx) error { return tx.CreateBackup(k.ctx, b) })
			begun := make(chan struct{})
			k.failing("database_restore.yml", func(ctx context.Context) error { close(begun); <-ctx.Done(); return ctx.Err() })
			run = k.queue(plane.RunRestore, k.db, `,"backup":"`+b.ID+`"`)
			k.begin()
			<-begun
			k.write(func(tx *store.Tx) error { return tx.RequestCancel(k.ctx, run.ID, time.Now().UTC()) })
			k.hub.Publish(topicCancel(run.ID))
			r, said := k.ended(run.ID)
			if r.State != c.state {
				t.Errorf("it is %s: %s", r.State, r.Reason)
			}
			if !slices.ContainsFunc(said, func(e plane.Event) bool { return strings.Contains(e.Text, c.says) }) {
				t.Errorf("it does not say %q: %+v", c.says, said)
			}
		})
	}
}
