package control

import (
	"context"
	"time"

	"github.com/serverplane/serverplane/internal/plane"
	"github.com/serverplane/serverplane/internal/store"
)

// Overview is the whole panel at one moment: what a person needs to see whether
// anything is wrong.
type Overview struct {
	Servers  []plane.Server // by name
	Apps     []AppOverview  // by name
	Open     []RunView      // queued and running, the newest
	Troubled []RunView      // failed or interrupted in the last 14 days and not tried again since
}

// AppOverview is an app with the state of its backends, the primary first.
type AppOverview struct {
	plane.App
	ServerName string
	Backends   []BackendView
	Databases  []plane.Database // by name
}

const (
	troubledFor = 14 * 24 * time.Hour
	openShown   = 50
)

// Overview looks at everything at once, with a fixed number of questions to the
// store however many apps and backends there are.
func (c *Control) Overview(ctx context.Context, _ plane.Actor) (Overview, error) {
	return read(ctx, c.store, func(tx *store.Tx) (Overview, error) {
		servers, err := tx.Servers(ctx)
		if err != nil {
			return Overview{}, err
		}
		view := Overview{Servers: servers}
		if view.Apps, err = overviewApps(ctx, tx, servers); err != nil {
			return Overview{}, err
		}
		names := namesOf(view)
		if view.Open, err = newestOpen(ctx, tx, names); err != nil {
			return Overview{}, err
		}
		view.Troubled, err = troubled(ctx, tx, c.now().Add(-troubledFor), names)
		return view, err
	})
}

func overviewApps(ctx context.Context, tx *store.Tx, servers []plane.Server) ([]AppOverview, error) {
	apps, err := tx.Apps(ctx)
	if err != nil {
		return nil, err
	}
	backends, err := tx.Backends(ctx)
	if err != nil {
		return nil, err
	}
	databases, err := tx.Databases(ctx)
	if err != nil {
		return nil, err
	}
	kept := map[string][]plane.Database{}
	for _, d := range databases {
		kept[d.AppID] = append(kept[d.AppID], d)
	}
	byID := map[string]plane.Server{}
	for _, s := range servers {
		byID[s.ID] = s
	}
	of := map[string][]plane.Backend{}
	for _, b := range backends {
		of[b.AppID] = append(of[b.AppID], b)
	}
	views := make([]AppOverview, len(apps))
	for i, a := range apps {
		views[i] = AppOverview{App: a, ServerName: byID[a.ServerID].Name, Databases: kept[a.ID]}
		for _, b := range of[a.ID] {
			views[i].Backends = append(views[i].Backends, viewBackend(a, b, byID[b.ServerID]))
		}
	}
	return views, nil
}

func namesOf(o Overview) map[string]string {
	names := map[string]string{}
	for _, s := range o.Servers {
		names[s.ID] = s.Name
	}
	for _, a := range o.Apps {
		names[a.ID] = a.Name
	}
	return names
}

func newestOpen(ctx context.Context, tx *store.Tx, names map[string]string) ([]RunView, error) {
	var open []RunView
	for _, state := range []plane.RunState{plane.RunRunning, plane.RunQueued} {
		runs, err := tx.Runs(ctx, store.RunFilter{State: state, Limit: openShown})
		if err != nil {
			return nil, err
		}
		for _, r := range runs {
			open = append(open, nameRun(r, names))
		}
	}
	return open, nil
}

// troubled leaves out what was about things that are gone.
func troubled(ctx context.Context, tx *store.Tx, since time.Time, names map[string]string) ([]RunView, error) {
	runs, err := tx.Troubled(ctx, since)
	if err != nil {
		return nil, err
	}
	var left []RunView
	for _, r := range runs {
		gone := r.AppID != "" && names[r.AppID] == "" || r.ServerID != "" && names[r.ServerID] == ""
		if !gone {
			left = append(left, nameRun(r, names))
		}
	}
	return left, nil
}
