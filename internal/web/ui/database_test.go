package ui_test

import (
	"testing"

	"github.com/serverplane/serverplane/internal/control"
	"github.com/serverplane/serverplane/internal/plane"
)

func TestDatabaseTab(t *testing.T) {
	l := newLab(t)
	b := l.as(plane.RoleOwner)
	b.Get("/apps/web/database").Is(200, "PostgreSQL 15.8 on s1", "<code>10.0.0.1:5432</code> from backends", "40 may be wanted, 97 can be had", "TLSv1.3", "not proven yet",
		"Nobody else gets in", "7 MiB", "<code>127.0.0.1:5432</code>", "9 of 97 of the whole engine", "1 to this database from <code>10.0.0.9</code>", "75 %, 6 of 8 sessions",
		`class="number">4</td>`, "daily@03:00", "The last dump came to nothing", "no space left on device", "s4, forwarded over SSH", "Back up now", "20260304T050607Z-1.dump").Lacks("hunter2")
	l.as(plane.RoleViewer).Get("/apps/web/database").Is(200, "PostgreSQL 15.8").Lacks("Back up now", "Remove database", "Create database")

	l.panel.Fail("CreateDatabase", plane.Invalid("name", "must be 1 to 24 characters", "for example web"))
	b.Post("/apps/web/database", "name", "A B", "engine", "mariadb").Is(422, `id="name-error"`, `value="A B"`)
	l.panel.Fail("CreateDatabase", nil)
	b.Post("/apps/web/database", "name", "reports", "engine", "mariadb", "prefix", "reports").Leads("/runs/run_1")
	if w := l.panel.Wish("CreateDatabase").(control.DatabaseWish); w.Name != "reports" || w.App != "web" || w.Engine != plane.MariaDB || w.Prefix != "REPORTS" {
		t.Errorf("wish %+v", w)
	}

	l.panel.Fail("SetDatabase", plane.Invalid("acknowledge", "PostgreSQL takes another limit with a restart only", ""))
	b.Post("/apps/web/database/shop/settings", "pool", "5", "max_connections", "200", "keep", "3").Is(422, `value="restart"`, "with a restart only")
	l.panel.Fail("SetDatabase", nil)
	b.Post("/apps/web/database/shop/settings", "pool", "5", "max_connections", "200", "keep", "3", "backup_schedule", "sun@04:30", "acknowledge", "restart").Leads("/runs/run_1")
	if ch := l.panel.Wish("SetDatabase").(control.DatabaseChange); *ch.Pool != 5 || *ch.MaxConnections != 200 || *ch.RequireTLS || *ch.Keep != 3 || *ch.BackupSchedule != "sun@04:30" || len(ch.Acknowledge) != 1 {
		t.Errorf("change %+v", ch)
	}

	b.Post("/apps/web/database/shop/prove").Leads("/runs/run_1")
	if ch := l.panel.Wish("SetDatabase").(control.DatabaseChange); !ch.Prove || ch.RequireTLS != nil || ch.Pool != nil {
		t.Errorf("change %+v", ch)
	}
	b.Post("/apps/web/database/shop/rotate-password", "confirm", "other").Is(422)
	b.Post("/apps/web/database/shop/rotate-password", "confirm", "shop").Leads("/runs/run_1")
	if l.panel.Wish("RotatePassword") != "shop" {
		t.Errorf("rotates %v", l.panel.Wish("RotatePassword"))
	}
	b.Post("/apps/web/database/shop/remove", "confirm", "other").Is(422)
	b.Post("/apps/web/database/shop/restore", "confirm", "", "backup", "bkp_1").
		Is(422, `id="restore-shop-error"`, `<option value="bkp_1" selected>`, `id="pool-shop" name="pool" type="number" value="10"`, `value="daily@03:00"`).
		Lacks(`id="remove-shop-error"`, `id="rotate-password-shop-error"`)
	if l.panel.Wish("RemoveDatabase") != nil || l.panel.Wish("RestoreDatabase") != nil {
		t.Fatal("done without the database's name")
	}
	b.Post("/apps/web/database/shop/remove", "confirm", "shop").Leads("/runs/run_1")
	b.Post("/apps/web/database/shop/restore", "confirm", "shop", "backup", "bkp_1").Leads("/runs/run_1")
	if l.panel.Wish("RestoreDatabase") != "bkp_1" {
		t.Errorf("restores %v", l.panel.Wish("RestoreDatabase"))
	}
}
