package ui

import (
	"context"
	"net/http"
	"net/url"
	"strings"

	"github.com/serverplane/serverplane/internal/plane"
)

// SessionVerbs are the verbs about coming in and going.
type SessionVerbs interface {
	SetupOpen(ctx context.Context) (bool, error)
	SetUp(ctx context.Context, from plane.Visitor, token, email, password string) (secret string, err error)
	SignIn(ctx context.Context, from plane.Visitor, email, password string) (secret string, err error)
	WhoseSession(ctx context.Context, secret string) (plane.Actor, error)
	SignOut(ctx context.Context, actor plane.Actor, secret string) error
}

// cookieName is of the form that browsers take over https only, from the panel's
// own host only; without https there is no such form.
func cookieName(secure bool) string {
	if secure {
		return "__Host-serverplane"
	}
	return "serverplane"
}

func (u *UI) sessionOf(r *http.Request) string {
	c, err := r.Cookie(cookieName(u.secure(r)))
	if err != nil {
		return ""
	}
	return c.Value
}

// setSession gives the browser the secret of a session, or takes it back where
// it is empty. How long a session lasts is decided by the panel, not the cookie.
func (u *UI) setSession(v *visit, secret string) {
	secure := u.secure(v.r)
	c := &http.Cookie{Name: cookieName(secure), Value: secret, Path: "/", HttpOnly: true, Secure: secure, SameSite: http.SameSiteLaxMode, MaxAge: 365 * 86400}
	if secret == "" {
		c.MaxAge = -1
	}
	http.SetCookie(v.w, c)
}

func visitor(r *http.Request) plane.Visitor {
	return plane.Visitor{From: remote(r), Agent: r.UserAgent()}
}

type signInView struct {
	page
	Next string
}

func (u *UI) signInPage(v *visit) error {
	if v.actor.Role != "" && v.form.Err == nil {
		return v.see(safeNext(v.query("next")), "")
	}
	if open, err := u.control.SetupOpen(v.ctx()); err != nil || open {
		if err != nil {
			return err
		}
		return v.see("/setup", "")
	}
	return u.show(v, "sign-in.html", &signInView{page: u.page(v, "Sign in"), Next: safeNext(v.r.Form.Get("next"))})
}

// signIn answers a wrong password with the form: who cannot come in yet is not
// sent anywhere.
func (u *UI) signIn(v *visit) error {
	secret, err := u.control.SignIn(v.ctx(), visitor(v.r), strings.TrimSpace(v.form.Value("email")), v.form.Value("password"))
	if err != nil {
		return u.entryAgain(v, err, u.signInPage)
	}
	u.setSession(v, secret)
	return v.see(safeNext(v.form.Value("next")), "")
}

// entryAgain is again for the two forms where unauthorized is about what was typed.
func (u *UI) entryAgain(v *visit, err error, show func(*visit) error) error {
	if e := told(err); e != nil && (e.Code == plane.CodeUnauthorized || e.Code == plane.CodeRateLimited) {
		v.form.Err, v.status = e, statusOf(e)
		return show(v)
	}
	return v.again(err, show)
}

type setupView struct{ page }

func (u *UI) setupPage(v *visit) error {
	open, err := u.control.SetupOpen(v.ctx())
	if err != nil {
		return err
	}
	if !open {
		return v.see("/sign-in", "")
	}
	return u.show(v, "setup.html", &setupView{page: u.page(v, "Welcome")})
}

func (u *UI) setup(v *visit) error {
	f := v.form
	secret, err := u.control.SetUp(v.ctx(), visitor(v.r), strings.TrimSpace(f.Value("token")), strings.TrimSpace(f.Value("email")), f.Value("password"))
	if err != nil {
		return u.entryAgain(v, err, u.setupPage)
	}
	u.setSession(v, secret)
	return v.see("/", "")
}

func (u *UI) signOut(v *visit) error {
	if err := u.control.SignOut(v.ctx(), v.actor, v.secret); err != nil {
		return err
	}
	u.setSession(v, "")
	return v.see("/sign-in", "signed-out")
}

// safeNext is an address of this panel to go on to: another site's page must not
// send people through a sign-in to where it likes.
func safeNext(next string) string {
	at, err := url.Parse(next)
	if err != nil || at.Host != "" || at.Scheme != "" || !strings.HasPrefix(next, "/") || strings.HasPrefix(next, "//") || strings.ContainsAny(next, "\\\r\n\t") {
		return "/"
	}
	return next
}
