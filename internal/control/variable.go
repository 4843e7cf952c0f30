package control

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"net/netip"
	"reflect"
	"slices"
	"strings"

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
		if err := refuseComputed(ctx, tx, a, values); err != nil {
			return err
		}
		for name, value := range values {
			if err := c.setVariable(ctx, tx, a.ID, name, value); err != nil {
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

// refuseComputed holds that nobody records what is computed of a database.
func refuseComputed(ctx context.Context, tx *store.Tx, a plane.App, values map[string]string) error {
	all, err := tx.DatabasesOf(ctx, a.ID)
	if err != nil {
		return err
	}
	for name := range values {
		for _, d := range all {
			if d.Computes(name) {
				return plane.Invalid(name, fmt.Sprintf("is computed from database %q, and differs by server", d.Name), "leave it out; see db show "+d.Name)
			}
		}
	}
	return nil
}

// computedVariables shows what a process on the primary is given of the app's
// databases; the host is another on backends.
func (c *Control) computedVariables(ctx context.Context, tx *store.Tx, a plane.App, reveal bool) ([]VariableView, error) {
	all, err := tx.DatabasesOf(ctx, a.ID)
	if err != nil {
		return nil, err
	}
	kind, err := c.kinds.Of(a.Kind)
	if err != nil {
		return nil, err
	}
	var views []VariableView
	for _, d := range all {
		if !d.Usable() {
			continue
		}
		s, err := viewDatabase(ctx, tx, d)
		if err != nil {
			return nil, err
		}
		password, err := c.box.Unseal(d.Password, plane.SealDatabase(d.ID))
		if err != nil {
			return nil, fmt.Errorf("open the password of %s: %w", d.Name, err)
		}
		slot := a.LiveSlot
		if slot == "" {
			slot = plane.SlotA
		}
		private, err := netip.ParseAddr(s.Host)
		if err != nil {
			return nil, fmt.Errorf("read the address of %s: %w", s.ServerName, err)
		}
		hard, soft := recipe.ShownVariables(kind, a, slot, d, s.Server, private, string(password))
		host, where := hostTold(kind, s)
		maps.Copy(hard, soft)
		for name, value := range hard {
			v := VariableView{Computed: "database " + d.Name, Name: name, Length: len(value), UpdatedAt: d.Since}
			if strings.Contains(value, host) {
				v.Computed += where
			}
			if reveal {
				v.Value = value
			}
			views = append(views, v)
		}
	}
	return views, nil
}

// hostTold is the host an app's process on the primary finds its database at,
// and what to tell beside a variable that holds it.
func hostTold(kind plane.Definition, s DatabaseView) (host, where string) {
	if kind.Container != nil {
		return s.Host, fmt.Sprintf("; the host is %s on all backends", s.Host)
	}
	return "127.0.0.1", fmt.Sprintf("; the host is 127.0.0.1 on %s and %s on backends", s.ServerName, s.Host)
}

func (c *Control) setVariable(ctx context.Context, tx *store.Tx, appID, name, value string) error {
	sealed, err := c.box.Seal([]byte(value), plane.SealVariable(appID, name))
	if err != nil {
		return fmt.Errorf("seal %s: %w", name, err)
	}
	return tx.SetVariable(ctx, plane.Variable{AppID: appID, Name: name, Sealed: sealed, UpdatedAt: c.now().UTC()})
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
	kind, err := c.kinds.Of(a.Kind)
	if err != nil {
		return err
	}
	return recipe.CheckVariables(kind, values)
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
		if views, err = c.viewVariables(ctx, tx, a.ID, reveal); err != nil {
			return err
		}
		computed, err := c.computedVariables(ctx, tx, a, reveal)
		views = withComputed(views, computed)
		return err
	}
	if reveal {
		return views, c.change(ctx, actor, "env.reveal", app, look)
	}
	return views, c.store.Read(ctx, look)
}

// withComputed leaves out what is a mere default where the app has its own.
func withComputed(own, computed []VariableView) []VariableView {
	for _, v := range computed {
		if !slices.ContainsFunc(own, func(o VariableView) bool { return o.Name == v.Name }) {
			own = append(own, v)
		}
	}
	slices.SortFunc(own, func(a, b VariableView) int { return strings.Compare(a.Name, b.Name) })
	return own
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
func (c *Control) ApplyVariables(ctx context.Context, actor plane.Actor, app string, acknowledge []string) (*plane.Run, error) {
	var run *plane.Run
	err := c.changeNoting(ctx, actor, "env.apply", app, func(tx *store.Tx) (string, error) {
		a, err := appByName(ctx, tx, app)
		if err != nil {
			return "", err
		}
		if a.LiveID == "" {
			return "", plane.Conflict("nothing is deployed yet", "deploy "+app+" first")
		}
		live, err := tx.Deployment(ctx, a.LiveID)
		if err != nil {
			return "", err
		}
		same, err := c.applied(ctx, tx, a, live)
		if err != nil || same {
			return "", err
		}
		_, queued, err := c.deploy(ctx, tx, actor, a, startAnew(a, live, acknowledge))
		run = &queued
		return acknowledged(acknowledge), err
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
	databases, err := tx.DatabasesOf(ctx, a.ID)
	if err != nil || renewing(databases) || !slices.Equal(plane.UsesOf(databases), live.Databases) {
		return false, err
	}
	return maps.Equal(wanted, got) && reflect.DeepEqual(running(a.Spec), running(live.Spec)), nil
}

// running is the part of a spec that belongs to a slot.
func running(s plane.Spec) plane.Spec {
	return plane.Spec{Root: s.Root, Start: s.Start}
}
