package api

import (
	"cmp"
	"context"
	"encoding/json"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/serverplane/serverplane/client"
	"github.com/serverplane/serverplane/internal/auth"
	"github.com/serverplane/serverplane/internal/control"
	"github.com/serverplane/serverplane/internal/plane"
	"github.com/serverplane/serverplane/internal/web/reply"
)

// LogVerbs are the verbs about what apps and Nginx write.
type LogVerbs interface {
	Log(ctx context.Context, actor plane.Actor, app string, w control.LogWish) (control.LogView, error)
	FollowLog(ctx context.Context, actor plane.Actor, app string, w control.LogWish) (control.LogFollower, error)
}

type logInput struct {
	NamePath
	Server string `query:"server" maxLength:"100" doc:"name; the app's primary if left out"`
	Source string `query:"source" enum:"app,nginx" default:"app"`
	Lines  int    `query:"lines" minimum:"1" maximum:"1000" default:"200" doc:"how many of the last ones"`
}
type logOutput struct{ Body client.Log }
type followOutput struct{ Body func(huma.Context) }

func (a *API) routeLogs() {
	register(a, auth.LogRead, get("/apps/{name}/logs", "The last lines an app wrote on a server, or Nginx about it."), a.readLog)
	register(a, auth.LogRead, get("/apps/{name}/logs/follow", "The same, and each line that follows: JSON objects, one a line, with a line or the error that ends it; an empty line is a sign of life. Ends after an hour."), a.followLog)
}

func (in *logInput) wish() control.LogWish {
	return control.LogWish{Server: in.Server, Source: plane.LogSource(in.Source), Lines: in.Lines}
}

func (a *API) readLog(ctx context.Context, actor plane.Actor, in *logInput) (*logOutput, error) {
	view, err := a.control.Log(ctx, actor, in.Name, in.wish())
	return &logOutput{Body: client.Log{
		Server: view.Server, Source: string(view.Source), At: view.At.UTC(), Items: each(view.Lines, wireLogLine),
	}}, err
}

func wireLogLine(l plane.LogLine) client.LogLine {
	return client.LogLine{Time: l.At.UTC(), From: l.From, Error: l.Trouble, Text: l.Text}
}

func (a *API) followLog(ctx context.Context, actor plane.Actor, in *logInput) (*followOutput, error) {
	follow, err := a.control.FollowLog(ctx, actor, in.Name, in.wish())
	if err != nil {
		return nil, err
	}
	return &followOutput{Body: func(hc huma.Context) {
		_, w := humago.Unwrap(hc)
		w.Header().Set("Content-Type", "application/x-ndjson")
		w.Header().Set("X-Accel-Buffering", "no") // a proxy in front must not collect it
		ctx, stop := a.untilStop(hc.Context())
		defer stop()
		a.sendLog(ctx, stop, w, follow, func() error {
			_, err := a.admit(hc, auth.LogRead)
			return err
		})
	}}, nil
}

// How long a reader may take over what it is sent, and may hear nothing; as
// often it is asked whether they still may read.
const (
	readerTime = 15 * time.Second
	lifeEvery  = 15 * time.Second
	linesAhead = 1000 // that a slow reader may be behind before the server has to wait
)

// sendLog writes lines as they come and, in between, signs of life, so that a
// reader that has gone is noticed. A reader whose token was revoked, or whose
// role was taken away, is told so and gets no more.
func (a *API) sendLog(ctx context.Context, stop func(), w http.ResponseWriter, follow control.LogFollower, still func() error) {
	lines, ended := make(chan plane.LogLine, linesAhead), make(chan error, 1)
	go func() {
		ended <- follow(ctx, func(l plane.LogLine) {
			select {
			case lines <- l:
			case <-ctx.Done():
			}
		})
		close(lines)
	}()
	life := time.NewTicker(lifeEvery)
	defer life.Stop()
	out := ndjson{w: w, answer: http.NewResponseController(w)}
	err, refused := out.pause(), error(nil) // the head goes out before the first line comes
	for open := true; open && err == nil && refused == nil; {
		var l plane.LogLine
		select {
		case l, open = <-lines:
			if open {
				line := wireLogLine(l)
				err = out.send(client.LogRecord{Line: &line}, len(lines) == 0)
			}
		case <-life.C:
			err, refused = out.pause(), still()
		}
	}
	stop()
	for range lines { // what nobody reads any more; its end is the follower's
	}
	if why := cmp.Or(refused, <-ended); why != nil && err == nil {
		p := reply.Of(ctx, a.log, why)
		_ = out.send(client.LogRecord{Error: &client.Error{Status: p.Status, Code: p.Code, Message: p.Detail, Field: p.Field, Hint: p.Hint, RequestID: p.RequestID}}, true)
	}
}

// ndjson writes one object a line.
type ndjson struct {
	w      http.ResponseWriter
	answer *http.ResponseController
}

func (n ndjson) send(record any, flush bool) error {
	raw, err := json.Marshal(record)
	if err != nil {
		return err
	}
	return n.write(append(raw, '\n'), flush)
}

func (n ndjson) pause() error { return n.write([]byte("\n"), true) }

func (n ndjson) write(text []byte, flush bool) error {
	_ = n.answer.SetWriteDeadline(time.Now().Add(readerTime)) // where it cannot be set, the server's own limit holds
	if _, err := n.w.Write(text); err != nil || !flush {
		return err
	}
	return n.answer.Flush()
}
