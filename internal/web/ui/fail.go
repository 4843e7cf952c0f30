package ui

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/serverplane/serverplane/internal/plane"
	"github.com/serverplane/serverplane/internal/web/reply"
)

// told is the error as a person may read it, or nil for one of the panel's own.
func told(err error) *plane.Error {
	e, ok := errors.AsType[*plane.Error](err)
	if !ok || e.Code == plane.CodeInternal {
		return nil
	}
	return e
}

func statusOf(e *plane.Error) int { return reply.StatusOf(e.Code) }

// failView is the page of an error.
type failView struct {
	page
	Status    int
	Message   string
	Hint      string
	RequestID string
}

// fail turns an error into its page; it is the only place that does.
func (u *UI) fail(v *visit, err error) {
	if v.r.Context().Err() != nil && errors.Is(err, context.Canceled) {
		return // nobody is there any more
	}
	p := reply.Of(v.ctx(), u.log, err)
	if p.Status == http.StatusUnauthorized && v.r.Method == http.MethodGet && v.r.URL.Path != "/live" {
		http.Redirect(v.w, v.r, u.entrance(v), http.StatusSeeOther)
		return
	}
	v.status = p.Status
	view := &failView{page: u.page(v, title(p.Status)), Status: p.Status, Message: sentence(p.Detail), Hint: sentence(p.Hint), RequestID: p.RequestID}
	if err := u.show(v, "fail.html", view); err != nil {
		reply.Write(v.w, reply.Of(v.ctx(), u.log, err))
	}
}

// entrance is where somebody who is not signed in goes, and from there back.
func (u *UI) entrance(v *visit) string {
	if open, err := u.control.SetupOpen(v.ctx()); err == nil && open {
		return "/setup"
	}
	if next := v.r.URL.RequestURI(); next != "/" {
		return "/sign-in?next=" + url.QueryEscape(next)
	}
	return "/sign-in"
}

func title(status int) string {
	switch status {
	case http.StatusNotFound:
		return "Not found"
	case http.StatusUnauthorized:
		return "Sign in first"
	case http.StatusForbidden:
		return "Not allowed"
	case http.StatusConflict:
		return "Not possible now"
	case http.StatusUnprocessableEntity:
		return "Something is not right"
	case http.StatusServiceUnavailable, http.StatusTooManyRequests:
		return "Not available now"
	}
	return "Something went wrong"
}

// plainWord tells a word from a name or a command, which keep their letters: s1,
// /etc/nginx, npm.
func plainWord(w string) bool {
	commands := []string{"npm", "nginx", "node", "git", "apt", "dial", "ssh", "connect", "curl", "ufw", "systemctl"}
	return w != "" && !slices.Contains(commands, w) && strings.Trim(w, "abcdefghijklmnopqrstuvwxyz'-") == ""
}

// flagPattern finds options of the command line in hints, which every door
// shows: on a page they are the names of its fields.
var flagPattern = regexp.MustCompile(`\B--[a-z][a-z-]*\b`)

// sentence makes a line of the domain, which begins small and ends without a
// full stop, one for a page.
func sentence(text string) string {
	if text == "" {
		return ""
	}
	text = flagPattern.ReplaceAllStringFunc(text, func(flag string) string { return strings.ReplaceAll(strings.TrimPrefix(flag, "--"), "-", " ") })
	if first, _, _ := strings.Cut(text, " "); plainWord(strings.TrimRight(first, ",:;.")) {
		text = strings.ToUpper(text[:1]) + text[1:]
	}
	if strings.ContainsAny(text[len(text)-1:], ".!?:") {
		return text
	}
	return text + "."
}
