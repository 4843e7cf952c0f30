package store

import (
	"context"
	"slices"
	"strings"

	"github.com/serverplane/serverplane/internal/plane"
)

const selectProcess = `SELECT id, app_id, name, kind, command, placement, instances, stop, schedule, owner_id, holder_id, removing,
	created_at, changed_at FROM processes `

func scanProcess(r row, p *plane.Process) error {
	stop := int64(0)
	err := r.Scan(&p.ID, &p.AppID, &p.Name, &p.Kind, &p.Command, &p.On, &p.Count, &stop, &p.Schedule, &p.OwnerID, &p.HolderID,
		&p.Removing, instant{&p.CreatedAt}, instant{&p.ChangedAt})
	p.Stop = plane.Duration(stop)
	return err
}

func processArgs(p plane.Process) []any {
	return []any{p.ID, p.AppID, p.Name, string(p.Kind), p.Command, string(p.On), p.Count, int64(p.Stop), p.Schedule, p.OwnerID,
		p.HolderID, p.Removing, micros(p.CreatedAt), micros(p.ChangedAt)}
}

// CreateProcess stores a new process or cron entry. A name the app has in use is
// a conflict.
func (t *Tx) CreateProcess(ctx context.Context, p plane.Process) error {
	return t.insert(ctx, "process", p.Name, `INSERT INTO processes (id, app_id, name, kind, command, placement, instances, stop,
		schedule, owner_id, holder_id, removing, created_at, changed_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)`, processArgs(p)...)
}

// Process returns the app's process or cron entry with the name, or ErrNotFound.
func (t *Tx) Process(ctx context.Context, appID, name string) (plane.Process, error) {
	return one(ctx, t, "process", name, scanProcess, selectProcess+`WHERE app_id = $1 AND name = $2`, appID, name)
}

// Processes returns the app's processes and cron entries by name.
func (t *Tx) Processes(ctx context.Context, appID string) ([]plane.Process, error) {
	all, err := many(ctx, t, "list processes", scanProcess, selectProcess+`WHERE app_id = $1`, appID)
	return byName(all), err
}

// AllProcesses returns those of every app, by name.
func (t *Tx) AllProcesses(ctx context.Context) ([]plane.Process, error) {
	all, err := many(ctx, t, "list processes of all apps", scanProcess, selectProcess)
	return byName(all), err
}

// byName sorts here: the collation of a PostgreSQL database may order otherwise.
func byName(all []plane.Process) []plane.Process {
	slices.SortFunc(all, func(a, b plane.Process) int { return strings.Compare(a.Name+a.AppID, b.Name+b.AppID) })
	return all
}

// UpdateProcess stores all of the process but its app.
func (t *Tx) UpdateProcess(ctx context.Context, p plane.Process) error {
	args := processArgs(p)
	return t.change(ctx, "process", p.Name, `UPDATE processes SET name = $2, kind = $3, command = $4, placement = $5,
		instances = $6, stop = $7, schedule = $8, owner_id = $9, holder_id = $10, removing = $11, created_at = $12,
		changed_at = $13 WHERE id = $1`, append(args[:1:1], args[2:]...)...)
}

// DeleteProcess forgets the process and how it was seen.
func (t *Tx) DeleteProcess(ctx context.Context, id string) error {
	return t.change(ctx, "process", id, `DELETE FROM processes WHERE id = $1`, id)
}

// NextProcessGeneration counts one more wish about the app's processes.
func (t *Tx) NextProcessGeneration(ctx context.Context, appID string) (int64, error) {
	return one(ctx, t, "app", appID, single[int64],
		`UPDATE apps SET process_generation = process_generation + 1 WHERE id = $1 RETURNING process_generation`, appID)
}

const selectProcessStatus = `SELECT process_id, server_id, state, since, checked_at, reason, answer, release_id, lines, stray FROM process_states `

func scanProcessStatus(r row, s *plane.ProcessStatus) error {
	return r.Scan(&s.ProcessID, &s.ServerID, &s.State, instant{&s.Since}, instant{&s.CheckedAt}, &s.Reason, &s.Answer, &s.Release, &s.Lines, &s.Stray)
}

// ProcessStatuses returns how the app's processes were last seen.
func (t *Tx) ProcessStatuses(ctx context.Context, appID string) ([]plane.ProcessStatus, error) {
	return many(ctx, t, "list process states", scanProcessStatus, selectProcessStatus+
		`WHERE process_id IN (SELECT id FROM processes WHERE app_id = $1) ORDER BY process_id, server_id`, appID)
}

// StrayProcesses returns what is to be stopped first thing when its server returns.
func (t *Tx) StrayProcesses(ctx context.Context) ([]plane.ProcessStatus, error) {
	return many(ctx, t, "list stray processes", scanProcessStatus, selectProcessStatus+`WHERE stray ORDER BY server_id, process_id`)
}

// SetProcessStatus stores how a process was seen on a server. What servers say
// is stored as text.
func (t *Tx) SetProcessStatus(ctx context.Context, s plane.ProcessStatus) error {
	_, err := t.exec(ctx, "store a process's state", `INSERT INTO process_states (process_id, server_id, state, since, checked_at,
		reason, answer, release_id, lines, stray) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
		ON CONFLICT (process_id, server_id) DO UPDATE SET state = excluded.state, since = excluded.since,
		checked_at = excluded.checked_at, reason = excluded.reason, answer = excluded.answer,
		release_id = excluded.release_id, lines = excluded.lines, stray = excluded.stray`,
		s.ProcessID, s.ServerID, string(s.State), micros(s.Since), micros(s.CheckedAt), storable(s.Reason), storable(s.Answer),
		storable(s.Release), storable(s.Lines), s.Stray)
	return err
}

// ForgetProcessStatus forgets how a process was seen on a server, if it was.
func (t *Tx) ForgetProcessStatus(ctx context.Context, processID, serverID string) error {
	_, err := t.exec(ctx, "forget a process's state", `DELETE FROM process_states WHERE process_id = $1 AND server_id = $2`, processID, serverID)
	return err
}
