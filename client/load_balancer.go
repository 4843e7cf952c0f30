package client

import "context"

// LoadBalancer is an app's method, health check and set of backends.
type LoadBalancer struct {
	App         string      `json:"app"`
	Method      string      `json:"method" doc:"round-robin, least-connections or ip-hash"`
	HealthCheck HealthCheck `json:"health_check"`
	NameHeader  bool        `json:"name_header" doc:"answers name the backend that gave them, in X-Served-By"`
	Status      string      `json:"status" doc:"off, applying, on or failed"`
	Reason      string      `json:"reason,omitempty"`
	Backends    []Backend   `json:"backends" nullable:"false"`
	// Pending: a wish about the entry's traffic is not in force yet, and why.
	Pending       bool   `json:"pending"`
	PendingReason string `json:"pending_reason,omitempty"`
}

// HealthCheck says what is asked of a backend, how often and how patiently.
type HealthCheck struct {
	Path     string   `json:"path"`
	Interval Duration `json:"interval"`
	Timeout  Duration `json:"timeout"`
	Fall     int      `json:"fall" doc:"failures in a row to become unhealthy"`
	Rise     int      `json:"rise" doc:"passes in a row to become healthy"`
	TakeOut  bool     `json:"take_out" doc:"unhealthy backends are kept out of the upstream by the panel"`
	Floor    int      `json:"floor" doc:"how many serving backends must stay in"`
}

// BalancerWish is the wish to balance an app.
type BalancerWish struct {
	Method      string   `json:"method,omitempty" doc:"round-robin if left out"`
	Acknowledge []string `json:"acknowledge,omitempty" nullable:"false" doc:"ids of the warnings the person has read, for example local_writes"`
}

// EnableBalancer makes the primary the app's entry.
func (c *Client) EnableBalancer(ctx context.Context, app string, w BalancerWish) (Work, error) {
	return fetch[Work](ctx, c, "POST", join("apps", app, "load-balancer"), nil, w)
}

// Balancer returns an app's load balancer.
func (c *Client) Balancer(ctx context.Context, app string) (LoadBalancer, error) {
	return fetch[LoadBalancer](ctx, c, "GET", join("apps", app, "load-balancer"), nil, nil)
}
