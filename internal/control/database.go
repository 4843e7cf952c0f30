package control

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"strings"

	"github.com/serverplane/serverplane/internal/plane"
	"github.com/serverplane/serverplane/internal/store"
)

// CreateDatabase queues the Run that makes a database for an app on its primary
// and opens it to the app's backends. Asked again for one that did not get there,
// it continues.
func (c *Control) CreateDatabase(ctx context.Context, actor plane.Actor, w DatabaseWish) (plane.Run, error) {
	if err := w.check(); err != nil {
		return plane.Run{}, err
	}
	var run plane.Run
	err := c.changeNoting(ctx, actor, "db.create", w.Name, func(tx *store.Tx) (string, error) {
		a, err := appByName(ctx, tx, w.App)
		if err != nil {
			return "", inField("app", err)
		}
		if err := refuseLeaving(a); err != nil {
			return "", err
		}
		d, err := c.newDatabase(ctx, tx, a, w)
		if err != nil {
			return "", err
		}
		args := databaseArgs{Database: d.ID, Restart: slices.Contains(w.Acknowledge, plane.AckRestart)}
		if err := refuseHeldPort(ctx, tx, d); err != nil {
			return "", err
		}
		run, err = c.enqueueDatabase(ctx, tx, actor, plane.RunCreateDatabase, d, args)
		return acknowledged(w.Acknowledge), err
	})
	c.hub.Publish(TopicQueue)
	return run, err
}

func (w DatabaseWish) check() error {
	checks := []error{
		plane.CheckDatabaseName("name", w.Name), plane.CheckEngine("engine", w.Engine), plane.CheckPrefix("prefix", w.Prefix),
		plane.CheckAcknowledged("acknowledge", w.Acknowledge),
	}
	if w.Password != "" {
		checks = append(checks, plane.CheckDatabasePassword("password", w.Password))
	}
	for _, err := range checks {
		if err != nil {
			return err
		}
	}
	return nil
}

// databaseArgs is what a Run about a database is told.
type databaseArgs struct {
	Database string              `json:"database"`
	Restart  bool                `json:"restart,omitempty"`
	Backup   string              `json:"backup,omitempty"`
	Change   *plane.EngineChange `json:"change,omitempty"` // what a database-set takes back if it fails
	Prove    bool                `json:"prove,omitempty"`
}

// newDatabase stores a database, or finds the one that an earlier wish did not
// bring to its end.
func (c *Control) newDatabase(ctx context.Context, tx *store.Tx, a plane.App, w DatabaseWish) (plane.Database, error) {
	former, err := tx.DatabaseByName(ctx, w.Name)
	if err == nil {
		return former, mayContinue(ctx, tx, a, former, w)
	}
	if !errors.Is(err, store.ErrNotFound) {
		return former, err
	}
	d := plane.Database{
		ID: plane.NewID(plane.PrefixDatabase), Name: w.Name, AppID: a.ID, ServerID: a.ServerID, Engine: w.Engine, Prefix: w.Prefix,
		Revision: 1, Pool: plane.DefaultPool, Backups: plane.BackupPlan{Keep: plane.KeepBackups}, State: plane.DatabaseCreating, Since: c.now().UTC(), CreatedAt: c.now().UTC(),
	}
	if err := c.mayCreate(ctx, tx, a, d); err != nil {
		return d, err
	}
	password := w.Password
	if password == "" {
		password = newPassword()
	}
	if d.Password, err = c.box.Seal([]byte(password), plane.SealDatabase(d.ID)); err != nil {
		return d, fmt.Errorf("seal the password: %w", err)
	}
	return d, tx.CreateDatabase(ctx, d)
}

func mayContinue(ctx context.Context, tx *store.Tx, a plane.App, d plane.Database, w DatabaseWish) error {
	if d.AppID != a.ID {
		return refuseForeign(ctx, tx, a, d)
	}
	if d.State != plane.DatabaseFailed || d.Engine != w.Engine || d.Prefix != w.Prefix || w.Password != "" {
		return plane.Conflict(fmt.Sprintf("database %q exists already", d.Name), "choose another name, or see db show "+d.Name)
	}
	if err := refuseDatabaseRun(ctx, tx, d); err != nil {
		return err
	}
	return tx.SetDatabaseState(ctx, d.ID, plane.DatabaseCreating, d.Reason, d.Since)
}

// refuseForeign tells whose database it is: an app uses its own, on its own primary.
func refuseForeign(ctx context.Context, tx *store.Tx, a plane.App, d plane.Database) error {
	owner, err := tx.App(ctx, d.AppID)
	if err != nil {
		return fmt.Errorf("find whose database %s is: %w", d.Name, err)
	}
	text := fmt.Sprintf("database %q exists already and is %q's", d.Name, owner.Name)
	if d.ServerID != a.ServerID {
		theirs, err := tx.Server(ctx, d.ServerID)
		if err != nil {
			return fmt.Errorf("find the server of %s: %w", d.Name, err)
		}
		ours, err := tx.Server(ctx, a.ServerID)
		if err != nil {
			return fmt.Errorf("find the primary of %s: %w", a.Name, err)
		}
		text += fmt.Sprintf(", on its primary %q; %q lives on %q, and an app uses databases of its own primary only", theirs.Name, a.Name, ours.Name)
	}
	return &plane.Error{Code: plane.CodeConflict, Field: "name", Message: text, Hint: "choose another name, and one is made for " + a.Name}
}

func (c *Control) mayCreate(ctx context.Context, tx *store.Tx, a plane.App, d plane.Database) error {
	s, err := tx.Server(ctx, a.ServerID)
	if err != nil {
		return fmt.Errorf("find the primary of %s: %w", a.Name, err)
	}
	if !s.Carries() {
		return plane.Conflict(fmt.Sprintf("the primary %q is %s", s.Name, s.State), "see server show "+s.Name)
	}
	all, err := tx.DatabasesOf(ctx, a.ID)
	if err != nil {
		return err
	}
	for _, o := range all {
		if o.Prefix == d.Prefix {
			return plane.Invalid("prefix", fmt.Sprintf("the variables of database %q of %q have the same names", o.Name, a.Name), "give this one another, for example --prefix REPORTS")
		}
	}
	return refuseTaken(ctx, tx, a, d)
}

// refuseHeldPort tells what the last survey found where an engine that is to be installed would
// listen. The Run looks at the server itself.
func refuseHeldPort(ctx context.Context, tx *store.Tx, d plane.Database) error {
	s, err := tx.Server(ctx, d.ServerID)
	if err != nil {
		return fmt.Errorf("find the server of %s: %w", d.Name, err)
	}
	holder := s.Survey.EnginePortTaken(d.Engine)
	if holder == "" {
		return nil
	}
	return &plane.Error{
		Code: plane.CodeConflict, Field: "engine",
		Message: fmt.Sprintf("port %d of %q is held by %s, and %s listens there", d.Engine.Port(), s.Name, holder, d.Engine.Title()),
		Hint:    "stop it or give it another port, then: server survey " + s.Name + ", and ask again",
	}
}

// refuseTaken holds that no variable the app has of its own is hidden by a
// computed one.
func refuseTaken(ctx context.Context, tx *store.Tx, a plane.App, d plane.Database) error {
	mine, err := tx.Variables(ctx, a.ID)
	if err != nil {
		return err
	}
	for _, v := range mine {
		if d.Computes(v.Name) {
			return plane.Conflict(fmt.Sprintf("%q has a variable %s of its own, which would be computed for this database", a.Name, v.Name),
				fmt.Sprintf("env unset %s %s first, or give the database a --prefix", a.Name, v.Name))
		}
	}
	return nil
}

// passwordRunes leaves out what people take for something else; 32 of them are
// 185 bits.
const passwordRunes = "ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz23456789"

func newPassword() string {
	var out strings.Builder
	for range 32 {
		n, _ := rand.Int(rand.Reader, big.NewInt(int64(len(passwordRunes)))) // never fails since Go 1.24
		out.WriteByte(passwordRunes[n.Int64()])
	}
	return out.String()
}

// enqueueDatabase queues a Run about one database. It shares the app, so that no
// deployment goes on meanwhile but backends may be added, and holds the server's
// databases and package system alone. A removal holds the app alone: no backend
// is to be started with the variables of what is about to go.
func (c *Control) enqueueDatabase(ctx context.Context, tx *store.Tx, actor plane.Actor, kind plane.RunKind, d plane.Database, args databaseArgs) (plane.Run, error) {
	raw, err := json.Marshal(args)
	if err != nil {
		return plane.Run{}, fmt.Errorf("describe %s: %w", kind, err)
	}
	locks := []string{plane.Shared(plane.AppLock(d.AppID)), plane.DatabaseLock(d.ServerID)}
	switch kind {
	case plane.RunCreateDatabase:
		locks = append(locks, plane.PackagesLock(d.ServerID))
	case plane.RunDropDatabase:
		locks[0] = plane.AppLock(d.AppID)
	}
	return c.enqueue(ctx, tx, actor, plane.Run{
		Kind: kind, AppID: d.AppID, ServerID: d.ServerID, Servers: []string{d.ServerID}, Locks: plane.SortLocks(locks...), Args: raw,
	})
}

// refuseDatabaseRun holds that one Run at a time works on a database.
func refuseDatabaseRun(ctx context.Context, tx *store.Tx, d plane.Database) error {
	open, err := openRuns(ctx, tx, store.RunFilter{AppID: d.AppID})
	if err != nil {
		return err
	}
	for _, r := range open {
		var told databaseArgs
		if r.Kind.OnDatabase() && json.Unmarshal(r.Args, &told) == nil && told.Database == d.ID {
			return plane.Conflict(fmt.Sprintf("%s of %q is under way: %s", r.Kind, d.Name, r.ID), "wait for it (run log "+r.ID+" --follow) or run cancel "+r.ID)
		}
	}
	return nil
}

func databaseByName(ctx context.Context, tx *store.Tx, name string) (plane.Database, error) {
	if plane.CheckName("name", name) != nil {
		return plane.Database{}, plane.NotFound("database", name)
	}
	d, err := tx.DatabaseByName(ctx, name)
	return d, orNotFound(err, "database", name)
}

// Databases lists the databases of all apps, or of one.
func (c *Control) Databases(ctx context.Context, _ plane.Actor, app string) ([]DatabaseView, error) {
	return read(ctx, c.store, func(tx *store.Tx) ([]DatabaseView, error) {
		all, err := tx.Databases(ctx)
		if err != nil {
			return nil, err
		}
		if app != "" {
			a, err := appByName(ctx, tx, app)
			if err != nil {
				return nil, err
			}
			all = slices.DeleteFunc(all, func(d plane.Database) bool { return d.AppID != a.ID })
		}
		views := make([]DatabaseView, len(all))
		for i, d := range all {
			if views[i], err = viewDatabase(ctx, tx, d); err != nil {
				return nil, err
			}
		}
		return views, nil
	})
}

// Database shows one database: who may connect, how that was proven, and what
// its engine is.
func (c *Control) Database(ctx context.Context, _ plane.Actor, name string) (DatabaseView, error) {
	return read(ctx, c.store, func(tx *store.Tx) (DatabaseView, error) {
		d, err := databaseByName(ctx, tx, name)
		if err != nil {
			return DatabaseView{}, err
		}
		return viewDatabase(ctx, tx, d)
	})
}

func viewDatabase(ctx context.Context, tx *store.Tx, d plane.Database) (DatabaseView, error) {
	v := DatabaseView{Database: d}
	a, err := tx.App(ctx, d.AppID)
	if err != nil {
		return v, err
	}
	s, err := tx.Server(ctx, d.ServerID)
	if err != nil {
		return v, err
	}
	v.AppName, v.ServerName, v.Host, v.NextBackup = a.Name, s.Name, s.PrivateAddress.String(), d.Backups.Next(a.Spec.Timezone()).UTC()
	if v.Server, err = tx.DatabaseServer(ctx, d.ServerID, d.Engine); err != nil && !errors.Is(err, store.ErrNotFound) {
		return v, err
	}
	if v.Budget, err = budget(ctx, tx, v.Server, d.ServerID, d.Engine, ""); err != nil {
		return v, err
	}
	access, err := tx.AccessTo(ctx, d.ID)
	if err != nil {
		return v, err
	}
	for _, g := range access {
		b, err := tx.Backend(ctx, g.BackendID)
		if err != nil {
			return v, err
		}
		on, err := tx.Server(ctx, b.ServerID)
		if err != nil {
			return v, err
		}
		v.Access = append(v.Access, AccessView{Access: g, ServerName: on.Name, Role: b.Role()})
	}
	slices.SortFunc(v.Access, func(a, b AccessView) int {
		return strings.Compare(b.Role+" ", a.Role+" ") // the primary first
	})
	return v, nil
}

// refuseClosed announces the one restart that each engine older than ServerPlane's
// part in it needs, with everybody it concerns.
func refuseClosed(ctx context.Context, tx *store.Tx, all []engineSeat) error {
	var told []plane.Engine
	var text []string
	for _, v := range all {
		if v.engine.Open || slices.Contains(told, v.db.Engine) {
			continue
		}
		names, err := neighbours(ctx, tx, v.db)
		if err != nil {
			return err
		}
		told = append(told, v.db.Engine)
		text = append(text, fmt.Sprintf("%s was there before ServerPlane and listens on its own server only; to let backends in it is restarted once, which cuts the connections of %s for about a second",
			v.db.Engine.Title(), strings.Join(names, ", ")))
	}
	if len(text) == 0 {
		return nil
	}
	return &plane.Error{
		Code: plane.CodeConflict, Field: "acknowledge", Message: strings.Join(text, "; "), Hint: "choose a quiet moment and add --acknowledge " + plane.AckRestart,
	}
}

// neighbours names the apps whose databases are in the same engine.
func neighbours(ctx context.Context, tx *store.Tx, d plane.Database) ([]string, error) {
	all, err := tx.DatabasesOn(ctx, d.ServerID)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, o := range all {
		a, err := tx.App(ctx, o.AppID)
		if err != nil {
			return nil, err
		}
		if o.Engine == d.Engine && !slices.Contains(names, a.Name) {
			names = append(names, a.Name)
		}
	}
	return append(names, "whatever else uses it"), nil
}
