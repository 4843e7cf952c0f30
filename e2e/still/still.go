// Package still is a panel that stands still: the real pages and verbs on a real
// store that is filled by hand, with nothing that works on servers behind them.
// What a page looks like, says and costs is looked at here, in states that
// would take hours to bring about.
package still

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"github.com/serverplane/serverplane/internal/auth"
	"github.com/serverplane/serverplane/internal/control"
	"github.com/serverplane/serverplane/internal/plane"
	"github.com/serverplane/serverplane/internal/secret"
	"github.com/serverplane/serverplane/internal/store"
	"github.com/serverplane/serverplane/internal/stream"
	"github.com/serverplane/serverplane/internal/web"
	"github.com/serverplane/serverplane/internal/web/ui"
)

// Who signs in.
const (
	Owner    = "ann@example.com"
	Password = "a password for the still"
)

// Panel is one panel on a store of its own.
type Panel struct {
	URL string

	store *store.Store
	box   *secret.Box
	verbs *control.Control
	ended chan error
	mark  string // ends every text of somebody else's
}

// Open starts a panel on an empty store below dir; it answers until ctx ends.
// Nobody can sign in until Own.
func Open(ctx context.Context, dir string) (p *Panel, err error) {
	p = &Panel{ended: make(chan error, 1)}
	if p.store, err = store.Open(ctx, store.Config{Path: filepath.Join(dir, "serverplane.db")}); err != nil {
		return nil, err
	}
	if p.box, err = secret.Open(filepath.Join(dir, "secret.key")); err != nil {
		return nil, err
	}
	quiet, hub := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelError})), stream.New()
	p.verbs = control.New(control.Config{
		Store: p.store, Box: p.box, Hub: hub, Now: time.Now, PanelID: plane.NewID(plane.PrefixPanel), Log: quiet, Surveyor: blind{}, Checker: blind{}, Logs: written{p}, Engines: spoken{p}, Sources: anywhere{}, Kinds: plane.Kinds{},
		Patience: 20 * time.Millisecond, // nobody is there who brings a change into force
		PanelKey: "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHdCyYpsRCY7RQPBwEqrLSuEBGzqGaRmoLnNqOBSpAYv serverplane",
	})
	if _, err := p.verbs.OpenSetup(ctx); err != nil {
		return nil, err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("listen: %w", err)
	}
	p.URL = "http://" + listener.Addr().String()
	server := web.New(web.Config{Control: p.verbs, Pages: p.verbs, Hints: hub, Log: quiet, Version: "0.4.0"})
	go func() { p.ended <- server.Run(ctx, listener) }()
	return p, nil
}

// Own makes the owner.
func (p *Panel) Own(ctx context.Context) error { return p.Join(ctx, Owner, plane.RoleOwner) }

// Join makes a person with the role, who signs in with Password.
func (p *Panel) Join(ctx context.Context, email string, role plane.Role) error {
	_, err := p.verbs.CreateUser(ctx, plane.Actor{Email: "still", Role: plane.RoleOwner, From: "local"}, email, role, Password)
	return err
}

// Deeds counts what the audit log tells, the newest thousand lines.
func (p *Panel) Deeds(ctx context.Context) (int, error) {
	lines, err := p.verbs.Audits(ctx, plane.Actor{Role: plane.RoleOwner}, "", 1000)
	return len(lines), err
}

// Addresses are all pages of the dashboard, from its own table of routes.
func Addresses() []string {
	var all []string
	for _, r := range new(ui.UI).Routes() {
		if r.Method == http.MethodGet {
			all = append(all, r.Pattern)
		}
	}
	return all
}

// Forms are all forms of the dashboard that the role may not send.
func Forms(beyond plane.Role) []string {
	var all []string
	for _, r := range new(ui.UI).Routes() {
		if r.Method == http.MethodPost && r.Permission != ui.Anyone && !auth.Allow(beyond, r.Permission) {
			all = append(all, r.Pattern)
		}
	}
	return all
}

// Close waits for the end of the panel's context and closes its store.
func (p *Panel) Close() error { return errors.Join(<-p.ended, p.store.Close()) }

// Stranger is a client whom the panel does not know; it follows no redirect.
func (p *Panel) Stranger() (*http.Client, error) {
	jar, err := cookiejar.New(nil)
	return &http.Client{Jar: jar, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}, err
}

// SignIn signs a client in.
func (p *Panel) SignIn(c *http.Client, email string) error {
	answer, err := c.PostForm(p.URL+"/sign-in", url.Values{"email": {email}, "password": {Password}})
	if err != nil {
		return fmt.Errorf("sign in: %w", err)
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusSeeOther {
		return fmt.Errorf("sign in: status %d", answer.StatusCode)
	}
	return nil
}

// blind looks at servers that do not exist: each answer is that they do not.
type blind struct{}

func gone() error {
	return plane.Unavailable("the server does not answer", "look at its console")
}

func (blind) HostKey(_ context.Context, address netip.Addr, _ int) (plane.HostKey, error) {
	if address.IsLoopback() {
		return plane.HostKey{}, gone()
	}
	return plane.HostKey{Line: "ssh-ed25519 AAAA", Fingerprint: "SHA256:uNiVztksCsDhcc0u9e8BrrJXVGDMRHXT8HBXUHgCpeE", Type: "ssh-ed25519"}, nil
}

func (blind) Look(context.Context, plane.Entrance) (plane.Survey, error) {
	return plane.Survey{}, gone()
}

func (blind) Install(context.Context, plane.Entrance) error { return gone() }

func (blind) Survey(context.Context, plane.Server) (plane.Survey, error) {
	return plane.Survey{}, gone()
}

func (blind) Check(context.Context, string) (plane.Probe, error) { return plane.Probe{}, gone() }

// anywhere is a small Node.js app in every repository.
type anywhere struct{}

func (anywhere) Look(context.Context, string, string, func(string) bool) ([]string, map[string]string, error) {
	return []string{"package.json", "package-lock.json", "server.js"}, map[string]string{"package.json": `{"scripts": {"start": "node server.js"}}`}, nil
}
