package client

import (
	"context"
	"time"
)

// Deployment is one attempt to make a commit live on every backend.
type Deployment struct {
	ID         string    `json:"id"`
	Run        string    `json:"run" doc:"id of its Run"`
	Trigger    string    `json:"trigger" doc:"manual, push, environment or rollback"`
	Ref        string    `json:"ref,omitempty" doc:"what was asked for"`
	Commit     string    `json:"commit,omitempty"`
	Author     string    `json:"author,omitempty"`
	Subject    string    `json:"subject,omitempty"`
	Release    string    `json:"release,omitempty"`
	Source     string    `json:"source,omitempty" doc:"the deployment whose release is started again; left out if it builds its own"`
	Slot       string    `json:"slot,omitempty"`
	State      string    `json:"state" doc:"queued, preparing, switching, verifying, completed, failed, cancelled or reverted"`
	Reason     string    `json:"reason,omitempty"`
	Actor      string    `json:"actor"`
	CreatedAt  time.Time `json:"created_at"`
	StartedAt  time.Time `json:"started_at,omitzero"`
	LiveAt     time.Time `json:"live_at,omitzero" doc:"when visitors got it"`
	FinishedAt time.Time `json:"finished_at,omitzero"`

	Backends []DeploymentBackend `json:"backends,omitempty" doc:"what became of it on each server"`

	// Only when one deployment is asked for.
	App          string           `json:"app,omitempty"`
	IsLive       bool             `json:"live,omitempty" doc:"it is what visitors get"`
	Elapsed      Duration         `json:"elapsed,omitzero" doc:"since it started, up to its end"`
	Expected     Duration         `json:"expected,omitzero" doc:"how long the last ones alike took (median); left out if there were none"`
	ExpectedLive Duration         `json:"expected_live,omitzero" doc:"the same, until visitors got it"`
	Steps        []DeploymentStep `json:"steps,omitempty"`
}

// DeploymentBackend is one server's part in a deployment.
type DeploymentBackend struct {
	Server string    `json:"server"`
	State  string    `json:"state" doc:"preparing, started, ready, live, behind, failed, stopped or reverted"`
	Reason string    `json:"reason,omitempty"`
	Since  time.Time `json:"since"`
}

// DeploymentStep is one step of a deployment.
type DeploymentStep struct {
	Name      string    `json:"name"`
	State     string    `json:"state" doc:"done, running, failed or waiting"`
	StartedAt time.Time `json:"started_at,omitzero"`
	Took      Duration  `json:"took,omitzero" doc:"so far"`
	Expected  Duration  `json:"expected,omitzero" doc:"median of the last ones"`
}

// DeployWish says what to deploy.
type DeployWish struct {
	Ref     string   `json:"ref,omitempty" doc:"commit, tag or branch; the app's branch if left out"`
	Without []string `json:"without,omitempty" nullable:"false" doc:"names of servers that take no part; they are behind afterwards"`
	Rebuild bool     `json:"rebuild,omitempty" doc:"build although the commit is built already"`

	Acknowledge []string `json:"acknowledge,omitempty" nullable:"false" doc:"ids of the warnings the person has read, for example memory"`
}

// RollbackWish says what to go back to.
type RollbackWish struct {
	Deployment string   `json:"deployment,omitempty" doc:"id of a completed deployment; the one that was live before if left out"`
	Without    []string `json:"without,omitempty" nullable:"false" doc:"names of servers that take no part; they are behind afterwards"`

	Acknowledge []string `json:"acknowledge,omitempty" nullable:"false" doc:"ids of the warnings the person has read, for example memory"`
}

// Consent is what a person has read before the live release is started anew.
type Consent struct {
	Acknowledge []string `json:"acknowledge,omitempty" nullable:"false" doc:"ids of the warnings the person has read, for example memory"`
}

// Deployed is a new deployment and its Run.
type Deployed struct {
	Deployment Deployment `json:"deployment"`
	Run        Run        `json:"run"`
}

// Deploy starts a deployment.
func (c *Client) Deploy(ctx context.Context, app string, w DeployWish) (Deployed, error) {
	return fetch[Deployed](ctx, c, "POST", join("apps", app, "deployments"), nil, w)
}

// Rollback starts a deployment of what was live before, or of the one named.
func (c *Client) Rollback(ctx context.Context, app string, w RollbackWish) (Deployed, error) {
	return fetch[Deployed](ctx, c, "POST", join("apps", app, "rollback"), nil, w)
}

// Deployments lists an app's deployments, newest first.
func (c *Client) Deployments(ctx context.Context, app string, p Page) (List[Deployment], error) {
	return fetch[List[Deployment]](ctx, c, "GET", join("apps", app, "deployments"), p.query(), nil)
}

// Deployment returns one deployment.
func (c *Client) Deployment(ctx context.Context, id string) (Deployment, error) {
	return fetch[Deployment](ctx, c, "GET", join("deployments", id), nil, nil)
}

// CancelDeployment asks for a deployment to stop.
func (c *Client) CancelDeployment(ctx context.Context, id string) (Work, error) {
	return fetch[Work](ctx, c, "POST", join("deployments", id, "cancel"), nil, nil)
}
