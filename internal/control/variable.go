package control

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"

	"github.com/serverplane/serverplane/internal/auth"
	"github.com/serverplane/serverplane/internal/plane"
	"github.com/serverplane/serverplane/internal/recipe"
	"github.com/serverplane/serverplane/internal/store"
)

// MaxVariables bounds how many variables an app has.
const MaxVariables = 500

// SetVariables records values; they reach the processes with the next
// deployment or ApplyVariables.
func (c *Control) SetVariables(ctx context.Context, actor plane.Actor, app string, values map[string]string) error {
	return c.SetVariablesSeen(ctx, actor, app, "", values)
}

// SetVariablesSeen is SetVariables for somebody who looked at SeenVariables before.
func (c *Control) SetVariablesSeen(ctx context.Context, actor plane.Actor, app string, seen Seen, values map[string]string) error {
	for name, value := range values {
		if err := plane.CheckVariable(name, value); err != nil {
			return err
		}
	}
	return c.change(ctx, actor, "env.set", app, func(tx *store.Tx) error {
		a, err := appByName(ctx, tx, app)
		if err != nil {
			return err
		}
		if err := c.stillVariables(ctx, tx, a.ID, seen); err != nil {
			return err
		}
		for name, value := range values {
			sealed, err := c.box.Seal([]byte(value), plane.SealVariable(a.ID, name))
			if err != nil {
				return fmt.Errorf("seal %s: %w", name, err)
			}
			if err := tx.SetVariable(ctx, plane.Variable{AppID: a.ID, Name: name, Sealed: sealed, UpdatedAt: c.now().UTC()}); err != nil {
				return err
			}
		}
		return c.refuseUnfit(ctx, tx, a)
	})
}

func (c *Control) stillVariables(ctx context.Context, tx *store.Tx, appID string, seen Seen) error {
	if seen == "" {
		return nil
	}
	now, err := c.viewVariables(ctx, tx, appID, false)
	if err != nil {
		return err
	}
	return seen.still(SeenVariables(now))
}

// refuseUnfit holds that all variables together can be given to a process.
func (c *Control) refuseUnfit(ctx context.Context, tx *store.Tx, a plane.App) error {
	values, err := c.values(ctx, tx, a.ID)
	if err != nil {
		return err
	}
	if len(values) > MaxVariables {
		return plane.Invalid("values", fmt.Sprintf("an app has at most %d variables", MaxVariables), "unset some first")
	}
	return recipe.CheckVariables(a.Kind, values)
}

// UnsetVariables removes variables; a name that is not set is an error and
// nothing is changed.
func (c *Control) UnsetVariables(ctx context.Context, actor plane.Actor, app string, names []string) error {
	return c.UnsetVariablesSeen(ctx, actor, app, "", names)
}

// UnsetVariablesSeen is UnsetVariables for somebody who looked at SeenVariables before.
func (c *Control) UnsetVariablesSeen(ctx context.Context, actor plane.Actor, app string, seen Seen, names []string) error {
	return c.change(ctx, actor, "env.unset", app, func(tx *store.Tx) error {
		a, err := appByName(ctx, tx, app)
		if err != nil {
			return err
		}
		if err := c.stillVariables(ctx, tx, a.ID, seen); err != nil {
			return err
		}
		for _, name := range names {
			existed, err := tx.UnsetVariable(ctx, a.ID, name)
			if err != nil {
				return err
			}
			if !existed {
				return plane.NotFound("variable", name)
			}
		}
		return nil
	})
}

// Variables lists an app's variables, with their values only if revealed;
// revealing is written down.
func (c *Control) Variables(ctx context.Context, actor plane.Actor, app string, reveal bool) ([]VariableView, error) {
	var views []VariableView
	look := func(tx *store.Tx) error {
		a, err := appByName(ctx, tx, app)
		if err != nil {
			return err
		}
		views, err = c.viewVariables(ctx, tx, a.ID, reveal)
		return err
	}
	if reveal {
		return views, c.change(ctx, actor, "env.reveal", app, look)
	}
	return views, c.store.Read(ctx, look)
}

func (c *Control) viewVariables(ctx context.Context, tx *store.Tx, appID string, reveal bool) ([]VariableView, error) {
	all, err := tx.Variables(ctx, appID)
	if err != nil {
		return nil, err
	}
	views := make([]VariableView, len(all))
	for i, v := range all {
		value, err := c.box.Unseal(v.Sealed, plane.SealVariable(appID, v.Name))
		if err != nil {
			return nil, fmt.Errorf("open variable %s: %w", v.Name, err)
		}
		views[i] = VariableView{Name: v.Name, Length: len(value), UpdatedAt: v.UpdatedAt, Version: version(v.Sealed)}
		if reveal {
			views[i].Value = string(value)
		}
	}
	return views, nil
}

// version tells one sealing of a value from another; nothing of the value is in it.
func version(sealed []byte) string {
	sum := sha256.Sum256(sealed)
	return hex.EncodeToString(sum[:8])
}

// CompareVariables tells what setting the values would do to each name, without
// showing a value that is recorded. Who may not read values is not told which
// of them stay the same.
func (c *Control) CompareVariables(ctx context.Context, actor plane.Actor, app string, values map[string]string) (map[string]VariableChange, error) {
	reveal := auth.Allow(actor.Role, auth.VariableReveal)
	return read(ctx, c.store, func(tx *store.Tx) (map[string]VariableChange, error) {
		a, err := appByName(ctx, tx, app)
		if err != nil {
			return nil, err
		}
		now, err := c.values(ctx, tx, a.ID)
		if err != nil {
			return nil, err
		}
		all := map[string]VariableChange{}
		for name, value := range values {
			was, known := now[name]
			switch {
			case !known:
				all[name] = VariableAdded
			case reveal && was == value:
				all[name] = VariableStays
			default:
				all[name] = VariableReplaced
			}
		}
		return all, nil
	})
}

// ApplyVariables starts the live commit with the recorded variables and
// commands in the other slot. The Run is nil when nothing differs.
func (c *Control) ApplyVariables(ctx context.Context, actor plane.Actor, app string) (*plane.Run, error) {
	var run *plane.Run
	err := c.change(ctx, actor, "env.apply", app, func(tx *store.Tx) error {
		a, err := appByName(ctx, tx, app)
		if err != nil {
			return err
		}
		if a.LiveID == "" {
			return plane.Conflict("nothing is deployed yet", "deploy "+app+" first")
		}
		live, err := tx.Deployment(ctx, a.LiveID)
		if err != nil {
			return err
		}
		same, err := c.applied(ctx, tx, a, live)
		if err != nil || same {
			return err
		}
		_, queued, err := c.deploy(ctx, tx, actor, a, deployOrder{trigger: plane.TriggerEnvironment, ref: live.Commit, spec: a.Spec, from: &live})
		run = &queued
		return err
	})
	c.hub.Publish(TopicQueue)
	return run, err
}

// values opens an app's recorded variables.
func (c *Control) values(ctx context.Context, tx *store.Tx, appID string) (map[string]string, error) {
	views, err := c.viewVariables(ctx, tx, appID, true)
	if err != nil {
		return nil, err
	}
	values := make(map[string]string, len(views))
	for _, v := range views {
		values[v.Name] = v.Value
	}
	return values, nil
}

// applied tells whether the live deployment has the recorded variables and
// commands.
func (c *Control) applied(ctx context.Context, tx *store.Tx, a plane.App, live plane.Deployment) (bool, error) {
	wanted, err := c.values(ctx, tx, a.ID)
	if err != nil {
		return false, err
	}
	raw, err := c.box.Unseal(live.Variables, plane.SealDeployment(live.ID))
	if err != nil {
		return false, fmt.Errorf("open the variables of %s: %w", live.ID, err)
	}
	var got map[string]string
	if err := json.Unmarshal(raw, &got); err != nil {
		return false, fmt.Errorf("read the variables of %s: %w", live.ID, err)
	}
	return maps.Equal(wanted, got) && reflect.DeepEqual(running(a.Spec), running(live.Spec)), nil
}

// running is the part of a spec that belongs to a slot.
func running(s plane.Spec) plane.Spec {
	return plane.Spec{Root: s.Root, Start: s.Start}
}
