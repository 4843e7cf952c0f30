package control_test

import (
	"context"
	"database/sql"
	"fmt"
	"log/slog"
	"net/netip"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	_ "modernc.org/sqlite" // to count rows behind the store's back

	"github.com/serverplane/serverplane/internal/control"
	"github.com/serverplane/serverplane/internal/plane"
	"github.com/serverplane/serverplane/internal/secret"
	"github.com/serverplane/serverplane/internal/store"
	"github.com/serverplane/serverplane/internal/stream"
)

var (
	day = time.Date(2026, 7, 1, 12, 0, 0, 0, time.UTC)
	ann = plane.Actor{UserID: "usr_aaaaaaaaaaaaaaaa", Email: "ann@example.com", Role: plane.RoleOwner, From: "198.51.100.7"}
)

const fingerprint = "SHA256:k3y"

// found is a server as the surveyor finds it; installed counts who was let in.
type found struct {
	survey    plane.Survey
	installed int
}

func (f *found) HostKey(context.Context, netip.Addr, int) (plane.HostKey, error) {
	return plane.HostKey{Line: "ssh-ed25519 AAAA", Fingerprint: fingerprint, Type: "ssh-ed25519"}, nil
}

func (f *found) Look(context.Context, plane.Entrance) (plane.Survey, error) { return f.survey, nil }

func (f *found) Install(context.Context, plane.Entrance) error { f.installed++; return nil }

func (f *found) Survey(context.Context, plane.Server) (plane.Survey, error) { return f.survey, nil }

func debian() plane.Survey {
	return plane.Survey{
		OS: "Debian GNU/Linux 12 (bookworm)", OSFamily: "debian", OSVersion: "12", Firewall: "none", SSHPort: 22,
		Addresses: []string{"203.0.113.1", "10.0.0.1"}, Default: "203.0.113.1",
		Listening: []plane.Socket{{Proto: "tcp", Address: "0.0.0.0", Port: 22, Process: "sshd"}},
	}
}

// panel is the verbs on a real store.
type panel struct {
	*testing.T
	*control.Control
	store  *store.Store
	hub    *stream.Hub
	found  *found
	scribe *scribe
	path   string
	rows   *sql.DB
	clock  sync.Mutex
	time   time.Time // every look at the clock is a second later
	steers bool
	config control.Config
}

func newPanel(t *testing.T) *panel {
	t.Helper()
	dir := t.TempDir()
	p := &panel{T: t, path: filepath.Join(dir, "panel.db"), hub: stream.New(), found: &found{survey: debian()}, scribe: &scribe{}, time: day}
	var err error
	if p.store, err = store.Open(t.Context(), store.Config{Path: p.path}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.store.Close() })
	box, err := secret.Open(filepath.Join(dir, "keys"))
	if err != nil {
		t.Fatal(err)
	}
	if p.rows, err = sql.Open("sqlite", "file:"+p.path+"?_pragma=query_only(1)&_pragma=busy_timeout(5000)"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.rows.Close() })
	p.config = control.Config{
		Store: p.store, Box: box, Hub: p.hub, Surveyor: p.found, Logs: p.scribe, Now: p.now, Patience: 300 * time.Millisecond, PanelID: "pnl_me", PanelKey: "ssh-ed25519 AAAA panel",
		Log: slog.New(slog.DiscardHandler),
	}
	p.Control = control.New(p.config)
	return p
}

func (p *panel) now() time.Time {
	p.clock.Lock()
	defer p.clock.Unlock()
	p.time = p.time.Add(time.Second)
	return p.time
}

func (p *panel) write(fn func(ctx context.Context, tx *store.Tx) error) {
	p.Helper()
	if err := p.store.Write(p.Context(), func(tx *store.Tx) error { return fn(p.Context(), tx) }); err != nil {
		p.Fatal(err)
	}
}

// contents is every table as text, row by row: what "nothing changed" means. What the steerer has still to
// put in force is waited for, or it would be taken for a change by whoever is looked at.
func (p *panel) contents() map[string][]string {
	p.Helper()
	if p.steers {
		p.settled()
	}
	all := map[string][]string{}
	for _, table := range p.column("SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY name") {
		columns := ""
		for _, c := range p.column(fmt.Sprintf("SELECT name FROM pragma_table_info('%s')", table)) {
			columns += " || '|' || quote(" + c + ")"
		}
		all[table] = p.column("SELECT ''" + columns + " FROM " + table + " ORDER BY 1")
	}
	if len(all) < 10 {
		p.Fatalf("only %d tables were found", len(all))
	}
	return all
}

func (p *panel) column(query string) []string {
	p.Helper()
	rows, err := p.rows.QueryContext(p.Context(), query)
	if err != nil {
		p.Fatal(err)
	}
	defer rows.Close()
	all := []string{}
	for rows.Next() {
		var text string
		if err := rows.Scan(&text); err != nil {
			p.Fatal(err)
		}
		all = append(all, text)
	}
	if err := rows.Err(); err != nil {
		p.Fatal(err)
	}
	return all
}

// refuses holds that the wish is refused with the code (and the field, where
// one is given), with words for a person, and that it changed and queued nothing.
func (p *panel) refuses(what string, code plane.Code, field string, wish func(ctx context.Context) error) {
	p.Helper()
	before := p.contents()
	err := wish(p.Context())
	told, _ := err.(*plane.Error)
	switch {
	case plane.CodeOf(err) != code || err == nil:
		p.Errorf("%s: want %s, got %v", what, code, err)
	case told != nil && (told.Message == "" || field != "" && told.Field != field):
		p.Errorf("%s: told at %q as %q, want the field %q", what, told.Field, told.Message, field)
	}
	if diff := cmp.Diff(before, p.contents()); diff != "" {
		p.Errorf("%s: was refused and still changed (-before +after):\n%s", what, diff)
	}
}

// ready adds the nth server and says that it was provisioned.
func (p *panel) ready(n int) plane.Server {
	p.Helper()
	s := p.add(n)
	p.write(func(ctx context.Context, tx *store.Tx) error {
		runs, err := tx.Runs(ctx, store.RunFilter{ServerID: s.ID})
		if err != nil {
			return err
		}
		for _, r := range runs {
			if err := tx.RequestCancel(ctx, r.ID, p.now()); err != nil {
				return err
			}
		}
		return tx.SetServerState(ctx, s.ID, plane.ServerReady, "", p.now())
	})
	return s
}

func (p *panel) add(n int) plane.Server {
	p.Helper()
	s, _, err := p.AddServer(p.Context(), ann, wishedServer(n))
	if err != nil {
		p.Fatal(err)
	}
	return s
}

func wishedServer(n int) control.ServerWish {
	return control.ServerWish{Name: fmt.Sprintf("s%d", n), Address: fmt.Sprintf("203.0.113.%d", n), HostKey: fingerprint}
}

func wishedApp(name string, domains ...string) control.AppWish {
	return control.AppWish{Name: name, Server: "s1", Kind: plane.KindNodeJS, Repository: "https://example.com/" + name + ".git", Domains: domains, NoDeploy: true}
}

func (p *panel) app(name string, domains ...string) plane.App {
	p.Helper()
	a, _, err := p.CreateApp(p.Context(), ann, wishedApp(name, domains...))
	if err != nil {
		p.Fatal(err)
	}
	return a
}

// live plays the runner: the app's newest deployment went live.
func (p *panel) live(app string) plane.Deployment {
	p.Helper()
	d, run, err := p.Deploy(p.Context(), ann, app, control.DeployWish{})
	if err != nil {
		p.Fatal(err)
	}
	p.finish(run.ID)
	d.Commit, d.ReleaseID, d.Slot, d.State, d.LiveAt = "0123456789012345678901234567890123456789", "20260701120000-0123456", plane.SlotA, plane.DeploymentCompleted, p.now()
	p.write(func(ctx context.Context, tx *store.Tx) error {
		if err := tx.UpdateDeployment(ctx, d); err != nil {
			return err
		}
		if err := tx.SetLive(ctx, d.AppID, d.Slot, d.ID); err != nil {
			return err
		}
		return tx.SetAppState(ctx, d.AppID, plane.AppLive, "", p.now())
	})
	return d
}

// finish claims Runs until the one with the id, which it ends well.
func (p *panel) finish(id string) {
	p.Helper()
	p.write(func(ctx context.Context, tx *store.Tx) error {
		r, ok, err := tx.Claim(ctx, "panel-1", p.now(), time.Hour)
		if err != nil || !ok || r.ID != id {
			return fmt.Errorf("claimed %q, %v, %v; want %s", r.ID, ok, err, id)
		}
		return tx.Finish(ctx, r.ID, r.Owner, r.Attempt, plane.RunSucceeded, "", p.now())
	})
}

func (p *panel) count(table string) int { return len(p.contents()[table]) }

func (p *panel) lastAudit() plane.Audit {
	p.Helper()
	all, err := p.Audits(p.Context(), ann, "", 1)
	if err != nil || len(all) != 1 {
		p.Fatal(all, err)
	}
	return all[0]
}
