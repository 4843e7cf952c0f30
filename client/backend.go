package client

import (
	"context"
	"time"
)

// Backend is one server's part in serving one app.
type Backend struct {
	Server  string    `json:"server"`
	Role    string    `json:"role" doc:"primary or backend"`
	Enabled bool      `json:"enabled"`
	State   string    `json:"state" doc:"deploying, healthy, unhealthy, unknown, off or removing"`
	Since   time.Time `json:"since,omitzero"`
	Reason  string    `json:"reason"`
	Address string    `json:"address" doc:"what the entry connects to"`
	Weight  int       `json:"weight"`
	Backup  bool      `json:"backup"`
	Release string    `json:"release"`
	// Deployment is what the live slot was started from: release, commands and variables.
	Deployment string    `json:"deployment"`
	Runtime    string    `json:"runtime" doc:"version of its kind's runtime that it was started with, for example Node.js v22.1.0"`
	TakenOut   bool      `json:"taken_out" doc:"kept out of the upstream by automatic take-out"`
	Vantage    string    `json:"vantage" doc:"where the last probe was made from"`
	Answer     string    `json:"answer" doc:"of the last probe, raw"`
	CheckedAt  time.Time `json:"checked_at,omitzero"`
	Latency    Duration  `json:"latency" doc:"of the last probe"`
}

// BackendWish is the wish for one more backend.
type BackendWish struct {
	Server      string   `json:"server" doc:"name"`
	Weight      int      `json:"weight,omitempty" minimum:"1" maximum:"100" doc:"1 if left out"`
	Backup      bool     `json:"backup,omitempty" doc:"gets visitors only when no other backend serves"`
	Acknowledge []string `json:"acknowledge,omitempty" nullable:"false" doc:"ids of the warnings the person has read"`
}

// AddBackend starts adding a backend.
func (c *Client) AddBackend(ctx context.Context, app string, w BackendWish) (Work, error) {
	return fetch[Work](ctx, c, "POST", join("apps", app, "backends"), nil, w)
}

// Backends lists an app's backends.
func (c *Client) Backends(ctx context.Context, app string) (List[Backend], error) {
	return fetch[List[Backend]](ctx, c, "GET", join("apps", app, "backends"), nil, nil)
}

// Backend returns one backend.
func (c *Client) Backend(ctx context.Context, app, server string) (Backend, error) {
	return fetch[Backend](ctx, c, "GET", join("apps", app, "backends", server), nil, nil)
}
