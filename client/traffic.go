package client

import (
	"context"
	"net/url"
	"strconv"
	"time"
)

// Steered says how far a wish about traffic has come. What is not in force stays
// wished and comes into force by itself; Run waits for it.
type Steered struct {
	InForce bool   `json:"in_force"`
	Run     *Run   `json:"run,omitempty" doc:"waits until it is in force; left out when it is"`
	Reason  string `json:"reason,omitempty" doc:"why it is not in force yet"`

	// What the wish was about, as it is now: one of the two.
	Backend      *Backend      `json:"backend,omitempty"`
	LoadBalancer *LoadBalancer `json:"load_balancer,omitempty"`
}

// BackendOff is the wish to keep visitors from a backend.
type BackendOff struct {
	Yes bool `json:"yes,omitempty" doc:"even if it is the last healthy one"`
}

// BackendChange names what to change about a backend; nil leaves as it is.
type BackendChange struct {
	Weight *int  `json:"weight,omitempty" doc:"1 to 100"`
	Backup *bool `json:"backup,omitempty" doc:"gets visitors only when no other backend serves"`
	Yes    bool  `json:"yes,omitempty" doc:"even if it is the last healthy one"`
}

// BackendRemoval says how a backend is removed.
type BackendRemoval struct {
	Discard bool // do not pack the files that exist nowhere else
	Yes     bool // even if it is the last healthy one
}

// BalancerChange names what to change about a load balancer; nil leaves as it is.
type BalancerChange struct {
	Method     *string   `json:"method,omitempty" doc:"round-robin, least-connections or ip-hash"`
	HealthPath *string   `json:"health_path,omitempty"`
	Interval   *Duration `json:"interval,omitempty" pattern:"^([0-9]+([.][0-9]+)?(ns|us|ms|s|m|h))+$" patternDescription:"a duration such as 10s" doc:"1s to 5m"`
	Timeout    *Duration `json:"timeout,omitempty" pattern:"^([0-9]+([.][0-9]+)?(ns|us|ms|s|m|h))+$" patternDescription:"a duration such as 10s" doc:"at most the interval"`
	Fall       *int      `json:"fall,omitempty" doc:"1 to 10 failures in a row to become unhealthy"`
	Rise       *int      `json:"rise,omitempty" doc:"1 to 10 passes in a row to become healthy"`
	NameHeader *bool     `json:"name_header,omitempty" doc:"let answers name the backend that gave them, in X-Served-By; it tells strangers the names of servers"`
	TakeOut    *bool     `json:"take_out,omitempty" doc:"keep unhealthy backends out of the upstream by itself"`
	Floor      *int      `json:"floor,omitempty" doc:"how many serving backends must stay in"`
}

// DisableWish is the wish to end load balancing.
type DisableWish struct {
	RemoveBackends bool `json:"remove_backends,omitempty"`
	Discard        bool `json:"discard,omitempty" doc:"with remove_backends: pack no files that exist nowhere else"`
}

// Preview is a file of the entry's Nginx as it would be.
type Preview struct {
	Path    string `json:"path" doc:"below /etc/nginx"`
	Text    string `json:"text"`
	Version string `json:"version"`
}

// Probe is one look at a backend.
type Probe struct {
	At      time.Time `json:"at"`
	Verdict string    `json:"verdict" doc:"pass, fail or unknown"`
	Vantage string    `json:"vantage"`
	Answer  string    `json:"answer" doc:"raw"`
	Reason  string    `json:"reason"`
	Latency Duration  `json:"latency"`
}

// SwitchBackendOff keeps visitors from a backend.
func (c *Client) SwitchBackendOff(ctx context.Context, app, server string, w BackendOff) (Steered, error) {
	return fetch[Steered](ctx, c, "POST", join("apps", app, "backends", server, "off"), nil, w)
}

// SwitchBackendOn lets visitors reach a backend again.
func (c *Client) SwitchBackendOn(ctx context.Context, app, server string) (Steered, error) {
	return fetch[Steered](ctx, c, "POST", join("apps", app, "backends", server, "on"), nil, nil)
}

// SetBackend changes a backend's share of visitors.
func (c *Client) SetBackend(ctx context.Context, app, server string, ch BackendChange) (Steered, error) {
	return fetch[Steered](ctx, c, "PATCH", join("apps", app, "backends", server), nil, ch)
}

// CheckBackend asks a backend once, now.
func (c *Client) CheckBackend(ctx context.Context, app, server string) (Probe, error) {
	return fetch[Probe](ctx, c, "POST", join("apps", app, "backends", server, "check"), nil, nil)
}

// RepairBackend starts bringing a backend to what is live.
func (c *Client) RepairBackend(ctx context.Context, app, server string) (Work, error) {
	return fetch[Work](ctx, c, "POST", join("apps", app, "backends", server, "repair"), nil, nil)
}

// RemoveBackend starts the removal of a backend, or goes on with it.
func (c *Client) RemoveBackend(ctx context.Context, app, server string, r BackendRemoval) (Work, error) {
	q := url.Values{"discard": {strconv.FormatBool(r.Discard)}, "yes": {strconv.FormatBool(r.Yes)}}
	return fetch[Work](ctx, c, "DELETE", join("apps", app, "backends", server), q, nil)
}

// SetBalancer changes a load balancer.
func (c *Client) SetBalancer(ctx context.Context, app string, ch BalancerChange) (Steered, error) {
	return fetch[Steered](ctx, c, "PATCH", join("apps", app, "load-balancer"), nil, ch)
}

// PreviewBalancer returns the app's Nginx file as wished, or as it would be with
// another method.
func (c *Client) PreviewBalancer(ctx context.Context, app, method string) (Preview, error) {
	q := url.Values{}
	if method != "" {
		q.Set("method", method)
	}
	return fetch[Preview](ctx, c, "GET", join("apps", app, "load-balancer", "preview"), q, nil)
}

// DisableBalancer starts moving all traffic to the primary.
func (c *Client) DisableBalancer(ctx context.Context, app string, w DisableWish) (Work, error) {
	return fetch[Work](ctx, c, "POST", join("apps", app, "load-balancer", "disable"), nil, w)
}
