package webtest

import (
	"cmp"
	"context"

	"github.com/serverplane/serverplane/internal/plane"
)

// Session returns the secret of a session of somebody with the role.
func Session(r plane.Role) string { return "session-of-" + string(r) }

// WhoseSession knows one session for each role.
func (p *Panel) WhoseSession(_ context.Context, secret string) (plane.Actor, error) {
	for _, r := range []plane.Role{plane.RoleOwner, plane.RoleAdmin, plane.RoleViewer} {
		if secret == Session(r) {
			return plane.Actor{UserID: "usr_1", Email: "me@example.com", Role: p.roleOf(r)}, p.called("WhoseSession", string(r))
		}
	}
	return plane.Actor{}, &plane.Error{Code: plane.CodeUnauthorized, Message: "the session has ended", Hint: "sign in again"}
}

// Become gives everybody another role than they came with.
func (p *Panel) Become(r plane.Role) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.became = r
}

func (p *Panel) roleOf(r plane.Role) plane.Role {
	p.mu.Lock()
	defer p.mu.Unlock()
	return cmp.Or(p.became, r)
}

// SetupOpen says that an owner exists, unless Open was called.
func (p *Panel) SetupOpen(context.Context) (bool, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.open, nil
}

// Open lets the first owner set the panel up.
func (p *Panel) Open() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.open = true
}

// SetUp signs the first owner in.
func (p *Panel) SetUp(_ context.Context, v plane.Visitor, token, email, password string) (string, error) {
	p.about("SetUp", token)
	return Session(plane.RoleOwner), p.called("SetUp", []string{v.Agent, email, password})
}

// SignIn signs an owner in who knows the password "correct horse battery".
func (p *Panel) SignIn(_ context.Context, v plane.Visitor, email, password string) (string, error) {
	p.about("SignIn", email)
	if password != "correct horse battery" {
		return "", &plane.Error{Code: plane.CodeUnauthorized, Message: "mail address or password is wrong", Hint: "try again"}
	}
	return Session(plane.RoleOwner), p.called("SignIn", v.Agent)
}

// SignOut does nothing.
func (p *Panel) SignOut(_ context.Context, _ plane.Actor, secret string) error {
	return p.called("SignOut", secret)
}
