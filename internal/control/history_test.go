package control_test

import (
	"context"
	"testing"
	"time"

	"github.com/serverplane/serverplane/internal/control"
	"github.com/serverplane/serverplane/internal/plane"
	"github.com/serverplane/serverplane/internal/store"
)

func TestBackendHistory(t *testing.T) {
	p := newPanel(t)
	s := p.ready(1)
	p.app("web")
	b := p.balancer().Backends[0]
	now := p.now()
	p.write(func(ctx context.Context, tx *store.Tx) error {
		for i := range 3 {
			if err := tx.AppendHealthChange(ctx, b.ID, plane.HealthChange{At: now.Add(time.Duration(i) * time.Second), Became: plane.BackendHealthy}); err != nil {
				return err
			}
			if err := tx.AddHealthMinute(ctx, b.ID, plane.HealthMinute{Minute: now.Add(time.Duration(-30*i) * time.Minute), Probes: i + 1}); err != nil {
				return err
			}
		}
		return nil
	})
	view, err := p.BackendHistory(t.Context(), ann, "web", s.Name, control.HistoryWish{Changes: 2, Reach: 45 * time.Minute})
	if err != nil || len(view.Changes) != 2 || !view.Changes[0].At.After(view.Changes[1].At) || len(view.Minutes) != 2 || view.Minutes[1].Probes != 1 {
		t.Errorf("%+v, %v", view, err)
	}
	for app, server := range map[string]string{"shop": s.Name, "web": "s9"} {
		if _, err := p.BackendHistory(t.Context(), ann, app, server, control.HistoryWish{}); plane.CodeOf(err) != plane.CodeNotFound {
			t.Errorf("%s on %s: %v", app, server, err)
		}
	}
}
