package control

import (
	"context"
	"time"

	"github.com/serverplane/serverplane/internal/plane"
	"github.com/serverplane/serverplane/internal/store"
)

// HistoryWish says how much of a backend's history is wanted.
type HistoryWish struct {
	Changes int           // the newest; 0 means 100
	Reach   time.Duration // how far back its minutes go
}

// HistoryView is what is kept of a backend's past.
type HistoryView struct {
	Changes []plane.HealthChange // newest first
	Minutes []plane.HealthMinute // in order; a minute without a probe is left out
}

// BackendHistory shows how a backend fared.
func (c *Control) BackendHistory(ctx context.Context, actor plane.Actor, app, server string, w HistoryWish) (HistoryView, error) {
	b, err := c.Backend(ctx, actor, app, server)
	if err != nil {
		return HistoryView{}, err
	}
	return read(ctx, c.store, func(tx *store.Tx) (view HistoryView, err error) {
		if view.Changes, err = tx.HealthChanges(ctx, b.ID, w.Changes); err != nil {
			return HistoryView{}, err
		}
		view.Minutes, err = tx.HealthMinutes(ctx, b.ID, c.now().Add(-w.Reach))
		return view, err
	})
}
