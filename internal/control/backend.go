package control

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"github.com/serverplane/serverplane/internal/plane"
	"github.com/serverplane/serverplane/internal/store"
)

// AddBackend queues the Run that brings the live commit to one more server and
// only then lets it into the upstream. Asked again for a backend that did not
// get there, it continues.
func (c *Control) AddBackend(ctx context.Context, actor plane.Actor, app string, w BackendWish) (plane.Run, error) {
	if w.Weight == 0 {
		w.Weight = 1
	}
	if err := plane.CheckWeight(w.Weight); err != nil {
		return plane.Run{}, err
	}
	if err := plane.CheckAcknowledged("acknowledge", w.Acknowledge); err != nil {
		return plane.Run{}, err
	}
	var run plane.Run
	err := c.changeNoting(ctx, actor, "backend.add", app+" on "+w.Server, func(tx *store.Tx) (string, error) {
		a, err := appByName(ctx, tx, app)
		if err != nil {
			return "", err
		}
		s, err := serverByName(ctx, tx, w.Server)
		if err != nil {
			return "", inField("server", err)
		}
		b, err := c.joinBackend(ctx, tx, a, s, w)
		if err != nil {
			return "", err
		}
		if err := mayUseDatabases(ctx, tx, a, w.Acknowledge); err != nil {
			return "", err
		}
		args, err := json.Marshal(map[string]any{"restart": slices.Contains(w.Acknowledge, plane.AckRestart), "memory": slices.Contains(w.Acknowledge, plane.AckMemory)})
		if err != nil {
			return "", fmt.Errorf("describe an addition: %w", err)
		}
		run, err = c.enqueue(ctx, tx, actor, onBackend(plane.RunAdd, a, b, args))
		return acknowledged(w.Acknowledge), err
	})
	c.hub.Publish(TopicQueue)
	return run, err
}

func (c *Control) joinBackend(ctx context.Context, tx *store.Tx, a plane.App, s plane.Server, w BackendWish) (plane.Backend, error) {
	if err := mayJoin(ctx, tx, a, s, w); err != nil {
		return plane.Backend{}, err
	}
	b, err := tx.BackendOf(ctx, a.ID, s.ID)
	switch {
	case errors.Is(err, store.ErrNotFound):
		return c.placeBackend(ctx, tx, a, s, plane.Backend{Weight: w.Weight, Backup: w.Backup})
	case err != nil:
		return plane.Backend{}, err
	case b.Removing:
		return plane.Backend{}, plane.Conflict(fmt.Sprintf("%q is still being removed from %q", s.Name, a.Name), "backend remove "+a.Name+" "+s.Name+" finishes that")
	case b.Placed || b.Primary:
		return plane.Backend{}, plane.Conflict(fmt.Sprintf("%q already serves %q", s.Name, a.Name), "see backend list "+a.Name)
	}
	b.Weight, b.Backup = w.Weight, w.Backup
	return b, tx.UpdateBackend(ctx, b)
}

func mayJoin(ctx context.Context, tx *store.Tx, a plane.App, s plane.Server, w BackendWish) error {
	if err := refuseLeaving(a); err != nil {
		return err
	}
	primary, err := tx.Server(ctx, a.ServerID)
	if err != nil {
		return fmt.Errorf("find the primary of %s: %w", a.Name, err)
	}
	switch {
	case a.Balancer.Status != plane.BalancerOn && a.Balancer.Status != plane.BalancerApplying:
		return plane.Conflict("load balancing of the app is "+string(a.Balancer.Status), "lb enable "+a.Name+" first")
	case s.State != plane.ServerReady:
		return plane.Conflict(fmt.Sprintf("server %q is %s, not ready", s.Name, s.State), "see server show "+s.Name)
	case plane.CheckBackup(a.Balancer.Method, w.Backup) != nil:
		return plane.CheckBackup(a.Balancer.Method, w.Backup)
	case s.Survey.OSFamily != primary.Survey.OSFamily:
		return plane.Conflict(fmt.Sprintf("%q runs %s, the primary %s", s.Name, s.Survey.OS, primary.Survey.OS), "use servers of one family")
	}
	if err := refuseTakenPort(ctx, tx, a, s.ID); err != nil {
		return err
	}
	return refuseBesideOthers(ctx, tx, a, s)
}

// refuseBesideOthers holds that a server is added once, and not to an app whose
// load balancing is about to end: what waits behind that would come too late.
func refuseBesideOthers(ctx context.Context, tx *store.Tx, a plane.App, s plane.Server) error {
	open, err := openRuns(ctx, tx, store.RunFilter{AppID: a.ID})
	if err != nil {
		return err
	}
	for _, r := range open {
		if r.Kind == plane.RunDisable {
			return plane.Conflict("load balancing of the app is about to be switched off: "+r.ID, "run cancel "+r.ID+", or lb enable "+a.Name+" after it")
		}
		if r.Kind == plane.RunAdd && r.ServerID == s.ID {
			return plane.Conflict(fmt.Sprintf("%q is already being added: %s", s.Name, r.ID), "follow it with run log "+r.ID+" --follow")
		}
	}
	return nil
}

// placeBackend stores a backend with its four ports, which stay as they are.
func (c *Control) placeBackend(ctx context.Context, tx *store.Tx, a plane.App, s plane.Server, b plane.Backend) (plane.Backend, error) {
	b.ID, b.AppID, b.ServerID, b.Enabled, b.CreatedAt = plane.NewID(plane.PrefixBackend), a.ID, s.ID, true, c.now().UTC()
	b.WishedAt = b.CreatedAt
	b.Health = plane.Health{State: plane.BackendDeploying, Since: b.CreatedAt, Reason: "not deployed yet"}
	if b.Primary {
		b.SeenAs = netip.AddrFrom4([4]byte{127, 0, 0, 1})
	}
	if err := tx.CreateBackend(ctx, b); err != nil {
		return plane.Backend{}, err
	}
	ports, err := tx.TakePorts(ctx, s.ID, b.ID, 4, listening(s.Survey))
	if err != nil {
		return plane.Backend{}, fmt.Errorf("take ports on %s: %w", s.Name, err)
	}
	b.Ports = plane.Ports{ProcessA: ports[0], ProcessB: ports[1], SiteA: ports[2], SiteB: ports[3]}
	return b, tx.UpdateBackend(ctx, b)
}

func listening(s plane.Survey) []int {
	ports := make([]int, len(s.Listening))
	for i, l := range s.Listening {
		ports[i] = l.Port
	}
	return ports
}

// Backends lists an app's backends, the primary first.
func (c *Control) Backends(ctx context.Context, actor plane.Actor, app string) ([]BackendView, error) {
	view, err := c.Balancer(ctx, actor, app)
	return view.Backends, err
}

// Backend shows one backend of an app.
func (c *Control) Backend(ctx context.Context, actor plane.Actor, app, server string) (BackendView, error) {
	all, err := c.Backends(ctx, actor, app)
	if err != nil {
		return BackendView{}, err
	}
	for _, b := range all {
		if b.ServerName == server {
			return b, nil
		}
	}
	return BackendView{}, plane.NotFound("backend of "+app+" on a server", server)
}

func viewBackends(ctx context.Context, tx *store.Tx, a plane.App) ([]BackendView, error) {
	backends, err := tx.BackendsOf(ctx, a.ID)
	if err != nil {
		return nil, err
	}
	views := make([]BackendView, len(backends))
	for i, b := range backends {
		s, err := tx.Server(ctx, b.ServerID)
		if err != nil {
			return nil, fmt.Errorf("find the server of a backend of %s: %w", a.Name, err)
		}
		views[i] = viewBackend(a, b, s)
	}
	return views, nil
}

func viewBackend(a plane.App, b plane.Backend, s plane.Server) BackendView {
	if b.Enabled && b.Placed && !b.Removing && !b.Current(a) {
		b.Health.Reason = fmt.Sprintf("out of the upstream, for it does not hold what is live: backend repair %s %s; last seen: %s", a.Name, s.Name, b.Health.Reason)
	}
	return BackendView{Backend: b, AppName: a.Name, ServerName: s.Name, Address: reachedAt(a, b, s)}
}

// reachedAt is what the entry connects to: address and port of the live slot.
func reachedAt(a plane.App, b plane.Backend, s plane.Server) string {
	host := s.PrivateAddress
	if b.Primary {
		host = b.SeenAs
	}
	slot := a.LiveSlot
	if slot == "" {
		slot = plane.SlotA
	}
	return netip.AddrPortFrom(host, uint16(b.Ports.Site(slot))).String()
}
