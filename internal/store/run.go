package store

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/serverplane/serverplane/internal/plane"
)

const selectRun = `SELECT id, kind, app_id, server_id, backend_id, deployment_id, servers, args, state, step, done, total,
	reason, cancel, actor, owner, attempt, lease_until, created_at, started_at, finished_at,
	receipt, (SELECT string_agg(l.name || CASE WHEN l.shared THEN '/shared' ELSE '' END, ' ' ORDER BY l.name)
		FROM run_locks l WHERE l.run_id = runs.id) FROM runs `

func scanRun(r row, v *plane.Run) error {
	return r.Scan(&v.ID, &v.Kind, &v.AppID, &v.ServerID, &v.BackendID, &v.DeploymentID, document{&v.Servers}, raw{&v.Args},
		&v.State, &v.Step, &v.Done, &v.Total, &v.Reason, &v.Cancel, &v.Actor, &v.Owner, &v.Attempt, instant{&v.LeaseUntil},
		instant{&v.CreatedAt}, instant{&v.StartedAt}, instant{&v.FinishedAt}, document{&v.Receipt}, words{&v.Locks})
}

// Enqueue stores a new Run as queued, whatever its State says, with the locks
// it will need.
func (t *Tx) Enqueue(ctx context.Context, r plane.Run) error {
	err := t.insert(ctx, "run", r.ID, `INSERT INTO runs (id, kind, app_id, server_id, backend_id, deployment_id, servers,
		args, state, step, done, total, reason, actor, created_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 'queued', $9, $10, $11, $12, $13, $14)`,
		r.ID, string(r.Kind), r.AppID, r.ServerID, r.BackendID, r.DeploymentID, document{r.Servers}, string(r.Args),
		r.Step, r.Done, r.Total, r.Reason, r.Actor, micros(r.CreatedAt))
	if err != nil {
		return err
	}
	for _, name := range plane.SortLocks(r.Locks...) {
		if name == "" || strings.Contains(name, " ") {
			return fmt.Errorf("enqueue run %q: bad lock name %q", r.ID, name)
		}
		base, together := plane.CutShared(name)
		if err := t.insert(ctx, "lock", base, `INSERT INTO run_locks (run_id, name, shared) VALUES ($1, $2, $3)`, r.ID, base, together); err != nil {
			return err
		}
	}
	return nil
}

// Run returns the Run with the id, or ErrNotFound.
func (t *Tx) Run(ctx context.Context, id string) (plane.Run, error) {
	return one(ctx, t, "run", id, scanRun, selectRun+`WHERE id = $1`, id)
}

// RunFilter chooses Runs; an empty field does not narrow.
type RunFilter struct {
	AppID    string
	ServerID string // Runs about the server, or that touch it
	State    plane.RunState
	Before   string // only Runs older than the one with this id
	Limit    int    // 0 means 100; at most 1000 come
}

// Runs returns the Runs that fit, newest first.
func (t *Tx) Runs(ctx context.Context, f RunFilter) ([]plane.Run, error) {
	return many(ctx, t, "list runs", scanRun, selectRun+`WHERE ($1 = '' OR app_id = $1)
		AND ($2 = '' OR server_id = $2 OR servers LIKE '%"' || $2 || '"%')
		AND ($3 = '' OR state = $3)
		AND ($4 = '' OR (created_at, id) < (SELECT r.created_at, r.id FROM runs r WHERE r.id = $4))
		ORDER BY created_at DESC, id DESC LIMIT $5`, f.AppID, f.ServerID, string(f.State), f.Before, limited(f.Limit))
}

// Troubled returns, newest first and at most 100, the Runs begun since then that
// failed or were interrupted and that nobody has tried again: no younger one of
// the kind is about the same app, server and backend.
func (t *Tx) Troubled(ctx context.Context, since time.Time) ([]plane.Run, error) {
	return many(ctx, t, "list troubled runs", scanRun, selectRun+`WHERE created_at >= $1 AND state IN ('failed', 'interrupted')
		AND NOT EXISTS (SELECT 1 FROM runs n WHERE n.kind = runs.kind AND n.app_id = runs.app_id AND n.server_id = runs.server_id
			AND n.backend_id = runs.backend_id AND (n.created_at, n.id) > (runs.created_at, runs.id))
		ORDER BY created_at DESC, id DESC LIMIT 100`, micros(since))
}

// Claim makes the oldest queued Run whose locks are all free the owner's until
// now + lease, and takes the locks. It returns false when there is none. A
// Run it passes over keeps its place: one that would share a lock waits behind
// an older one that wants it alone, which would otherwise wait for ever.
func (t *Tx) Claim(ctx context.Context, owner string, now time.Time, lease time.Duration) (plane.Run, bool, error) {
	id, err := one(ctx, t, "run", "queued", single[string], `UPDATE runs SET state = 'running', owner = $1,
		attempt = attempt + 1, lease_until = $2, started_at = $3
		WHERE state = 'queued' AND id = (
			SELECT q.id FROM runs q WHERE q.state = 'queued' AND NOT q.cancel AND NOT EXISTS (
				SELECT 1 FROM run_locks w JOIN locks l ON l.name = w.name AND NOT (l.shared AND w.shared) WHERE w.run_id = q.id)
			AND NOT EXISTS (
				SELECT 1 FROM run_locks w JOIN run_locks o ON o.name = w.name AND NOT o.shared JOIN runs r ON r.id = o.run_id
				WHERE w.run_id = q.id AND w.shared AND r.state = 'queued' AND (r.created_at, r.id) < (q.created_at, q.id))
			ORDER BY q.created_at, q.id LIMIT 1)
		RETURNING id`, owner, micros(now.Add(lease)), micros(now))
	if errors.Is(err, ErrNotFound) {
		return plane.Run{}, false, nil
	}
	if err != nil {
		return plane.Run{}, false, fmt.Errorf("claim: %w", err)
	}
	// Writers come one after another, so the locks are still free; the
	// primary key of the table would refuse a second holder all the same.
	if _, err := t.exec(ctx, "take locks of run "+id,
		`INSERT INTO locks (name, run_id, shared) SELECT name, run_id, shared FROM run_locks WHERE run_id = $1`, id); err != nil {
		return plane.Run{}, false, err
	}
	r, err := t.Run(ctx, id)
	return r, err == nil, err
}

// Heartbeat makes the lease last until now + lease and tells whether a person
// asked to cancel. ErrLost if the Run is not the owner's at this attempt.
func (t *Tx) Heartbeat(ctx context.Context, runID, owner string, attempt int, now time.Time, lease time.Duration) (cancel bool, err error) {
	cancel, err = one(ctx, t, "run", runID, single[bool], `UPDATE runs SET lease_until = $4
		WHERE id = $1 AND owner = $2 AND attempt = $3 AND state = 'running' RETURNING cancel`,
		runID, owner, attempt, micros(now.Add(lease)))
	return cancel, lost(err)
}

// Progress says what is being done and how many steps of how many are behind.
// ErrLost as for Heartbeat.
func (t *Tx) Progress(ctx context.Context, runID, owner string, attempt int, step string, done, total int) error {
	return lost(t.change(ctx, "run", runID, `UPDATE runs SET step = $4, done = $5, total = $6
		WHERE id = $1 AND owner = $2 AND attempt = $3 AND state = 'running'`, runID, owner, attempt, step, done, total))
}

// SetReceipt stores what the Run did and left, by its owner. ErrLost as for
// Heartbeat.
func (t *Tx) SetReceipt(ctx context.Context, runID, owner string, attempt int, lines []plane.ReceiptLine) error {
	return lost(t.change(ctx, "run", runID, `UPDATE runs SET receipt = $4
		WHERE id = $1 AND owner = $2 AND attempt = $3 AND state = 'running'`, runID, owner, attempt, document{lines}))
}

// Finish ends the Run and frees its locks. ErrLost as for Heartbeat; then the
// caller's Write must fail too, so that its effect does not happen.
func (t *Tx) Finish(ctx context.Context, runID, owner string, attempt int, state plane.RunState, reason string, now time.Time) error {
	if !plane.RunRunning.MayBecome(state) {
		return fmt.Errorf("finish run %q: running cannot become %q", runID, state)
	}
	err := t.change(ctx, "run", runID, `UPDATE runs SET state = $4, reason = $5, finished_at = $6, lease_until = 0
		WHERE id = $1 AND owner = $2 AND attempt = $3 AND state = 'running'`,
		runID, owner, attempt, string(state), reason, micros(now))
	if err != nil {
		return lost(err)
	}
	return t.freeLocks(ctx, runID)
}

// lost turns "no such row" of a guarded change into ErrLost.
func lost(err error) error {
	if errors.Is(err, ErrNotFound) {
		return ErrLost
	}
	return err
}

func (t *Tx) freeLocks(ctx context.Context, runID string) error {
	_, err := t.exec(ctx, "free locks of run "+runID, `DELETE FROM locks WHERE run_id = $1`, runID)
	return err
}

// RequestCancel ends a queued Run as cancelled and asks the owner of a running
// one to stop; asking twice changes nothing. A Run that is over is a conflict.
func (t *Tx) RequestCancel(ctx context.Context, runID string, now time.Time) error {
	r, err := t.Run(ctx, runID)
	if err != nil {
		return err
	}
	if r.State.Ended() {
		return plane.Conflict(fmt.Sprintf("the run is over: %s", r.State), "there is nothing left to cancel")
	}
	if r.State == plane.RunRunning {
		return t.change(ctx, "run", runID, `UPDATE runs SET cancel = TRUE WHERE id = $1 AND state = 'running'`, runID)
	}
	return t.change(ctx, "run", runID, `UPDATE runs SET state = 'cancelled', cancel = TRUE, finished_at = $2,
		reason = 'cancelled before it began' WHERE id = $1 AND state = 'queued'`, runID, micros(now))
}

// Interrupt ends the running Runs whose lease is over, frees their locks and
// returns them; the reason tells what was being done.
func (t *Tx) Interrupt(ctx context.Context, now time.Time) ([]plane.Run, error) {
	return t.interrupt(ctx, now, `lease_until <= $1`, micros(now))
}

// InterruptOwner does the same to all running Runs of the owner, whatever
// their lease: for a panel that finds those of its own former life.
func (t *Tx) InterruptOwner(ctx context.Context, owner string, now time.Time) ([]plane.Run, error) {
	return t.interrupt(ctx, now, `owner = $1`, owner)
}

func (t *Tx) interrupt(ctx context.Context, now time.Time, where string, arg any) ([]plane.Run, error) {
	runs, err := many(ctx, t, "list lost runs", scanRun,
		selectRun+`WHERE state = 'running' AND `+where+` ORDER BY created_at, id`, arg)
	if err != nil {
		return nil, err
	}
	for i := range runs {
		r := &runs[i]
		reason := "its panel stopped"
		if r.Step != "" {
			reason += " while it was at: " + r.Step
		}
		if err := t.Finish(ctx, r.ID, r.Owner, r.Attempt, plane.RunInterrupted, reason, now); err != nil {
			return nil, fmt.Errorf("interrupt run %q: %w", r.ID, err)
		}
		if *r, err = t.Run(ctx, r.ID); err != nil {
			return nil, err
		}
	}
	return runs, nil
}

// Blocking returns, by age, the Runs the Run waits for: the running ones that
// hold a lock it needs, and older queued ones that want alone what it would share.
func (t *Tx) Blocking(ctx context.Context, runID string) ([]plane.Run, error) {
	return many(ctx, t, "list blocking runs", scanRun, selectRun+`WHERE id <> $1 AND (id IN (
		SELECT l.run_id FROM run_locks w JOIN locks l ON l.name = w.name AND NOT (l.shared AND w.shared) WHERE w.run_id = $1)
		OR (state = 'queued' AND (created_at, id) < (SELECT q.created_at, q.id FROM runs q WHERE q.id = $1 AND q.state = 'queued') AND id IN (
		SELECT o.run_id FROM run_locks w JOIN run_locks o ON o.name = w.name AND NOT o.shared WHERE w.run_id = $1 AND w.shared)))
		ORDER BY created_at, id`, runID)
}
