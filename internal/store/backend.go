package store

import (
	"context"
	"time"

	"github.com/serverplane/serverplane/internal/plane"
)

const selectBackend = `SELECT id, app_id, server_id, is_primary, enabled, placed, removing, weight, backup, process_a, process_b,
	site_a, site_b, process_shared, seen_as, release_id, created_at, deployment_id, runtime, wished_at, taken_out, health_state, health_since,
	health_checked_at, health_vantage, health_answer, health_reason, health_latency, health_passes, health_failures FROM backends `

func scanBackend(r row, b *plane.Backend) error {
	h, latency := &b.Health, int64(0)
	err := r.Scan(&b.ID, &b.AppID, &b.ServerID, &b.Primary, &b.Enabled, &b.Placed, &b.Removing, &b.Weight, &b.Backup,
		&b.Ports.ProcessA, &b.Ports.ProcessB, &b.Ports.SiteA, &b.Ports.SiteB, &b.Ports.Shared, addressColumn{&b.SeenAs}, &b.ReleaseID,
		instant{&b.CreatedAt}, &b.DeploymentID, &b.Runtime, instant{&b.WishedAt}, &b.TakenOut, &h.State, instant{&h.Since}, instant{&h.CheckedAt}, &h.Vantage, &h.Answer, &h.Reason,
		&latency, &h.Passes, &h.Failures)
	h.Latency = plane.Duration(time.Duration(latency))
	return err
}

func backendArgs(b plane.Backend) []any {
	p := b.Ports
	return []any{b.ID, b.AppID, b.ServerID, b.Primary, b.Enabled, b.Placed, b.Removing, b.Weight, b.Backup,
		p.ProcessA, p.ProcessB, p.SiteA, p.SiteB, address(b.SeenAs), b.ReleaseID, micros(b.CreatedAt),
		b.DeploymentID, b.Runtime, micros(b.WishedAt), b.TakenOut, p.Shared}
}

func healthArgs(h plane.Health) []any {
	return []any{string(h.State), micros(h.Since), micros(h.CheckedAt), h.Vantage, h.Answer, h.Reason,
		int64(h.Latency), h.Passes, h.Failures}
}

// CreateBackend stores a new backend with its health. A second one of the app
// on the server, or a second primary, is a conflict.
func (t *Tx) CreateBackend(ctx context.Context, b plane.Backend) error {
	return t.insert(ctx, "backend", b.ServerID, `INSERT INTO backends (id, app_id, server_id, is_primary, enabled, placed,
		removing, weight, backup, process_a, process_b, site_a, site_b, seen_as, release_id, created_at, deployment_id, runtime,
		wished_at, taken_out, process_shared, health_state, health_since, health_checked_at, health_vantage, health_answer, health_reason,
		health_latency, health_passes, health_failures) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13,
		$14, $15, $16, $17, $18, $19, $20, $21, $22, $23, $24, $25, $26, $27, $28, $29, $30)`, append(backendArgs(b), healthArgs(b.Health)...)...)
}

// Backend returns the backend with the id, or ErrNotFound.
func (t *Tx) Backend(ctx context.Context, id string) (plane.Backend, error) {
	return one(ctx, t, "backend", id, scanBackend, selectBackend+`WHERE id = $1`, id)
}

// BackendOf returns the app's backend on the server, or ErrNotFound.
func (t *Tx) BackendOf(ctx context.Context, appID, serverID string) (plane.Backend, error) {
	return one(ctx, t, "backend", serverID, scanBackend, selectBackend+`WHERE app_id = $1 AND server_id = $2`, appID, serverID)
}

// BackendsOf returns the app's backends, the primary first, then by age.
func (t *Tx) BackendsOf(ctx context.Context, appID string) ([]plane.Backend, error) {
	return many(ctx, t, "list backends of an app", scanBackend,
		selectBackend+`WHERE app_id = $1 ORDER BY is_primary DESC, created_at, id`, appID)
}

// Backends returns the backends of all apps, those of one app together.
func (t *Tx) Backends(ctx context.Context) ([]plane.Backend, error) {
	return many(ctx, t, "list backends", scanBackend, selectBackend+`ORDER BY app_id, is_primary DESC, created_at, id`)
}

// BackendsOn returns the backends on the server by age.
func (t *Tx) BackendsOn(ctx context.Context, serverID string) ([]plane.Backend, error) {
	return many(ctx, t, "list backends of a server", scanBackend,
		selectBackend+`WHERE server_id = $1 ORDER BY created_at, id`, serverID)
}

// UpdateBackend stores everything but the health.
func (t *Tx) UpdateBackend(ctx context.Context, b plane.Backend) error {
	return t.change(ctx, "backend", b.ServerID, `UPDATE backends SET app_id = $2, server_id = $3, is_primary = $4,
		enabled = $5, placed = $6, removing = $7, weight = $8, backup = $9, process_a = $10, process_b = $11,
		site_a = $12, site_b = $13, seen_as = $14, release_id = $15, created_at = $16,
		deployment_id = $17, runtime = $18, wished_at = $19, taken_out = $20, process_shared = $21 WHERE id = $1`, backendArgs(b)...)
}

// SetHealth stores what the last probes said and nothing else.
func (t *Tx) SetHealth(ctx context.Context, backendID string, h plane.Health) error {
	return t.change(ctx, "backend", backendID, `UPDATE backends SET health_state = $2, health_since = $3,
		health_checked_at = $4, health_vantage = $5, health_answer = $6, health_reason = $7, health_latency = $8,
		health_passes = $9, health_failures = $10 WHERE id = $1`, append([]any{backendID}, healthArgs(h)...)...)
}

// DeleteBackend forgets the backend with what it served and how the app's
// processes were seen there, and frees its ports.
func (t *Tx) DeleteBackend(ctx context.Context, id string) error {
	if _, err := t.exec(ctx, "forget what a backend served", `DELETE FROM served WHERE backend_id = $1`, id); err != nil {
		return err
	}
	if _, err := t.exec(ctx, "forget a backend's processes", `DELETE FROM process_states WHERE EXISTS (SELECT 1 FROM backends b, processes p
		WHERE b.id = $1 AND b.server_id = process_states.server_id AND p.app_id = b.app_id AND p.id = process_states.process_id)`, id); err != nil {
		return err
	}
	return t.change(ctx, "backend", id, `DELETE FROM backends WHERE id = $1`, id)
}
