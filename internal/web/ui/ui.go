// Package ui is the dashboard: pages rendered by the server, for people with a
// browser. A page's handler decodes a request, calls verbs of control and
// renders one template; no rule lives here. Every page works by plain links
// and forms; scripts only keep parts of it fresh.
//
// All routes are in one table (routes.go) and go through one guard, which
// knows the person, demands the route's permission and refuses what another
// site's page sent. Handlers return errors; fail.go turns each into a page.
package ui

import (
	"context"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/serverplane/serverplane/internal/control"
	"github.com/serverplane/serverplane/internal/plane"
)

// Control is what the pages ask of the verbs, page by page.
type Control interface {
	SessionVerbs
	OverviewVerbs
	RunVerbs
	RepeatVerbs
	BalancerVerbs
	MeshVerbs
	BackendVerbs
	CareVerbs
	ServedVerbs
	AppVerbs
	AppSettingsVerbs
	DeploymentVerbs
	ServerVerbs
	VariableVerbs
	LogVerbs
	DatabaseVerbs
	BackupVerbs
	ProcessVerbs
	PeopleVerbs
	AccountVerbs
}

var _ Control = (*control.Control)(nil)

// Hints tells when a topic changed; a hint may be lost or come for nothing.
type Hints interface {
	Subscribe(topics ...string) (<-chan struct{}, func())
}

// Config is what the dashboard works with.
type Config struct {
	Control  Control
	Hints    Hints
	Log      *slog.Logger
	Version  string           // of ServerPlane, shown at the foot of every page
	Stopping <-chan struct{}  // closed when the panel stops: streams end then
	Now      func() time.Time // nil means time.Now
	Secure   func(*http.Request) bool
}

// UI is the dashboard.
type UI struct {
	control  Control
	hints    Hints
	log      *slog.Logger
	version  string
	stopping <-chan struct{}
	now      func() time.Time
	secure   func(*http.Request) bool
	foreign  *http.CrossOriginProtection
	assets   assets
	pages    pages
	lives    map[string]live
	streams  streams
}

// New registers every page on mux; it starts nothing. What it embeds is checked
// here: a template or asset that cannot be read is a mistake of this program.
func New(mux *http.ServeMux, c Config) *UI {
	u := &UI{
		control: c.Control, hints: c.Hints, log: c.Log, version: c.Version, stopping: c.Stopping, now: c.Now, secure: c.Secure,
		foreign: http.NewCrossOriginProtection(), assets: readAssets(), streams: streams{mu: &sync.Mutex{}, open: map[string]int{}},
	}
	if u.now == nil {
		u.now = time.Now
	}
	if u.secure == nil {
		u.secure = func(r *http.Request) bool { return r.TLS != nil }
	}
	u.pages = u.readPages()
	u.lives = u.liveParts()
	for _, r := range u.Routes() {
		mux.Handle(r.Method+" "+r.Pattern, u.guard(r))
	}
	mux.HandleFunc("GET /assets/{hash}/{path...}", u.asset)
	return u
}

// Missing answers an address that is no page, in the form every page has.
func (u *UI) Missing(w http.ResponseWriter, r *http.Request) {
	pageHeaders(w.Header())
	v := &visit{w: w, r: r, ui: u}
	v.actor, v.secret = u.known(r)
	u.fail(v, &plane.Error{Code: plane.CodeNotFound, Message: "there is no page at this address", Hint: "begin at the overview"})
}

// known is who asks, or nobody; for answers that both may get.
func (u *UI) known(r *http.Request) (plane.Actor, string) {
	actor, secret, err := u.whose(r.Context(), r)
	if err != nil {
		return plane.Actor{}, ""
	}
	return actor, secret
}

func (u *UI) whose(ctx context.Context, r *http.Request) (plane.Actor, string, error) {
	secret := u.sessionOf(r)
	if secret == "" {
		return plane.Actor{}, "", notSignedIn()
	}
	actor, err := u.control.WhoseSession(ctx, secret)
	actor.From = remote(r)
	return actor, secret, err
}

func notSignedIn() error {
	return &plane.Error{Code: plane.CodeUnauthorized, Message: "you are not signed in", Hint: "sign in, then do it again"}
}
