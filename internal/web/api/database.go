package api

import (
	"context"

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
}

type databaseInput struct{ Body client.DatabaseWish }
type databasesInput struct {
	App string `query:"app" maxLength:"100" doc:"only those of this app"`
}
type databaseOutput struct{ Body client.Database }
type databasesOutput struct{ Body client.List[client.Database] }

func (a *API) routeDatabases() {
	register(a, auth.DatabaseWrite, post("/databases", "Makes a database for an app on its primary and opens it to the app's backends.", 202), a.createDatabase)
	register(a, auth.DatabaseRead, get("/databases", "All databases."), a.databases)
	register(a, auth.DatabaseRead, get("/databases/{name}", "One database: who may connect, and how that was proven."), a.database)
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
	return &databaseOutput{Body: wireDatabase(v)}, err
}

func wireDatabase(v control.DatabaseView) client.Database {
	return client.Database{
		Name: v.Name, App: v.AppName, Server: v.ServerName, Engine: string(v.Engine), Database: v.Role(), Prefix: v.Prefix,
		State: string(v.State), Reason: v.Reason, Since: v.Since.UTC(), RequireTLS: v.RequireTLS, Pool: v.Pool, CreatedAt: v.CreatedAt.UTC(),
		Host: v.Host, Port: v.Server.Port, Version: v.Server.Version, TLS: v.Server.TLS, Open: v.Server.Open,
		MaxConnections: v.Server.MaxConnections, Reserved: v.Server.Reserved, Wanted: v.Budget.Wanted,
		Access: each(v.Access, wireGrant), Stranger: wireProof(v.Stranger),
	}
}

func wireGrant(v control.AccessView) client.Grant {
	return client.Grant{Server: v.ServerName, Role: v.Role, Address: v.Address.String(), Proof: wireProof(v.Proof)}
}

func wireProof(p plane.Proof) client.Proof {
	return client.Proof{
		Verdict: string(p.Verdict), At: p.At.UTC(), Vantage: p.Vantage, Answer: p.Answer, TLS: p.TLS, Latency: client.Duration(p.Latency),
	}
}
