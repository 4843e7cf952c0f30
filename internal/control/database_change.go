package control

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/serverplane/serverplane/internal/plane"
	"github.com/serverplane/serverplane/internal/store"
)

// SetDatabase changes a database's settings. What the engine must know is brought
// to it by a Run; the Run is nil where nothing of that changed.
func (c *Control) SetDatabase(ctx context.Context, actor plane.Actor, name string, ch DatabaseChange) (*plane.Run, error) {
	if err := ch.check(); err != nil {
		return nil, err
	}
	var run *plane.Run
	err := c.changeNoting(ctx, actor, "db.set", name, func(tx *store.Tx) (string, error) {
		d, err := c.settledDatabase(ctx, tx, name)
		if err != nil {
			return "", err
		}
		change, err := c.setDatabase(ctx, tx, d, ch)
		if err != nil || change == nil && !ch.Prove {
			return ch.note(), err
		}
		args := databaseArgs{Database: d.ID, Restart: slices.Contains(ch.Acknowledge, plane.AckRestart), Change: change, Prove: ch.Prove}
		queued, err := c.enqueueDatabase(ctx, tx, actor, plane.RunSetDatabase, d, args)
		run = &queued
		return ch.note(), err
	})
	c.hub.Publish(TopicQueue)
	return run, err
}

func (ch DatabaseChange) check() error {
	if ch.MaxConnections == nil && ch.Pool == nil && ch.RequireTLS == nil && ch.BackupSchedule == nil && ch.Keep == nil && !ch.Prove {
		return plane.Invalid("body", "names nothing to change", "give max_connections, pool, require_tls, backup_schedule, keep or prove")
	}
	if err := ch.checkBackups(); err != nil {
		return err
	}
	if ch.MaxConnections != nil {
		if err := plane.CheckMaxConnections("max_connections", *ch.MaxConnections); err != nil {
			return err
		}
	}
	if ch.Pool != nil {
		if err := plane.CheckPool("pool", *ch.Pool); err != nil {
			return err
		}
	}
	return plane.CheckAcknowledged("acknowledge", ch.Acknowledge)
}

func (ch DatabaseChange) note() string {
	var all []string
	if ch.MaxConnections != nil {
		all = append(all, fmt.Sprintf("max connections %d", *ch.MaxConnections))
	}
	if ch.Pool != nil {
		all = append(all, fmt.Sprintf("pool %d", *ch.Pool))
	}
	if ch.RequireTLS != nil {
		all = append(all, fmt.Sprintf("require TLS %t", *ch.RequireTLS))
	}
	if ch.Prove {
		all = append(all, "prove who gets in")
	}
	all = append(all, ch.noteBackups(), acknowledged(ch.Acknowledge))
	return strings.Join(slices.DeleteFunc(all, func(s string) bool { return s == "" }), ", ")
}

// setDatabase writes the change and returns what the engine must learn of it, if
// anything.
func (c *Control) setDatabase(ctx context.Context, tx *store.Tx, d plane.Database, ch DatabaseChange) (*plane.EngineChange, error) {
	engine, err := tx.DatabaseServer(ctx, d.ServerID, d.Engine)
	if err != nil {
		return nil, err
	}
	if ch.RequireTLS != nil && *ch.RequireTLS && !engine.TLS {
		return nil, plane.Conflict(fmt.Sprintf("%s on this server offers no TLS yet", d.Engine.Title()), "it comes with the restart that the first backend needs")
	}
	from := plane.EngineSettings{MaxConnections: engine.WantedMax, RequireTLS: d.RequireTLS}
	to, limited := from, ch.MaxConnections != nil && *ch.MaxConnections != engine.MaxConnections
	put(&to.RequireTLS, ch.RequireTLS)
	if limited {
		to.MaxConnections = *ch.MaxConnections
		if err := c.mayLimit(ctx, tx, d, ch); err != nil {
			return nil, err
		}
	}
	put(&d.Pool, ch.Pool)
	ch.putBackups(&d.Backups, c.now().UTC())
	if err := tx.UpdateDatabase(ctx, d); err != nil || to.RequireTLS == from.RequireTLS && !limited {
		return nil, err
	}
	return &plane.EngineChange{From: from, To: to}, tx.AmendEngine(ctx, d.ID, func(d *plane.Database, s *plane.DatabaseServer) {
		d.RequireTLS, s.WantedMax = to.RequireTLS, to.MaxConnections
	})
}

// mayLimit holds that the limit of an engine is changed by one Run at a time: one
// that fails takes its own wish back, and nobody else's.
func (c *Control) mayLimit(ctx context.Context, tx *store.Tx, d plane.Database, ch DatabaseChange) error {
	open, err := openRuns(ctx, tx, store.RunFilter{ServerID: d.ServerID})
	if err != nil {
		return err
	}
	for _, r := range open {
		if r.Kind == plane.RunSetDatabase {
			return plane.Conflict("another change of the databases on this server is under way: "+r.ID, "wait for it (run log "+r.ID+" --follow) or run cancel "+r.ID)
		}
	}
	return c.mayRestart(ctx, tx, d, ch)
}

// mayRestart announces that PostgreSQL takes another limit with a restart only.
func (c *Control) mayRestart(ctx context.Context, tx *store.Tx, d plane.Database, ch DatabaseChange) error {
	if d.Engine != plane.PostgreSQL || slices.Contains(ch.Acknowledge, plane.AckRestart) {
		return nil
	}
	names, err := neighbours(ctx, tx, d)
	if err != nil {
		return err
	}
	return &plane.Error{
		Code: plane.CodeConflict, Field: "acknowledge",
		Message: "PostgreSQL takes another limit with a restart only, which cuts the connections of " + strings.Join(names, ", ") + " for about a second",
		Hint:    "choose a quiet moment and add --acknowledge " + plane.AckRestart,
	}
}

// settledDatabase is one that is ready and that no Run works on.
func (c *Control) settledDatabase(ctx context.Context, tx *store.Tx, name string) (plane.Database, error) {
	d, err := databaseByName(ctx, tx, name)
	if err != nil {
		return d, err
	}
	if d.State != plane.DatabaseReady {
		return d, plane.Conflict(fmt.Sprintf("database %q is %s", d.Name, d.State), "see db show "+d.Name)
	}
	return d, refuseDatabaseRun(ctx, tx, d)
}

// RemoveDatabase queues the Run that dumps a database one last time and takes it
// away. Until that Run begins to, the database is what it was. Asked again, it
// goes on.
func (c *Control) RemoveDatabase(ctx context.Context, actor plane.Actor, name string) (plane.Run, error) {
	var run plane.Run
	err := c.change(ctx, actor, "db.remove", name, func(tx *store.Tx) error {
		d, err := databaseByName(ctx, tx, name)
		if err != nil {
			return err
		}
		if err := refuseDatabaseRun(ctx, tx, d); err != nil {
			return err
		}
		if err := tx.SetDatabaseState(ctx, d.ID, d.State, "its removal is queued", d.Since); err != nil {
			return err
		}
		run, err = c.enqueueDatabase(ctx, tx, actor, plane.RunDropDatabase, d, databaseArgs{Database: d.ID})
		return err
	})
	c.hub.Publish(TopicQueue)
	return run, err
}

// BackupDatabase queues a dump.
func (c *Control) BackupDatabase(ctx context.Context, actor plane.Actor, name string) (plane.Run, error) {
	return c.onDatabase(ctx, actor, "db.backup", name, plane.RunBackup, "")
}

// RestoreDatabase queues bringing a dump back, after a dump of what is there now.
func (c *Control) RestoreDatabase(ctx context.Context, actor plane.Actor, name, backup string) (plane.Run, error) {
	if !plane.IsID(plane.PrefixBackup, backup) {
		return plane.Run{}, plane.NotFound("backup", backup)
	}
	return c.onDatabase(ctx, actor, "db.restore", name, plane.RunRestore, backup)
}

func (c *Control) onDatabase(ctx context.Context, actor plane.Actor, action, name string, kind plane.RunKind, backup string) (plane.Run, error) {
	var run plane.Run
	err := c.changeNoting(ctx, actor, action, name, func(tx *store.Tx) (string, error) {
		d, err := c.settledDatabase(ctx, tx, name)
		if err != nil {
			return "", err
		}
		if backup != "" {
			b, err := tx.Backup(ctx, backup)
			if err != nil || b.DatabaseID != d.ID {
				return "", orNotFound(store.ErrNotFound, "backup of "+name, backup)
			}
		}
		run, err = c.enqueueDatabase(ctx, tx, actor, kind, d, databaseArgs{Database: d.ID, Backup: backup})
		return backup, err
	})
	c.hub.Publish(TopicQueue)
	return run, err
}

// Backups lists a database's dumps, newest first.
func (c *Control) Backups(ctx context.Context, _ plane.Actor, name string) ([]plane.Backup, error) {
	return read(ctx, c.store, func(tx *store.Tx) ([]plane.Backup, error) {
		d, err := databaseByName(ctx, tx, name)
		if err != nil {
			return nil, err
		}
		return tx.Backups(ctx, d.ID)
	})
}

// cancelQueuedDatabase says how to go on with a database whose Run never began.
func cancelQueuedDatabase(ctx context.Context, tx *store.Tx, r plane.Run, now time.Time) error {
	var told databaseArgs
	if err := json.Unmarshal(r.Args, &told); err != nil {
		return fmt.Errorf("read what %s was told: %w", r.ID, err)
	}
	switch {
	case r.Kind == plane.RunCreateDatabase:
		return tx.SetDatabaseState(ctx, told.Database, plane.DatabaseFailed, "creating it was cancelled before it began; db create again continues", now)
	case r.Kind == plane.RunDropDatabase:
		d, err := tx.Database(ctx, told.Database)
		if err != nil {
			return err
		}
		return tx.SetDatabaseState(ctx, d.ID, d.State, d.AfterRemoval("its removal was cancelled before it began"), d.Since)
	case r.Kind == plane.RunSetDatabase && told.Change != nil:
		return tx.AmendEngine(ctx, told.Database, told.Change.TakeBack)
	}
	return nil
}

// forgetAccess takes a backend that is written off out of what engines should
// be: the next Run that brings one to its state takes the grant away.
func forgetAccess(ctx context.Context, tx *store.Tx, b plane.Backend) error {
	access, err := tx.AccessOf(ctx, b.ID)
	if err != nil {
		return err
	}
	for _, a := range access {
		d, err := tx.Database(ctx, a.DatabaseID)
		if err != nil {
			return err
		}
		if err := tx.RaiseDatabaseServer(ctx, d.ServerID, d.Engine); err != nil {
			return err
		}
	}
	return tx.DeleteAccess(ctx, b.ID)
}
