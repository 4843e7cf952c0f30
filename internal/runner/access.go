package runner

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/serverplane/serverplane/internal/files"
	"github.com/serverplane/serverplane/internal/plane"
	"github.com/serverplane/serverplane/internal/probe"
	"github.com/serverplane/serverplane/internal/recipe"
	"github.com/serverplane/serverplane/internal/remote"
	"github.com/serverplane/serverplane/internal/store"
)

// admit writes down that a backend may connect to databases, under the address
// the primary sees it as. The engine learns of it by bringEngine.
func (j *job) admit(ctx context.Context, c crew, s recipe.Seat, all []plane.Database) error {
	address := netip.AddrFrom4([4]byte{127, 0, 0, 1})
	if !s.Backend.Primary {
		var err error
		if address, err = j.measure(ctx, s.Server, c.primary().Server); err != nil {
			return err
		}
	}
	return j.Store.Write(ctx, func(tx *store.Tx) error {
		for _, d := range all {
			if err := tx.SetAccess(ctx, plane.Access{DatabaseID: d.ID, BackendID: s.Backend.ID, Address: address}); err != nil {
				return err
			}
			if err := tx.RaiseDatabaseServer(ctx, d.ServerID, d.Engine); err != nil {
				return err
			}
		}
		return nil
	})
}

// databasesOf reads the app's databases that its processes use.
func (r *Runner) databasesOf(ctx context.Context, appID string) ([]plane.Database, error) {
	var all []plane.Database
	err := r.Store.Read(ctx, func(tx *store.Tx) (err error) {
		all, err = tx.DatabasesOf(ctx, appID)
		return err
	})
	return slices.DeleteFunc(all, func(d plane.Database) bool { return !d.Usable() }), err
}

func enginesOf(all []plane.Database) []plane.Engine {
	var out []plane.Engine
	for _, d := range all {
		if !slices.Contains(out, d.Engine) {
			out = append(out, d.Engine)
		}
	}
	return out
}

// openDatabases lets one seat connect to what its app uses, before its process
// starts there: exactly its address, to exactly these databases.
func (j *job) openDatabases(ctx context.Context, c crew, s recipe.Seat, restart bool) error {
	all, err := j.databasesOf(ctx, c.app.ID)
	if err != nil || len(all) == 0 {
		return err
	}
	if err := j.step(ctx, "open the database for it"); err != nil {
		return err
	}
	if err := j.admit(ctx, c, s, all); err != nil {
		return err
	}
	for _, e := range enginesOf(all) {
		if err := j.bringEngine(ctx, c.primary().Server, e, engineOrder{restart: restart}); err != nil {
			return err
		}
	}
	return nil
}

// loginLimit bounds one attempt to sign in.
const loginLimit = 8 * time.Second

// credentials are a name and a password to sign in with.
type credentials struct{ name, password string }

// login is one attempt from a seat's or a stranger's place, with what the
// database's processes are given.
func (j *job) login(ctx context.Context, from plane.Server, d plane.Database, at netip.AddrPort, encrypted bool) (plane.Proof, error) {
	password, err := j.password(d)
	if err != nil {
		return plane.Proof{}, err
	}
	return j.loginAs(ctx, from, d, credentials{d.Login(), password}, at, encrypted)
}

func (j *job) loginAs(ctx context.Context, from plane.Server, d plane.Database, c credentials, at netip.AddrPort, encrypted bool) (plane.Proof, error) {
	l := probe.Login{
		From: recipe.Target(from), FromName: from.Name, Engine: d.Engine, Address: at,
		Role: c.name, Database: d.Role(), Password: c.password, Timeout: loginLimit,
	}
	if encrypted {
		ours, err := j.authority(ctx)
		if err != nil {
			return plane.Proof{}, err
		}
		l.CA = ours.Certificate
	}
	return j.Prober.SignIn(ctx, l), nil
}

// databaseAt is where a seat reaches a database.
func databaseAt(engine plane.DatabaseServer, primary plane.Server, s recipe.Seat) netip.AddrPort {
	if s.Backend.Primary {
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), uint16(engine.Port))
	}
	return netip.AddrPortFrom(primary.PrivateAddress, uint16(engine.Port))
}

func (j *job) engineOf(ctx context.Context, d plane.Database) (engine plane.DatabaseServer, err error) {
	err = j.Store.Read(ctx, func(tx *store.Tx) error {
		engine, err = tx.DatabaseServer(ctx, d.ServerID, d.Engine)
		return err
	})
	return engine, err
}

// proveSeats signs in from each seat's place with the database's own password.
func (j *job) proveSeats(ctx context.Context, d plane.Database, c crew, seats []recipe.Seat) error {
	engine, err := j.engineOf(ctx, d)
	if err != nil {
		return err
	}
	return joined(eachSeat(seats, func(s recipe.Seat) error {
		proof, err := j.login(ctx, s.Server, d, databaseAt(engine, c.primary().Server, s), engine.TLS)
		if err != nil {
			return err
		}
		return j.keepProof(ctx, d, s, proof)
	}))
}

// keepProof notes how a seat's attempt ended; one that was not let in is an error.
func (j *job) keepProof(ctx context.Context, d plane.Database, s recipe.Seat, proof plane.Proof) error {
	err := j.Store.Write(ctx, func(tx *store.Tx) error {
		access, err := tx.AccessTo(ctx, d.ID)
		if err != nil {
			return err
		}
		for _, a := range access {
			if a.BackendID == s.Backend.ID {
				a.Proof = proof
				return tx.SetAccess(ctx, a)
			}
		}
		return fmt.Errorf("%s may not connect to %s by the book", s.Server.Name, d.Name)
	})
	if err != nil {
		return err
	}
	if proof.Verdict != plane.Pass {
		return fmt.Errorf("%s cannot sign in to database %s: %s", s.Server.Name, d.Name, proof.Answer)
	}
	j.say(s.Server.Name, "signed in to database %s in %s, %s", d.Name, proof.Latency, encryption(proof))
	return nil
}

func encryption(p plane.Proof) string {
	if p.TLS == "" {
		return "not encrypted"
	}
	return "encrypted with " + p.TLS
}

// proveOwn signs in with what the seat's process itself was given, read from the
// running process: it is the app's own variables that must work.
func (j *job) proveOwn(ctx context.Context, c crew, s recipe.Seat, slot plane.Slot) error {
	all, err := j.databasesOf(ctx, c.app.ID)
	if err != nil || len(all) == 0 {
		return err
	}
	if err := j.step(ctx, "sign in to the database with the app's own variables"); err != nil {
		return err
	}
	kind, err := j.Kinds.Of(c.app.Kind)
	if err != nil {
		return err
	}
	env, err := j.given(ctx, s.Server, c.app.Name, string(slot), kind.Container != nil, all)
	if err != nil {
		return err
	}
	for _, d := range all {
		engine, err := j.engineOf(ctx, d)
		if err != nil {
			return err
		}
		l, err := ownLogin(env, d, s.Server)
		if err != nil {
			return err
		}
		if kind.Container != nil && s.Backend.Primary { // where its door leads
			l.Address = netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), l.Address.Port())
		}
		if engine.TLS {
			ours, err := j.authority(ctx)
			if err != nil {
				return err
			}
			l.CA = ours.Certificate
		}
		if err := j.keepProof(ctx, d, s, j.Prober.SignIn(ctx, l)); err != nil {
			return err
		}
		if err := j.refuseStrangers(ctx, d, c); err != nil {
			return err
		}
	}
	return nil
}

// given is what a slot's process was given of databases: read from the process,
// or from its file where it has written over what it was started with, as programs
// do that show a title of their own. A container's first process is the app's own.
func (j *job) given(ctx context.Context, s plane.Server, app, slot string, contained bool, all []plane.Database) (map[string]string, error) {
	env, err := j.environment(ctx, s, app, slot, contained)
	if err != nil || contained || !slices.ContainsFunc(all, func(d plane.Database) bool { return env[d.Named("DB_HOST")] == "" }) {
		return env, err
	}
	return j.environmentFile(ctx, s, files.EnvPath(app, slot))
}

// environment is what a unit's process was started with. It holds secrets: it
// must never reach a log.
func (j *job) environment(ctx context.Context, s plane.Server, app, slot string, contained bool) (map[string]string, error) {
	unit, script := files.UnitName(app, slot), `exec cat "/proc/$(systemctl show --property=MainPID --value "$1")/environ"`
	if contained {
		unit, script = files.ContainerName(app, slot), `exec cat "/proc/$(docker --host unix:///run/docker.sock inspect --format '{{.State.Pid}}' "$1")/environ"`
	}
	res, err := j.Pool.Exec(ctx, recipe.Target(s), remote.Command{Args: []string{"sh", "-c", script, "sh", unit}, Sudo: true})
	if err != nil {
		return nil, fmt.Errorf("read what %s on %s was given: %w", unit, s.Name, err)
	}
	if res.Exit != 0 {
		return nil, fmt.Errorf("%s does not run on %s", unit, s.Name)
	}
	return entries(res.Stdout), nil
}

// environmentFile is what systemd makes of a slot's variables, told by a process
// that it starts with them. It holds secrets: it must never reach a log.
func (j *job) environmentFile(ctx context.Context, s plane.Server, path string) (map[string]string, error) {
	args := []string{"systemd-run", "--quiet", "--wait", "--pipe", "--collect", "-p", "EnvironmentFile=" + path, "env", "-0"}
	res, err := j.Pool.Exec(ctx, recipe.Target(s), remote.Command{Args: args, Sudo: true})
	if err == nil && res.Exit != 0 {
		err = errors.New(firstLine(string(res.Stderr)))
	}
	if err != nil {
		return nil, fmt.Errorf("read %s on %s: %w", path, s.Name, err)
	}
	return entries(res.Stdout), nil
}

// entries reads an environment block: NAME=value, each ended by a NUL.
func entries(block []byte) map[string]string {
	env := map[string]string{}
	for entry := range strings.SplitSeq(string(block), "\x00") {
		if name, value, ok := strings.Cut(entry, "="); ok {
			env[name] = value
		}
	}
	return env
}

// ownLogin is the attempt an app's process would make by its variables.
func ownLogin(env map[string]string, d plane.Database, s plane.Server) (probe.Login, error) {
	value := func(name string) string { return env[d.Named(name)] }
	host, err := netip.ParseAddr(value("DB_HOST"))
	if err != nil {
		return probe.Login{}, fmt.Errorf("the process on %s was given no %s", s.Name, d.Named("DB_HOST"))
	}
	port, err := strconv.ParseUint(value("DB_PORT"), 10, 16)
	if err != nil {
		return probe.Login{}, fmt.Errorf("the process on %s was given no %s", s.Name, d.Named("DB_PORT"))
	}
	return probe.Login{
		From: recipe.Target(s), FromName: s.Name, Engine: d.Engine, Address: netip.AddrPortFrom(host, uint16(port)),
		Role: value("DB_USERNAME"), Database: value("DB_DATABASE"), Password: value("DB_PASSWORD"), Timeout: loginLimit,
	}, nil
}

// refuseStrangers tries to sign in, with everything right but the place, from a
// managed server that has no business with the database. One that is let in is an
// error; where no such server reaches the primary, nothing is proven.
func (j *job) refuseStrangers(ctx context.Context, d plane.Database, c crew) error {
	engine, err := j.engineOf(ctx, d)
	if err != nil {
		return err
	}
	strangers, err := j.strangers(ctx, d)
	if err != nil {
		return err
	}
	proof := plane.Proof{Verdict: plane.Blind, At: j.Now().UTC(), Answer: "no other managed server reaches the primary to try from"}
	for _, s := range strangers {
		if !j.reaches(ctx, s, c.primary().Server) {
			continue
		}
		if proof, err = j.tryStranger(ctx, d, engine, s, c.primary().Server); err != nil {
			return err
		}
		break
	}
	if err := j.Store.Write(ctx, func(tx *store.Tx) error { return tx.SetStranger(ctx, d.ID, proof) }); err != nil {
		return err
	}
	switch proof.Verdict {
	case plane.Pass:
		return fmt.Errorf("database %s let a stranger in: %s, which is no backend of %s, signed in", d.Name, proof.Vantage, c.app.Name)
	case plane.Fail:
		j.say("", "a stranger is refused by database %s: %s: %s", d.Name, proof.Vantage, proof.Answer)
	default:
		j.say("", "not proven that strangers are refused by database %s: %s", d.Name, proof.Answer)
	}
	return nil
}

// strangers lists the servers in work that have nothing to do with the app: one
// that is about to become its backend may be let in at any moment.
func (j *job) strangers(ctx context.Context, d plane.Database) (out []plane.Server, err error) {
	err = j.Store.Read(ctx, func(tx *store.Tx) error {
		backends, err := tx.BackendsOf(ctx, d.AppID)
		if err != nil {
			return err
		}
		known := map[string]bool{d.ServerID: true}
		for _, b := range backends {
			known[b.ServerID] = true
		}
		all, err := tx.Servers(ctx)
		out = slices.DeleteFunc(all, func(s plane.Server) bool { return known[s.ID] || s.State != plane.ServerReady })
		return err
	})
	return out, err
}

// reaches tells whether a server has a way to the primary at all, by its SSH
// port: silence of the database is a refusal only then.
func (j *job) reaches(ctx context.Context, from, primary plane.Server) bool {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	t := recipe.InnerTarget(primary)
	conn, err := j.Pool.Dial(ctx, recipe.Target(from), netip.AddrPortFrom(primary.PrivateAddress, uint16(t.Port)).String())
	if err != nil {
		return false
	}
	_ = conn.Close()
	return true
}

// tryStranger tries encrypted and in the clear: either might be let in.
func (j *job) tryStranger(ctx context.Context, d plane.Database, engine plane.DatabaseServer, from, primary plane.Server) (plane.Proof, error) {
	at := netip.AddrPortFrom(primary.PrivateAddress, uint16(engine.Port))
	proof, err := j.login(ctx, from, d, at, false)
	if err != nil || proof.Verdict != plane.Fail || !engine.TLS {
		return proof, err
	}
	return j.login(ctx, from, d, at, true)
}

// closeDatabases takes a backend's access away and proves that it is refused. What
// could not be done stays in the book, and in the receipt.
func (j *job) closeDatabases(ctx context.Context, c crew, s recipe.Seat) error {
	var all []plane.Database
	err := j.Store.Write(ctx, func(tx *store.Tx) error {
		all = nil
		access, err := tx.AccessOf(ctx, s.Backend.ID)
		if err != nil {
			return err
		}
		for _, a := range access {
			d, err := tx.Database(ctx, a.DatabaseID)
			if err != nil {
				return err
			}
			all = append(all, d)
			if err := tx.RaiseDatabaseServer(ctx, d.ServerID, d.Engine); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil || len(all) == 0 {
		return err
	}
	unseen, err := j.shut(ctx, c, s, all)
	for _, d := range all {
		line := plane.ReceiptLine{Server: s.Server.Name, What: "access to database " + d.Name, Done: err == nil}
		switch {
		case err != nil:
			line.Detail = firstLine(err.Error())
		case slices.Contains(unseen, d.Name):
			line.Detail = "the backend could not be reached: it may still know the password; db rotate-password " + d.Name
		}
		j.note(line)
	}
	if err != nil {
		return fmt.Errorf("take away the access of %s to the database: %w", s.Server.Name, err)
	}
	return nil
}

// shut also names the databases of which it could not be tried from the backend's
// place whether they refuse it.
func (j *job) shut(ctx context.Context, c crew, s recipe.Seat, all []plane.Database) (unseen []string, err error) {
	for _, e := range enginesOf(all) {
		if err := j.bringEngine(ctx, c.primary().Server, e, engineOrder{}); err != nil {
			return nil, err
		}
	}
	var errs []error
	for _, d := range all {
		tried, err := j.proveShut(ctx, c, s, d)
		if errs = append(errs, err); err == nil && !tried {
			unseen = append(unseen, d.Name)
		}
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return unseen, j.Store.Write(ctx, func(tx *store.Tx) error { return tx.DeleteAccess(ctx, s.Backend.ID) })
}

func (j *job) proveShut(ctx context.Context, c crew, s recipe.Seat, d plane.Database) (tried bool, err error) {
	engine, err := j.engineOf(ctx, d)
	if err != nil {
		return false, err
	}
	proof, err := j.tryStranger(ctx, d, engine, s.Server, c.primary().Server)
	switch {
	case err != nil:
		return false, err
	case proof.Verdict == plane.Pass:
		return true, fmt.Errorf("%s can still sign in to database %s", s.Server.Name, d.Name)
	case proof.Verdict == plane.Fail:
		j.say(s.Server.Name, "is refused by database %s: %s", d.Name, proof.Answer)
		return true, nil
	}
	j.say(s.Server.Name, "may not connect to database %s any more; not tried from there: %s", d.Name, proof.Answer)
	return false, nil
}

// supplies lists what a slot's process gets of its app's databases.
func (j *job) supplies(ctx context.Context, app plane.App) ([]recipe.Supply, error) {
	all, err := j.databasesOf(ctx, app.ID)
	if err != nil || len(all) == 0 {
		return nil, err
	}
	ours, err := j.authority(ctx)
	if err != nil {
		return nil, err
	}
	var out []recipe.Supply
	for _, d := range all {
		s := recipe.Supply{Database: d, CA: ours.Certificate}
		if s.Password, err = j.password(d); err != nil {
			return nil, err
		}
		engine, err := j.engineOf(ctx, d)
		if err != nil {
			return nil, err
		}
		s.Port, s.TLS = engine.Port, engine.TLS
		err = j.Store.Read(ctx, func(tx *store.Tx) error {
			s.Primary, err = tx.Server(ctx, d.ServerID)
			return err
		})
		if err != nil {
			return nil, err
		}
		out = append(out, s)
	}
	return out, nil
}
