package client

import (
	"context"
	"net/url"
	"time"
)

// Database is one database of an app, on the app's primary.
type Database struct {
	Name       string    `json:"name"`
	App        string    `json:"app"`
	Server     string    `json:"server" doc:"the app's primary"`
	Engine     string    `json:"engine" doc:"postgresql or mariadb"`
	Database   string    `json:"database" doc:"its name in the engine, and the role's"`
	Prefix     string    `json:"prefix" doc:"of its variables; empty for an app's first"`
	State      string    `json:"state" doc:"creating, ready, failed or removing"`
	Reason     string    `json:"reason"`
	Since      time.Time `json:"since"`
	RequireTLS bool      `json:"require_tls"`
	Pool       int       `json:"pool" doc:"connections one process may open, by your word"`
	CreatedAt  time.Time `json:"created_at"`

	Host           string  `json:"host" doc:"for backends; the primary uses 127.0.0.1"`
	Port           int     `json:"port"`
	Version        string  `json:"version" doc:"of the engine; empty: not seen yet"`
	TLS            bool    `json:"tls" doc:"the engine offers it"`
	Open           bool    `json:"open" doc:"the engine listens on the primary's private address"`
	MaxConnections int     `json:"max_connections"`
	Reserved       int     `json:"reserved" doc:"connections kept for administrators"`
	Wanted         int     `json:"wanted" doc:"connections that all backends of the engine's databases may open"`
	Access         []Grant `json:"access" nullable:"false" doc:"who may connect; the primary first"`
	Stranger       Proof   `json:"stranger" doc:"how somebody who may not connect fared: verdict fail means refused"`

	Login          string    `json:"login" doc:"the name its processes sign in by; it alternates with each change of the password"`
	PasswordAt     time.Time `json:"password_at,omitzero" doc:"when the password was changed last"`
	PasswordChange string    `json:"password_change" doc:"empty, or next: a new one waits for a deployment, or former: the one before is still valid"`

	BackupSchedule  string    `json:"backup_schedule" doc:"daily@HH:MM or a day as in sun@HH:MM, by the clock of the app's time zone, or off"`
	Keep            int       `json:"keep" doc:"dumps that are kept"`
	NextBackup      time.Time `json:"next_backup,omitzero"`
	BackupTrouble   string    `json:"backup_trouble" doc:"why the last dump that was tried came to nothing; empty: it did not"`
	BackupTroubleAt time.Time `json:"backup_trouble_at,omitzero"`

	Now *DatabaseNow `json:"now,omitempty" doc:"what the engine said when it was asked for this answer; lists do not ask"`
}

// DatabaseNow is what an engine said of a database when it was asked.
type DatabaseNow struct {
	At          time.Time         `json:"at"`
	Vantage     string            `json:"vantage"`
	Reason      string            `json:"reason" doc:"not empty: unknown, and why; then nothing else counts"`
	Version     string            `json:"version"`
	Listening   []string          `json:"listening" nullable:"false" doc:"address:port"`
	Bytes       int64             `json:"bytes" doc:"size of the database"`
	Used        int               `json:"used" doc:"connections the whole engine has"`
	Allowed     int               `json:"allowed" doc:"connections it takes, without those kept for administrators"`
	Connections []ConnectionsFrom `json:"connections" nullable:"false" doc:"to this database"`
	TLS         TLSShare          `json:"tls"`
}

// ConnectionsFrom counts the connections to one database from one address.
type ConnectionsFrom struct {
	Server  string `json:"server" doc:"empty: no backend has this address"`
	Address string `json:"address"`
	Used    int    `json:"used"`
}

// TLSShare is how many of a database's sessions are encrypted.
type TLSShare struct {
	Encrypted int    `json:"encrypted"`
	Sessions  int    `json:"sessions"`
	Since     string `json:"since" doc:"now: the sessions there are, or start: all since the engine started, where it tells no more"`
	Reason    string `json:"reason" doc:"not empty: unknown, and why"`
}

// Grant is one backend's way to a database.
type Grant struct {
	Server  string `json:"server"`
	Role    string `json:"role" doc:"primary or backend"`
	Address string `json:"address" doc:"as the primary sees it"`
	Proof   Proof  `json:"proof"`
}

// Proof is how an attempt to sign in to a database ended.
type Proof struct {
	Verdict string    `json:"verdict" doc:"pass (let in, a query was answered), fail (refused), unknown, or empty: not tried"`
	At      time.Time `json:"at,omitzero"`
	Vantage string    `json:"vantage"`
	Answer  string    `json:"answer" doc:"raw"`
	TLS     string    `json:"tls" doc:"version, or empty: in the clear"`
	Latency Duration  `json:"latency"`
}

// DatabaseWish is the wish for a database of an app.
type DatabaseWish struct {
	Name        string   `json:"name"`
	App         string   `json:"app"`
	Engine      string   `json:"engine" doc:"postgresql or mariadb"`
	Prefix      string   `json:"prefix,omitempty" doc:"of its variables; an app's second database needs one"`
	Password    string   `json:"password,omitempty" doc:"one is made if left out"`
	Acknowledge []string `json:"acknowledge,omitempty" nullable:"false" doc:"ids of the warnings the person has read, for example restart"`
}

// CreateDatabase starts making a database.
func (c *Client) CreateDatabase(ctx context.Context, w DatabaseWish) (Work, error) {
	return fetch[Work](ctx, c, "POST", join("databases"), nil, w)
}

// Databases lists the databases of all apps, or of one.
func (c *Client) Databases(ctx context.Context, app string) (List[Database], error) {
	q := url.Values{}
	if app != "" {
		q.Set("app", app)
	}
	return fetch[List[Database]](ctx, c, "GET", join("databases"), q, nil)
}

// Database returns one database.
func (c *Client) Database(ctx context.Context, name string) (Database, error) {
	return fetch[Database](ctx, c, "GET", join("databases", name), nil, nil)
}

// DatabaseChange names what to change about a database; nil leaves as it is.
type DatabaseChange struct {
	MaxConnections *int     `json:"max_connections,omitempty" doc:"of the whole engine"`
	Pool           *int     `json:"pool,omitempty" doc:"connections one process may open"`
	RequireTLS     *bool    `json:"require_tls,omitempty"`
	BackupSchedule *string  `json:"backup_schedule,omitempty" doc:"daily@HH:MM or a day as in sun@HH:MM, by the clock of the app's time zone, or off"`
	Keep           *int     `json:"keep,omitempty" doc:"dumps that are kept"`
	Prove          bool     `json:"prove,omitempty" doc:"try anew, by signing in, that backends get in and strangers do not; changes nothing by itself"`
	Acknowledge    []string `json:"acknowledge,omitempty" nullable:"false" doc:"ids of the warnings the person has read, for example restart"`
}

// Backup is one dump of a database, kept on the database's server.
type Backup struct {
	ID        string           `json:"id"`
	Path      string           `json:"path" doc:"on the server"`
	Bytes     int64            `json:"bytes" doc:"compressed"`
	Rows      map[string]int64 `json:"rows" doc:"of each table, as they are in the dump"`
	Actor     string           `json:"actor"`
	CreatedAt time.Time        `json:"created_at"`
}

// ChangeDatabase changes settings; the Run is nil where the engine need not learn of it.
func (c *Client) ChangeDatabase(ctx context.Context, name string, ch DatabaseChange) (MaybeWork, error) {
	return fetch[MaybeWork](ctx, c, "PATCH", join("databases", name), nil, ch)
}

// RemoveDatabase starts removing a database; its Run's receipt names the last dump.
func (c *Client) RemoveDatabase(ctx context.Context, name string) (Work, error) {
	return fetch[Work](ctx, c, "DELETE", join("databases", name), nil, nil)
}

// BackupDatabase starts a dump.
func (c *Client) BackupDatabase(ctx context.Context, name string) (Work, error) {
	return fetch[Work](ctx, c, "POST", join("databases", name, "backups"), nil, nil)
}

// RotatePassword makes a new password and starts the deployment that brings it to the app's processes.
func (c *Client) RotatePassword(ctx context.Context, name string, w Consent) (Work, error) {
	return fetch[Work](ctx, c, "POST", join("databases", name, "rotate-password"), nil, w)
}

// Backups lists a database's dumps, newest first.
func (c *Client) Backups(ctx context.Context, name string) (List[Backup], error) {
	return fetch[List[Backup]](ctx, c, "GET", join("databases", name, "backups"), nil, nil)
}

// RestoreDatabase starts bringing a dump back.
func (c *Client) RestoreDatabase(ctx context.Context, name, backup string) (Work, error) {
	return fetch[Work](ctx, c, "POST", join("databases", name, "backups", backup, "restore"), nil, nil)
}
