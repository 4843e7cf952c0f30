package health

import (
	"context"
	"slices"

	"github.com/serverplane/serverplane/internal/plane"
	"github.com/serverplane/serverplane/internal/store"
)

// takeOut brings who is kept out of the app's upstream in line with the app's
// wish and with what is known of its backends, from whatever was before: the
// option may have been switched, a person may have taken the others away. The
// decision is made again inside the transaction that acts on it.
func (k *Keeper) takeOut(ctx context.Context, s scene) {
	if len(misplaced(s.app, s.backends)) == 0 {
		return
	}
	var moved []change
	err := k.Store.Write(ctx, func(tx *store.Tx) (err error) {
		moved, err = k.move(ctx, tx, s.app.ID)
		return err
	})
	if err != nil {
		if ctx.Err() == nil {
			k.Log.Error("take backends out or put them back", "app", s.app.Name, "err", err)
		}
		return
	}
	for _, c := range moved {
		k.Log.Info("backend moved", "app", s.app.Name, "backend", c.backend, "state", c.Became, "reason", c.Reason)
	}
	if len(moved) > 0 {
		k.Hub.Publish(topicTree)
		k.Hub.Publish(TopicHealth)
	}
}

// misplaced are the backends that are out and should be in, or the reverse. One
// that is behind gets no visitors anyway, so it counts for no floor.
func misplaced(a plane.App, all []plane.Backend) []plane.Backend {
	current := slices.DeleteFunc(slices.Clone(all), func(b plane.Backend) bool { return !b.Current(a) })
	out := a.Balancer.Health.KeptOut(current)
	var wrong []plane.Backend
	for _, b := range all {
		if b.TakenOut != out[b.ID] {
			wrong = append(wrong, b)
		}
	}
	return wrong
}

func (k *Keeper) move(ctx context.Context, tx *store.Tx, appID string) ([]change, error) {
	a, err := tx.App(ctx, appID)
	if err != nil {
		return nil, ignoreGone(err)
	}
	all, err := tx.BackendsOf(ctx, a.ID)
	if err != nil {
		return nil, err
	}
	var moved []change
	for _, b := range misplaced(a, all) {
		b.TakenOut = !b.TakenOut
		if err := tx.UpdateBackend(ctx, b); err != nil {
			return nil, err
		}
		c := moving(a, b)
		c.At = k.Now().UTC()
		if err := tx.AppendHealthChange(ctx, b.ID, c); err != nil {
			return nil, err
		}
		moved = append(moved, change{backend: b.ID, HealthChange: c})
	}
	if len(moved) == 0 {
		return nil, nil
	}
	_, err = tx.RaiseTree(ctx, a.ServerID)
	return moved, err
}

// moving is the line of a backend's history that says where it was moved.
func moving(a plane.App, b plane.Backend) plane.HealthChange {
	h := b.Health
	c := plane.HealthChange{Was: b.State(), Became: b.State(), Vantage: h.Vantage, Answer: h.Answer}
	if b.TakenOut {
		c.Reason = "taken out of the upstream until it is healthy: " + h.Reason
	} else {
		c.Reason = "put back into the upstream: " + a.Balancer.Health.WhyBack(b)
	}
	return c
}
