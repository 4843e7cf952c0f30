package ui

import (
	"context"
	"net"
	"net/http"
	"strings"

	"github.com/serverplane/serverplane/internal/plane"
)

// visit is one request, by a person who may make it. A handler works on it and
// returns an error instead of writing one.
type visit struct {
	w      http.ResponseWriter
	r      *http.Request
	ui     *UI
	actor  plane.Actor
	secret string // of the session, or empty
	form   Form   // what was sent, and what is wrong with it
	status int    // of the page, 0 means 200
}

func (v *visit) ctx() context.Context { return v.r.Context() }

// path is a name or id in the address.
func (v *visit) path(name string) string { return v.r.PathValue(name) }

// query is a value after the question mark.
func (v *visit) query(name string) string { return v.r.URL.Query().Get(name) }

// see ends a form that did what it should: the browser goes on to another page,
// which shows the message of that code (flash.go); none where it is empty.
func (v *visit) see(to, flash string) error {
	v.ui.setFlash(v, flash)
	http.Redirect(v.w, v.r, to, http.StatusSeeOther)
	return nil
}

// again shows the form anew, with what the person typed and what is wrong with
// it, by the handler that shows it first. What has no form to go back to stays
// an error.
func (v *visit) again(err error, show func(*visit) error) error {
	told := told(err)
	if told == nil {
		return err
	}
	switch told.Code {
	case plane.CodeInvalid, plane.CodeConflict, plane.CodeUnavailable:
	case plane.CodeNotFound:
		if told.Field == "" {
			return err
		}
	default:
		return err
	}
	v.form.Err, v.status = told, statusOf(told)
	return show(v)
}

// confirmed holds that the person typed the name of what they are about to lose.
func (v *visit) confirmed(name string) error {
	if strings.TrimSpace(v.form.Value("confirm")) == name {
		return nil
	}
	return plane.Invalid("confirm", "does not match", "type "+name+" to confirm")
}

// remote is the address a request came from.
func remote(r *http.Request) string {
	from, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return from
}
