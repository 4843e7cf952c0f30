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

// WarningFiles is the id of the warning every person who balances an app must
// have read: files written on one backend do not exist on the others.
const WarningFiles = "local_writes"

// EnableBalancer makes an app's entry a load balancer. The person must have
// read that ServerPlane never syncs files.
func (c *Control) EnableBalancer(ctx context.Context, actor plane.Actor, app string, w BalancerWish) (plane.Run, error) {
	if w.Method != "" {
		if err := plane.CheckMethod("method", w.Method); err != nil {
			return plane.Run{}, err
		}
	}
	if !slices.Contains(w.Acknowledge, WarningFiles) {
		return plane.Run{}, plane.Invalid("acknowledge",
			"files written on one backend do not exist on the others; ServerPlane never syncs files",
			"make the app stateless, then send acknowledge ["+WarningFiles+"] (lb enable --yes)")
	}
	if err := plane.CheckAcknowledged("acknowledge", w.Acknowledge); err != nil {
		return plane.Run{}, err
	}
	var run plane.Run
	err := c.changeNoting(ctx, actor, "lb.enable", app, func(tx *store.Tx) (string, error) {
		a, err := appByName(ctx, tx, app)
		if err != nil {
			return "", err
		}
		if err := mayEnable(a); err != nil {
			return "", err
		}
		seats, err := seatsOf(ctx, tx, a)
		if err != nil {
			return "", err
		}
		args, err := json.Marshal(enabling{Former: a.Balancer, Method: cmp.Or(w.Method, a.Balancer.Method)})
		if err != nil {
			return "", fmt.Errorf("encode the former load balancer: %w", err)
		}
		a.Balancer.Method, a.Balancer.Status, a.Balancer.Reason = cmp.Or(w.Method, a.Balancer.Method), plane.BalancerApplying, ""
		if err := cmp.Or(checkBalancer(a, seats), tx.SetBalancer(ctx, a.ID, a.Balancer)); err != nil {
			return "", err
		}
		run, err = c.enqueue(ctx, tx, actor, plane.Run{
			Kind: plane.RunEnable, AppID: a.ID, Servers: []string{a.ServerID}, Locks: []string{plane.AppLock(a.ID)},
			Args: args,
		})
		return acknowledged(w.Acknowledge), err
	})
	c.hub.Publish(TopicQueue)
	return run, err
}

// acknowledged is what the audit log keeps of the warnings a person has read.
func acknowledged(ids []string) string {
	if len(ids) == 0 {
		return ""
	}
	return "acknowledged: " + strings.Join(ids, ", ")
}

func mayEnable(a plane.App) error {
	switch {
	case a.State != plane.AppLive:
		return plane.Conflict("the app has no completed deployment yet", "deploy "+a.Name+" first")
	case a.Balancer.Status == plane.BalancerOn || a.Balancer.Status == plane.BalancerApplying:
		return plane.Conflict("load balancing is already "+string(a.Balancer.Status), "add backends with backend add")
	}
	return nil
}

// Balancer shows an app's load balancer.
func (c *Control) Balancer(ctx context.Context, _ plane.Actor, app string) (BalancerView, error) {
	return read(ctx, c.store, func(tx *store.Tx) (BalancerView, error) {
		a, err := appByName(ctx, tx, app)
		if err != nil {
			return BalancerView{}, err
		}
		backends, err := viewBackends(ctx, tx, a)
		if err != nil {
			return BalancerView{}, err
		}
		primary, err := tx.Server(ctx, a.ServerID)
		view := BalancerView{LoadBalancer: a.Balancer, App: a.Name, Path: a.Spec.HealthPath, Backends: backends}
		view.Pending, view.PendingReason = primary.TreeWanted > primary.TreeApplied, primary.TreeError
		return view, err
	})
}
