package client

import (
	"context"
	"net/url"
	"strconv"
	"time"
)

// Run is one execution of work on servers.
type Run struct {
	ID         string        `json:"id"`
	Kind       string        `json:"kind"`
	App        string        `json:"app,omitempty"`
	Servers    []string      `json:"servers" nullable:"false"`
	Deployment string        `json:"deployment,omitempty"`
	State      string        `json:"state" doc:"queued, running, succeeded, failed, cancelled or interrupted"`
	Step       string        `json:"step,omitempty" doc:"what is being done now"`
	Done       int           `json:"done" doc:"steps"`
	Total      int           `json:"total" doc:"steps"`
	Reason     string        `json:"reason,omitempty" doc:"why it failed"`
	Receipt    []ReceiptLine `json:"receipt,omitempty" doc:"what it took away and left on servers"`
	WaitsFor   string        `json:"waits_for,omitempty"`
	Cancelling bool          `json:"cancelling,omitempty"`
	Actor      string        `json:"actor"`
	Attempt    int           `json:"attempt"`
	CreatedAt  time.Time     `json:"created_at"`
	StartedAt  time.Time     `json:"started_at,omitzero"`
	FinishedAt time.Time     `json:"finished_at,omitzero"`
}

// ReceiptLine is one thing a Run took away or left on a server.
type ReceiptLine struct {
	Server string `json:"server"`
	What   string `json:"what"`
	Done   bool   `json:"done" doc:"false: still there; asking again continues"`
	Detail string `json:"detail,omitempty"`
}

// Ended tells whether nothing more will happen.
func (r Run) Ended() bool { return r.State != "queued" && r.State != "running" }

// Work is the Run that does what was asked for.
type Work struct {
	Run Run `json:"run"`
}

// MaybeWork is Work, or nothing when nothing had to be done.
type MaybeWork struct {
	Run *Run `json:"run"`
}

// Event is one line of a Run's log; Seq counts from 1 without holes.
type Event struct {
	Seq    int64     `json:"seq"`
	Time   time.Time `json:"time"`
	Kind   string    `json:"kind" doc:"step, log, task, output, said (what a process of the app wrote; its text is for those who may read logs), error or end"`
	Server string    `json:"server,omitempty"`
	Step   string    `json:"step,omitempty"`
	Text   string    `json:"text"`
}

// RunFilter narrows a list of Runs.
type RunFilter struct {
	App string // name, or empty
	Page
}

// Runs lists Runs, newest first.
func (c *Client) Runs(ctx context.Context, f RunFilter) (List[Run], error) {
	q := f.query()
	if f.App != "" {
		q.Set("app", f.App)
	}
	return fetch[List[Run]](ctx, c, "GET", "/runs", q, nil)
}

// Run returns one Run.
func (c *Client) Run(ctx context.Context, id string) (Run, error) {
	return fetch[Run](ctx, c, "GET", join("runs", id), nil, nil)
}

// CancelRun asks for a Run to stop.
func (c *Client) CancelRun(ctx context.Context, id string) (Run, error) {
	work, err := fetch[Work](ctx, c, "POST", join("runs", id, "cancel"), nil, nil)
	return work.Run, err
}

// Events returns the lines of a Run's log after seq. With nothing new it waits
// up to wait (the panel allows 25 s) unless the Run has ended.
func (c *Client) Events(ctx context.Context, run string, after int64, wait time.Duration) (List[Event], error) {
	q := url.Values{"after": {strconv.FormatInt(after, 10)}, "wait": {wait.String()}}
	return fetch[List[Event]](ctx, c, "GET", join("runs", run, "events"), q, nil)
}
