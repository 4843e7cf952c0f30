package store

import (
	"context"
	"fmt"
	"time"

	"github.com/serverplane/serverplane/internal/plane"
)

const selectServer = `SELECT id, name, address, private_address, ssh_port, host_key, firewall, adopt, state, reason,
	since, survey, tree_wanted, tree_applied, tree_error, created_at, nginx_error, nginx_checked_at FROM servers `

func scanServer(r row, s *plane.Server) error {
	return r.Scan(&s.ID, &s.Name, addressColumn{&s.Address}, addressColumn{&s.PrivateAddress}, &s.SSHPort, &s.HostKey,
		&s.Firewall, &s.Adopt, &s.State, &s.Reason, instant{&s.Since}, document{&s.Survey},
		&s.TreeWanted, &s.TreeApplied, &s.TreeError, instant{&s.CreatedAt}, &s.NginxError, instant{&s.NginxCheckedAt})
}

func serverArgs(s plane.Server) []any {
	return []any{s.ID, s.Name, address(s.Address), address(s.PrivateAddress), s.SSHPort, s.HostKey,
		string(s.Firewall), s.Adopt, string(s.State), s.Reason, micros(s.Since), document{s.Survey}, micros(s.CreatedAt)}
}

// CreateServer stores a new server; its Tree fields begin at zero. A name that
// is taken is a conflict.
func (t *Tx) CreateServer(ctx context.Context, s plane.Server) error {
	return t.insert(ctx, "server", s.Name, `INSERT INTO servers (id, name, address, private_address, ssh_port, host_key,
		firewall, adopt, state, reason, since, survey, created_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)`, serverArgs(s)...)
}

// Server returns the server with the id, or ErrNotFound.
func (t *Tx) Server(ctx context.Context, id string) (plane.Server, error) {
	return one(ctx, t, "server", id, scanServer, selectServer+`WHERE id = $1`, id)
}

// ServerByName returns the server with the name, or ErrNotFound.
func (t *Tx) ServerByName(ctx context.Context, name string) (plane.Server, error) {
	return one(ctx, t, "server", name, scanServer, selectServer+`WHERE name = $1`, name)
}

// Servers returns all servers by name.
func (t *Tx) Servers(ctx context.Context) ([]plane.Server, error) {
	return many(ctx, t, "list servers", scanServer, selectServer+`ORDER BY name`)
}

// UpdateServer stores everything but the Tree fields.
func (t *Tx) UpdateServer(ctx context.Context, s plane.Server) error {
	return t.change(ctx, "server", s.Name, `UPDATE servers SET name = $2, address = $3, private_address = $4,
		ssh_port = $5, host_key = $6, firewall = $7, adopt = $8, state = $9, reason = $10, since = $11, survey = $12,
		created_at = $13 WHERE id = $1`, serverArgs(s)...)
}

// SetServerState stores state and reason; at counts only when the state is
// another one than before.
func (t *Tx) SetServerState(ctx context.Context, id string, state plane.ServerState, reason string, at time.Time) error {
	return t.change(ctx, "server", id, `UPDATE servers SET state = $2, reason = $3,
		since = CASE WHEN state = $2 THEN since ELSE $4 END WHERE id = $1`, id, string(state), reason, micros(at))
}

// DeleteServer forgets a server; one that carries apps or backends is a conflict.
func (t *Tx) DeleteServer(ctx context.Context, id string) error {
	err := t.change(ctx, "server", id, `DELETE FROM servers WHERE id = $1`, id)
	if isForeign(err) {
		return plane.Conflict("the server still carries apps or backends", "remove them first")
	}
	return err
}

// RaiseTree says that the server's Nginx is to get new contents and returns
// their generation; why the former one failed is forgotten.
func (t *Tx) RaiseTree(ctx context.Context, serverID string) (int64, error) {
	return one(ctx, t, "server", serverID, single[int64],
		`UPDATE servers SET tree_wanted = tree_wanted + 1, tree_error = '' WHERE id = $1 RETURNING tree_wanted`, serverID)
}

// LiftTree wishes contents newer than a generation that the server has and this
// store never gave out: of a life before the server was removed, or the store
// restored. It reports false when what is wanted is newer already.
func (t *Tx) LiftTree(ctx context.Context, serverID string, above int64) (bool, error) {
	n, err := t.exec(ctx, "lift the tree of "+serverID,
		`UPDATE servers SET tree_wanted = $2 WHERE id = $1 AND tree_wanted < $2`, serverID, above+1)
	return n > 0, err
}

// SettleTree says how bringing the generation into force went: without errText
// it is in force (an older one than the applied changes nothing); an errText
// is kept only while no newer generation is wanted.
func (t *Tx) SettleTree(ctx context.Context, serverID string, generation int64, errText string) error {
	err := t.change(ctx, "server", serverID, `UPDATE servers SET
		tree_applied = CASE WHEN $3 = '' AND $2 > tree_applied THEN $2 ELSE tree_applied END,
		tree_error = CASE WHEN $2 = tree_wanted THEN $3 ELSE tree_error END
		WHERE id = $1`, serverID, generation, errText)
	if err != nil {
		return fmt.Errorf("settle tree generation %d: %w", generation, err)
	}
	return nil
}

// ServersWithPendingTree returns the servers whose Nginx is not what is wanted.
func (t *Tx) ServersWithPendingTree(ctx context.Context) ([]plane.Server, error) {
	return many(ctx, t, "list servers with a pending tree", scanServer,
		selectServer+`WHERE tree_wanted > tree_applied ORDER BY name`)
}

// SetNginx stores what the last look at the server's whole Nginx tree said;
// an empty refusal means that Nginx accepts it.
func (t *Tx) SetNginx(ctx context.Context, id, refusal string, at time.Time) error {
	return t.change(ctx, "server", id, `UPDATE servers SET nginx_error = $2, nginx_checked_at = $3 WHERE id = $1`, id, refusal, micros(at))
}
