package client

import "context"

// SetCron makes or changes a cron entry, as SetProcess does a process.
func (c *Client) SetCron(ctx context.Context, app, name string, w ProcessWish) (MaybeWork, error) {
	return fetch[MaybeWork](ctx, c, "PUT", join("apps", app, "cron", name), nil, w)
}

// Crons lists an app's cron entries.
func (c *Client) Crons(ctx context.Context, app string) (List[Process], error) {
	return fetch[List[Process]](ctx, c, "GET", join("apps", app, "cron"), nil, nil)
}

// MoveCron makes another backend the owner of a cron entry.
func (c *Client) MoveCron(ctx context.Context, app, name string, m ProcessMove) (MaybeWork, error) {
	return fetch[MaybeWork](ctx, c, "POST", join("apps", app, "cron", name, "move"), nil, m)
}

// RemoveCron removes a cron entry from every server.
func (c *Client) RemoveCron(ctx context.Context, app, name string) (MaybeWork, error) {
	return fetch[MaybeWork](ctx, c, "DELETE", join("apps", app, "cron", name), nil, nil)
}
