package client

import (
	"context"
	"net/url"
	"strconv"
	"time"
)

// BackendHistory is how a backend fared. Both lists are bounded: the panel
// keeps the newest 200 changes, and the minutes of one day.
type BackendHistory struct {
	Changes []HealthChange `json:"changes" nullable:"false" doc:"newest first"`
	Minutes []HealthMinute `json:"minutes" nullable:"false" doc:"in order; a minute without a probe is left out"`
}

// HealthChange is a change of a backend's state, or automatic take-out moving
// it out of the upstream or back.
type HealthChange struct {
	At      time.Time `json:"at"`
	Was     string    `json:"was"`
	Became  string    `json:"became"`
	Vantage string    `json:"vantage" doc:"where it was seen from"`
	Answer  string    `json:"answer" doc:"raw"`
	Reason  string    `json:"reason"`
}

// HealthMinute is what the probes of one minute came to.
type HealthMinute struct {
	Minute   time.Time `json:"minute" doc:"its begin"`
	Probes   int       `json:"probes"`
	Failures int       `json:"failures"`
	Unknown  int       `json:"unknown" doc:"probes the panel's own side could not make"`
	Latency  Duration  `json:"latency" doc:"mean of the probes that passed"`
	Slowest  Duration  `json:"slowest" doc:"of the probes that passed"`
}

// BackendHistory returns the newest changes of a backend and its last minutes;
// 0 leaves the number to the panel.
func (c *Client) BackendHistory(ctx context.Context, app, server string, changes, minutes int) (BackendHistory, error) {
	q := url.Values{}
	for name, n := range map[string]int{"changes": changes, "minutes": minutes} {
		if n > 0 {
			q.Set(name, strconv.Itoa(n))
		}
	}
	return fetch[BackendHistory](ctx, c, "GET", join("apps", app, "backends", server, "history"), q, nil)
}
