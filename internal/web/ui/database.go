package ui

import (
	"context"
	"fmt"
	"net/netip"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/serverplane/serverplane/internal/control"
	"github.com/serverplane/serverplane/internal/plane"
)

// DatabaseVerbs are the verbs about an app's databases.
type DatabaseVerbs interface {
	CreateDatabase(ctx context.Context, actor plane.Actor, w control.DatabaseWish) (plane.Run, error)
	Databases(ctx context.Context, actor plane.Actor, app string) ([]control.DatabaseView, error)
	SetDatabase(ctx context.Context, actor plane.Actor, name string, ch control.DatabaseChange) (*plane.Run, error)
	RemoveDatabase(ctx context.Context, actor plane.Actor, name string) (plane.Run, error)
	RotatePassword(ctx context.Context, actor plane.Actor, name string, acknowledge []string) (plane.Run, error)
	LookAtDatabase(ctx context.Context, actor plane.Actor, name string, limit time.Duration) (plane.DatabaseLook, error)
}

// BackupVerbs are the verbs about dumps of databases.
type BackupVerbs interface {
	BackupDatabase(ctx context.Context, actor plane.Actor, name string) (plane.Run, error)
	Backups(ctx context.Context, actor plane.Actor, name string) ([]plane.Backup, error)
	RestoreDatabase(ctx context.Context, actor plane.Actor, name, backup string) (plane.Run, error)
}

type databasesView struct {
	page
	Tabs      tabs
	App       control.AppView
	Databases []databaseShown
	sent      string // which of the page's forms was sent: what it is for, and of which database
}

// FormOf is what was typed in one of the page's forms; the others are as they were.
func (s *databasesView) FormOf(what, database string) Form {
	if s.sent == what+" "+database {
		return s.Form
	}
	return Form{}
}

// databaseShown is one database with its dumps and what its engine says.
type databaseShown struct {
	control.DatabaseView
	Dumps []plane.Backup
	Now   plane.DatabaseLook
}

// lookLimit is how long the page waits for engines, all together.
const lookLimit = 2 * time.Second

func databaseHome(app string) string { return appHome(app) + "/database" }

func (u *UI) databases(v *visit) error {
	shown, err := u.loadDatabases(v, v.path("name"))
	if err != nil {
		return err
	}
	shown.base().Stream = streamOf("database", v.path("name"), 0)
	return u.show(v, "database.html", shown)
}

func (u *UI) loadDatabases(v *visit, name string) (view, error) {
	app, err := u.control.App(v.ctx(), v.actor, name)
	if err != nil {
		return nil, err
	}
	all, err := u.control.Databases(v.ctx(), v.actor, app.Name)
	if err != nil {
		return nil, err
	}
	shown := &databasesView{page: u.page(v, "Database of "+app.Name), Tabs: tabs{app.Name, "database"}, App: app, sent: path.Base(v.r.URL.Path) + " " + v.path("database")}
	begun := time.Now()
	for _, d := range all {
		backups, err := u.control.Backups(v.ctx(), v.actor, d.Name)
		if err != nil {
			return nil, err
		}
		now, err := u.control.LookAtDatabase(v.ctx(), v.actor, d.Name, max(lookLimit-time.Since(begun), 0))
		if err != nil {
			return nil, err
		}
		shown.Databases = append(shown.Databases, databaseShown{d, backups, now})
	}
	shown.Area = "apps"
	return shown, nil
}

func (u *UI) createDatabase(v *visit) error {
	run, err := u.control.CreateDatabase(v.ctx(), v.actor, control.DatabaseWish{
		Name: word(v.form, "name"), App: v.path("name"), Engine: plane.Engine(word(v.form, "engine")),
		Prefix: strings.ToUpper(word(v.form, "prefix")), Acknowledge: v.form.Values["acknowledge"],
	})
	if err != nil {
		return v.again(err, u.databases)
	}
	return v.see("/runs/"+run.ID, "")
}

// setDatabase sends the whole form; what is as it was changes nothing.
func (u *UI) setDatabase(v *visit) error {
	most, err := v.form.number("max_connections")
	if err != nil {
		return v.again(err, u.databases)
	}
	pool, err := v.form.number("pool")
	if err != nil {
		return v.again(err, u.databases)
	}
	keep, err := v.form.number("keep")
	if err != nil {
		return v.again(err, u.databases)
	}
	tls, schedule := v.form.Checked("require_tls"), word(v.form, "backup_schedule")
	if schedule == "" {
		schedule = "off"
	}
	run, err := u.control.SetDatabase(v.ctx(), v.actor, v.path("database"), control.DatabaseChange{
		MaxConnections: most, Pool: pool, RequireTLS: &tls, BackupSchedule: &schedule, Keep: keep, Acknowledge: v.form.Values["acknowledge"],
	})
	if err != nil {
		return v.again(err, u.databases)
	}
	if run == nil {
		return v.see(databaseHome(v.path("name")), "saved")
	}
	return v.see("/runs/"+run.ID, "")
}

// proveDatabase tries anew who gets in and who does not.
func (u *UI) proveDatabase(v *visit) error {
	return u.onDatabase(v, func() (plane.Run, error) {
		run, err := u.control.SetDatabase(v.ctx(), v.actor, v.path("database"), control.DatabaseChange{Prove: true})
		if err != nil {
			return plane.Run{}, err
		}
		return *run, nil
	})
}

func (u *UI) removeDatabase(v *visit) error {
	if err := v.confirmed(v.path("database")); err != nil {
		return v.again(err, u.databases)
	}
	return u.onDatabase(v, func() (plane.Run, error) {
		return u.control.RemoveDatabase(v.ctx(), v.actor, v.path("database"))
	})
}

// rotatePassword locks out whoever else was given the password: the name must be typed.
func (u *UI) rotatePassword(v *visit) error {
	if err := v.confirmed(v.path("database")); err != nil {
		return v.again(err, u.databases)
	}
	return u.onDatabase(v, func() (plane.Run, error) {
		return u.control.RotatePassword(v.ctx(), v.actor, v.path("database"), v.form.Values["acknowledge"])
	})
}

func (u *UI) backupDatabase(v *visit) error {
	return u.onDatabase(v, func() (plane.Run, error) {
		return u.control.BackupDatabase(v.ctx(), v.actor, v.path("database"))
	})
}

// restoreDatabase replaces what is in the database: the name must be typed.
func (u *UI) restoreDatabase(v *visit) error {
	if err := v.confirmed(v.path("database")); err != nil {
		return v.again(err, u.databases)
	}
	return u.onDatabase(v, func() (plane.Run, error) {
		return u.control.RestoreDatabase(v.ctx(), v.actor, v.path("database"), word(v.form, "backup"))
	})
}

func (u *UI) onDatabase(v *visit, do func() (plane.Run, error)) error {
	run, err := do()
	if err != nil {
		return v.again(err, u.databases)
	}
	return v.see("/runs/"+run.ID, "")
}

// Took is how long signing in took.
func (d databaseShown) Took(p plane.Proof) string { return millis(time.Duration(p.Latency)) }

// Look is how a proof is shown: good, warn where nothing is proven, or bad.
func (d databaseShown) Look(p plane.Proof) string {
	switch p.Verdict {
	case plane.Pass:
		return "good"
	case plane.Fail:
		return "bad"
	}
	return "warn"
}

// StrangerLook is the same for somebody who must be refused.
func (d databaseShown) StrangerLook() string {
	switch d.Stranger.Verdict {
	case plane.Fail:
		return "good"
	case plane.Pass:
		return "bad"
	}
	return "warn"
}

// Allowed is how many connections the engine takes, without those for administrators.
func (d databaseShown) Allowed() int { return d.Now.Limit - d.Now.Reserved }

// Size is how much of the disk the database takes.
func (d databaseShown) Size() string {
	if d.Now.Bytes < 1<<20 {
		return fmt.Sprintf("%d KiB", d.Now.Bytes>>10)
	}
	return size(int(d.Now.Bytes >> 20))
}

// Share is how many of a hundred sessions are encrypted.
func (d databaseShown) Share() int {
	if d.Now.Encrypted.Sessions == 0 {
		return 0
	}
	return 100 * d.Now.Encrypted.TLS / d.Now.Encrypted.Sessions
}

// Used is how many connections an address has, in words where nobody knows.
func (d databaseShown) Used(address netip.Addr) string {
	if !d.Now.Known() {
		return "unknown"
	}
	return strconv.Itoa(d.Now.From(address.String()))
}

// Elsewhere lists who connects from an address that no backend has.
func (d databaseShown) Elsewhere() []plane.ConnectionsFrom {
	return slices.DeleteFunc(slices.Clone(d.Now.Connections), func(c plane.ConnectionsFrom) bool { return d.ServerAt(c.Address) != "" })
}
