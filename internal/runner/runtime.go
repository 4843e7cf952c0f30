package runner

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"

	"github.com/serverplane/serverplane/internal/plane"
	"github.com/serverplane/serverplane/internal/recipe"
	"github.com/serverplane/serverplane/internal/remote"
)

// compareRuntimes refuses a backend that would run another version of the
// kind's runtime than the primary: one app, one runtime.
func (a *addition) compareRuntimes(ctx context.Context) error {
	seats := []recipe.Seat{a.crew.primary()}
	if !a.seat.Backend.Primary {
		seats = append(seats, a.seat)
	}
	versions, failed, err := a.runtimes(ctx, a.crew, a.live.Spec, seats)
	a.version = versions[a.seat.Server.Name]
	if err = errors.Join(err, joined(failed)); err == nil && a.version != "" && !a.seat.Backend.Primary {
		a.say(a.seat.Server.Name, "%s, as on the primary", a.version)
	}
	return err
}

// compareRuntimes refuses to start a release on runtimes that differ: what one
// backend answers, another might not.
func (d *deployment) compareRuntimes(ctx context.Context) error {
	versions, failed, err := d.runtimes(ctx, d.crew, d.plan.Spec, d.taking())
	if err != nil {
		return err
	}
	d.versions = versions
	return d.sift(ctx, failed)
}

// rememberRuntimes asks for what was compared already, for the book alone: visitors may be on the new slots, so that
// nothing is refused any more. Who does not answer keeps what the book says.
func (d *deployment) rememberRuntimes(ctx context.Context) error {
	versions, failed, err := d.runtimes(ctx, d.crew, d.plan.Spec, d.taking())
	if err != nil {
		return err
	}
	d.versions = versions
	for name, why := range failed {
		if why != nil {
			d.say(name, "warning: %v", why)
		}
	}
	return nil
}

// runtimes asks seats, the primary among them, which version of the kind's runtime they have: by the server's
// name, as are the errors of those that have another one than the primary.
func (j *job) runtimes(ctx context.Context, c crew, spec plane.Spec, seats []recipe.Seat) (versions map[string]string, failed map[string]error, err error) {
	kind, err := j.Kinds.Of(c.app.Kind)
	if err != nil {
		return nil, nil, err
	}
	runtime := kind.Runtime(spec.Options)
	if len(runtime.Asked) == 0 {
		return nil, nil, nil
	}
	var mu sync.Mutex
	versions = map[string]string{}
	failed = eachSeat(seats, func(s recipe.Seat) error {
		version, err := j.version(ctx, s.Server, runtime)
		mu.Lock()
		defer mu.Unlock()
		versions[s.Server.Name] = version
		return err
	})
	primary := c.primary().Server.Name
	for name, version := range versions {
		if failed[name] == nil && failed[primary] == nil && version != versions[primary] {
			failed[name] = fmt.Errorf("%s has %s, the primary %s has %s; give both the same", name, version, primary, versions[primary])
		}
	}
	return versions, failed, context.Cause(ctx)
}

// version is for example "PHP 8.2.28".
func (j *job) version(ctx context.Context, s plane.Server, runtime plane.Runtime) (string, error) {
	res, err := j.Pool.Exec(ctx, recipe.Target(s), remote.Command{Args: runtime.Asked})
	if err != nil {
		return "", fmt.Errorf("ask %s for its %s: %w", s.Name, runtime.Name, err)
	}
	if res.Exit != 0 {
		return "", fmt.Errorf("ask %s for its %s: %s", s.Name, runtime.Name, strings.TrimSpace(string(res.Stderr)))
	}
	said := firstLine(string(res.Stdout))
	if said == "" {
		return "", fmt.Errorf("ask %s for its %s: it does not tell a version", s.Name, runtime.Name)
	}
	return runtime.Name + " " + said, nil
}
