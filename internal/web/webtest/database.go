package webtest

import (
	"context"
	"net/netip"
	"time"

	"github.com/serverplane/serverplane/internal/control"
	"github.com/serverplane/serverplane/internal/plane"
)

// CreateDatabase starts the Run.
func (p *Panel) CreateDatabase(_ context.Context, _ plane.Actor, w control.DatabaseWish) (plane.Run, error) {
	return p.start("CreateDatabase", w)
}

// Databases answers one.
func (p *Panel) Databases(_ context.Context, _ plane.Actor, app string) ([]control.DatabaseView, error) {
	return []control.DatabaseView{database()}, p.called("Databases", app)
}

// Database answers it.
func (p *Panel) Database(_ context.Context, _ plane.Actor, name string) (control.DatabaseView, error) {
	return database(), p.called("Database", name)
}

func database() control.DatabaseView {
	let := plane.Proof{Verdict: plane.Pass, At: At(), Vantage: "s2, forwarded over SSH", Answer: "signed in, a query was answered", TLS: "TLSv1.3", Latency: plane.Duration(4 * time.Millisecond)}
	return control.DatabaseView{
		Database: plane.Database{
			ID: "dbs_1", Name: "shop", Engine: plane.PostgreSQL, Pool: 10, State: plane.DatabaseReady, Since: At(), CreatedAt: At(), Password: []byte("hunter2"),
			Backups: plane.BackupPlan{Schedule: "daily@03:00", Keep: 14, DueSince: At(), Trouble: "failed: no space left on device", At: At()}, PasswordAt: At(),
			Stranger: plane.Proof{Verdict: plane.Fail, At: At(), Vantage: "s4, forwarded over SSH", Answer: "no answer"},
		},
		AppName: "web", ServerName: "s1", Host: "10.0.0.1", NextBackup: time.Date(2026, 3, 5, 3, 0, 0, 0, time.UTC),
		Server: plane.DatabaseServer{Engine: plane.PostgreSQL, Port: 5432, Version: "15.8", Open: true, TLS: true, MaxConnections: 100, Reserved: 3},
		Budget: plane.Budget{Wanted: 40, Free: 97, Limit: 100, Kept: 3},
		Access: []control.AccessView{
			{Access: plane.Access{Address: netip.MustParseAddr("127.0.0.1"), Proof: let}, ServerName: "s1", Role: "primary"},
			{Access: plane.Access{Address: netip.MustParseAddr("10.0.0.2")}, ServerName: "s2", Role: "backend"},
		},
	}
}

// LookAtDatabase answers what an engine said.
func (p *Panel) LookAtDatabase(_ context.Context, _ plane.Actor, name string, _ time.Duration) (plane.DatabaseLook, error) {
	return plane.DatabaseLook{
		TakenAt: At(), Vantage: "s1, over SSH", Version: "15.8", Listening: []string{"10.0.0.1:5432", "127.0.0.1:5432"}, Bytes: 7_864_320, Used: 9, Limit: 100, Reserved: 3,
		Connections: []plane.ConnectionsFrom{{Address: "10.0.0.2", Used: 4}, {Address: "10.0.0.9", Used: 1}, {Address: "127.0.0.1", Used: 3}},
		Encrypted:   plane.EncryptedShare{Sessions: 8, TLS: 6},
	}, p.called("LookAtDatabase", name)
}

// RotatePassword starts the Run.
func (p *Panel) RotatePassword(_ context.Context, _ plane.Actor, name string, acknowledge []string) (plane.Run, error) {
	if err := p.called("RotatePassword acknowledging", acknowledge); err != nil {
		return plane.Run{}, err
	}
	return p.start("RotatePassword", name)
}

// SetDatabase starts the Run.
func (p *Panel) SetDatabase(_ context.Context, _ plane.Actor, name string, ch control.DatabaseChange) (*plane.Run, error) {
	p.about("SetDatabase", name)
	run, err := p.start("SetDatabase", ch)
	return &run, err
}

// RemoveDatabase starts the Run.
func (p *Panel) RemoveDatabase(_ context.Context, _ plane.Actor, name string) (plane.Run, error) {
	return p.start("RemoveDatabase", name)
}

// BackupDatabase starts the Run.
func (p *Panel) BackupDatabase(_ context.Context, _ plane.Actor, name string) (plane.Run, error) {
	return p.start("BackupDatabase", name)
}

// Backups answers one.
func (p *Panel) Backups(_ context.Context, _ plane.Actor, name string) ([]plane.Backup, error) {
	return []plane.Backup{{
		ID: "bkp_1", Path: "/var/backups/serverplane/databases/shop/20260304T050607Z-1.dump", Bytes: 4096,
		Rows: map[string]int64{"public.visits": 120}, Actor: "me@example.com", CreatedAt: At(),
	}}, p.called("Backups", name)
}

// RestoreDatabase starts the Run.
func (p *Panel) RestoreDatabase(_ context.Context, _ plane.Actor, name, backup string) (plane.Run, error) {
	p.about("RestoreDatabase", name)
	return p.start("RestoreDatabase", backup)
}
