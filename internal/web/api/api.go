// Package api is the JSON door: it decodes a request, calls one verb of
// control and encodes what came back in the client's wire types. Every route
// is registered through register, which demands a permission; who asks and
// whether they may is decided in guard and nowhere else.
package api

import (
	"context"
	"log/slog"
	"net/http"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/serverplane/serverplane/internal/control"
	"github.com/serverplane/serverplane/internal/plane"
)

// Prefix is where the API lives.
const Prefix = "/api/v1"

// Control is what the API asks of the verbs, noun by noun.
type Control interface {
	Authenticator
	KeyVerbs
	ServerVerbs
	ProvisionVerbs
	AppVerbs
	VariableVerbs
	DeploymentVerbs
	BalancerVerbs
	TrafficVerbs
	BackendVerbs
	DatabaseVerbs
	HistoryVerbs
	LogVerbs
	ServedVerbs
	ProcessVerbs
	RunVerbs
	AuditVerbs
	UserVerbs
}

var _ Control = (*control.Control)(nil)

// Authenticator tells who a token belongs to; an unauthorized error if nobody.
type Authenticator interface {
	Authenticate(ctx context.Context, token, from string) (plane.Actor, error)
}

// Config is what the API works with.
type Config struct {
	Control  Control
	Log      *slog.Logger
	Version  string          // of ServerPlane, for the description
	Stopping <-chan struct{} // closed when the panel stops: waiting answers end then
}

// API is the JSON door.
type API struct {
	huma     huma.API
	control  Control
	log      *slog.Logger
	stopping <-chan struct{}
	routes   []Route
}

// New registers every route on mux; it starts nothing.
func New(mux *http.ServeMux, c Config) *API {
	a := &API{control: c.Control, log: c.Log, stopping: c.Stopping}
	a.huma = humago.New(mux, a.describe(c.Version))
	a.routeKeys()
	a.routeServers()
	a.routeApps()
	a.routeVariables()
	a.routeDeployments()
	a.routeBalancer()
	a.routeTraffic()
	a.routeBackends()
	a.routeDatabases()
	a.routeHistory()
	a.routeLogs()
	a.routeServed()
	a.routeProcesses()
	a.routeRuns()
	a.routeAudits()
	a.routeUsers()
	a.routeDescription()
	return a
}
