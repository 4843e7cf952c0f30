package webtest

import (
	"context"

	"github.com/serverplane/serverplane/internal/plane"
)

// Users answers two people; the second has the name that Rename gave.
func (p *Panel) Users(context.Context, plane.Actor) ([]plane.User, error) {
	return []plane.User{
		{ID: "usr_1", Email: "me@example.com", Role: plane.RoleOwner, CreatedAt: At()},
		{ID: "usr_2", Email: p.renamed().Name + "@example.com", Role: plane.RoleViewer, CreatedAt: At()},
	}, p.called("Users", nil)
}

// CreateUser answers the user wished for, without the password.
func (p *Panel) CreateUser(_ context.Context, _ plane.Actor, email string, role plane.Role, password string) (plane.User, error) {
	return plane.User{ID: "usr_3", Email: email, Role: role}, p.called("CreateUser", []string{email, string(role), password})
}

// SetRole does nothing.
func (p *Panel) SetRole(_ context.Context, _ plane.Actor, id string, role plane.Role) error {
	return p.called("SetRole", []string{id, string(role)})
}

// RemoveUser does nothing.
func (p *Panel) RemoveUser(_ context.Context, _ plane.Actor, id string) error {
	return p.called("RemoveUser", id)
}

// Sessions answers one session, in a browser that Rename named.
func (p *Panel) Sessions(context.Context, plane.Actor) ([]plane.Session, error) {
	return []plane.Session{{ID: "ses_1", UserID: "usr_1", From: "192.0.2.1", Agent: p.renamed().Name, CreatedAt: At(), UsedAt: At()}}, p.called("Sessions", nil)
}

// RevokeSession does nothing.
func (p *Panel) RevokeSession(_ context.Context, _ plane.Actor, id string) error {
	return p.called("RevokeSession", id)
}

// Tokens answers one token.
func (p *Panel) Tokens(context.Context, plane.Actor) ([]plane.Token, error) {
	return []plane.Token{{ID: "tok_1", UserID: "usr_1", Name: p.renamed().Name, CreatedAt: At()}}, p.called("Tokens", nil)
}

// CreateToken answers a token.
func (p *Panel) CreateToken(_ context.Context, _ plane.Actor, email, name string) (string, error) {
	return "spt_fresh", p.called("CreateToken", []string{email, name})
}

// RevokeToken does nothing.
func (p *Panel) RevokeToken(_ context.Context, _ plane.Actor, id string) error {
	return p.called("RevokeToken", id)
}

// ChangePassword does nothing.
func (p *Panel) ChangePassword(_ context.Context, _ plane.Actor, old, password string) error {
	return p.called("ChangePassword", []string{old, password})
}
