package control

import (
	"cmp"
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/serverplane/serverplane/internal/plane"
	"github.com/serverplane/serverplane/internal/store"
)

// PanelKey is the panel's public key, for a person to paste.
func (c *Control) PanelKey(context.Context, plane.Actor) (string, error) { return c.panelKey, nil }

// HostKey asks a server for its host key, so that a person can compare it.
func (c *Control) HostKey(ctx context.Context, _ plane.Actor, address string, port int) (plane.HostKey, error) {
	addr, err := plane.CheckAddress("address", address)
	if err != nil {
		return plane.HostKey{}, err
	}
	if err := checkPort(port); err != nil {
		return plane.HostKey{}, err
	}
	return c.surveyor.HostKey(ctx, addr, port)
}

// AddServer looks at a server first, refuses what would end badly, then
// installs the panel's key and queues provisioning. Nothing is stored when it
// fails; it can be repeated.
func (c *Control) AddServer(ctx context.Context, actor plane.Actor, w ServerWish) (plane.Server, plane.Run, error) {
	entrance, err := c.entrance(ctx, &w)
	if err != nil {
		return plane.Server{}, plane.Run{}, err
	}
	survey, err := c.surveyor.Look(ctx, entrance)
	if err != nil {
		return plane.Server{}, plane.Run{}, err
	}
	server, err := c.plan(w, entrance, survey)
	if err != nil {
		return plane.Server{}, plane.Run{}, err
	}
	if err := c.surveyor.Install(ctx, entrance); err != nil {
		return plane.Server{}, plane.Run{}, err
	}
	var run plane.Run
	err = c.change(ctx, actor, "server.add", w.Name, func(tx *store.Tx) error {
		if err := tx.CreateServer(ctx, server); err != nil {
			return err
		}
		run, err = c.enqueue(ctx, tx, actor, provisionRun(server))
		return err
	})
	if err != nil {
		return plane.Server{}, plane.Run{}, err
	}
	c.hub.Publish(TopicQueue)
	return server, run, nil
}

// entrance checks the wish before anything is asked of the server, and that the
// server is the one the person means.
func (c *Control) entrance(ctx context.Context, w *ServerWish) (plane.Entrance, error) {
	if w.SSHPort == 0 {
		w.SSHPort = 22
	}
	if w.User == "" {
		w.User = "root"
	}
	addr, err := plane.CheckAddress("address", w.Address)
	if err != nil {
		return plane.Entrance{}, err
	}
	if err := c.checkServer(ctx, *w, addr); err != nil {
		return plane.Entrance{}, err
	}
	key, err := c.surveyor.HostKey(ctx, addr, w.SSHPort)
	if err != nil {
		return plane.Entrance{}, err
	}
	if w.HostKey != key.Fingerprint {
		return plane.Entrance{}, plane.Invalid("host_key", "the server shows "+key.Fingerprint+" ("+key.Type+")",
			"compare it on the server (ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub), then give it as host_key")
	}
	return plane.Entrance{
		Address: addr, Port: w.SSHPort, User: w.User, Key: w.Key, Password: w.Password,
		SudoPassword: w.SudoPassword, HostKey: key.Line,
	}, nil
}

func (c *Control) checkServer(ctx context.Context, w ServerWish, addr netip.Addr) error {
	if err := plane.CheckServerName("name", w.Name); err != nil {
		return err
	}
	if err := checkPort(w.SSHPort); err != nil {
		return err
	}
	if err := plane.CheckLogin("user", w.User); err != nil {
		return err
	}
	if err := plane.CheckFirewall("firewall", w.Firewall); err != nil {
		return err
	}
	return c.store.Read(ctx, func(tx *store.Tx) error {
		known, err := tx.Servers(ctx)
		if err != nil {
			return err
		}
		for _, s := range known {
			if s.Name == w.Name {
				return plane.Conflict(fmt.Sprintf("there is already a server named %q", w.Name), "choose another name")
			}
			if s.Address == addr && s.SSHPort == w.SSHPort {
				return plane.Conflict(fmt.Sprintf("%s is already the server %q", addr, s.Name), "use that one")
			}
		}
		return nil
	})
}

// plan decides what the server will be from what was found on it.
func (c *Control) plan(w ServerWish, e plane.Entrance, survey plane.Survey) (plane.Server, error) {
	firewall := w.Firewall
	if firewall == "" {
		firewall = survey.ChooseFirewall()
	}
	if err := survey.Refuse(c.panelID, w.Adopt, firewall); err != nil {
		return plane.Server{}, err
	}
	private, err := choosePrivate(w, e.Address, survey)
	if err != nil {
		return plane.Server{}, err
	}
	now := c.now().UTC()
	return plane.Server{
		ID: plane.NewID(plane.PrefixServer), Name: w.Name, Address: e.Address, PrivateAddress: private, SSHPort: e.Port,
		HostKey: e.HostKey, Firewall: firewall, Adopt: w.Adopt, State: plane.ServerPending, Reason: "waits for provisioning",
		Since: now, Survey: survey, CreatedAt: now,
	}, nil
}

func choosePrivate(w ServerWish, address netip.Addr, survey plane.Survey) (netip.Addr, error) {
	if w.PrivateAddress == "" {
		return survey.ChoosePrivateAddress(address), nil
	}
	private, err := plane.CheckAddress("private_address", w.PrivateAddress)
	if err != nil {
		return netip.Addr{}, err
	}
	if !survey.Sees(private) {
		return netip.Addr{}, plane.Invalid("private_address", private.String()+" is on no interface of the server",
			"it has "+strings.Join(survey.Addresses, ", "))
	}
	return private, nil
}

func checkPort(port int) error {
	if port < 1 || port > 65535 {
		return plane.Invalid("ssh_port", "must be 1 to 65535", "the usual port is 22")
	}
	return nil
}

func provisionRun(s plane.Server) plane.Run {
	return plane.Run{Kind: plane.RunProvision, ServerID: s.ID, Servers: []string{s.ID}, Locks: []string{plane.PackagesLock(s.ID)}}
}

// ProvisionServer queues another provisioning; it is safe to repeat.
func (c *Control) ProvisionServer(ctx context.Context, actor plane.Actor, name string) (plane.Run, error) {
	var run plane.Run
	err := c.change(ctx, actor, "server.provision", name, func(tx *store.Tx) error {
		s, err := serverByName(ctx, tx, name)
		if err != nil {
			return err
		}
		run, err = c.enqueue(ctx, tx, actor, provisionRun(s))
		return err
	})
	c.hub.Publish(TopicQueue)
	return run, err
}

// SurveyServer looks at a server again and keeps what it found.
func (c *Control) SurveyServer(ctx context.Context, _ plane.Actor, name string) (plane.Survey, error) {
	s, err := read(ctx, c.store, func(tx *store.Tx) (plane.Server, error) { return serverByName(ctx, tx, name) })
	if err != nil {
		return plane.Survey{}, err
	}
	survey, err := c.surveyor.Survey(ctx, s)
	if err != nil {
		return plane.Survey{}, err
	}
	return survey, c.store.Write(ctx, func(tx *store.Tx) error {
		now, err := tx.Server(ctx, s.ID)
		if err != nil {
			return err
		}
		now.Survey = survey
		return tx.UpdateServer(ctx, now)
	})
}

// RemoveServer forgets a server that carries no app. Nothing on the server is
// changed: what it runs besides ServerPlane's apps goes on.
//
// With forget, left-overs of removed backends on a server that cannot be reached
// are written off: one that is dead for good must not stay for ever.
func (c *Control) RemoveServer(ctx context.Context, actor plane.Actor, name string, forget bool) error {
	return c.changeNoting(ctx, actor, "server.remove", name, func(tx *store.Tx) (string, error) {
		s, err := serverByName(ctx, tx, name)
		if err != nil {
			return "", err
		}
		if err := refuseBusy(ctx, tx, s); err != nil {
			return "", err
		}
		carried, err := tx.BackendsOn(ctx, s.ID)
		if err != nil {
			return "", err
		}
		if err := refuseCarrier(ctx, tx, s, carried, forget); err != nil {
			return "", err
		}
		forgotten, err := writeOff(ctx, tx, carried)
		if err != nil {
			return "", err
		}
		return forgotten, tx.DeleteServer(ctx, s.ID)
	})
}

// refuseCarrier lets a server go that carries nothing, or only what removals left
// on it and cannot take off, because it is gone itself.
func refuseCarrier(ctx context.Context, tx *store.Tx, s plane.Server, carried []plane.Backend, forget bool) error {
	if len(carried) == 0 {
		return nil
	}
	apps, err := carriedBy(ctx, tx, s.ID)
	if err != nil {
		return err
	}
	named, finish := strings.Join(apps, ", "), "backend remove "+apps[0]+" "+s.Name
	switch {
	case slices.ContainsFunc(carried, func(b plane.Backend) bool { return !b.Removing || b.Primary }):
		return plane.Conflict("the server carries "+named, "remove the apps or their backends there first")
	case s.State != plane.ServerUnreachable && s.State != plane.ServerFailed:
		return plane.Conflict("the server still carries what a removal left of "+named, "it can be reached, so finish that: "+finish)
	case !forget:
		return plane.Conflict("the server is "+string(s.State)+" and still carries what a removal left of "+named,
			finish+" once it is back; if it never will be, server remove "+s.Name+" --forget")
	}
	return nil
}

// writeOff forgets left-overs and says for the audit log what they were.
func writeOff(ctx context.Context, tx *store.Tx, left []plane.Backend) (string, error) {
	if len(left) == 0 {
		return "", nil
	}
	told := make([]string, len(left))
	for i, b := range left {
		a, err := tx.App(ctx, b.AppID)
		if err != nil {
			return "", err
		}
		told[i] = fmt.Sprintf("%s (%s)", a.Name, cmp.Or(b.Health.Reason, "nothing is known of it"))
		if err := forgetAccess(ctx, tx, b); err != nil {
			return "", err
		}
		if err := tx.DeleteBackend(ctx, b.ID); err != nil {
			return "", err
		}
	}
	return "written off, left on the server: " + strings.Join(told, "; "), nil
}

func refuseBusy(ctx context.Context, tx *store.Tx, s plane.Server) error {
	open, err := openRuns(ctx, tx, store.RunFilter{ServerID: s.ID})
	if err != nil || len(open) == 0 {
		return err
	}
	return plane.Conflict("a Run is working on the server: "+open[0].ID, "wait for it or cancel it")
}

func carriedBy(ctx context.Context, tx *store.Tx, serverID string) ([]string, error) {
	apps, err := tx.AppsOn(ctx, serverID)
	if err != nil {
		return nil, err
	}
	names := make([]string, len(apps))
	for i, a := range apps {
		names[i] = a.Name
	}
	return names, nil
}

// Servers lists all servers with what they carry, from three lists however many
// there are.
func (c *Control) Servers(ctx context.Context, _ plane.Actor) ([]ServerView, error) {
	return read(ctx, c.store, func(tx *store.Tx) ([]ServerView, error) {
		servers, err := tx.Servers(ctx)
		if err != nil {
			return nil, err
		}
		carried, err := carriedByAll(ctx, tx)
		views := make([]ServerView, len(servers))
		for i, s := range servers {
			views[i] = ServerView{Server: s, Apps: carried[s.ID]}
		}
		return views, err
	})
}

// carriedByAll names the apps on every server, by the server's id.
func carriedByAll(ctx context.Context, tx *store.Tx) (map[string][]string, error) {
	apps, err := tx.Apps(ctx)
	if err != nil {
		return nil, err
	}
	backends, err := tx.Backends(ctx)
	if err != nil {
		return nil, err
	}
	on := map[string][]string{} // server ids by the app's
	for _, b := range backends {
		on[b.AppID] = append(on[b.AppID], b.ServerID)
	}
	carried := map[string][]string{}
	for _, a := range apps {
		for _, server := range on[a.ID] {
			carried[server] = append(carried[server], a.Name)
		}
	}
	return carried, nil
}

// Server shows one server.
func (c *Control) Server(ctx context.Context, _ plane.Actor, name string) (ServerView, error) {
	return read(ctx, c.store, func(tx *store.Tx) (ServerView, error) {
		s, err := serverByName(ctx, tx, name)
		if err != nil {
			return ServerView{}, err
		}
		return viewServer(ctx, tx, s)
	})
}

func viewServer(ctx context.Context, tx *store.Tx, s plane.Server) (ServerView, error) {
	apps, err := carriedBy(ctx, tx, s.ID)
	return ServerView{Server: s, Apps: apps}, err
}

// read runs a look and returns what it found.
func read[T any](ctx context.Context, s *store.Store, fn func(tx *store.Tx) (T, error)) (T, error) {
	var out T
	err := s.Read(ctx, func(tx *store.Tx) (err error) {
		out, err = fn(tx)
		return err
	})
	return out, err
}
