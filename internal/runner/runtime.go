package runner

import (
	"cmp"
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
	versions, failed, err := a.runtimes(ctx, a.crew, a.live, seats)
	a.version = versions[a.seat.Server.Name]
	if err = errors.Join(err, joined(failed)); err == nil && a.version != "" && !a.seat.Backend.Primary {
		a.say(a.seat.Server.Name, "%s, as on the primary", a.version)
	}
	return err
}

// compareRuntimes refuses to start a release on runtimes that differ: what one
// backend answers, another might not.
func (d *deployment) compareRuntimes(ctx context.Context) error {
	versions, failed, err := d.runtimes(ctx, d.crew, d.plan, d.taking())
	if err != nil {
		return err
	}
	d.versions = versions
	return d.sift(ctx, failed)
}

// rememberRuntimes asks for what was compared already, for the book alone: visitors may be on the new slots, so that
// nothing is refused any more. Who does not answer keeps what the book says.
func (d *deployment) rememberRuntimes(ctx context.Context) error {
	versions, failed, err := d.runtimes(ctx, d.crew, d.plan, d.taking())
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

// runtimes asks seats, the primary among them, which version of the kind's runtime they have, and what else of a server the
// plan's release carries: by the server's name, as are the errors of those that have other ones than the primary.
func (j *job) runtimes(ctx context.Context, c crew, plan plane.Deployment, seats []recipe.Seat) (versions map[string]string, failed map[string]error, err error) {
	kind, err := j.Kinds.Of(c.app.Kind)
	if err != nil {
		return nil, nil, err
	}
	if len(kind.Runtime(plan.Spec.Options).Asked) == 0 {
		return nil, nil, nil
	}
	var mu sync.Mutex
	versions = map[string]string{}
	failed = eachSeat(seats, func(s recipe.Seat) error {
		version, err := j.version(ctx, s.Server, kind, c.app, plan)
		mu.Lock()
		defer mu.Unlock()
		if err == nil {
			versions[s.Server.Name] = version
		}
		return err
	})
	primary := c.primary().Server.Name
	for name, version := range versions {
		if failed[name] == nil && failed[primary] == nil && version != versions[primary] {
			failed[name] = differ(name, version, primary, versions[primary])
		}
	}
	return versions, failed, context.Cause(ctx)
}

// differ names both. What only the releases carry is brought to today's by building them anew.
func differ(name, version, primary, other string) error {
	runtime, _, _ := strings.Cut(version, ",")
	out := "give both the same"
	if strings.HasPrefix(other, runtime+",") {
		out = "deploy --rebuild builds all of them with today's"
	}
	return fmt.Errorf("%s has %s, the primary %s has %s; %s", name, version, primary, other, out)
}

// version is for example "PHP 8.2.28", or "PHP 8.2.28, WordPress 6.1.9" where releases carry something of their server.
func (j *job) version(ctx context.Context, s plane.Server, kind plane.Definition, a plane.App, plan plane.Deployment) (string, error) {
	runtime := kind.Runtime(plan.Spec.Options)
	said, err := j.told(ctx, s, "its "+runtime.Name, remote.Command{Args: runtime.Asked})
	if err != nil {
		return "", err
	}
	version := runtime.Name + " " + said
	carried, carries := recipe.Carried(kind, a, plan)
	if !carries {
		return version, nil
	}
	said, err = j.told(ctx, s, "what its release carries", carried)
	return version + ", " + said, err
}

const maxVersion = 100 // bytes; an app's own file may say anything

// told is the first line of what a command prints on a server.
func (j *job) told(ctx context.Context, s plane.Server, what string, c remote.Command) (string, error) {
	res, err := j.Pool.Exec(ctx, recipe.Target(s), c)
	if err != nil {
		return "", fmt.Errorf("ask %s for %s: %w", s.Name, what, err)
	}
	said := firstLine(string(res.Stdout))
	said = strings.ToValidUTF8(said[:min(len(said), maxVersion)], "")
	if res.Exit != 0 || said == "" {
		return "", fmt.Errorf("ask %s for %s: %s", s.Name, what, cmp.Or(strings.TrimSpace(string(res.Stderr)), "it does not tell a version"))
	}
	return said, nil
}
