package control_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/serverplane/serverplane/internal/control"
	"github.com/serverplane/serverplane/internal/plane"
	"github.com/serverplane/serverplane/internal/store"
)

func (p *panel) password(change func(d *plane.Database)) (d plane.Database) {
	p.Helper()
	p.write(func(ctx context.Context, tx *store.Tx) (err error) {
		if d, err = tx.DatabaseByName(ctx, "shop"); err != nil {
			return err
		}
		change(&d)
		return tx.UpdateDatabase(ctx, d)
	})
	return d
}

// TestRotatePassword: what uses the password goes on with it until a deployment has
// made the new one valid, and the one after waits for the end of this.
func TestRotatePassword(t *testing.T) {
	p := newPanel(t)
	p.ready(1)
	a := p.app("web")
	p.made("shop", "", plane.DatabaseServer{Port: 5432, TLS: true, Open: true, MaxConnections: 100, Reserved: 3, SeenAt: day})
	rotate := func(ctx context.Context) error { _, err := p.RotatePassword(ctx, ann, "shop", nil); return err }
	p.refuses("one that is not there", plane.CodeNotFound, "", func(ctx context.Context) error { _, err := p.RotatePassword(ctx, ann, "none", nil); return err })
	p.refuses("an app that was never deployed", plane.CodeConflict, "", rotate)
	live := p.live("web")
	before := p.password(func(*plane.Database) {})

	run, err := p.RotatePassword(t.Context(), ann, "shop", nil)
	if err != nil || run.Kind != plane.RunDeploy || run.AppID != a.ID {
		t.Fatalf("%+v, %v", run, err)
	}
	d, err := p.Deployment(t.Context(), ann, run.DeploymentID)
	if err != nil || d.Trigger != plane.TriggerEnvironment || d.SourceID != live.ID {
		t.Errorf("%+v, %v", d, err)
	}
	now := p.password(func(*plane.Database) {})
	if string(now.Password) != string(before.Password) || now.Revision != before.Revision || len(now.Next) == 0 || now.PasswordChange() != "next" {
		t.Errorf("%+v", now)
	}
	values, err := p.Variables(t.Context(), ann, "web", true)
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range values {
		if v.Name == "DB_USERNAME" && v.Value != "sp_shop" {
			t.Errorf("processes are told of it already: %s", v.Value)
		}
	}
	p.ended(run.ID)
	if run, err := p.ApplyVariables(t.Context(), ann, "web", nil); err != nil || run == nil {
		t.Errorf("a password that waits is nothing to apply: %v", err)
	} else {
		p.ended(run.ID)
	}
	if err := rotate(t.Context()); err != nil {
		t.Errorf("once more, after its deployment did not begin: %v", err)
	}
	p.password(func(d *plane.Database) { *d = d.Renewed() })
	p.refuses("while the one before is still valid", plane.CodeConflict, "", rotate)
	if err := rotate(t.Context()); !strings.Contains(err.Error(), "still valid") {
		t.Error(err)
	}
}

// TestBackupSchedule: it is kept as it was given, counts from then on and is no
// matter of the engine's.
func TestBackupSchedule(t *testing.T) {
	p := newPanel(t)
	p.ready(1)
	p.app("web")
	p.made("shop", "", plane.DatabaseServer{Port: 5432, MaxConnections: 100, Reserved: 3, TLS: true})
	set := func(ch control.DatabaseChange) func(context.Context) error {
		return func(ctx context.Context) error {
			run, err := p.SetDatabase(ctx, ann, "shop", ch)
			if run != nil {
				t.Errorf("%+v: the engine need not know", run)
			}
			return err
		}
	}
	bad, none, good, off, keep := "hourly", 0, "Daily@03:00", "off", 14
	p.refuses("a schedule that is none", plane.CodeInvalid, "backup_schedule", set(control.DatabaseChange{BackupSchedule: &bad}))
	p.refuses("keeping none", plane.CodeInvalid, "keep", set(control.DatabaseChange{Keep: &none}))
	if err := set(control.DatabaseChange{BackupSchedule: &good, Keep: &keep})(t.Context()); err != nil {
		t.Fatal(err)
	}
	v, err := p.Database(t.Context(), ann, "shop")
	if err != nil || v.Backups.Schedule != "daily@03:00" || v.Backups.Keep != 14 || v.NextBackup.Hour() != 3 || !v.NextBackup.After(day) || v.NextBackup.After(day.Add(25*time.Hour)) {
		t.Errorf("%+v, %s, %v", v.Backups, v.NextBackup, err)
	}
	if err := set(control.DatabaseChange{BackupSchedule: &good})(t.Context()); err != nil {
		t.Error(err)
	}
	if again, err := p.Database(t.Context(), ann, "shop"); err != nil || !again.Backups.DueSince.Equal(v.Backups.DueSince) {
		t.Errorf("the same schedule again forgets what is due: %+v, %v", again.Backups, err)
	}
	if err := set(control.DatabaseChange{BackupSchedule: &off})(t.Context()); err != nil {
		t.Error(err)
	}
	if v, err := p.Database(t.Context(), ann, "shop"); err != nil || v.Backups.Schedule != "" || !v.NextBackup.IsZero() {
		t.Errorf("%+v, %v", v.Backups, err)
	}
}

// engine says what it is told to.
type engine struct {
	look  plane.DatabaseLook
	err   error
	asked []plane.DatabaseQuery
}

func (e *engine) LookAtDatabase(_ context.Context, _ plane.Server, q plane.DatabaseQuery) (plane.DatabaseLook, error) {
	e.asked = append(e.asked, q)
	return e.look, e.err
}

// TestLookAtDatabase: what cannot be read is unknown with its reason, and a page
// that is loaded again and again does not ask each time.
func TestLookAtDatabase(t *testing.T) {
	p := newPanel(t)
	p.ready(1)
	p.app("web")
	e := &engine{look: plane.DatabaseLook{Version: "15.8", Bytes: 4096, Vantage: "s1, over SSH"}}
	look := func(c *control.Control) plane.DatabaseLook {
		t.Helper()
		l, err := c.LookAtDatabase(t.Context(), ann, "shop", time.Second)
		if err != nil || l.TakenAt.IsZero() {
			t.Fatalf("%+v, %v", l, err)
		}
		return l
	}
	p.config.Engines = e
	c := control.New(p.config)
	if _, err := c.LookAtDatabase(t.Context(), ann, "shop", time.Second); plane.CodeOf(err) != plane.CodeNotFound {
		t.Errorf("one that is not there: %v", err)
	}
	p.made("shop", "", plane.DatabaseServer{Port: 5433})
	if l := look(c); l.Known() || l.Reason != "it is not made yet" || len(e.asked) != 0 {
		t.Errorf("an engine nobody saw: %+v", l)
	}
	p.write(func(ctx context.Context, tx *store.Tx) error {
		d, err := tx.DatabaseByName(ctx, "shop")
		if err != nil {
			return err
		}
		return tx.SetDatabaseServer(ctx, plane.DatabaseServer{ServerID: d.ServerID, Engine: d.Engine, Port: 5433, SeenAt: day})
	})
	if l := look(c); !l.Known() || l.Bytes != 4096 || len(e.asked) != 1 || e.asked[0].Port != 5433 || e.asked[0].Database != "sp_shop" || len(e.asked[0].Roles) != 2 {
		t.Errorf("%+v, asked %+v", l, e.asked)
	}
	look(c)
	if len(e.asked) != 1 {
		t.Errorf("asked %d times within a second", len(e.asked))
	}
	p.time = p.time.Add(time.Minute)
	e.err = plane.Unavailable("server s1 cannot be reached", "wait")
	if l := look(c); l.Known() || l.Reason != "server s1 cannot be reached" || l.Vantage != "s1, over SSH" || l.Bytes != 0 {
		t.Errorf("%+v", l)
	}
	p.time = p.time.Add(time.Minute)
	e.err = errors.New("broken")
	if l := look(c); l.Reason != "broken" {
		t.Errorf("%+v", l)
	}
}
