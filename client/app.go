package client

import (
	"context"
	"time"
)

// App is a Git repository with build steps and configuration.
type App struct {
	ID         string            `json:"id"`
	Name       string            `json:"name"`
	Kind       string            `json:"kind"`
	Server     string            `json:"server" doc:"name of the primary"`
	Repository string            `json:"repository"`
	Branch     string            `json:"branch"`
	Domains    []string          `json:"domains" nullable:"false" doc:"the first is the main one"`
	Root       string            `json:"root,omitempty" doc:"folder inside the repository"`
	Build      []string          `json:"build" nullable:"false"`
	Start      string            `json:"start"`
	RunOnce    []string          `json:"run_once" nullable:"false"`
	HealthPath string            `json:"health_path"`
	Options    map[string]string `json:"options,omitempty"`
	Switch     string            `json:"switch" doc:"side-by-side, or restart for what must not run twice on a server"`
	SwitchCost string            `json:"switch_cost,omitempty" doc:"what restarting costs at each deployment, as the backends are now"`
	Shared     []string          `json:"shared_folders,omitempty" nullable:"false" doc:"kept from release to release on each server, and not shared between servers"`
	Beside     []string          `json:"beside,omitempty" nullable:"false" doc:"command lines that add the processes and cron entries which apps of its kind usually have"`
	DeployKey  string            `json:"deploy_key" doc:"public half: give it to the Git host"`
	State      string            `json:"state" doc:"new, deploying, live, failed or removing"`
	Reason     string            `json:"reason,omitempty"`
	Since      time.Time         `json:"since"`
	Live       *Deployment       `json:"live,omitempty" doc:"what visitors get"`
	Unapplied  bool              `json:"unapplied" doc:"variables were changed since the live deployment"`
	Balancer   string            `json:"load_balancer" doc:"off, applying, on or failed"`
	CreatedAt  time.Time         `json:"created_at"`
}

// AppWish is what is said of an app to create.
type AppWish struct {
	Name       string            `json:"name"`
	Server     string            `json:"server" doc:"name of the primary"`
	Kind       string            `json:"kind,omitempty" doc:"what it is made of; /apps/proposal looks at the repository and proposes one"`
	Repository string            `json:"repository"`
	Branch     string            `json:"branch,omitempty"`
	Domains    []string          `json:"domains,omitempty" nullable:"false"`
	Build      []string          `json:"build,omitempty" nullable:"false" doc:"shell lines; the kind's own if left out"`
	Start      string            `json:"start,omitempty" doc:"shell line; the kind's own if left out"`
	RunOnce    []string          `json:"run_once,omitempty" nullable:"false" doc:"shell lines, once per deployment on the primary"`
	Root       string            `json:"root,omitempty"`
	HealthPath string            `json:"health_path,omitempty"`
	Options    map[string]string `json:"options,omitempty" doc:"those of its kind, such as version; drain; switch: side-by-side, or restart for what cannot run twice on a server; timezone of cron entries; shared: paths kept across releases on each server, not shared between servers"`
	NoDeploy   bool              `json:"no_deploy,omitempty"`

	Acknowledge []string `json:"acknowledge,omitempty" nullable:"false" doc:"ids of the warnings the person has read, for example gap"`
}

// AppCreated is a new app and the Run of its first deployment, if it started one.
type AppCreated struct {
	App App  `json:"app"`
	Run *Run `json:"run,omitempty"`
}

// Proposal is the kind that a repository looks like.
type Proposal struct {
	Kind       string            `json:"kind"`
	Evidence   []string          `json:"evidence" nullable:"false" doc:"what in the repository says so"`
	Others     []string          `json:"others,omitempty" nullable:"false" doc:"other kinds it might be, each with what says so"`
	Build      []string          `json:"build" nullable:"false"`
	Start      string            `json:"start" doc:"empty: as the kind starts by itself"`
	RunOnce    []string          `json:"run_once" nullable:"false"`
	HealthPath string            `json:"health_path"`
	Options    map[string]string `json:"options,omitempty"`
}

// ProposeKind looks at the wish's repository, branch and root and proposes a kind; it creates nothing.
func (c *Client) ProposeKind(ctx context.Context, w AppWish) (Proposal, error) {
	return fetch[Proposal](ctx, c, "POST", "/apps/proposal", nil, w)
}

// AppChange names what to change; nil leaves as it is. In force with the next
// deployment, the health path at once.
type AppChange struct {
	Branch     *string   `json:"branch,omitempty"`
	Domains    *[]string `json:"domains,omitempty"`
	Build      *[]string `json:"build,omitempty"`
	Start      *string   `json:"start,omitempty"`
	RunOnce    *[]string `json:"run_once,omitempty"`
	Root       *string   `json:"root,omitempty"`
	HealthPath *string   `json:"health_path,omitempty"`
	Repository *string   `json:"repository,omitempty"`

	Options map[string]string `json:"options,omitempty" doc:"those named; an empty value takes one back to its default; paths of shared are not shared between servers"`

	Acknowledge []string `json:"acknowledge,omitempty" nullable:"false" doc:"ids of the warnings the person has read, for example gap"`
}

// CreateApp creates an app and, unless told not to, starts its first deployment.
func (c *Client) CreateApp(ctx context.Context, w AppWish) (AppCreated, error) {
	return fetch[AppCreated](ctx, c, "POST", "/apps", nil, w)
}

// Apps lists all apps.
func (c *Client) Apps(ctx context.Context) (List[App], error) {
	return fetch[List[App]](ctx, c, "GET", "/apps", nil, nil)
}

// App returns one app.
func (c *Client) App(ctx context.Context, name string) (App, error) {
	return fetch[App](ctx, c, "GET", join("apps", name), nil, nil)
}

// ChangeApp changes an app's configuration.
func (c *Client) ChangeApp(ctx context.Context, name string, w AppChange) (App, error) {
	return fetch[App](ctx, c, "PATCH", join("apps", name), nil, w)
}

// RemoveApp starts the removal of an app from all its servers.
func (c *Client) RemoveApp(ctx context.Context, name string) (Work, error) {
	return fetch[Work](ctx, c, "DELETE", join("apps", name), nil, nil)
}
