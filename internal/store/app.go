package store

import (
	"context"
	"time"

	"github.com/serverplane/serverplane/internal/plane"
)

const selectApp = `SELECT id, name, kind, server_id, repository, branch, spec, deploy_key, deploy_key_pem, state, reason, since,
	live_slot, live_id, balancer_status, balancer_reason, balancer_method, balancer_health, balancer_names, created_at,
	(SELECT string_agg(d.name, ' ' ORDER BY d.position) FROM app_domains d WHERE d.app_id = apps.id) FROM apps `

func scanApp(r row, a *plane.App) error {
	b := &a.Balancer
	return r.Scan(&a.ID, &a.Name, &a.Kind, &a.ServerID, &a.Repository, &a.Branch, document{&a.Spec}, &a.DeployKey,
		&a.DeployKeyPEM, &a.State, &a.Reason, instant{&a.Since}, &a.LiveSlot, &a.LiveID, &b.Status, &b.Reason, &b.Method,
		document{&b.Health}, &b.NameHeader, instant{&a.CreatedAt}, words{&a.Domains})
}

// CreateApp stores a new app. A name that is taken, or a domain another app
// has on the same primary, is a conflict.
func (t *Tx) CreateApp(ctx context.Context, a plane.App) error {
	b := a.Balancer
	err := t.insert(ctx, "app", a.Name, `INSERT INTO apps (id, name, kind, server_id, repository, branch, spec,
		deploy_key, deploy_key_pem, state, reason, since, live_slot, live_id, balancer_status, balancer_reason,
		balancer_method, balancer_health, created_at, balancer_names)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20)`,
		a.ID, a.Name, string(a.Kind), a.ServerID, a.Repository, a.Branch, document{a.Spec}, a.DeployKey,
		bytesOf(a.DeployKeyPEM), string(a.State), a.Reason, micros(a.Since), string(a.LiveSlot), a.LiveID,
		string(b.Status), b.Reason, string(b.Method), document{b.Health}, micros(a.CreatedAt), b.NameHeader)
	if err != nil {
		return err
	}
	return t.insertDomains(ctx, a)
}

// App returns the app with the id, or ErrNotFound.
func (t *Tx) App(ctx context.Context, id string) (plane.App, error) {
	return one(ctx, t, "app", id, scanApp, selectApp+`WHERE id = $1`, id)
}

// AppByName returns the app with the name, or ErrNotFound.
func (t *Tx) AppByName(ctx context.Context, name string) (plane.App, error) {
	return one(ctx, t, "app", name, scanApp, selectApp+`WHERE name = $1`, name)
}

// Apps returns all apps by name.
func (t *Tx) Apps(ctx context.Context) ([]plane.App, error) {
	return many(ctx, t, "list apps", scanApp, selectApp+`ORDER BY name`)
}

// AppsOn returns, by name, the apps that have their primary or a backend on
// the server.
func (t *Tx) AppsOn(ctx context.Context, serverID string) ([]plane.App, error) {
	return many(ctx, t, "list apps of a server", scanApp, selectApp+`WHERE server_id = $1
		OR id IN (SELECT app_id FROM backends WHERE server_id = $1) ORDER BY name`, serverID)
}

// UpdateApp stores everything but the state with its reason and time, and what
// is live. Conflicts are those of CreateApp.
func (t *Tx) UpdateApp(ctx context.Context, a plane.App) error {
	b := a.Balancer
	err := t.change(ctx, "app", a.Name, `UPDATE apps SET name = $2, kind = $3, server_id = $4, repository = $5,
		branch = $6, spec = $7, deploy_key = $8, deploy_key_pem = $9, balancer_status = $10, balancer_reason = $11,
		balancer_method = $12, balancer_health = $13, created_at = $14, balancer_names = $15 WHERE id = $1`,
		a.ID, a.Name, string(a.Kind), a.ServerID, a.Repository, a.Branch, document{a.Spec}, a.DeployKey,
		bytesOf(a.DeployKeyPEM), string(b.Status), b.Reason, string(b.Method), document{b.Health}, micros(a.CreatedAt), b.NameHeader)
	if err != nil {
		return err
	}
	if _, err := t.exec(ctx, "forget domains", `DELETE FROM app_domains WHERE app_id = $1`, a.ID); err != nil {
		return err
	}
	return t.insertDomains(ctx, a)
}

func (t *Tx) insertDomains(ctx context.Context, a plane.App) error {
	for i, d := range a.Domains {
		if err := t.insert(ctx, "domain", d, `INSERT INTO app_domains (app_id, position, server_id, name)
			VALUES ($1, $2, $3, $4)`, a.ID, i, a.ServerID, d); err != nil {
			return err
		}
	}
	return nil
}

// SetAppState stores state and reason; at counts only when the state is
// another one than before.
func (t *Tx) SetAppState(ctx context.Context, id string, state plane.AppState, reason string, at time.Time) error {
	return t.change(ctx, "app", id, `UPDATE apps SET state = $2, reason = $3,
		since = CASE WHEN state = $2 THEN since ELSE $4 END WHERE id = $1`, id, string(state), reason, micros(at))
}

// SetLive says which deployment is live in which slot; both empty: none.
func (t *Tx) SetLive(ctx context.Context, appID string, slot plane.Slot, deploymentID string) error {
	return t.change(ctx, "app", appID, `UPDATE apps SET live_slot = $2, live_id = $3 WHERE id = $1`,
		appID, string(slot), deploymentID)
}

// SetBalancer stores the app's load balancer.
func (t *Tx) SetBalancer(ctx context.Context, appID string, b plane.LoadBalancer) error {
	return t.change(ctx, "app", appID, `UPDATE apps SET balancer_status = $2, balancer_reason = $3,
		balancer_method = $4, balancer_health = $5, balancer_names = $6 WHERE id = $1`,
		appID, string(b.Status), b.Reason, string(b.Method), document{b.Health}, b.NameHeader)
}

// DeleteApp forgets the app with its domains, variables, deployments, backends
// and their ports. Its Runs and audits stay.
func (t *Tx) DeleteApp(ctx context.Context, id string) error {
	return t.change(ctx, "app", id, `DELETE FROM apps WHERE id = $1`, id)
}
