package runner

import (
	"testing"
	"time"

	"github.com/serverplane/serverplane/internal/plane"
	"github.com/serverplane/serverplane/internal/store"
)

// TestDumpsThatAreDue: each is queued once however many panels look and however long
// none did, none beside another Run at the database, and none of a database that is not ready.
func TestDumpsThatAreDue(t *testing.T) {
	b := newBalanced(t, 1, nil)
	now := time.Date(2026, 7, 10, 12, 0, 0, 0, time.UTC)
	one, other := b.runner(), b.runner()
	other.Owner = "ins_two"
	one.Now, other.Now = func() time.Time { return now }, func() time.Time { return now }
	d := plane.Database{
		ID: "dbs_aaaaaaaaaaaaaaaa", Name: "shop", AppID: b.app.ID, ServerID: b.server.ID, Engine: plane.PostgreSQL, Password: []byte("x"), Pool: 1, Revision: 1,
		State: plane.DatabaseReady, Backups: plane.BackupPlan{Schedule: "daily@03:00", Keep: 3, DueSince: now}, CreatedAt: now, Since: now,
	}
	b.write(func(tx *store.Tx) error { return tx.CreateDatabase(b.ctx, d) })
	look := func() (queued []plane.Run) {
		t.Helper()
		for _, r := range []*Runner{one, other} {
			if err := r.queueDue(b.ctx); err != nil {
				t.Fatal(err)
			}
		}
		b.write(func(tx *store.Tx) (err error) {
			queued, err = tx.Runs(b.ctx, store.RunFilter{State: plane.RunQueued})
			return err
		})
		return queued
	}
	end := func(r plane.Run) {
		b.write(func(tx *store.Tx) error { return tx.RequestCancel(b.ctx, r.ID, now) })
	}
	if got := look(); len(got) != 0 {
		t.Fatalf("before it is due: %+v", got)
	}
	now = now.AddDate(0, 0, 20) // nobody looked for twenty days
	got := look()
	if len(got) != 1 || got[0].Kind != plane.RunBackup || got[0].Actor != plane.ActorSchedule || got[0].AppID != b.app.ID {
		t.Fatalf("%+v", got)
	}
	if told, err := readArgs(got[0]); err != nil || told.Database != d.ID {
		t.Errorf("%+v, %v", told, err)
	}
	end(got[0])
	if got := look(); len(got) != 0 {
		t.Fatalf("what was missed comes more than once: %+v", got)
	}
	now = now.AddDate(0, 0, 1)
	busy := plane.Run{
		ID: plane.NewID(plane.PrefixRun), Kind: plane.RunRestore, AppID: b.app.ID, State: plane.RunQueued, CreatedAt: now, Args: []byte(`{"database": "dbs_aaaaaaaaaaaaaaaa"}`),
	}
	b.write(func(tx *store.Tx) error { return tx.Enqueue(b.ctx, busy) })
	if got := look(); len(got) != 1 || got[0].ID != busy.ID {
		t.Fatalf("beside a restore: %+v", got)
	}
	end(busy)
	if got = look(); len(got) != 1 || got[0].Kind != plane.RunBackup {
		t.Fatalf("after it: %+v", got)
	}

	failed := &backup{databaseJob: databaseJob{job: newJob(one, got[0])}}
	b.write(func(tx *store.Tx) error { return failed.failed(b.ctx, tx, plane.RunFailed, "no space left") })
	end(got[0])
	b.write(func(tx *store.Tx) error {
		kept, err := tx.Database(b.ctx, d.ID)
		if kept.Backups.Trouble != "failed: no space left" || !kept.Backups.At.Equal(now) {
			t.Errorf("%+v", kept.Backups)
		}
		return err
	})
	now = now.AddDate(0, 0, 1)
	b.write(func(tx *store.Tx) error { return tx.SetDatabaseState(b.ctx, d.ID, plane.DatabaseRemoving, "", now) })
	if got := look(); len(got) != 0 {
		t.Fatalf("one that is going: %+v", got)
	}
}
