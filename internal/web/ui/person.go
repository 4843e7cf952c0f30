package ui

import (
	"context"

	"github.com/serverplane/serverplane/internal/plane"
)

// PeopleVerbs are the verbs about who may sign in.
type PeopleVerbs interface {
	Users(ctx context.Context, actor plane.Actor) ([]plane.User, error)
	CreateUser(ctx context.Context, actor plane.Actor, email string, role plane.Role, password string) (plane.User, error)
	SetRole(ctx context.Context, actor plane.Actor, id string, role plane.Role) error
	RemoveUser(ctx context.Context, actor plane.Actor, id string) error
	Audits(ctx context.Context, actor plane.Actor, before string, limit int) ([]plane.Audit, error)
}

// AccountVerbs are the verbs about what is a person's own.
type AccountVerbs interface {
	Sessions(ctx context.Context, actor plane.Actor) ([]plane.Session, error)
	RevokeSession(ctx context.Context, actor plane.Actor, id string) error
	Tokens(ctx context.Context, actor plane.Actor) ([]plane.Token, error)
	CreateToken(ctx context.Context, actor plane.Actor, email, name string) (string, error)
	RevokeToken(ctx context.Context, actor plane.Actor, id string) error
	ChangePassword(ctx context.Context, actor plane.Actor, old, password string) error
}

type usersView struct {
	page
	Users []plane.User
}

func (u *UI) users(v *visit) error {
	all, err := u.control.Users(v.ctx(), v.actor)
	if err != nil {
		return err
	}
	shown := &usersView{page: u.page(v, "Users"), Users: all}
	shown.Area = "users"
	return u.show(v, "users.html", shown)
}

func (u *UI) createUser(v *visit) error {
	f := v.form
	if _, err := u.control.CreateUser(v.ctx(), v.actor, word(f, "email"), plane.Role(word(f, "role")), f.Value("password")); err != nil {
		return v.again(err, u.users)
	}
	return v.see("/users", "saved")
}

type userView struct {
	page
	User plane.User
}

func (u *UI) user(v *visit) error {
	all, err := u.control.Users(v.ctx(), v.actor)
	if err != nil {
		return err
	}
	for _, one := range all {
		if one.ID == v.path("id") {
			shown := &userView{page: u.page(v, one.Email), User: one}
			shown.Area = "users"
			return u.show(v, "user.html", shown)
		}
	}
	return plane.NotFound("user", v.path("id"))
}

func (u *UI) setRole(v *visit) error {
	if err := u.control.SetRole(v.ctx(), v.actor, v.path("id"), plane.Role(word(v.form, "role"))); err != nil {
		return v.again(err, u.user)
	}
	return v.see("/users", "saved")
}

func (u *UI) removeUser(v *visit) error {
	if err := v.confirmed(word(v.form, "name")); err != nil {
		return v.again(err, u.user)
	}
	if err := u.control.RemoveUser(v.ctx(), v.actor, v.path("id")); err != nil {
		return v.again(err, u.user)
	}
	return v.see("/users", "removed")
}

type auditView struct {
	page
	Lines []plane.Audit
	Next  string // address of the older ones, or empty
	Older bool   // this is not the first page
}

const auditShown = 100 // on one page

func (u *UI) audit(v *visit) error {
	lines, err := u.control.Audits(v.ctx(), v.actor, v.query("before"), auditShown+1)
	if err != nil {
		return err
	}
	shown := &auditView{page: u.page(v, "Audit"), Lines: lines, Older: v.query("before") != ""}
	shown.Area = "audit"
	if len(lines) > auditShown {
		shown.Lines = lines[:auditShown]
		shown.Next = "/audit?before=" + lines[auditShown-1].ID
	}
	return u.show(v, "audit.html", shown)
}

type accountView struct {
	page
	Sessions []plane.Session
	Tokens   []plane.Token
	Fresh    string // a token that was just made, shown this once
}

func (u *UI) account(v *visit) error { return u.showAccount(v, "") }

func (u *UI) showAccount(v *visit, fresh string) error {
	sessions, err := u.control.Sessions(v.ctx(), v.actor)
	if err != nil {
		return err
	}
	tokens, err := u.control.Tokens(v.ctx(), v.actor)
	if err != nil {
		return err
	}
	shown := &accountView{page: u.page(v, "Your account"), Sessions: sessions, Tokens: tokens, Fresh: fresh}
	shown.Area = "account"
	return u.show(v, "account.html", shown)
}

func (u *UI) changePassword(v *visit) error {
	if err := u.control.ChangePassword(v.ctx(), v.actor, v.form.Value("old"), v.form.Value("password")); err != nil {
		return v.again(err, u.account)
	}
	return v.see("/account", "saved")
}

// createToken answers with the page itself: the token is in no address and no
// cookie, and gone with the page.
func (u *UI) createToken(v *visit) error {
	token, err := u.control.CreateToken(v.ctx(), v.actor, v.actor.Email, word(v.form, "name"))
	if err != nil {
		return v.again(err, u.account)
	}
	v.form = Form{}
	return u.showAccount(v, token)
}

func (u *UI) revokeToken(v *visit) error {
	if err := u.control.RevokeToken(v.ctx(), v.actor, v.path("id")); err != nil {
		return v.again(err, u.account)
	}
	return v.see("/account", "removed")
}

func (u *UI) revokeSession(v *visit) error {
	if err := u.control.RevokeSession(v.ctx(), v.actor, v.path("id")); err != nil {
		return v.again(err, u.account)
	}
	return v.see("/account", "removed")
}
