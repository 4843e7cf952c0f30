package control

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/serverplane/serverplane/internal/plane"
	"github.com/serverplane/serverplane/internal/store"
)

// Deploy queues a deployment of a commit, tag or branch to every backend.
func (c *Control) Deploy(ctx context.Context, actor plane.Actor, app string, w DeployWish) (plane.Deployment, plane.Run, error) {
	if w.Ref != "" {
		if err := plane.CheckBranch("ref", w.Ref); err != nil {
			return plane.Deployment{}, plane.Run{}, err
		}
	}
	var deployment plane.Deployment
	var run plane.Run
	err := c.changeNoting(ctx, actor, "app.deploy", app, func(tx *store.Tx) (string, error) {
		a, err := appByName(ctx, tx, app)
		if err != nil {
			return "", err
		}
		detail, err := mayDeployWithout(ctx, tx, a, w.Without)
		if err != nil {
			return "", err
		}
		order := deployOrder{trigger: plane.TriggerManual, ref: cmp.Or(w.Ref, a.Branch), spec: a.Spec, without: w.Without, rebuild: w.Rebuild, acknowledged: w.Acknowledge}
		deployment, run, err = c.deploy(ctx, tx, actor, a, order)
		return strings.TrimSpace(detail + " " + acknowledged(w.Acknowledge)), err
	})
	if err != nil {
		return plane.Deployment{}, plane.Run{}, err
	}
	c.hub.Publish(TopicQueue)
	return deployment, run, nil
}

// deployOrder says what a deployment is to make live; from is the deployment
// whose release is started again instead of building one.
type deployOrder struct {
	trigger plane.Trigger
	ref     string
	spec    plane.Spec
	from    *plane.Deployment
	without []string // names of servers that take no part
	rebuild bool

	acknowledged []string
}

// startAnew is the live release with what is recorded for the app now.
func startAnew(a plane.App, live plane.Deployment, acknowledged []string) deployOrder {
	return deployOrder{trigger: plane.TriggerEnvironment, ref: live.Commit, spec: a.Spec, from: &live, acknowledged: acknowledged}
}

// deploying is what a Run that deploys is told.
type deploying struct {
	Without []string `json:"without"`
	Rebuild bool     `json:"rebuild,omitempty"`
	Memory  bool     `json:"memory,omitempty"`
}

func (o deployOrder) args() (json.RawMessage, error) {
	told := deploying{Without: o.without, Rebuild: o.rebuild, Memory: slices.Contains(o.acknowledged, plane.AckMemory)}
	if len(told.Without) == 0 && !told.Rebuild && !told.Memory {
		return nil, nil
	}
	raw, err := json.Marshal(told)
	if err != nil {
		return nil, fmt.Errorf("encode what a deployment is told: %w", err)
	}
	return raw, nil
}

// mayDeployWithout holds that who is left out has a backend of the app, and that
// the primary, where the switch happens, is not among them.
func mayDeployWithout(ctx context.Context, tx *store.Tx, a plane.App, without []string) (detail string, err error) {
	if len(without) == 0 {
		return "", nil
	}
	for i, name := range without {
		_, b, err := namedBackend(ctx, tx, a.Name, name)
		switch {
		case err != nil:
			return "", inField("without", err)
		case b.Primary:
			return "", plane.Invalid("without", name+" is the primary, where visitors arrive", "name other servers")
		case slices.Contains(without[:i], name):
			return "", plane.Invalid("without", name+" is given twice", "name each once")
		}
	}
	return "without " + strings.Join(without, ", "), nil
}

// mayPass holds what every way from slot to slot demands, whoever asks for it: it is known which warnings a person has
// read, and nobody is left without an answer by who thinks that others serve meanwhile. Memory is weighed by the Run.
func mayPass(ctx context.Context, tx *store.Tx, a plane.App, o deployOrder) error {
	if err := cmp.Or(refuseLeaving(a), plane.CheckAcknowledged("acknowledge", o.acknowledged)); err != nil {
		return err
	}
	if a.LiveID == "" || slices.Contains(o.acknowledged, plane.AckGap) {
		return nil
	}
	live, err := tx.Deployment(ctx, a.LiveID)
	if err != nil || !o.spec.Restarts() && !live.Spec.Restarts() {
		return err
	}
	backends, err := answeringWith(ctx, tx, a, o)
	if err != nil || !a.AsksGap(backends) {
		return err
	}
	return &plane.Error{
		Code: plane.CodeConflict, Field: "acknowledge", Message: plane.RestartCost(backends),
		Hint: "turn another backend on first (backend on " + a.Name + " SERVER), or add --acknowledge " + plane.AckGap,
	}
}

// answeringWith are the backends that visitors may get during a deployment: who takes no part goes out of the upstream for it.
func answeringWith(ctx context.Context, tx *store.Tx, a plane.App, o deployOrder) ([]plane.Backend, error) {
	backends, err := tx.BackendsOf(ctx, a.ID)
	if err != nil {
		return nil, err
	}
	out := map[string]bool{}
	for _, name := range o.without {
		s, err := serverByName(ctx, tx, name)
		if err != nil {
			return nil, err
		}
		out[s.ID] = true
	}
	return slices.DeleteFunc(backends, func(b plane.Backend) bool { return out[b.ServerID] }), nil
}

// deploy writes a deployment with its own copy of spec and variables, and its Run.
func (c *Control) deploy(ctx context.Context, tx *store.Tx, actor plane.Actor, a plane.App, o deployOrder) (plane.Deployment, plane.Run, error) {
	if err := mayPass(ctx, tx, a, o); err != nil {
		return plane.Deployment{}, plane.Run{}, err
	}
	d := plane.Deployment{
		ID: plane.NewID(plane.PrefixDeployment), AppID: a.ID, Trigger: o.trigger, Ref: o.ref, Spec: o.spec,
		State: plane.DeploymentQueued, Actor: actor.Email, CreatedAt: c.now().UTC(),
	}
	if o.from != nil {
		d.Commit, d.Author, d.Subject, d.ReleaseID = o.from.Commit, o.from.Author, o.from.Subject, o.from.ReleaseID
		d.SourceID = o.from.ID
	}
	var err error
	if d.Variables, err = c.sealVariables(ctx, tx, a.ID, d.ID); err != nil {
		return plane.Deployment{}, plane.Run{}, err
	}
	servers, err := serversOf(ctx, tx, a.ID)
	if err != nil {
		return plane.Deployment{}, plane.Run{}, err
	}
	args, err := o.args()
	if err != nil {
		return plane.Deployment{}, plane.Run{}, err
	}
	run, err := c.enqueue(ctx, tx, actor, plane.Run{
		Kind: plane.RunDeploy, AppID: a.ID, DeploymentID: d.ID, Servers: servers, Locks: []string{plane.AppLock(a.ID)}, Args: args,
	})
	if err != nil {
		return plane.Deployment{}, plane.Run{}, err
	}
	d.RunID = run.ID
	return d, run, tx.CreateDeployment(ctx, d)
}

func (c *Control) sealVariables(ctx context.Context, tx *store.Tx, appID, deploymentID string) ([]byte, error) {
	values, err := c.values(ctx, tx, appID)
	if err != nil {
		return nil, err
	}
	raw, err := json.Marshal(values)
	if err != nil {
		return nil, fmt.Errorf("encode variables: %w", err)
	}
	return c.box.Seal(raw, plane.SealDeployment(deploymentID))
}

// Deployments lists an app's deployments, newest first.
func (c *Control) Deployments(ctx context.Context, _ plane.Actor, app, before string, limit int) ([]plane.Deployment, error) {
	return read(ctx, c.store, func(tx *store.Tx) ([]plane.Deployment, error) {
		a, err := appByName(ctx, tx, app)
		if err != nil {
			return nil, err
		}
		return tx.Deployments(ctx, a.ID, before, limit)
	})
}

// Deployment shows one deployment, where it stands and how long it may take.
func (c *Control) Deployment(ctx context.Context, _ plane.Actor, id string) (DeploymentView, error) {
	if !plane.IsID(plane.PrefixDeployment, id) {
		return DeploymentView{}, plane.NotFound("deployment", id)
	}
	return read(ctx, c.store, func(tx *store.Tx) (DeploymentView, error) {
		d, err := tx.Deployment(ctx, id)
		if err != nil {
			return DeploymentView{}, orNotFound(err, "deployment", id)
		}
		return c.viewDeployment(ctx, tx, d)
	})
}

// CancelDeployment asks the deployment's Run to stop.
func (c *Control) CancelDeployment(ctx context.Context, actor plane.Actor, id string) (plane.Run, error) {
	d, err := c.Deployment(ctx, actor, id)
	if err != nil {
		return plane.Run{}, err
	}
	view, err := c.CancelRun(ctx, actor, d.RunID)
	return view.Run, err
}
