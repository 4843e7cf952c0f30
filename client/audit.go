package client

import (
	"context"
	"time"
)

// Audit is one line of who did what.
type Audit struct {
	ID      string    `json:"id"`
	Time    time.Time `json:"time"`
	Actor   string    `json:"actor" doc:"mail address"`
	From    string    `json:"from" doc:"remote address, or local"`
	Action  string    `json:"action"`
	Subject string    `json:"subject"`
	Detail  string    `json:"detail,omitempty"`
}

// Audits lists who did what, newest first.
func (c *Client) Audits(ctx context.Context, p Page) (List[Audit], error) {
	return fetch[List[Audit]](ctx, c, "GET", "/audits", p.query(), nil)
}
