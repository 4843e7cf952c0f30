package ui_test

import (
	"strings"
	"testing"

	"github.com/serverplane/serverplane/internal/plane"
)

func TestUsersPages(t *testing.T) {
	l := newLab(t)
	b := l.as(plane.RoleOwner)
	b.Get("/users").Is(200, "me@example.com", "Let somebody in")
	b.Post("/users", "email", "new@example.com", "role", "admin", "password", "correct horse battery").Leads("/users")
	if got := strings.Join(l.panel.Wish("CreateUser").([]string), " "); got != "new@example.com admin correct horse battery" {
		t.Errorf("wished %q", got)
	}
	l.panel.Fail("CreateUser", plane.Invalid("email", "must be a mail address", ""))
	b.Post("/users", "email", "nobody", "role", "admin", "password", "correct horse battery").
		Is(422, `value="nobody"`, `id="email-error"`, `value="admin" selected`).Lacks("correct horse")
	b.Post("/users/usr_1/remove", "name", "me@example.com", "confirm", "you@example.com").Is(422, `id="confirm-error"`)
	if l.panel.Wish("RemoveUser") != nil {
		t.Error("removed without the name")
	}
	b.Post("/users/usr_1/remove", "name", "me@example.com", "confirm", "me@example.com").Leads("/users")
	b.Get("/users/usr_9").Is(404)
	l.panel.Fail("SetRole", plane.Conflict("me@example.com is the last owner", "make somebody else an owner first"))
	b.Post("/users/usr_1/role", "role", "viewer").Is(409, "is the last owner")
	for _, role := range []plane.Role{plane.RoleAdmin, plane.RoleViewer} {
		l.as(role).Get("/users").Is(403).Lacks("Let somebody in")
		l.as(role).Get("/").Is(200).Lacks(`href="/users"`)
	}
}

func TestAccount(t *testing.T) {
	l := newLab(t)
	b := l.as(plane.RoleViewer)
	b.Get("/account").Is(200, "192.0.2.1", "Where you are signed in", "API tokens").Lacks("spt_fresh")
	b.Post("/account/tokens", "name", "ci").Is(200, "spt_fresh", "shown this once")
	b.Get("/account").Is(200).Lacks("spt_fresh")
	b.Post("/account/password", "old", "correct horse battery", "password", "another horse battery").Leads("/account")
	l.panel.Fail("ChangePassword", plane.Invalid("old", "is not your password", ""))
	b.Post("/account/password", "old", "wrong horse", "password", "another horse").Is(422, `id="old-error"`).Lacks("wrong horse", "another horse")
	b.Post("/account/tokens/tok_1/revoke").Leads("/account")
	b.Post("/account/sessions/ses_1/revoke").Leads("/account")
	if l.panel.Wish("RevokeToken") != "tok_1" || l.panel.Wish("RevokeSession") != "ses_1" {
		t.Error("another one was revoked")
	}
}

func TestAuditPage(t *testing.T) {
	l := newLab(t)
	l.as(plane.RoleOwner).Get("/audit").Is(200, "Audit", "Who changed what")
}
