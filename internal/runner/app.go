package runner

import (
	"context"
	"fmt"

	"github.com/serverplane/serverplane/internal/plane"
	"github.com/serverplane/serverplane/internal/recipe"
	"github.com/serverplane/serverplane/internal/store"
)

// removal takes an app from all its servers: first out of every Nginx, then
// what its list on each server names.
type removal struct {
	*job
	crew crew
}

func (m *removal) do(ctx context.Context) error {
	m.steps(3)
	if err := m.step(ctx, "take the app out of every Nginx"); err != nil {
		return err
	}
	err := m.Store.Write(ctx, func(tx *store.Tx) (err error) {
		if m.crew, err = loadCrew(ctx, tx, m.run.AppID); err != nil {
			return err
		}
		return m.hide(ctx, tx)
	})
	if err != nil {
		return err
	}
	if err := m.refuseUnreachable(ctx, m.crew.seats); err != nil {
		return err
	}
	if err := m.steerSeats(ctx, ids(m.crew.seats)); err != nil {
		return err
	}
	if err := m.step(ctx, "remove what it left on its servers"); err != nil {
		return err
	}
	play, err := recipe.Remove(m.run.ID, m.crew.app, true, m.crew.seats)
	if err != nil {
		return err
	}
	if err := m.play(ctx, play); err != nil {
		return err
	}
	if err := m.step(ctx, "remove the mirror"); err != nil {
		return err
	}
	return m.Mirrors.Remove(m.crew.app.ID)
}

// hide marks the app and its backends as going, which takes their files out of
// the trees.
func (m *removal) hide(ctx context.Context, tx *store.Tx) error {
	for _, s := range m.crew.seats {
		if err := change(ctx, tx, s.Backend.ID, func(b *plane.Backend) { b.Removing = true }); err != nil {
			return err
		}
	}
	return tx.SetAppState(ctx, m.crew.app.ID, plane.AppRemoving, "", m.Now().UTC())
}

func (m *removal) undo(context.Context, error) {}

func (m *removal) done(ctx context.Context, tx *store.Tx) error {
	return tx.DeleteApp(ctx, m.crew.app.ID)
}

func (m *removal) failed(ctx context.Context, tx *store.Tx, state plane.RunState, reason string) error {
	return tx.SetAppState(ctx, m.run.AppID, plane.AppRemoving, fmt.Sprintf("removal %s: %s; app remove again continues", state, reason), m.Now().UTC())
}
