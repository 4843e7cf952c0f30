package store

import (
	"context"

	"github.com/serverplane/serverplane/internal/plane"
)

const selectDeployment = `SELECT id, app_id, run_id, triggered_by, ref, commit_hash, author, subject, release_id, slot, spec,
	variables, state, reason, actor, created_at, started_at, live_at, finished_at, source_id, parts, databases FROM deployments `

func scanDeployment(r row, d *plane.Deployment) error {
	return r.Scan(&d.ID, &d.AppID, &d.RunID, &d.Trigger, &d.Ref, &d.Commit, &d.Author, &d.Subject, &d.ReleaseID, &d.Slot,
		document{&d.Spec}, &d.Variables, &d.State, &d.Reason, &d.Actor, instant{&d.CreatedAt}, instant{&d.StartedAt},
		instant{&d.LiveAt}, instant{&d.FinishedAt}, &d.SourceID, document{&d.Parts}, document{&d.Databases})
}

func deploymentArgs(d plane.Deployment) []any {
	return []any{d.ID, d.AppID, d.RunID, string(d.Trigger), d.Ref, d.Commit, d.Author, d.Subject, d.ReleaseID,
		string(d.Slot), document{d.Spec}, bytesOf(d.Variables), string(d.State), d.Reason, d.Actor,
		micros(d.CreatedAt), micros(d.StartedAt), micros(d.LiveAt), micros(d.FinishedAt), d.SourceID, document{d.Databases}}
}

// CreateDeployment stores a new deployment.
func (t *Tx) CreateDeployment(ctx context.Context, d plane.Deployment) error {
	return t.insert(ctx, "deployment", d.ID, `INSERT INTO deployments (id, app_id, run_id, triggered_by, ref, commit_hash,
		author, subject, release_id, slot, spec, variables, state, reason, actor, created_at, started_at, live_at, finished_at, source_id, databases)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21)`,
		deploymentArgs(d)...)
}

// Deployment returns the deployment with the id, or ErrNotFound.
func (t *Tx) Deployment(ctx context.Context, id string) (plane.Deployment, error) {
	return one(ctx, t, "deployment", id, scanDeployment, selectDeployment+`WHERE id = $1`, id)
}

// Deployments returns the app's deployments, newest first: those older than
// the one with the id before, unless it is empty. Limit 0 means 100; at most
// 1000 come.
func (t *Tx) Deployments(ctx context.Context, appID, before string, limit int) ([]plane.Deployment, error) {
	return many(ctx, t, "list deployments", scanDeployment, selectDeployment+`WHERE app_id = $1
		AND ($2 = '' OR (created_at, id) < (SELECT d.created_at, d.id FROM deployments d WHERE d.id = $2))
		ORDER BY created_at DESC, id DESC LIMIT $3`, appID, before, limited(limit))
}

// UpdateDeployment stores all of the deployment but its parts.
func (t *Tx) UpdateDeployment(ctx context.Context, d plane.Deployment) error {
	return t.change(ctx, "deployment", d.ID, `UPDATE deployments SET app_id = $2, run_id = $3, triggered_by = $4, ref = $5,
		commit_hash = $6, author = $7, subject = $8, release_id = $9, slot = $10, spec = $11, variables = $12, state = $13,
		reason = $14, actor = $15, created_at = $16, started_at = $17, live_at = $18, finished_at = $19, source_id = $20, databases = $21
		WHERE id = $1`, deploymentArgs(d)...)
}

// SetParts stores what became of the deployment on each server, and nothing
// else: what happens to one server is told while the rest goes on.
func (t *Tx) SetParts(ctx context.Context, id string, parts []plane.Part) error {
	return t.change(ctx, "deployment", id, `UPDATE deployments SET parts = $2 WHERE id = $1`, id, document{parts})
}

// UnfinishedDeployments returns the app's deployments that are not over,
// oldest first.
func (t *Tx) UnfinishedDeployments(ctx context.Context, appID string) ([]plane.Deployment, error) {
	return many(ctx, t, "list unfinished deployments", scanDeployment, selectDeployment+`WHERE app_id = $1
		AND state IN ('queued', 'preparing', 'switching', 'verifying') ORDER BY created_at, id`, appID)
}
