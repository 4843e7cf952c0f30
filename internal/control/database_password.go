package control

import (
	"context"
	"fmt"

	"github.com/serverplane/serverplane/internal/plane"
	"github.com/serverplane/serverplane/internal/store"
)

// RotatePassword makes a new password for a database and queues the deployment that starts the live commit with
// it. The former one is valid until that has been done everywhere.
func (c *Control) RotatePassword(ctx context.Context, actor plane.Actor, name string, acknowledge []string) (plane.Run, error) {
	var run plane.Run
	err := c.changeNoting(ctx, actor, "db.rotate-password", name, func(tx *store.Tx) (string, error) {
		d, err := c.settledDatabase(ctx, tx, name)
		if err != nil {
			return "", err
		}
		a, err := tx.App(ctx, d.AppID)
		if err != nil {
			return "", err
		}
		if err := mayRotate(d, a); err != nil {
			return "", err
		}
		live, err := tx.Deployment(ctx, a.LiveID)
		if err != nil {
			return "", err
		}
		if d.Next, err = c.box.Seal([]byte(newPassword()), plane.SealDatabase(d.ID)); err != nil {
			return "", fmt.Errorf("seal the new password: %w", err)
		}
		if err := tx.UpdateDatabase(ctx, d); err != nil {
			return "", err
		}
		if err := tx.RaiseDatabaseServer(ctx, d.ServerID, d.Engine); err != nil {
			return "", err
		}
		_, run, err = c.deploy(ctx, tx, actor, a, startAnew(a, live, acknowledge))
		return acknowledged(acknowledge), err
	})
	c.hub.Publish(TopicQueue)
	return run, err
}

func mayRotate(d plane.Database, a plane.App) error {
	switch {
	case a.LiveID == "":
		return plane.Conflict(fmt.Sprintf("nothing of %q is deployed yet, so nothing would start with the new password", a.Name), "deploy "+a.Name+" first")
	case len(d.Former) > 0:
		return plane.Conflict(fmt.Sprintf("the change before is not at its end: the former password of %q is still valid", d.Name),
			"env apply "+a.Name+" starts everything anew and ends it; backends that are left out keep it valid")
	}
	return nil
}

// renewing tells whether a password of the app's databases waits for a deployment.
func renewing(all []plane.Database) bool {
	for _, d := range all {
		if d.Usable() && d.Renewing() {
			return true
		}
	}
	return false
}
