package control

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/serverplane/serverplane/internal/plane"
	"github.com/serverplane/serverplane/internal/store"
)

// processArgs is what a Run of processes is told: what of it the runner reads, and
// what there was before its wish, should it be cancelled before it begins.
type processArgs struct {
	Anyway  bool           `json:"anyway"`
	Process string         `json:"process,omitempty"` // id
	Former  *plane.Process `json:"former,omitempty"`  // nil: there was none
}

// formerProcess is the process as it is before a wish; nil where there is none.
func formerProcess(ctx context.Context, tx *store.Tx, app, name string) (*plane.Process, error) {
	a, err := appByName(ctx, tx, app)
	if err != nil || plane.CheckName("name", name) != nil {
		return nil, err
	}
	p, err := tx.Process(ctx, a.ID, name)
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil
	}
	return &p, err
}

func processArgsOf(ctx context.Context, tx *store.Tx, a plane.App, w arrangement, former *plane.Process) (json.RawMessage, error) {
	p, err := tx.Process(ctx, a.ID, w.name)
	if err != nil {
		return nil, err
	}
	args, err := json.Marshal(processArgs{Anyway: w.anyway, Process: p.ID, Former: former})
	if err != nil {
		return nil, fmt.Errorf("describe what is arranged: %w", err)
	}
	return args, nil
}

func wishOf(r plane.Run) (processArgs, bool) {
	var told processArgs
	ok := r.Kind == plane.RunProcesses && json.Unmarshal(r.Args, &told) == nil && told.Process != ""
	return told, ok
}

// cancelQueuedProcesses takes back the wish of a Run that never began, so that no
// other Run carries out half of it. Where one may have done so by the way, a Run
// without a wish brings the servers to what the book says again.
func (c *Control) cancelQueuedProcesses(ctx context.Context, tx *store.Tx, actor plane.Actor, r plane.Run) error {
	told, ok := wishOf(r)
	if !ok {
		return nil
	}
	all, err := tx.Processes(ctx, r.AppID)
	at := slices.IndexFunc(all, func(p plane.Process) bool { return p.ID == told.Process })
	if err != nil || at < 0 {
		return err
	}
	if err := refuseOvertaken(ctx, tx, r, told, all[at]); err != nil {
		return err
	}
	acted, err := carriedOutByTheWay(ctx, tx, r, told, all[at])
	if err != nil {
		return err
	}
	if err := takeBack(ctx, tx, all[at], told.Former, acted); err != nil || !acted {
		return err
	}
	a, err := tx.App(ctx, r.AppID)
	if err != nil || a.State == plane.AppRemoving {
		return err
	}
	_, err = c.enqueueProcesses(ctx, tx, actor, a, nil)
	return err
}

// refuseOvertaken holds that wishes about one process are taken back from the newest on.
func refuseOvertaken(ctx context.Context, tx *store.Tx, r plane.Run, told processArgs, p plane.Process) error {
	open, err := openRuns(ctx, tx, store.RunFilter{AppID: r.AppID})
	if err != nil {
		return err
	}
	for _, o := range open {
		if wish, ok := wishOf(o); ok && o.ID != r.ID && wish.Process == told.Process && o.State == plane.RunQueued && o.CreatedAt.After(r.CreatedAt) {
			return plane.Conflict(fmt.Sprintf("a newer wish about %s waits behind this one: %s", p.Name, o.ID), "cancel that first: run cancel "+o.ID)
		}
	}
	return nil
}

// carriedOutByTheWay tells whether a Run that saw the wish in the book may have acted on it.
func carriedOutByTheWay(ctx context.Context, tx *store.Tx, r plane.Run, told processArgs, p plane.Process) (bool, error) {
	runs, err := tx.Runs(ctx, store.RunFilter{AppID: r.AppID, Limit: 1000})
	if err != nil {
		return false, err
	}
	kinds := []plane.RunKind{plane.RunProcesses}
	if told.Former == nil || !told.Former.OnlyMoved(p) { // these leave what moves where it is
		kinds = append(kinds, plane.RunDeploy, plane.RunAdd, plane.RunRepair)
	}
	return slices.ContainsFunc(runs, func(o plane.Run) bool {
		return o.ID != r.ID && slices.Contains(kinds, o.Kind) && (o.State == plane.RunRunning || o.State.Ended() && !o.StartedAt.IsZero() && o.FinishedAt.After(r.CreatedAt))
	}), nil
}

func takeBack(ctx context.Context, tx *store.Tx, p plane.Process, former *plane.Process, acted bool) error {
	switch {
	case former != nil:
		return tx.UpdateProcess(ctx, p.TakenBack(*former, acted))
	case acted:
		p.Removing = true
		return tx.UpdateProcess(ctx, p)
	}
	return tx.DeleteProcess(ctx, p.ID)
}
