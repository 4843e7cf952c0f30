package tail

import (
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/serverplane/serverplane/internal/files"
	"github.com/serverplane/serverplane/internal/plane"
	"github.com/serverplane/serverplane/internal/recipe"
	"github.com/serverplane/serverplane/internal/remote"
)

//go:embed tail.py
var program string

// How long, how fast and where.
const (
	lookTime   = 15 * time.Second // for the last lines
	followTime = time.Hour
	followRate = 200 // lines a second; what is more is counted
	errorLog   = "/var/log/nginx/error.log"
)

// Streamer runs a command on a server and hands on what it prints.
type Streamer interface {
	Stream(ctx context.Context, t remote.Target, cmd remote.Command, line func(string)) (remote.Result, error)
}

// Reader reads logs over the connections that are held. Its methods may be
// called from any goroutine.
type Reader struct {
	pool   Streamer
	places *places
}

// New returns a Reader; it starts nothing.
func New(pool Streamer) *Reader { return &Reader{pool: pool, places: newPlaces()} }

// Last returns the last lines, oldest first.
func (r *Reader) Last(ctx context.Context, q plane.LogQuery) ([]plane.LogLine, error) {
	ctx, cancel := context.WithTimeout(ctx, lookTime)
	defer cancel()
	leave, err := r.places.look(ctx, q.Server)
	if err != nil {
		return nil, err
	}
	defer leave()
	var lines []plane.LogLine
	err = r.run(ctx, q, false, func(l plane.LogLine) { lines = append(lines, l) })
	if n := len(lines); err == nil && n > q.Lines {
		lines = lines[n-q.Lines:]
	}
	return lines, err
}

// Follow hands on the last lines and then each that is written, until ctx ends,
// an hour is over (no error then) or the server cannot be heard. While ctx lasts
// one command runs on the server; it ends by itself when the connection does.
// There is room for a few followers only; one too many is refused.
func (r *Reader) Follow(ctx context.Context, q plane.LogQuery, line func(plane.LogLine)) error {
	leave, err := r.places.follow(q.Server)
	if err != nil {
		return err
	}
	defer leave()
	return r.run(ctx, q, true, line)
}

func (r *Reader) run(ctx context.Context, q plane.LogQuery, follow bool, line func(plane.LogLine)) error {
	order, err := order(q, follow)
	if err != nil {
		return err
	}
	cmd := remote.Command{Args: []string{"python3", "-c", program, order}, Sudo: true, Pass: true}
	if follow { // the program ends when its input does
		in, hold := io.Pipe()
		defer func() { _ = hold.Close() }() // a pipe's never fails
		cmd.Stdin = in
	}
	result, err := r.pool.Stream(ctx, recipe.Target(q.Server), cmd, func(text string) {
		if l, ok := read(text); ok {
			line(l)
		}
	})
	switch {
	case err != nil:
		return inWords(ctx, q.Server, err)
	case result.Exit == 127:
		return plane.Unavailable("server "+q.Server.Name+" has no python3", "provision the server again")
	case result.Exit != 0:
		return plane.Unavailable("reading the log on "+q.Server.Name+" failed: "+plane.LogText(lastLine(result.Stderr)), "try again")
	}
	return nil
}

// order is what the program is told; every name in it was rendered from what
// passed an allow-list.
func order(q plane.LogQuery, follow bool) (string, error) {
	want := map[string]any{"lines": q.Lines, "follow": follow, "rate": followRate, "seconds": int(lookTime.Seconds())}
	if follow {
		want["seconds"] = int(followTime.Seconds())
	}
	if err := plane.CheckName("app", q.App); err != nil {
		return "", err
	}
	if q.Source == plane.LogApp {
		want["units"] = map[string]string{files.UnitName(q.App, "a"): "a", files.UnitName(q.App, "b"): "b"}
	} else {
		want["files"] = nginxFiles(q)
	}
	raw, err := json.Marshal(want)
	return string(raw), err
}

// nginxFiles are the error lines about the app, and where its entry is its requests.
func nginxFiles(q plane.LogQuery) []map[string]any {
	all := []map[string]any{{
		"path": errorLog, "from": "error", "names": append([]string{}, q.Names...), "ports": []int{q.Ports.ProcessA, q.Ports.ProcessB},
	}}
	if len(q.Names) > 0 {
		all = append(all, map[string]any{"path": recipe.EntryLogPath(q.App), "from": "access"})
	}
	return all
}

// read takes one line of the program apart; what is none is dropped.
func read(text string) (plane.LogLine, bool) {
	var l struct {
		T       int64  `json:"t"`
		From    string `json:"from"`
		Text    string `json:"text"`
		Bad     bool   `json:"bad"`
		LeftOut int    `json:"left_out"`
	}
	if json.Unmarshal([]byte(text), &l) != nil {
		return plane.LogLine{}, false
	}
	if l.LeftOut > 0 {
		return plane.LogLine{Trouble: true, Text: fmt.Sprintf("%d lines left out: more than %d a second", l.LeftOut, followRate)}, true
	}
	line := plane.LogLine{From: plane.LogText(l.From), Trouble: l.Bad, Text: plane.LogText(l.Text)}
	if l.T > 0 {
		line.At = time.UnixMicro(l.T).UTC()
	}
	return line, true
}

func lastLine(text []byte) string {
	all := strings.TrimSpace(string(text))
	return all[strings.LastIndexByte(all, '\n')+1:]
}

// inWords says why there are no lines, by the server's name.
func inWords(ctx context.Context, s plane.Server, err error) error {
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return plane.Unavailable(fmt.Sprintf("server %s did not answer within %s", s.Name, lookTime), "the server's page says whether it can be reached; look again")
	}
	why := err.Error()
	if met, ok := errors.AsType[*remote.Error](err); ok {
		why = met.Err.Error()
	}
	switch remote.KindOf(err) {
	case remote.KindUnreachable:
		return plane.Unavailable("server "+s.Name+" cannot be reached: "+why, "the server's page says since when; look again once it is back")
	case remote.KindHostKey, remote.KindAuth:
		return plane.Unavailable("server "+s.Name+" does not let the panel in: "+why, "see the server's page")
	case remote.KindLost, remote.KindVantage:
		return plane.Unavailable("the connection to "+s.Name+" is gone: "+why, "look again")
	}
	return err
}
