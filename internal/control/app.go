package control

import (
	"cmp"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/crypto/ssh"

	"github.com/serverplane/serverplane/internal/plane"
	"github.com/serverplane/serverplane/internal/store"
)

// CreateApp creates an app on its primary and, unless NoDeploy, queues its
// first deployment; the Run is nil then.
func (c *Control) CreateApp(ctx context.Context, actor plane.Actor, w AppWish) (plane.App, *plane.Run, error) {
	app := c.newApp(w)
	app.Since, app.CreatedAt = c.now().UTC(), c.now().UTC()
	if err := cmp.Or(c.checkApp(app), plane.CheckAcknowledged("acknowledge", w.Acknowledge), refuseGap(plane.App{}, app, nil, w.Acknowledge)); err != nil {
		return plane.App{}, nil, err
	}
	if err := c.giveKey(&app); err != nil {
		return plane.App{}, nil, err
	}
	var run *plane.Run
	err := c.changeNoting(ctx, actor, "app.create", w.Name, func(tx *store.Tx) (string, error) {
		server, err := serverByName(ctx, tx, w.Server)
		if err != nil {
			return "", inField("server", err)
		}
		note := acknowledged(w.Acknowledge)
		if err := c.settle(ctx, tx, &app, server); err != nil || w.NoDeploy {
			return note, err
		}
		_, queued, err := c.deploy(ctx, tx, actor, app, deployOrder{trigger: plane.TriggerManual, ref: app.Branch, spec: app.Spec})
		run = &queued
		return note, err
	})
	if err != nil {
		return plane.App{}, nil, err
	}
	c.hub.Publish(TopicQueue)
	return app, run, nil
}

// checkApp holds for an app before it is stored.
func (c *Control) checkApp(a plane.App) error {
	if err := a.Check(c.insecure); err != nil {
		return err
	}
	return c.kinds.Check(a)
}

func (c *Control) newApp(w AppWish) plane.App {
	if w.Branch == "" {
		w.Branch = plane.DefaultBranch
	}
	return plane.App{
		ID: plane.NewID(plane.PrefixApp), Name: w.Name, Kind: w.Kind, Repository: w.Repository, Branch: w.Branch,
		Domains: w.Domains, Spec: c.kinds.Complete(w.Kind, w.Spec), State: plane.AppNew, Balancer: plane.NewLoadBalancer(),
	}
}

// giveKey makes the app's own deploy key; the private half is sealed at once.
func (c *Control) giveKey(app *plane.App) error {
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return fmt.Errorf("make deploy key: %w", err)
	}
	block, err := ssh.MarshalPrivateKey(private, "serverplane "+app.Name)
	if err != nil {
		return fmt.Errorf("encode deploy key: %w", err)
	}
	line, err := ssh.NewPublicKey(public)
	if err != nil {
		return fmt.Errorf("encode deploy key: %w", err)
	}
	app.DeployKey = strings.TrimSpace(string(ssh.MarshalAuthorizedKey(line))) + " serverplane-" + app.Name
	app.DeployKeyPEM, err = c.box.Seal(pem.EncodeToMemory(block), plane.SealDeployKey(app.ID))
	return err
}

// settle stores the app and its first backend, the primary's own.
func (c *Control) settle(ctx context.Context, tx *store.Tx, app *plane.App, primary plane.Server) error {
	if err := refuseAsPrimary(ctx, tx, primary, *app); err != nil {
		return err
	}
	app.ServerID = primary.ID
	if err := refuseTakenPort(ctx, tx, *app, primary.ID); err != nil {
		return err
	}
	if err := tx.CreateApp(ctx, *app); err != nil {
		return err
	}
	if err := c.giveSecrets(ctx, tx, *app); err != nil {
		return err
	}
	_, err := c.placeBackend(ctx, tx, *app, primary, plane.Backend{Primary: true, Weight: 1})
	return err
}

// giveSecrets makes the variables an app of this kind needs and nobody chooses:
// once, so that they are the same on every backend and stay with every release.
func (c *Control) giveSecrets(ctx context.Context, tx *store.Tx, app plane.App) error {
	kind, err := c.kinds.Of(app.Kind)
	if err != nil {
		return err
	}
	for _, s := range kind.Secrets {
		random := make([]byte, 64)
		if _, err := rand.Read(random); err != nil {
			return fmt.Errorf("make %s: %w", s.Name, err)
		}
		if err := c.setVariable(ctx, tx, app.ID, s.Name, s.Make(random)); err != nil {
			return err
		}
	}
	return nil
}

func refuseAsPrimary(ctx context.Context, tx *store.Tx, s plane.Server, app plane.App) error {
	if s.State != plane.ServerReady {
		return plane.Conflict(fmt.Sprintf("server %q is %s, not ready", s.Name, s.State), "see server show "+s.Name)
	}
	if taken := s.Survey.Port80Taken(); taken != "" {
		return plane.Conflict(fmt.Sprintf("port 80 of %q is held by %s; it can be a backend, not a primary", s.Name, taken), "choose another server")
	}
	if err := refuseToTakeDefault(ctx, tx, s); err != nil {
		return err
	}
	return refuseNames(ctx, tx, s.ID, app)
}

// refuseToTakeDefault protects a site that answers names nobody else has only
// because Nginx reads it first: an entry of ours would be read before it.
func refuseToTakeDefault(ctx context.Context, tx *store.Tx, s plane.Server) error {
	if s.Survey.NginxDefault == "" || s.Survey.NginxDefaultExplicit {
		return nil
	}
	apps, err := tx.AppsOn(ctx, s.ID)
	if err != nil || slices.ContainsFunc(apps, func(a plane.App) bool { return a.ServerID == s.ID }) {
		return err // an entry of ours is read first already
	}
	return plane.Conflict(fmt.Sprintf("the site in %s on %q answers all names that no other site has, only because it is read first; an app would take that over", s.Survey.NginxDefault, s.Name),
		"let it say so itself (listen 80 default_server;), reload Nginx there, then: server survey "+s.Name)
}

// refuseNames holds that a name is on one app per primary, and that one app at
// most answers any name there.
func refuseNames(ctx context.Context, tx *store.Tx, primary string, app plane.App) error {
	server, err := tx.Server(ctx, primary)
	if err != nil {
		return err
	}
	if file := server.Survey.NginxDefault; file != "" && len(app.Domains) == 0 {
		return plane.Conflict(fmt.Sprintf("the site in %s on %q already answers any name there", file, server.Name), "give the app a --domain")
	}
	others, err := tx.AppsOn(ctx, primary)
	if err != nil {
		return err
	}
	for _, o := range others {
		if o.ID == app.ID || o.ServerID != primary {
			continue
		}
		if len(app.Domains) == 0 && len(o.Domains) == 0 {
			return plane.Conflict(fmt.Sprintf("app %q already answers any name on that server", o.Name), "give this one a --domain")
		}
		for _, d := range app.Domains {
			if slices.Contains(o.Domains, d) {
				return plane.Conflict(fmt.Sprintf("%s belongs to app %q on that server", d, o.Name), "choose another domain")
			}
		}
	}
	return nil
}

// Apps lists all apps.
func (c *Control) Apps(ctx context.Context, _ plane.Actor) ([]AppView, error) {
	return read(ctx, c.store, func(tx *store.Tx) ([]AppView, error) {
		apps, err := tx.Apps(ctx)
		if err != nil {
			return nil, err
		}
		views := make([]AppView, len(apps))
		for i, a := range apps {
			if views[i], err = c.viewApp(ctx, tx, a); err != nil {
				return nil, err
			}
		}
		return views, nil
	})
}

// AppsAfter lists at most limit apps by name, from the one behind the named one:
// what a page has room for, however many there are.
func (c *Control) AppsAfter(ctx context.Context, _ plane.Actor, after string, limit int) ([]AppView, error) {
	return read(ctx, c.store, func(tx *store.Tx) ([]AppView, error) {
		all, err := tx.Apps(ctx)
		if err != nil {
			return nil, err
		}
		var views []AppView
		for _, a := range all {
			if a.Name <= after || len(views) == limit {
				continue
			}
			view, err := c.viewApp(ctx, tx, a)
			if err != nil {
				return nil, err
			}
			views = append(views, view)
		}
		return views, nil
	})
}

// App shows one app.
func (c *Control) App(ctx context.Context, _ plane.Actor, name string) (AppView, error) {
	return read(ctx, c.store, func(tx *store.Tx) (AppView, error) {
		a, err := appByName(ctx, tx, name)
		if err != nil {
			return AppView{}, err
		}
		return c.viewApp(ctx, tx, a)
	})
}

func (c *Control) viewApp(ctx context.Context, tx *store.Tx, a plane.App) (AppView, error) {
	server, err := tx.Server(ctx, a.ServerID)
	if err != nil {
		return AppView{}, fmt.Errorf("find the primary of %s: %w", a.Name, err)
	}
	view := AppView{App: a, ServerName: server.Name}
	if kind, err := c.kinds.Of(a.Kind); err == nil { // one of a newer panel's is shown without
		view.Label, view.Slot, view.Trust = kind.Label, kind.Slot, kind.Trust
		view.Shared = kind.SharedPaths(a.Spec.Options)
		view.Beside = kind.BesideLines(a.Name)
	}
	backends, err := tx.BackendsOf(ctx, a.ID)
	if err != nil {
		return AppView{}, err
	}
	view.RestartCost, view.Gap, view.GapAsked = plane.RestartCost(backends), plane.GapAhead(backends), view.AsksGap(backends)
	if a.LiveID == "" {
		return view, nil
	}
	live, err := tx.Deployment(ctx, a.LiveID)
	if err != nil {
		return AppView{}, fmt.Errorf("find the live deployment of %s: %w", a.Name, err)
	}
	view.Live = &live
	same, err := c.applied(ctx, tx, a, live)
	view.Unapplied = !same
	return view, err
}

// RemoveApp queues the removal of an app from all its servers.
func (c *Control) RemoveApp(ctx context.Context, actor plane.Actor, name string) (plane.Run, error) {
	var run plane.Run
	err := c.change(ctx, actor, "app.remove", name, func(tx *store.Tx) error {
		app, err := appByName(ctx, tx, name)
		if err != nil {
			return err
		}
		if err := refuseTwice(ctx, tx, app, plane.RunRemoveApp); err != nil {
			return err
		}
		if err := refuseWithData(ctx, tx, app); err != nil {
			return err
		}
		servers, err := serversOf(ctx, tx, app.ID)
		if err != nil {
			return err
		}
		run, err = c.enqueue(ctx, tx, actor, plane.Run{
			Kind: plane.RunRemoveApp, AppID: app.ID, Servers: servers, Locks: []string{plane.AppLock(app.ID)},
		})
		return err
	})
	c.hub.Publish(TopicQueue)
	return run, err
}

// refuseWithData holds that data goes by a wish of its own, which leaves a dump.
func refuseWithData(ctx context.Context, tx *store.Tx, a plane.App) error {
	all, err := tx.DatabasesOf(ctx, a.ID)
	if err != nil || len(all) == 0 {
		return err
	}
	return plane.Conflict(fmt.Sprintf("app %q has the database %q", a.Name, all[0].Name), "db remove "+all[0].Name+" first; it leaves a dump")
}

// refuseLeaving holds that an app whose removal has begun gets no new work:
// its backends are out of the upstream already, and an entry without any cannot
// be rendered, which would hold up every other app on the primary.
func refuseLeaving(a plane.App) error {
	if a.State == plane.AppRemoving {
		return plane.Conflict(fmt.Sprintf("app %q is being removed", a.Name), "app remove "+a.Name+" again continues")
	}
	return nil
}

// refuseTwice refuses a second Run of a kind while one is under way.
func refuseTwice(ctx context.Context, tx *store.Tx, app plane.App, kind plane.RunKind) error {
	open, err := openRuns(ctx, tx, store.RunFilter{AppID: app.ID})
	if err != nil {
		return err
	}
	for _, r := range open {
		if r.Kind == kind {
			return plane.Conflict(fmt.Sprintf("%s of %q is already under way: %s", kind, app.Name, r.ID), "follow it with run log "+r.ID+" --follow")
		}
	}
	return nil
}

// serversOf lists the ids of the servers an app has a backend on.
func serversOf(ctx context.Context, tx *store.Tx, appID string) ([]string, error) {
	backends, err := tx.BackendsOf(ctx, appID)
	if err != nil {
		return nil, err
	}
	ids := make([]string, len(backends))
	for i, b := range backends {
		ids[i] = b.ServerID
	}
	return ids, nil
}
