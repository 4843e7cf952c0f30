package runner

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/serverplane/serverplane/internal/plane"
	"github.com/serverplane/serverplane/internal/store"
)

// schedulePace is how often it is looked what is due.
const schedulePace = 10 * time.Second

// watchSchedules queues the dumps that are due. What was missed while no panel
// ran is made up once.
func (r *Runner) watchSchedules(ctx context.Context) {
	tick := time.NewTicker(schedulePace)
	defer tick.Stop()
	for {
		if err := r.queueDue(ctx); err != nil && ctx.Err() == nil {
			r.Log.Error("look for dumps that are due", "err", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

func (r *Runner) queueDue(ctx context.Context) error {
	var all []plane.Database
	err := r.Store.Read(ctx, func(tx *store.Tx) (err error) {
		all, err = tx.Databases(ctx)
		return err
	})
	if err != nil {
		return err
	}
	var errs []error
	for _, d := range all {
		if d.Backups.Schedule == "" || d.State != plane.DatabaseReady {
			continue
		}
		if err := r.queueBackup(ctx, d.ID); err != nil && !errors.Is(err, store.ErrNotFound) {
			errs = append(errs, fmt.Errorf("queue the dump of %s: %w", d.Name, err))
		}
	}
	return errors.Join(errs...)
}

// queueBackup queues a dump if one is due and no other Run is at the database; several
// panels on one store queue it once, since the one that comes second finds it asked for.
func (r *Runner) queueBackup(ctx context.Context, id string) error {
	queued := false
	err := r.Store.Write(ctx, func(tx *store.Tx) error {
		queued = false
		d, err := tx.Database(ctx, id)
		if err != nil {
			return err
		}
		app, err := tx.App(ctx, d.AppID)
		if err != nil {
			return err
		}
		now := r.Now().UTC()
		due := d.Backups.Next(app.Spec.Timezone())
		if due.IsZero() || due.After(now) {
			return nil
		}
		busy, err := underWay(ctx, tx, d)
		if err != nil || busy {
			return err
		}
		if err := tx.BackupAsked(ctx, d.ID, d.Backups.DueSince, now); err != nil {
			return err
		}
		raw, err := json.Marshal(map[string]string{"database": d.ID})
		if err != nil {
			return fmt.Errorf("describe a dump: %w", err)
		}
		queued = true
		return tx.Enqueue(ctx, plane.Run{
			ID: plane.NewID(plane.PrefixRun), State: plane.RunQueued, Kind: plane.RunBackup, Actor: plane.ActorSchedule, CreatedAt: now, AppID: d.AppID,
			ServerID: d.ServerID, Servers: []string{d.ServerID}, Locks: plane.SortLocks(plane.Shared(plane.AppLock(d.AppID)), plane.DatabaseLock(d.ServerID)), Args: raw,
		})
	})
	if queued && err == nil {
		r.Hub.Publish(topicQueue)
	}
	return err
}

// underWay tells whether a Run about the database has not ended.
func underWay(ctx context.Context, tx *store.Tx, d plane.Database) (bool, error) {
	for _, state := range []plane.RunState{plane.RunQueued, plane.RunRunning} {
		runs, err := tx.Runs(ctx, store.RunFilter{AppID: d.AppID, State: state, Limit: 1000})
		if err != nil {
			return false, err
		}
		for _, run := range runs {
			told, err := readArgs(run)
			if err == nil && strings.HasPrefix(string(run.Kind), "database-") && told.Database == d.ID {
				return true, nil
			}
		}
	}
	return false, nil
}
