package runner

import (
	"context"
	"fmt"
	"strings"

	"github.com/serverplane/serverplane/internal/plane"
	"github.com/serverplane/serverplane/internal/recipe"
	"github.com/serverplane/serverplane/internal/remote"
)

// compareRuntimes refuses a backend that would run another version of the
// kind's runtime than the primary: one app, one runtime.
func (a *addition) compareRuntimes(ctx context.Context) error {
	kind, err := a.Kinds.Of(a.crew.app.Kind)
	if err != nil {
		return err
	}
	runtime := kind.Runtime(a.live.Spec.Options)
	if len(runtime.Asked) == 0 {
		return nil
	}
	here, err := a.version(ctx, a.seat.Server, runtime)
	if err != nil {
		return err
	}
	primary := a.crew.primary().Server
	there, err := a.version(ctx, primary, runtime)
	if err != nil {
		return err
	}
	if here != there {
		return fmt.Errorf("%s has %s %s, the primary %s has %s; give both the same", a.seat.Server.Name, runtime.Name, here, primary.Name, there)
	}
	a.say(a.seat.Server.Name, "%s %s, as on the primary", runtime.Name, here)
	return nil
}

func (a *addition) version(ctx context.Context, s plane.Server, runtime plane.Runtime) (string, error) {
	res, err := a.Pool.Exec(ctx, recipe.Target(s), remote.Command{Args: runtime.Asked})
	if err != nil {
		return "", fmt.Errorf("ask %s for its %s: %w", s.Name, runtime.Name, err)
	}
	if res.Exit != 0 {
		return "", fmt.Errorf("ask %s for its %s: %s", s.Name, runtime.Name, strings.TrimSpace(string(res.Stderr)))
	}
	return strings.TrimSpace(string(res.Stdout)), nil
}
