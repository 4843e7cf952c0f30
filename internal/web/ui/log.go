package ui

import (
	"cmp"
	"context"
	"net/url"
	"strconv"

	"github.com/serverplane/serverplane/internal/control"
	"github.com/serverplane/serverplane/internal/plane"
)

// LogVerbs are the verbs about what apps and Nginx write.
type LogVerbs interface {
	Log(ctx context.Context, actor plane.Actor, app string, w control.LogWish) (control.LogView, error)
	FollowLog(ctx context.Context, actor plane.Actor, app string, w control.LogWish) (control.LogFollower, error)
}

type logView struct {
	page
	Tabs    tabs
	App     control.AppView
	Servers []choice // the app's, the primary first
	Sources []choice
	Amounts []choice
	Server  string // the one that is read
	Lines   []plane.LogLine
	Tap     tapState
	Again   string // address of this very page
}

func (u *UI) logs(v *visit) error {
	q := logQuery(v.path("name"), v.r.URL.Query())
	shown, err := u.readLogs(v, q)
	if err != nil {
		return err
	}
	wish, err := logWish(q)
	if err != nil {
		return err
	}
	log, err := u.control.Log(v.ctx(), v.actor, shown.App.Name, wish)
	shown.Lines, shown.Tap = log.Lines, tapState{At: log.At}
	if err != nil {
		trouble := told(err)
		if trouble == nil || trouble.Code != plane.CodeUnavailable {
			return err
		}
		shown.Lines, shown.Tap = nil, tapState{At: u.now().UTC(), Why: trouble}
	}
	shown.Stream = streamOf("logs", q.Encode(), 0)
	return u.show(v, "logs.html", shown)
}

// logQuery is what the page was asked for, by which its stream finds it again.
func logQuery(app string, asked url.Values) url.Values {
	return url.Values{
		"app": {app}, "server": {asked.Get("server")}, "source": {cmp.Or(asked.Get("source"), string(plane.LogApp))},
		"lines": {cmp.Or(asked.Get("lines"), strconv.Itoa(plane.DefaultLogLines))},
	}
}

func logWish(q url.Values) (control.LogWish, error) {
	lines, err := strconv.Atoi(q.Get("lines"))
	if err != nil {
		return control.LogWish{}, plane.Invalid("lines", "must be a whole number", "for example 200")
	}
	return control.LogWish{Server: q.Get("server"), Source: plane.LogSource(q.Get("source")), Lines: lines}, nil
}

// loadLogs is the page without its lines, for the stream, which gets them from
// the server itself.
func (u *UI) loadLogs(v *visit, of string) (view, error) {
	q, err := url.ParseQuery(of)
	if err != nil {
		return nil, plane.Invalid("", "the address cannot be read", "begin at the app's page")
	}
	return u.readLogs(v, q)
}

func (u *UI) readLogs(v *visit, q url.Values) (*logView, error) {
	a, err := u.control.App(v.ctx(), v.actor, q.Get("app"))
	if err != nil {
		return nil, err
	}
	backends, err := u.control.Backends(v.ctx(), v.actor, a.Name)
	if err != nil {
		return nil, err
	}
	shown := &logView{page: u.page(v, "Logs of "+a.Name), Tabs: tabs{a.Name, "logs"}, App: a, Server: cmp.Or(q.Get("server"), a.ServerName)}
	shown.Area = "apps"
	for _, b := range backends {
		shown.Servers = append(shown.Servers, choice{Text: b.ServerName, Here: b.ServerName == shown.Server})
	}
	shown.Sources = []choice{
		{Text: "app", Address: "what the app writes", Here: q.Get("source") == string(plane.LogApp)},
		{Text: "nginx", Address: "what Nginx writes about it", Here: q.Get("source") == string(plane.LogNginx)},
	}
	for _, n := range []string{"100", strconv.Itoa(plane.DefaultLogLines), "500", strconv.Itoa(plane.MaxLogLines)} {
		shown.Amounts = append(shown.Amounts, choice{Text: n, Here: n == q.Get("lines")})
	}
	again := url.Values{"server": {shown.Server}, "source": {q.Get("source")}, "lines": {q.Get("lines")}}
	shown.Again = appHome(a.Name) + "/logs?" + again.Encode()
	return shown, nil
}

func (s *logView) tapped(now tapState) { s.Tap = now }

// tapLogs begins to follow the log that a page shows.
func (u *UI) tapLogs(v *visit, of string) (*tap, error) {
	q, err := url.ParseQuery(of)
	if err != nil {
		return nil, plane.Invalid("", "the address cannot be read", "begin at the app's page")
	}
	wish, err := logWish(q)
	if err != nil {
		return nil, err
	}
	actor := v.actor
	return u.openTap(v.ctx(), func(ctx context.Context) (control.LogFollower, error) {
		return u.control.FollowLog(ctx, actor, q.Get("app"), wish)
	}), nil
}
