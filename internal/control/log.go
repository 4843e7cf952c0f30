package control

import (
	"cmp"
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/serverplane/serverplane/internal/plane"
	"github.com/serverplane/serverplane/internal/store"
)

// LogReader reads logs on servers, because a person waits for them.
type LogReader interface {
	Last(ctx context.Context, q plane.LogQuery) ([]plane.LogLine, error)
	Follow(ctx context.Context, q plane.LogQuery, line func(plane.LogLine)) error
}

// LogWish says which log of an app, and how much of it.
type LogWish struct {
	Server string          // name; empty: the primary
	Source plane.LogSource // empty: the app's own
	Lines  int             // 0: plane.DefaultLogLines
}

// LogView is the end of a log, and where and when it was read.
type LogView struct {
	Server string
	Source plane.LogSource
	At     time.Time
	Lines  []plane.LogLine // oldest first
}

// LogFollower hands on the last lines and each that follows, until ctx ends (no
// error then), an hour is over or the server cannot be heard.
type LogFollower func(ctx context.Context, line func(plane.LogLine)) error

// Log reads the last lines of one of the app's logs.
func (c *Control) Log(ctx context.Context, _ plane.Actor, app string, w LogWish) (LogView, error) {
	q, err := c.logQuery(ctx, app, w)
	if err != nil {
		return LogView{}, err
	}
	lines, err := c.logs.Last(ctx, q)
	return LogView{Server: q.Server.Name, Source: q.Source, At: c.now().UTC(), Lines: lines}, err
}

// FollowLog checks the wish; what it returns follows the log.
func (c *Control) FollowLog(ctx context.Context, _ plane.Actor, app string, w LogWish) (LogFollower, error) {
	q, err := c.logQuery(ctx, app, w)
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context, line func(plane.LogLine)) error {
		err := c.logs.Follow(ctx, q, line)
		if ctx.Err() != nil {
			return nil //nolint:nilerr // who reads has gone
		}
		return err
	}, nil
}

func (c *Control) logQuery(ctx context.Context, app string, w LogWish) (plane.LogQuery, error) {
	w.Source, w.Lines = cmp.Or(w.Source, plane.LogApp), cmp.Or(w.Lines, plane.DefaultLogLines)
	if err := cmp.Or(plane.CheckLogSource("source", w.Source), plane.CheckLogLines("lines", w.Lines)); err != nil {
		return plane.LogQuery{}, err
	}
	return read(ctx, c.store, func(tx *store.Tx) (plane.LogQuery, error) {
		a, err := appByName(ctx, tx, app)
		if err != nil {
			return plane.LogQuery{}, err
		}
		q := plane.LogQuery{App: a.Name, Source: w.Source, Lines: w.Lines}
		err = locateLog(ctx, tx, a, w.Server, &q)
		return q, err
	})
}

// locateLog finds the app's part on the server; none named means the primary.
func locateLog(ctx context.Context, tx *store.Tx, a plane.App, server string, q *plane.LogQuery) error {
	backends, err := tx.BackendsOf(ctx, a.ID)
	if err != nil {
		return err
	}
	var known []string
	for _, b := range backends {
		s, err := tx.Server(ctx, b.ServerID)
		if err != nil {
			return err
		}
		known = append(known, s.Name)
		if s.Name != server && (server != "" || !b.Primary) {
			continue
		}
		q.Server, q.Ports = s, b.Ports
		if b.Primary {
			q.Names = entryNames(a)
		}
		return nil
	}
	return plane.Invalid("server", fmt.Sprintf("%q has no part in %s", server, a.Name), "its servers: "+strings.Join(known, ", "))
}

// entryNames are the server names under which Nginx's error log speaks of the
// app's entry.
func entryNames(a plane.App) []string {
	if len(a.Domains) == 0 {
		return []string{"_"}
	}
	return a.Domains
}
