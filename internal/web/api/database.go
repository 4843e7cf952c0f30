package api

import (
	"cmp"
	"context"
	"time"

	"github.com/serverplane/serverplane/client"
	"github.com/serverplane/serverplane/internal/auth"
	"github.com/serverplane/serverplane/internal/control"
	"github.com/serverplane/serverplane/internal/plane"
)

// DatabaseVerbs are the verbs about databases.
type DatabaseVerbs interface {
	CreateDatabase(ctx context.Context, actor plane.Actor, w control.DatabaseWish) (plane.Run, error)
	Databases(ctx context.Context, actor plane.Actor, app string) ([]control.DatabaseView, error)
	Database(ctx context.Context, actor plane.Actor, name string) (control.DatabaseView, error)
	SetDatabase(ctx context.Context, actor plane.Actor, name string, ch control.DatabaseChange) (*plane.Run, error)
	RemoveDatabase(ctx context.Context, actor plane.Actor, name string) (plane.Run, error)
	RotatePassword(ctx context.Context, actor plane.Actor, name string, acknowledge []string) (plane.Run, error)
	LookAtDatabase(ctx context.Context, actor plane.Actor, name string, limit time.Duration) (plane.DatabaseLook, error)
	BackupVerbs
}

// BackupVerbs are the verbs about dumps of databases.
type BackupVerbs interface {
	BackupDatabase(ctx context.Context, actor plane.Actor, name string) (plane.Run, error)
	Backups(ctx context.Context, actor plane.Actor, name string) ([]plane.Backup, error)
	RestoreDatabase(ctx context.Context, actor plane.Actor, name, backup string) (plane.Run, error)
}

type databaseInput struct{ Body client.DatabaseWish }
type databasesInput struct {
	App string `query:"app" maxLength:"100" doc:"only those of this app"`
}
type databaseChangeInput struct {
	NamePath
	Body client.DatabaseChange
}
type restoreInput struct {
	NamePath
	Backup string `path:"backup"`
}
type backupsOutput struct{ Body client.List[client.Backup] }
type databaseOutput struct{ Body client.Database }
type databasesOutput struct{ Body client.List[client.Database] }

func (a *API) routeDatabases() {
	register(a, auth.DatabaseWrite, post("/databases", "Makes a database for an app on its primary and opens it to the app's backends.", 202), a.createDatabase)
	register(a, auth.DatabaseRead, get("/databases", "All databases."), a.databases)
	register(a, auth.DatabaseRead, get("/databases/{name}", "One database: who may connect, how that was proven, and what its engine said, 5 s ago at most."), a.database)
	register(a, auth.DatabaseWrite, patch("/databases/{name}", "Changes a database's settings (202 where the engine must learn of it, else 200).", 202), a.changeDatabase)
	register(a, auth.DatabaseWrite, remove("/databases/{name}", "Removes a database after a last dump; the Run's receipt names it.", 202), a.removeDatabase)
	register(a, auth.DatabaseWrite, post("/databases/{name}/rotate-password", "Makes a new password; the Run is the deployment that starts the app's processes with it.", 202), a.rotatePassword)
	register(a, auth.DatabaseWrite, post("/databases/{name}/backups", "Dumps a database on its server.", 202), a.backupDatabase)
	register(a, auth.DatabaseRead, get("/databases/{name}/backups", "A database's dumps, newest first."), a.backups)
	register(a, auth.DatabaseWrite, post("/databases/{name}/backups/{backup}/restore", "Brings a dump back, after a dump of what is there now.", 202), a.restoreDatabase)
}

func (a *API) changeDatabase(ctx context.Context, actor plane.Actor, in *databaseChangeInput) (*maybeWorkOutput, error) {
	run, err := a.control.SetDatabase(ctx, actor, in.Name, control.DatabaseChange(in.Body))
	if err != nil || run == nil {
		return &maybeWorkOutput{Status: 200}, err
	}
	work, err := a.work(ctx, actor, *run)
	if err != nil {
		return nil, err
	}
	return &maybeWorkOutput{Status: 202, Body: client.MaybeWork{Run: &work.Body.Run}}, nil
}

func (a *API) removeDatabase(ctx context.Context, actor plane.Actor, in *NamePath) (*workOutput, error) {
	run, err := a.control.RemoveDatabase(ctx, actor, in.Name)
	if err != nil {
		return nil, err
	}
	return a.work(ctx, actor, run)
}

func (a *API) rotatePassword(ctx context.Context, actor plane.Actor, in *consentInput) (*workOutput, error) {
	run, err := a.control.RotatePassword(ctx, actor, in.Name, in.read())
	if err != nil {
		return nil, err
	}
	return a.work(ctx, actor, run)
}

func (a *API) backupDatabase(ctx context.Context, actor plane.Actor, in *NamePath) (*workOutput, error) {
	run, err := a.control.BackupDatabase(ctx, actor, in.Name)
	if err != nil {
		return nil, err
	}
	return a.work(ctx, actor, run)
}

func (a *API) backups(ctx context.Context, actor plane.Actor, in *NamePath) (*backupsOutput, error) {
	all, err := a.control.Backups(ctx, actor, in.Name)
	return &backupsOutput{Body: list(all, wireBackup)}, err
}

func wireBackup(b plane.Backup) client.Backup {
	return client.Backup{ID: b.ID, Path: b.Path, Bytes: b.Bytes, Rows: b.Rows, Actor: b.Actor, CreatedAt: b.CreatedAt.UTC()}
}

func (a *API) restoreDatabase(ctx context.Context, actor plane.Actor, in *restoreInput) (*workOutput, error) {
	run, err := a.control.RestoreDatabase(ctx, actor, in.Name, in.Backup)
	if err != nil {
		return nil, err
	}
	return a.work(ctx, actor, run)
}

func (a *API) createDatabase(ctx context.Context, actor plane.Actor, in *databaseInput) (*workOutput, error) {
	w := in.Body
	run, err := a.control.CreateDatabase(ctx, actor, control.DatabaseWish{
		Name: w.Name, App: w.App, Engine: plane.Engine(w.Engine), Prefix: w.Prefix, Password: w.Password, Acknowledge: w.Acknowledge,
	})
	if err != nil {
		return nil, err
	}
	return a.work(ctx, actor, run)
}

func (a *API) databases(ctx context.Context, actor plane.Actor, in *databasesInput) (*databasesOutput, error) {
	views, err := a.control.Databases(ctx, actor, in.App)
	return &databasesOutput{Body: list(views, wireDatabase)}, err
}

func (a *API) database(ctx context.Context, actor plane.Actor, in *NamePath) (*databaseOutput, error) {
	v, err := a.control.Database(ctx, actor, in.Name)
	if err != nil {
		return nil, err
	}
	look, err := a.control.LookAtDatabase(ctx, actor, in.Name, lookLimit)
	if err != nil {
		return nil, err
	}
	body := wireDatabase(v)
	body.Now = wireLook(v, look)
	return &databaseOutput{Body: body}, nil
}

// lookLimit is how long an answer waits for an engine.
const lookLimit = 8 * time.Second

func wireLook(v control.DatabaseView, l plane.DatabaseLook) *client.DatabaseNow {
	now := &client.DatabaseNow{
		At: l.TakenAt.UTC(), Vantage: l.Vantage, Reason: l.Reason, Version: l.Version, Listening: some(l.Listening), Bytes: l.Bytes, Used: l.Used,
		Allowed: l.Limit - l.Reserved, Connections: []client.ConnectionsFrom{},
		TLS: client.TLSShare{Encrypted: l.Encrypted.TLS, Sessions: l.Encrypted.Sessions, Since: "now", Reason: l.Encrypted.Reason},
	}
	if l.Encrypted.Past {
		now.TLS.Since = "start"
	}
	for _, c := range l.Connections {
		now.Connections = append(now.Connections, client.ConnectionsFrom{Server: v.ServerAt(c.Address), Address: c.Address, Used: c.Used})
	}
	return now
}

func wireDatabase(v control.DatabaseView) client.Database {
	return client.Database{
		Name: v.Name, App: v.AppName, Server: v.ServerName, Engine: string(v.Engine), Database: v.Role(), Prefix: v.Prefix,
		State: string(v.State), Reason: v.Reason, Since: v.Since.UTC(), RequireTLS: v.RequireTLS, Pool: v.Pool, CreatedAt: v.CreatedAt.UTC(),
		Host: v.Host, Port: v.Server.Port, Version: v.Server.Version, TLS: v.Server.TLS, Open: v.Server.Open,
		MaxConnections: v.Server.MaxConnections, Reserved: v.Server.Reserved, Wanted: v.Budget.Wanted,
		Access: each(v.Access, wireGrant), Stranger: wireProof(v.Stranger),
		Login: v.Login(), PasswordAt: v.PasswordAt.UTC(), PasswordChange: v.PasswordChange(),
		BackupSchedule: cmp.Or(v.Backups.Schedule, "off"), Keep: v.Backups.Keep, NextBackup: v.NextBackup.UTC(), BackupTrouble: v.Backups.Trouble,
		BackupTroubleAt: troubleAt(v.Backups),
	}
}

// troubleAt is no time where there is no trouble.
func troubleAt(p plane.BackupPlan) time.Time {
	if p.Trouble == "" {
		return time.Time{}
	}
	return p.At.UTC()
}

func wireGrant(v control.AccessView) client.Grant {
	return client.Grant{Server: v.ServerName, Role: v.Role, Address: v.Address.String(), Proof: wireProof(v.Proof)}
}

func wireProof(p plane.Proof) client.Proof {
	return client.Proof{
		Verdict: string(p.Verdict), At: p.At.UTC(), Vantage: p.Vantage, Answer: p.Answer, TLS: p.TLS, Latency: client.Duration(p.Latency),
	}
}
