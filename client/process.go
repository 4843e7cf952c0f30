package client

import (
	"context"
	"time"
)

// ProcessWish says how a process runs, or with a schedule a cron entry.
type ProcessWish struct {
	Command  string   `json:"command" maxLength:"8192" doc:"shell line, carried out in the live release's folder with the app's variables"`
	On       string   `json:"on" doc:"one: on its owner alone; all: on every backend"`
	Count    int      `json:"count,omitempty" doc:"of a process: how many on each backend it runs on; default 1"`
	Stop     Duration `json:"stop,omitempty" doc:"how long it may finish what it is at when it is stopped; default 1m"`
	Schedule string   `json:"schedule,omitempty" doc:"of a cron entry: five fields, by the clock of the app's option timezone"`
}

// ProcessMove says where a process is to run from now on.
type ProcessMove struct {
	Server  string `json:"server"`
	Anyway  bool   `json:"anyway,omitempty" doc:"even if the owner cannot be reached: you say that it is off"`
	Confirm string `json:"confirm,omitempty" doc:"with anyway: the name of the owner that is off"`
}

// Process is a process or a cron entry, and how it was last seen.
type Process struct {
	Name      string         `json:"name"`
	Command   string         `json:"command"`
	On        string         `json:"on"`
	Count     int            `json:"count,omitempty"`
	Stop      Duration       `json:"stop"`
	Schedule  string         `json:"schedule,omitempty"`
	Timezone  string         `json:"timezone,omitempty"`
	Next      *time.Time     `json:"next,omitempty" doc:"when a cron entry runs next"`
	Owner     string         `json:"owner,omitempty" doc:"the server it runs on, where it runs on one"`
	Removing  bool           `json:"removing,omitempty"`
	CreatedAt time.Time      `json:"created_at"`
	ChangedAt time.Time      `json:"changed_at"`
	States    []ProcessState `json:"states"`
}

// ProcessState is how a process was last seen on one server.
type ProcessState struct {
	Server    string    `json:"server"`
	State     string    `json:"state"`
	Since     time.Time `json:"since"`
	CheckedAt time.Time `json:"checked_at"`
	Reason    string    `json:"reason,omitempty"`
	Answer    string    `json:"answer,omitempty" doc:"what systemd says"`
	Release   string    `json:"release,omitempty" doc:"what runs was started from"`
	Behind    bool      `json:"behind,omitempty" doc:"what runs is not what is live"`
	Lines     string    `json:"lines,omitempty" doc:"the last it said, where it failed"`
}

// SetProcess makes or changes a process. Without a completed deployment no Run is
// started and Run is nil: the first deployment starts it.
func (c *Client) SetProcess(ctx context.Context, app, name string, w ProcessWish) (MaybeWork, error) {
	return fetch[MaybeWork](ctx, c, "PUT", join("apps", app, "processes", name), nil, w)
}

// Processes lists an app's processes.
func (c *Client) Processes(ctx context.Context, app string) (List[Process], error) {
	return fetch[List[Process]](ctx, c, "GET", join("apps", app, "processes"), nil, nil)
}

// MoveProcess makes another backend the owner of a process.
func (c *Client) MoveProcess(ctx context.Context, app, name string, m ProcessMove) (MaybeWork, error) {
	return fetch[MaybeWork](ctx, c, "POST", join("apps", app, "processes", name, "move"), nil, m)
}

// RemoveProcess removes a process from every server.
func (c *Client) RemoveProcess(ctx context.Context, app, name string) (MaybeWork, error) {
	return fetch[MaybeWork](ctx, c, "DELETE", join("apps", app, "processes", name), nil, nil)
}

// CheckProcesses looks at an app's processes and cron entries on its servers, now.
func (c *Client) CheckProcesses(ctx context.Context, app string) error {
	return c.call(ctx, "POST", join("apps", app, "processes", "check"), nil, nil, nil)
}
