package ui

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/serverplane/serverplane/internal/auth"
	"github.com/serverplane/serverplane/internal/plane"
)

const (
	formTime = 30 * time.Second // to send a form
	formSize = 4 << 20          // bytes of one: a large set of variables fits
)

// policy lets a page load what comes from the panel and nothing else; not even
// an inline style, so that a text which slipped through could do nothing.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; " +
	"font-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

func pageHeaders(h http.Header) {
	h.Set("Content-Security-Policy", policy)
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cache-Control", "no-store")
	h.Set("Referrer-Policy", "same-origin")
}

// guard decides who asks and whether they may, before a handler runs.
func (u *UI) guard(route Route) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		pageHeaders(w.Header())
		v := &visit{w: w, r: r, ui: u}
		err := u.admit(v, route)
		if err == nil {
			err = route.handle(v)
		}
		if err != nil {
			u.fail(v, err)
		}
	})
}

func (u *UI) admit(v *visit, route Route) error {
	if u.foreign.Check(v.r) != nil {
		return &plane.Error{Code: plane.CodeForbidden, Message: "this form was sent by another site's page", Hint: "open the dashboard itself and do it there"}
	}
	if err := u.recognise(v, route.Permission); err != nil {
		return err
	}
	return u.readForm(v)
}

// recognise finds out who asks; pages for anyone do not need to know.
func (u *UI) recognise(v *visit, p auth.Permission) (err error) {
	if p == Anyone {
		v.actor, v.secret = u.known(v.r)
		return nil
	}
	if v.actor, v.secret, err = u.whose(v.r.Context(), v.r); err != nil {
		return err
	}
	return may(v.actor, p)
}

func may(a plane.Actor, p auth.Permission) error {
	if auth.Allow(a.Role, p) {
		return nil
	}
	return &plane.Error{
		Code: plane.CodeForbidden, Message: fmt.Sprintf("your role, %s, may not do this", a.Role),
		Hint: "ask an owner of this panel for another role",
	}
}

// readForm reads query and form once, bounded in size and time.
func (u *UI) readForm(v *visit) error {
	if v.r.Method != http.MethodGet {
		v.r.Body = http.MaxBytesReader(v.w, v.r.Body, formSize)
		answer := http.NewResponseController(v.w)
		_ = answer.SetReadDeadline(time.Now().Add(formTime)) // where it cannot be set, the server's own limit holds
		defer func() { _ = answer.SetReadDeadline(time.Time{}) }()
	}
	if err := parse(v.r); err != nil {
		return plane.Invalid("", "the form could not be read", fmt.Sprintf("a form may hold %d MiB of text", formSize>>20))
	}
	v.form = Form{Values: v.r.PostForm}
	return readable(v.r.URL, v.r.Form)
}

// parse reads both forms a browser sends; a file is kept in memory, which the
// body's bound holds for.
func parse(r *http.Request) error {
	kind, _, _ := strings.Cut(r.Header.Get("Content-Type"), ";")
	if r.Method == http.MethodGet || !strings.EqualFold(strings.TrimSpace(kind), "multipart/form-data") {
		return r.ParseForm()
	}
	return r.ParseMultipartForm(2 * formSize)
}

// readable refuses bytes that no text holds: one database would look for them,
// the other call them an error of its own.
func readable(at *url.URL, form url.Values) error {
	if !isText(at.Path) {
		return plane.Invalid("", "the address holds bytes that are not text", "use UTF-8 without NUL")
	}
	for name, values := range form {
		if !isText(name) || !isText(strings.Join(values, "")) {
			return plane.Invalid(name, "holds bytes that are not text", "use UTF-8 without NUL")
		}
	}
	return nil
}

func isText(s string) bool { return utf8.ValidString(s) && !strings.ContainsRune(s, 0) }
