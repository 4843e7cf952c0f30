package runner

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/serverplane/serverplane/internal/plane"
	"github.com/serverplane/serverplane/internal/recipe"
	"github.com/serverplane/serverplane/internal/store"
)

// enrol writes down who takes part in a deployment that begins, and who does not.
func (d *deployment) enrol(ctx context.Context) {
	now := d.Now().UTC()
	d.plan.Parts = nil
	for _, s := range d.taking() {
		d.plan.Parts = append(d.plan.Parts, plane.Part{Server: s.Server.Name, State: plane.PartPreparing, Since: now})
	}
	d.tell(ctx, d.out, plane.PartBehind, "takes no part")
}

// tell writes how far some servers have come. It is for people to read: that it
// could not be written is no reason to fail.
func (d *deployment) tell(ctx context.Context, seats []recipe.Seat, state plane.PartState, reason string) {
	for _, s := range seats {
		d.setPart(s.Server.Name, state, reason)
	}
	d.keepParts(ctx)
}

// tellFailed writes who failed and why, by the server's name.
func (d *deployment) tellFailed(ctx context.Context, failed map[string]error) {
	for name, err := range failed {
		if err != nil {
			d.setPart(name, plane.PartFailed, firstLine(err.Error()))
		}
	}
	d.keepParts(ctx)
}

func (d *deployment) setPart(server string, state plane.PartState, reason string) {
	part := plane.Part{Server: server, State: state, Reason: reason, Since: d.Now().UTC()}
	if at := d.heard[server]; state == plane.PartStarted && !at.IsZero() {
		part.Since = at // Ansible is done with all at once, but not at the same time
	}
	i := slices.IndexFunc(d.plan.Parts, func(p plane.Part) bool { return p.Server == server })
	if i < 0 {
		d.plan.Parts = append(d.plan.Parts, part)
		return
	}
	d.plan.Parts[i] = part
}

func (d *deployment) keepParts(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	err := d.Store.Write(ctx, func(tx *store.Tx) error { return tx.SetParts(ctx, d.plan.ID, d.plan.Parts) })
	if err != nil {
		d.Log.Warn("note how far servers have come", "deployment", d.plan.ID, "err", err)
	}
}

// endParts leaves no part under way when its deployment is over.
func endParts(ctx context.Context, tx *store.Tx, plan plane.Deployment) error {
	for i, p := range plan.Parts {
		if !p.State.Ended() {
			plan.Parts[i].State, plan.Parts[i].Reason = plane.PartStopped, cmp.Or(p.Reason, "the deployment ended before it was switched here")
			plan.Parts[i].Since = plan.FinishedAt
		}
	}
	return tx.SetParts(ctx, plan.ID, plan.Parts)
}
