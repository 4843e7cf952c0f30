package store

import (
	"context"
	"time"

	"github.com/serverplane/serverplane/internal/plane"
)

const selectBackup = `SELECT id, database_id, file, path, bytes, table_rows, actor, created_at FROM database_backups `

func scanBackup(r row, b *plane.Backup) error {
	return r.Scan(&b.ID, &b.DatabaseID, &b.File, &b.Path, &b.Bytes, document{&b.Rows}, &b.Actor, instant{&b.CreatedAt})
}

// CreateBackup stores a dump that is complete on its server.
func (t *Tx) CreateBackup(ctx context.Context, b plane.Backup) error {
	return t.insert(ctx, "backup", b.ID, `INSERT INTO database_backups (id, database_id, file, path, bytes, table_rows, actor, created_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`, b.ID, b.DatabaseID, b.File, b.Path, b.Bytes, document{b.Rows}, b.Actor, micros(b.CreatedAt))
}

// Backup returns the dump with the id, or ErrNotFound.
func (t *Tx) Backup(ctx context.Context, id string) (plane.Backup, error) {
	return one(ctx, t, "backup", id, scanBackup, selectBackup+`WHERE id = $1`, id)
}

// Backups returns the database's dumps, newest first.
func (t *Tx) Backups(ctx context.Context, databaseID string) ([]plane.Backup, error) {
	return many(ctx, t, "list backups", scanBackup, selectBackup+`WHERE database_id = $1 ORDER BY created_at DESC, id DESC`, databaseID)
}

// DeleteBackup forgets a dump that is on its server no more.
func (t *Tx) DeleteBackup(ctx context.Context, id string) error {
	return t.change(ctx, "backup", id, `DELETE FROM database_backups WHERE id = $1`, id)
}

// BackupAsked says that the database's dump that was due since was has been queued; ErrNotFound
// means that somebody else was faster.
func (t *Tx) BackupAsked(ctx context.Context, databaseID string, was, now time.Time) error {
	return t.change(ctx, "database", databaseID, `UPDATE databases SET due_since = $3 WHERE id = $1 AND due_since = $2 AND state = 'ready'`,
		databaseID, micros(was), micros(now))
}

// SetBackupTrouble keeps why the database's last dump came to nothing, or empty
// that it did not.
func (t *Tx) SetBackupTrouble(ctx context.Context, databaseID, reason string, at time.Time) error {
	return t.change(ctx, "database", databaseID, `UPDATE databases SET trouble = $2, trouble_at = $3 WHERE id = $1`, databaseID, reason, micros(at))
}
