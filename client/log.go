package client

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/url"
	"strconv"
	"time"
)

// LogFilter says which log of an app, and how much of it.
type LogFilter struct {
	Server string // name; empty: the app's primary
	Source string // app or nginx; empty: app
	Lines  int    // how many of the last ones; 0 leaves it to the panel
}

// Log is the end of a log.
type Log struct {
	Server string    `json:"server"`
	Source string    `json:"source" doc:"app or nginx"`
	At     time.Time `json:"at" doc:"when it was read"`
	Items  []LogLine `json:"items" nullable:"false" doc:"oldest first"`
}

// LogLine is one line; what is no plain text in it was made visible.
type LogLine struct {
	Time  time.Time `json:"time,omitzero" doc:"left out where the line does not tell"`
	From  string    `json:"from,omitempty" doc:"slot a or b; access or error of Nginx"`
	Error bool      `json:"error,omitempty" doc:"the writer called it an error"`
	Text  string    `json:"text"`
}

// LogRecord is one line of the answer to following: a line of the log, or why
// no more come.
type LogRecord struct {
	Line  *LogLine `json:"line,omitempty"`
	Error *Error   `json:"error,omitempty"`
}

func (f LogFilter) query() url.Values {
	q := url.Values{}
	for name, value := range map[string]string{"server": f.Server, "source": f.Source} {
		if value != "" {
			q.Set(name, value)
		}
	}
	if f.Lines != 0 {
		q.Set("lines", strconv.Itoa(f.Lines))
	}
	return q
}

// AppLog returns the last lines of one of the app's logs.
func (c *Client) AppLog(ctx context.Context, app string, f LogFilter) (Log, error) {
	return fetch[Log](ctx, c, "GET", join("apps", app, "logs"), f.query(), nil)
}

// FollowAppLog calls line for each of the last lines and then for every one that
// is written, until ctx ends (no error then), or the panel has followed for an
// hour, or cannot any longer.
func (c *Client) FollowAppLog(ctx context.Context, app string, f LogFilter, line func(LogLine)) error {
	req, err := c.request(ctx, "GET", join("apps", app, "logs", "follow"), f.query(), nil)
	if err != nil {
		return err
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return fmt.Errorf("ask the panel: %w", withoutURL(err))
	}
	defer resp.Body.Close()
	if resp.StatusCode != 200 {
		body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
		if err != nil {
			return fmt.Errorf("read the panel's answer: %w", err)
		}
		return readError(resp.StatusCode, body)
	}
	return records(ctx, resp.Body, line)
}

// records hands on the lines of an answer; an empty record is a sign of life.
func records(ctx context.Context, answer io.Reader, line func(LogLine)) error {
	scan := bufio.NewScanner(answer)
	scan.Buffer(nil, 1<<20)
	for scan.Scan() {
		if len(scan.Bytes()) == 0 {
			continue
		}
		var r LogRecord
		if err := json.Unmarshal(scan.Bytes(), &r); err != nil {
			return fmt.Errorf("read the panel's answer: %w", err)
		}
		if r.Error != nil {
			return r.Error
		}
		if r.Line != nil {
			line(*r.Line)
		}
	}
	if ctx.Err() != nil || scan.Err() == nil {
		return nil
	}
	return fmt.Errorf("follow the log: %w", scan.Err())
}
