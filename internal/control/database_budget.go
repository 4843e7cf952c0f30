package control

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/serverplane/serverplane/internal/plane"
	"github.com/serverplane/serverplane/internal/store"
)

// budget adds up what all backends of all apps may open at the engine, those that are
// being added among them, and one more backend of the app that is named by its id.
func budget(ctx context.Context, tx *store.Tx, engine plane.DatabaseServer, serverID string, e plane.Engine, more string) (plane.Budget, error) {
	all, err := tx.DatabasesOn(ctx, serverID)
	if err != nil {
		return plane.Budget{}, err
	}
	var uses []plane.PoolUse
	for _, d := range all {
		if d.Engine != e {
			continue
		}
		backends, err := tx.BackendsOf(ctx, d.AppID)
		if err != nil {
			return plane.Budget{}, err
		}
		coming, err := beingAdded(ctx, tx, d.AppID)
		if err != nil {
			return plane.Budget{}, err
		}
		n := 0
		for _, b := range backends {
			if b.Primary || b.Placed && !b.Removing || slices.Contains(coming, b.ServerID) {
				n++
			}
		}
		if d.AppID == more {
			n++
		}
		processes, err := tx.Processes(ctx, d.AppID)
		if err != nil {
			return plane.Budget{}, err
		}
		uses = append(uses, plane.UsesOfPool(d.Pool, n, processes)...)
	}
	return plane.BudgetOf(engine, uses), nil
}

// beingAdded lists the servers that an app's open Runs are about to make backends.
func beingAdded(ctx context.Context, tx *store.Tx, appID string) ([]string, error) {
	open, err := openRuns(ctx, tx, store.RunFilter{AppID: appID})
	if err != nil {
		return nil, err
	}
	var servers []string
	for _, r := range open {
		if r.Kind == plane.RunAdd {
			servers = append(servers, r.ServerID)
		}
	}
	return servers, nil
}

// mayUseDatabases holds, before a backend is added, that its connections fit and
// that no engine is restarted behind anybody's back.
func mayUseDatabases(ctx context.Context, tx *store.Tx, a plane.App, acknowledge []string) error {
	all, err := databasesInUse(ctx, tx, a)
	if err != nil {
		return err
	}
	if !slices.Contains(acknowledge, plane.AckRestart) {
		if err := refuseClosed(ctx, tx, all); err != nil {
			return err
		}
	}
	for _, v := range all {
		b, err := budget(ctx, tx, v.engine, v.db.ServerID, v.db.Engine, a.ID)
		if err != nil {
			return err
		}
		if b.Over() && !slices.Contains(acknowledge, plane.AckBudget) {
			return overBudget(v.db, b)
		}
	}
	return nil
}

// databasesInUse are those that the app's processes are given, each with its engine.
func databasesInUse(ctx context.Context, tx *store.Tx, a plane.App) ([]engineSeat, error) {
	all, err := tx.DatabasesOf(ctx, a.ID)
	if err != nil {
		return nil, err
	}
	var out []engineSeat
	for _, d := range all {
		engine, err := tx.DatabaseServer(ctx, d.ServerID, d.Engine)
		if errors.Is(err, store.ErrNotFound) || !d.Usable() {
			continue
		}
		if err != nil {
			return nil, err
		}
		out = append(out, engineSeat{db: d, engine: engine})
	}
	return out, nil
}

func overBudget(d plane.Database, b plane.Budget) error {
	return &plane.Error{
		Code: plane.CodeConflict, Field: "acknowledge",
		Message: fmt.Sprintf("with one more backend, its processes counted in, the databases may want %d connections, and %s takes %d (%d of %d are kept for administrators)",
			b.Wanted, d.Engine.Title(), b.Free, b.Kept, b.Limit),
		Hint: fmt.Sprintf("db set %s --max-connections %d, or db set %s --pool N for what a process really opens (%d now), or --acknowledge %s",
			d.Name, roundUp(b.Wanted+b.Kept), d.Name, d.Pool, plane.AckBudget),
	}
}

func roundUp(n int) int { return (n + 49) / 50 * 50 }
