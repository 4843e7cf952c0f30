package ui_test

import (
	"testing"

	"github.com/serverplane/serverplane/internal/control"
	"github.com/serverplane/serverplane/internal/plane"
)

func TestProcessesPage(t *testing.T) {
	l := newLab(t)
	l.as(plane.RoleAdmin).Get("/apps/web/processes").Is(200,
		"mail", "node worker.js &lt;mail&gt;", "1 of 2 run; exited with status 7", "no &lt;licence&gt;", "not what is live", "tick", "*/5 * * * *", "Europe/Berlin",
		"on one: s1", "unknown", "The panel could not look", "/apps/web/processes/process/mail", "/apps/web/processes/cron/tick").Lacks("<licence>")
	l.as(plane.RoleViewer).Get("/apps/web/processes").Is(200, "mail").Lacks("Add process", "Look now", "Change mail")
}

func TestProcessForms(t *testing.T) {
	l := newLab(t)
	admin := l.as(plane.RoleAdmin)
	const add = "/apps/web/processes/new/process"
	admin.Post(add, "process", "mail", "command", "node worker.js", "on", "one", "count", "3", "stop", "90s").Leads("/runs/run_1")
	want := control.ProcessWish{Command: "node worker.js", On: plane.OnOne, Count: 3, Stop: plane.Duration(90e9)}
	if got := l.panel.Wish("SetProcess"); got != want || l.panel.Wish("SetProcess of") != "process web mail" {
		t.Errorf("wished %+v of %v", got, l.panel.Wish("SetProcess of"))
	}
	admin.Post(add, "process", "mail", "command", "x", "on", "one", "count", "3", "stop", "soon").Is(422, "Must be a time such as", `value="mail"`)
	l.panel.Fail("SetProcess", plane.Invalid("name", "must be lower case", "for example mail"))
	admin.Post(add, "process", "Mail", "command", "node worker.js", "on", "one", "count", "3").Is(422, "Must be lower case", "node worker.js", `value="Mail"`)
	admin.Get("/apps/web/processes/new/daemon").Is(404)
	admin.Get("/apps/web/processes/process/none").Is(404)
}

func TestProcessMoveAndRemove(t *testing.T) {
	l := newLab(t)
	admin := l.as(plane.RoleAdmin)
	const tick = "/apps/web/processes/cron/tick"
	admin.Get(tick).Is(200, "*/5 * * * *", "Runs on <strong>s1</strong>")
	admin.Post(tick+"/move", "server", "s2", "anyway", "yes", "confirm", "s1").Leads("/runs/run_1")
	if got := l.panel.Wish("MoveProcess"); got != (control.MoveWish{Server: "s2", Anyway: true, Confirm: "s1"}) {
		t.Errorf("wished %+v", got)
	}
	l.panel.Fail("MoveProcess", plane.Invalid("confirm", "confirm that s1 is off by its name", "type s1"))
	admin.Post(tick+"/move", "server", "s2", "anyway", "yes").Is(422, "Confirm that s1 is off by its name")
	admin.Post(tick + "/remove").Leads("/runs/run_1")
	if got := l.panel.Wish("RemoveProcess"); got != "cron web tick" {
		t.Errorf("removed %v", got)
	}
}
