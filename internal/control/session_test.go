package control_test

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/serverplane/serverplane/internal/auth"
	"github.com/serverplane/serverplane/internal/control"
	"github.com/serverplane/serverplane/internal/plane"
)

func at(from string) plane.Visitor { return plane.Visitor{From: from, Agent: "Firefox"} }

// owned is a panel with its first owner signed in.
func owned(t *testing.T) (p *panel, owner plane.Actor, secret string) {
	t.Helper()
	p = newPanel(t)
	token, err := p.OpenSetup(t.Context())
	if err != nil || token == "" {
		t.Fatalf("the setup is not open: %v", err)
	}
	if secret, err = p.SetUp(t.Context(), at("192.0.2.1"), token, "ann@example.com", password); err != nil {
		t.Fatal(err)
	}
	return p, p.who(secret), secret
}

func (p *panel) who(secret string) plane.Actor {
	p.Helper()
	actor, err := p.WhoseSession(p.Context(), secret)
	if err != nil {
		p.Fatal(err)
	}
	return actor
}

func (p *panel) signedIn(email string) (plane.Actor, string) {
	p.Helper()
	secret, err := p.SignIn(p.Context(), at("192.0.2.1"), email, password)
	if err != nil {
		p.Fatal(err)
	}
	return p.who(secret), secret
}

func (p *panel) over(what, secret string) {
	p.Helper()
	p.refuses(what, plane.CodeUnauthorized, "", func(ctx context.Context) error { _, err := p.WhoseSession(ctx, secret); return err })
}

func TestSetUpOnce(t *testing.T) {
	p := newPanel(t)
	setUp := func(token, email string) func(context.Context) error {
		return func(ctx context.Context) error {
			_, err := p.SetUp(ctx, at("192.0.2.1"), token, email, password)
			return err
		}
	}
	p.refuses("before a token was drawn", plane.CodeUnauthorized, "token", setUp("", "ann@example.com"))
	former, _ := p.OpenSetup(t.Context())
	token, _ := p.OpenSetup(t.Context())
	p.refuses("the token of a former start", plane.CodeUnauthorized, "token", setUp(former, "ann@example.com"))
	p.refuses("a bad mail address", plane.CodeInvalid, "email", setUp(token, "ann"))
	if err := setUp(token, "ann@example.com")(t.Context()); err != nil {
		t.Fatal(err)
	}
	if open, err := p.SetupOpen(t.Context()); open || err != nil {
		t.Errorf("the setup is still open: %v", err)
	}
	p.refuses("a second owner with the same token", plane.CodeUnauthorized, "token", setUp(token, "eve@example.com"))
	if again, err := p.OpenSetup(t.Context()); again != "" || err != nil {
		t.Errorf("a panel with an owner draws a token: %q %v", again, err)
	}
	if p.inFiles(token) || p.inFiles(password) {
		t.Error("token or password is stored in the clear")
	}
}

func TestSignIn(t *testing.T) {
	p, owner, first := owned(t)
	if owner.Role != plane.RoleOwner || owner.Email != "ann@example.com" {
		t.Errorf("the first owner is %+v", owner)
	}
	_, second := p.signedIn("ANN@example.com")
	if second == first || p.inFiles(second) {
		t.Error("a secret is used twice or stored in the clear")
	}
	for _, who := range []string{"ann@example.com", "nobody@example.com", "", "\x00", strings.Repeat("a", 300) + "@example.com"} {
		before := p.contents()
		if _, err := p.SignIn(t.Context(), at("192.0.2.2"), who, "wrong horse battery"); plane.CodeOf(err) != plane.CodeUnauthorized {
			t.Errorf("wrong password of %q: %v", who, err)
		}
		subject, detail := "", "nobody has that mail address"
		if who == "ann@example.com" {
			subject, detail = who, "wrong password"
		}
		if a := p.lastAudit(); a.Action != "session.refuse" || a.Subject != subject || a.Detail != detail || a.From != "192.0.2.2" || a.UserID != "" {
			t.Errorf("the audit of %q: %+v", who, a)
		}
		after := p.contents()
		delete(before, "audits")
		delete(after, "audits")
		if diff := cmp.Diff(before, after); diff != "" {
			t.Errorf("wrong password of %q changed:\n%s", who, diff)
		}
	}
	if p.inFiles("nobody@example.com") {
		t.Error("what a stranger typed is kept")
	}
	list, err := p.Sessions(t.Context(), owner)
	if err != nil || len(list) != 2 || list[0].Agent != "Firefox" || list[0].From != "192.0.2.1" {
		t.Errorf("sessions: %+v %v", list, err)
	}
}

// TestAnUnknownPersonCostsAsMuch counts what is worked for an answer, and holds that the answers are the same.
func TestAnUnknownPersonCostsAsMuch(t *testing.T) {
	p, _, _ := owned(t)
	var looked []string
	verbs := control.New(control.Config{Store: p.store, Now: p.now, Log: slog.New(slog.DiscardHandler), Verify: func(hash, password string) (bool, error) {
		looked = append(looked, hash)
		return auth.VerifyPassword(hash, password)
	}})
	answers := map[string]bool{}
	for _, who := range []string{"ann@example.com", "nobody@example.com", "not a mail address"} {
		_, err := verbs.SignIn(t.Context(), at("192.0.2.3"), who, "wrong horse battery")
		answers[fmt.Sprint(err)] = true
	}
	if len(answers) != 1 || len(looked) != 3 {
		t.Errorf("answers %v after looking at %d hashes", answers, len(looked))
	}
	for _, hash := range looked {
		if parts := strings.Split(hash, "$"); len(parts) != 6 || strings.Join(parts[:4], "$") != strings.Join(strings.Split(looked[0], "$")[:4], "$") {
			t.Errorf("%q costs something else than %q", hash, looked[0])
		}
	}
}

func TestTriesAreLimited(t *testing.T) {
	p, _, _ := owned(t)
	try := func(from, email, password string) error {
		_, err := p.SignIn(t.Context(), at(from), email, password)
		return err
	}
	limited := func(err error) bool { return err != nil && strings.Contains(err.Error(), "too many tries") }
	for n := range 5 {
		if err := try(fmt.Sprintf("192.0.2.%d", 10+n), "ann@example.com", "wrong horse battery"); limited(err) {
			t.Fatalf("try %d: %v", n, err)
		}
	}
	if err := try("192.0.2.99", "Ann@Example.com", password); !limited(err) {
		t.Errorf("the sixth try for one person: %v", err)
	}
	p.time = p.time.Add(time.Minute)
	if err := try("192.0.2.99", "ann@example.com", password); err != nil {
		t.Errorf("a minute later: %v", err)
	}
	var last error
	for n := range 45 { // one machine, many people; all addresses of a /64 are one machine
		last = try(fmt.Sprintf("2001:db8::%x", n+1), fmt.Sprintf("p%d@example.com", n), "wrong horse battery")
	}
	if !limited(last) {
		t.Errorf("the last of many tries of one machine: %v", last)
	}
}

// However many are refused from however many places, the audit gets a line a
// minute at most, which says how many it stands for.
func TestRefusalsDoNotFloodTheAudit(t *testing.T) {
	p, _, _ := owned(t)
	verbs := control.New(control.Config{
		Store: p.store, Now: func() time.Time { return day }, Log: slog.New(slog.DiscardHandler), Verify: func(string, string) (bool, error) { return false, nil },
	})
	before := p.count("audits")
	refuse := func(n int) {
		if _, err := verbs.SignIn(t.Context(), at(fmt.Sprintf("10.%d.%d.1", n/250, n%250)), fmt.Sprintf("p%d@example.com", n), "wrong horse battery"); plane.CodeOf(err) != plane.CodeUnauthorized {
			t.Fatal(err)
		}
	}
	for n := range 300 {
		refuse(n)
	}
	if got := p.count("audits") - before; got != 60 {
		t.Errorf("300 refusals left %d lines", got)
	}
	later := day
	verbs = control.New(control.Config{
		Store: p.store, Now: func() time.Time { return later }, Log: slog.New(slog.DiscardHandler), Verify: func(string, string) (bool, error) { return false, nil },
	})
	for n := range 70 {
		refuse(n)
	}
	later = later.Add(2 * time.Minute)
	refuse(1000)
	if !slices.ContainsFunc(p.contents()["audits"], func(line string) bool { return strings.Contains(line, "; 10 refusals before it are not listed") }) {
		t.Error("the audit does not say how many it left out")
	}
}

func TestSessionsEnd(t *testing.T) {
	p, owner, first := owned(t)
	_, second := p.signedIn("ann@example.com")
	if err := p.SignOut(t.Context(), p.who(second), second); err != nil {
		t.Fatal(err)
	}
	p.over("after signing out", second)
	_, third := p.signedIn("ann@example.com")
	if err := p.RevokeSession(t.Context(), owner, p.who(third).SessionID); err != nil {
		t.Fatal(err)
	}
	p.over("after being revoked", third)
	_, fourth := p.signedIn("ann@example.com")
	p.refuses("a wrong old password", plane.CodeInvalid, "old", func(ctx context.Context) error {
		return p.ChangePassword(ctx, owner, "wrong horse battery", "another horse battery")
	})
	if err := p.ChangePassword(t.Context(), p.who(first), password, "another horse battery"); err != nil {
		t.Fatal(err)
	}
	p.over("another browser after the password changed", fourth)
	p.who(first)
	p.time = p.time.Add(plane.SessionIdle)
	p.over("unused for too long", first)
}

func TestASessionHasAnEndHoweverMuchItIsUsed(t *testing.T) {
	p, _, secret := owned(t)
	for range int(plane.SessionLife/(24*time.Hour)) - 1 {
		p.time = p.time.Add(24 * time.Hour)
		p.who(secret)
	}
	p.time = p.time.Add(24 * time.Hour)
	p.over("used every day for its whole life", secret)
}

func TestPeople(t *testing.T) {
	p, owner, _ := owned(t)
	bob, err := p.CreateUser(t.Context(), owner, "bob@example.com", plane.RoleViewer, password)
	if err != nil {
		t.Fatal(err)
	}
	p.refuses("the last owner's role", plane.CodeConflict, "", func(ctx context.Context) error { return p.SetRole(ctx, owner, owner.UserID, plane.RoleAdmin) })
	p.refuses("removing the last owner", plane.CodeConflict, "", func(ctx context.Context) error { return p.RemoveUser(ctx, owner, owner.UserID) })
	p.refuses("no such role", plane.CodeInvalid, "role", func(ctx context.Context) error { return p.SetRole(ctx, owner, bob.ID, "king") })
	p.refuses("nobody", plane.CodeNotFound, "", func(ctx context.Context) error { return p.RemoveUser(ctx, owner, "usr_\x00") })

	who, secret := p.signedIn("bob@example.com")
	token, err := p.CreateToken(t.Context(), who, who.Email, "ci")
	if err != nil {
		t.Fatal(err)
	}
	p.refuses("a token of another person", plane.CodeNotFound, "", func(ctx context.Context) error {
		_, err := p.CreateToken(ctx, who, owner.Email, "ci")
		return err
	})
	p.refuses("another person's session", plane.CodeNotFound, "", func(ctx context.Context) error { return p.RevokeSession(ctx, who, owner.SessionID) })
	if err := p.SetRole(t.Context(), owner, bob.ID, plane.RoleAdmin); err != nil || p.who(secret).Role != plane.RoleAdmin {
		t.Errorf("the role of now: %v %v", p.who(secret).Role, err)
	}
	if err := p.RemoveUser(t.Context(), owner, bob.ID); err != nil {
		t.Fatal(err)
	}
	p.over("of a removed person", secret)
	p.refuses("token of a removed person", plane.CodeUnauthorized, "", func(ctx context.Context) error { _, err := p.Authenticate(ctx, token, ""); return err })
}

func TestRevokeToken(t *testing.T) {
	p, owner, _ := owned(t)
	token, err := p.CreateToken(t.Context(), owner, owner.Email, "ci")
	if err != nil {
		t.Fatal(err)
	}
	tokens, err := p.Tokens(t.Context(), owner)
	if err != nil || len(tokens) != 1 {
		t.Fatalf("tokens %v %v", tokens, err)
	}
	if err := p.RevokeToken(t.Context(), owner, tokens[0].ID); err != nil {
		t.Fatal(err)
	}
	p.refuses("a revoked token", plane.CodeUnauthorized, "", func(ctx context.Context) error { _, err := p.Authenticate(ctx, token, ""); return err })
}
