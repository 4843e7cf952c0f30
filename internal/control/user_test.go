package control_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/serverplane/serverplane/internal/plane"
	"github.com/serverplane/serverplane/internal/store"
)

const password = "correct horse battery"

func TestAuthenticate(t *testing.T) {
	p := newPanel(t)
	local := plane.Actor{Role: plane.RoleOwner, From: "local"}
	u, err := p.CreateUser(t.Context(), local, "bob@example.com", plane.RoleViewer, password)
	if err != nil {
		t.Fatal(err)
	}
	token, err := p.CreateToken(t.Context(), local, "bob@example.com", "ci")
	if err != nil {
		t.Fatal(err)
	}
	actor, err := p.Authenticate(t.Context(), token, "198.51.100.9")
	if want := (plane.Actor{UserID: u.ID, Email: "bob@example.com", Role: plane.RoleViewer, From: "198.51.100.9"}); err != nil || actor != want {
		t.Errorf("%+v, %v", actor, err)
	}
	if p.inFiles(token) || p.inFiles(password) || strings.Contains(u.PasswordHash, password) {
		t.Error("a secret is stored in the clear")
	}
	for _, bad := range []string{"", "spt_", token + "x", token[:len(token)-1], strings.ToUpper(token), " " + token} {
		p.refuses("token "+bad, plane.CodeUnauthorized, "", func(ctx context.Context) error { _, err := p.Authenticate(ctx, bad, ""); return err })
	}
}

func TestTokenUseIsKeptCoarsely(t *testing.T) {
	p := newPanel(t)
	u, err := p.CreateUser(t.Context(), ann, "bob@example.com", plane.RoleAdmin, password)
	if err != nil {
		t.Fatal(err)
	}
	token, err := p.CreateToken(t.Context(), ann, u.Email, "ci")
	if err != nil {
		t.Fatal(err)
	}
	used := func() (at time.Time) {
		if _, err := p.Authenticate(t.Context(), token, ""); err != nil {
			t.Fatal(err)
		}
		p.write(func(ctx context.Context, tx *store.Tx) error {
			tokens, err := tx.Tokens(ctx, u.ID)
			at = tokens[0].UsedAt
			return err
		})
		return at
	}
	first := used()
	if first.IsZero() {
		t.Fatal("the first use was not kept")
	}
	if again := used(); !again.Equal(first) {
		t.Errorf("a second later it is written again: %v", again)
	}
	p.time = p.time.Add(2 * time.Minute)
	if later := used(); !later.After(first) {
		t.Errorf("two minutes later it is still %v", later)
	}
}

func TestUsersRefused(t *testing.T) {
	p := newPanel(t)
	if _, err := p.CreateUser(t.Context(), ann, "bob@example.com", plane.RoleAdmin, password); err != nil {
		t.Fatal(err)
	}
	for what, c := range map[string]struct {
		email    string
		role     plane.Role
		password string
		code     plane.Code
		field    string
	}{
		"no mail address":       {"bob", plane.RoleAdmin, password, plane.CodeInvalid, "email"},
		"an unknown role":       {"c@example.com", "root", password, plane.CodeInvalid, "role"},
		"a short password":      {"c@example.com", plane.RoleAdmin, "short", plane.CodeInvalid, "password"},
		"the same, in capitals": {"BOB@example.com", plane.RoleAdmin, password, plane.CodeConflict, ""},
	} {
		p.refuses(what, c.code, c.field, func(ctx context.Context) error {
			_, err := p.CreateUser(ctx, ann, c.email, c.role, c.password)
			return err
		})
	}
	for name, code := range map[string]plane.Code{"": plane.CodeInvalid, strings.Repeat("x", 101): plane.CodeInvalid} {
		p.refuses("token name", code, "name", func(ctx context.Context) error {
			_, err := p.CreateToken(ctx, ann, "bob@example.com", name)
			return err
		})
	}
	p.refuses("token of nobody", plane.CodeNotFound, "", func(ctx context.Context) error { _, err := p.CreateToken(ctx, ann, "x@example.com", "ci"); return err })
}
