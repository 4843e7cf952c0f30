package store

import (
	"cmp"
	"context"
	"time"

	"github.com/serverplane/serverplane/internal/plane"
)

const selectDatabase = `SELECT id, name, app_id, server_id, engine, prefix, password, revision, require_tls, pool, state,
	reason, since, stranger, created_at, second, next_password, former_password, password_at, schedule, keep, due_since, trouble, trouble_at, last_dump FROM databases `

func scanDatabase(r row, d *plane.Database) error {
	return r.Scan(&d.ID, &d.Name, &d.AppID, &d.ServerID, &d.Engine, &d.Prefix, &d.Password, &d.Revision, &d.RequireTLS, &d.Pool,
		&d.State, &d.Reason, instant{&d.Since}, document{&d.Stranger}, instant{&d.CreatedAt}, &d.Second, &d.Next, &d.Former, instant{&d.PasswordAt},
		&d.Backups.Schedule, &d.Backups.Keep, instant{&d.Backups.DueSince}, &d.Backups.Trouble, instant{&d.Backups.At}, &d.LastDump)
}

func databaseArgs(d plane.Database) []any {
	return []any{d.ID, d.Name, d.AppID, d.ServerID, string(d.Engine), d.Prefix, bytesOf(d.Password), d.Revision, d.RequireTLS, d.Pool,
		string(d.State), d.Reason, micros(d.Since), document{d.Stranger}, micros(d.CreatedAt), d.Second, bytesOf(d.Next), bytesOf(d.Former), micros(d.PasswordAt),
		d.Backups.Schedule, cmp.Or(d.Backups.Keep, plane.KeepBackups), micros(d.Backups.DueSince), d.Backups.Trouble, micros(d.Backups.At), d.LastDump}
}

// CreateDatabase stores a new database. Its name, and its prefix within the
// app, are taken by one alone.
func (t *Tx) CreateDatabase(ctx context.Context, d plane.Database) error {
	return t.insert(ctx, "database", d.Name, `INSERT INTO databases (id, name, app_id, server_id, engine, prefix, password, revision,
		require_tls, pool, state, reason, since, stranger, created_at, second, next_password, former_password, password_at, schedule, keep,
		due_since, trouble, trouble_at, last_dump)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23, $24, $25)`, databaseArgs(d)...)
}

// UpdateDatabase stores all of the database.
func (t *Tx) UpdateDatabase(ctx context.Context, d plane.Database) error {
	return t.change(ctx, "database", d.Name, `UPDATE databases SET name = $2, app_id = $3, server_id = $4, engine = $5, prefix = $6,
		password = $7, revision = $8, require_tls = $9, pool = $10, state = $11, reason = $12, since = $13, stranger = $14,
		created_at = $15, second = $16, next_password = $17, former_password = $18, password_at = $19, schedule = $20, keep = $21,
		due_since = $22, trouble = $23, trouble_at = $24, last_dump = $25 WHERE id = $1`, databaseArgs(d)...)
}

// Database returns the database with the id, or ErrNotFound.
func (t *Tx) Database(ctx context.Context, id string) (plane.Database, error) {
	return one(ctx, t, "database", id, scanDatabase, selectDatabase+`WHERE id = $1`, id)
}

// DatabaseByName returns the database of that name, or ErrNotFound.
func (t *Tx) DatabaseByName(ctx context.Context, name string) (plane.Database, error) {
	return one(ctx, t, "database", name, scanDatabase, selectDatabase+`WHERE name = $1`, name)
}

// Databases returns all databases by name.
func (t *Tx) Databases(ctx context.Context) ([]plane.Database, error) {
	return many(ctx, t, "list databases", scanDatabase, selectDatabase+`ORDER BY name`)
}

// DatabasesOf returns the app's databases by age.
func (t *Tx) DatabasesOf(ctx context.Context, appID string) ([]plane.Database, error) {
	return many(ctx, t, "list databases of an app", scanDatabase, selectDatabase+`WHERE app_id = $1 ORDER BY created_at, id`, appID)
}

// DatabasesOn returns the databases of all apps on the server by age.
func (t *Tx) DatabasesOn(ctx context.Context, serverID string) ([]plane.Database, error) {
	return many(ctx, t, "list databases of a server", scanDatabase, selectDatabase+`WHERE server_id = $1 ORDER BY created_at, id`, serverID)
}

// DeleteDatabase forgets the database and who may connect to it.
func (t *Tx) DeleteDatabase(ctx context.Context, id string) error {
	return t.change(ctx, "database", id, `DELETE FROM databases WHERE id = $1`, id)
}

func scanDatabaseServer(r row, s *plane.DatabaseServer) error {
	return r.Scan(&s.ServerID, &s.Engine, &s.Generation, &s.Port, &s.Version, &s.Open, &s.TLS, &s.MaxConnections, &s.Reserved,
		&s.WantedMax, &s.Certificate, &s.Key, instant{&s.SeenAt})
}

// DatabaseServer returns the engine on the server, or ErrNotFound.
func (t *Tx) DatabaseServer(ctx context.Context, serverID string, e plane.Engine) (plane.DatabaseServer, error) {
	return one(ctx, t, "database server", string(e), scanDatabaseServer, `SELECT server_id, engine, generation, port, version, is_open, tls,
		max_connections, reserved, wanted_max, certificate, key, seen_at FROM database_servers WHERE server_id = $1 AND engine = $2`, serverID, string(e))
}

// SetDatabaseServer stores the engine, new or in place of what was known of it,
// but never its generation, which RaiseDatabaseServer counts.
func (t *Tx) SetDatabaseServer(ctx context.Context, s plane.DatabaseServer) error {
	return t.insert(ctx, "database server", string(s.Engine), `INSERT INTO database_servers (server_id, engine, generation, port, version,
		is_open, tls, max_connections, reserved, wanted_max, certificate, key, seen_at)
		VALUES ($1, $2, 0, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
		ON CONFLICT (server_id, engine) DO UPDATE SET port = excluded.port, version = excluded.version, is_open = excluded.is_open,
		tls = excluded.tls, max_connections = excluded.max_connections, reserved = excluded.reserved, wanted_max = excluded.wanted_max,
		certificate = excluded.certificate, key = excluded.key, seen_at = excluded.seen_at`,
		s.ServerID, string(s.Engine), s.Port, s.Version, s.Open, s.TLS, s.MaxConnections, s.Reserved, s.WantedMax,
		bytesOf(s.Certificate), bytesOf(s.Key), micros(s.SeenAt))
}

// RaiseDatabaseServer says that the engine should be something newer by now.
func (t *Tx) RaiseDatabaseServer(ctx context.Context, serverID string, e plane.Engine) error {
	return t.change(ctx, "database server", string(e), `UPDATE database_servers SET generation = generation + 1
		WHERE server_id = $1 AND engine = $2`, serverID, string(e))
}

// AmendEngine lets fn change a database and its engine, stores both, and says
// that the engine should be something newer by now.
func (t *Tx) AmendEngine(ctx context.Context, databaseID string, fn func(*plane.Database, *plane.DatabaseServer)) error {
	d, err := t.Database(ctx, databaseID)
	if err != nil {
		return err
	}
	s, err := t.DatabaseServer(ctx, d.ServerID, d.Engine)
	if err != nil {
		return err
	}
	fn(&d, &s)
	if err := t.SetDatabaseServer(ctx, s); err != nil {
		return err
	}
	if err := t.UpdateDatabase(ctx, d); err != nil {
		return err
	}
	return t.RaiseDatabaseServer(ctx, d.ServerID, d.Engine)
}

const selectAccess = `SELECT database_id, backend_id, address, proof FROM database_access `

func scanAccess(r row, a *plane.Access) error {
	return r.Scan(&a.DatabaseID, &a.BackendID, addressColumn{&a.Address}, document{&a.Proof})
}

// SetAccess stores who may connect and how that was proven.
func (t *Tx) SetAccess(ctx context.Context, a plane.Access) error {
	return t.insert(ctx, "database access", a.BackendID, `INSERT INTO database_access (database_id, backend_id, address, proof)
		VALUES ($1, $2, $3, $4) ON CONFLICT (database_id, backend_id) DO UPDATE SET address = excluded.address, proof = excluded.proof`,
		a.DatabaseID, a.BackendID, address(a.Address), document{a.Proof})
}

// AccessTo returns who may connect to the database, in the order of backends' ids.
func (t *Tx) AccessTo(ctx context.Context, databaseID string) ([]plane.Access, error) {
	return many(ctx, t, "list access to a database", scanAccess, selectAccess+`WHERE database_id = $1 ORDER BY backend_id`, databaseID)
}

// AccessOf returns which databases the backend may connect to.
func (t *Tx) AccessOf(ctx context.Context, backendID string) ([]plane.Access, error) {
	return many(ctx, t, "list access of a backend", scanAccess, selectAccess+`WHERE backend_id = $1 ORDER BY database_id`, backendID)
}

// DeleteAccess forgets that the backend may connect to any database.
func (t *Tx) DeleteAccess(ctx context.Context, backendID string) error {
	_, err := t.exec(ctx, "forget access of a backend", `DELETE FROM database_access WHERE backend_id = $1`, backendID)
	return err
}

// SetStranger stores how somebody who may not connect fared, and nothing else.
func (t *Tx) SetStranger(ctx context.Context, databaseID string, p plane.Proof) error {
	return t.change(ctx, "database", databaseID, `UPDATE databases SET stranger = $2 WHERE id = $1`, databaseID, document{p})
}

// SetDatabaseState stores where the database is in its life, and nothing else.
func (t *Tx) SetDatabaseState(ctx context.Context, id string, state plane.DatabaseState, reason string, since time.Time) error {
	return t.change(ctx, "database", id, `UPDATE databases SET state = $2, reason = $3, since = $4 WHERE id = $1`,
		id, string(state), reason, micros(since))
}
