package runner

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/serverplane/serverplane/internal/plane"
	"github.com/serverplane/serverplane/internal/store"
)

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
