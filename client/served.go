package client

import (
	"context"
	"net/url"
	"time"
)

// Served is who served what of an app's requests, as the entry's log says. The
// figures end at ReadAt.
type Served struct {
	App      string          `json:"app"`
	State    string          `json:"state" doc:"current; stale: they end at read_at; unknown: the log was never read"`
	Reason   string          `json:"reason,omitempty" doc:"why it is not current"`
	Since    *time.Time      `json:"since,omitempty" doc:"nothing is known before"`
	ReadAt   *time.Time      `json:"read_at,omitempty" doc:"nothing is known after"`
	Gap      string          `json:"gap,omitempty" doc:"what of the last day was left out, so that the figures are too low"`
	GapAt    *time.Time      `json:"gap_at,omitempty"`
	Backends []ServedBackend `json:"backends" nullable:"false" doc:"the primary first"`
	Entry    ServedReach     `json:"entry" doc:"what the entry answered by itself: bad requests, and a 502 where no backend took the request"`
}

// ServedBackend is what one backend did.
type ServedBackend struct {
	Server string `json:"server"`
	Role   string `json:"role" doc:"primary or backend"`
	ServedReach
}

// ServedReach is the last hour and the last 24 hours.
type ServedReach struct {
	Hour ServedFigures `json:"hour"`
	Day  ServedFigures `json:"day"`
}

// ServedFigures are what was done in a while. Times are until the first byte of
// an answer, and right to a tenth.
type ServedFigures struct {
	Requests   int       `json:"requests"`
	PerSecond  float64   `json:"per_second"`
	Share      float64   `json:"share" doc:"of what all backends served, 0 to 1"`
	Errors     int       `json:"errors" doc:"requests whose visitor got a 5xx"`
	ErrorShare float64   `json:"error_share" doc:"of its requests, 0 to 1"`
	PassedOn   int       `json:"passed_on" doc:"requests it refused or failed, for which another backend was asked"`
	P50        *Duration `json:"p50,omitempty" doc:"left out where nothing was answered"`
	P95        *Duration `json:"p95,omitempty"`
}

// ServedHistory is what one backend did, piece by piece.
type ServedHistory struct {
	Length Duration      `json:"length" doc:"of each piece"`
	From   *time.Time    `json:"from,omitempty" doc:"nothing is known before"`
	To     *time.Time    `json:"to,omitempty" doc:"nothing is known after"`
	Pieces []ServedPiece `json:"pieces" nullable:"false" doc:"in order; one without a request is left out"`
}

// ServedPiece is what a backend did in one piece of time.
type ServedPiece struct {
	Begin    time.Time `json:"begin"`
	Requests int       `json:"requests"`
	Errors   int       `json:"errors"`
	PassedOn int       `json:"passed_on"`
	P50      *Duration `json:"p50,omitempty"`
	P95      *Duration `json:"p95,omitempty"`
}

// Served returns who served what of an app's requests.
func (c *Client) Served(ctx context.Context, app string) (Served, error) {
	return fetch[Served](ctx, c, "GET", join("apps", app, "traffic"), nil, nil)
}

// BackendServed returns what a backend did in the last hour by minutes, or in
// the last day by quarters of an hour.
func (c *Client) BackendServed(ctx context.Context, app, server string, day bool) (ServedHistory, error) {
	q := url.Values{}
	if day {
		q.Set("reach", "24h")
	}
	return fetch[ServedHistory](ctx, c, "GET", join("apps", app, "backends", server, "traffic"), q, nil)
}
