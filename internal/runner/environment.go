package runner

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/serverplane/serverplane/internal/files"
	"github.com/serverplane/serverplane/internal/plane"
	"github.com/serverplane/serverplane/internal/probe"
	"github.com/serverplane/serverplane/internal/recipe"
	"github.com/serverplane/serverplane/internal/remote"
	"github.com/serverplane/serverplane/internal/store"
)

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
