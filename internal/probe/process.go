package probe

import (
	"context"
	_ "embed"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/serverplane/serverplane/internal/plane"
	"github.com/serverplane/serverplane/internal/remote"
)

//go:embed process.py
var processLook string

// Executor runs a command on a server over a held connection.
type Executor interface {
	Exec(ctx context.Context, t remote.Target, cmd remote.Command) (remote.Result, error)
}

// unitsLimit is how long one look at a server's units may take.
const unitsLimit = 20 * time.Second

// Units asks a server's systemd about units by their exact names, in that order.
func Units(ctx context.Context, on Executor, at remote.Target, names []string) ([]plane.UnitLook, error) {
	if len(names) == 0 {
		return nil, nil
	}
	ctx, cancel := context.WithTimeout(ctx, unitsLimit)
	defer cancel()
	res, err := on.Exec(ctx, at, remote.Command{Args: append([]string{"python3", "-c", processLook}, names...), Sudo: true})
	if err != nil {
		return nil, err
	}
	if res.Exit != 0 {
		text := strings.TrimSpace(string(res.Stderr))
		return nil, fmt.Errorf("asking for the state of units: %s", text[strings.LastIndex(text, "\n")+1:])
	}
	return readUnits(res.Stdout, names)
}

func readUnits(text []byte, names []string) ([]plane.UnitLook, error) {
	var told []struct {
		plane.UnitLook
		Since int64 `json:"since"` // seconds since 1970
	}
	if err := json.Unmarshal(text, &told); err != nil {
		return nil, fmt.Errorf("read the state of units: %w", err)
	}
	looks := make([]plane.UnitLook, len(told))
	for i, u := range told {
		looks[i] = u.UnitLook
		if u.Since > 0 {
			looks[i].Since = time.Unix(u.Since, 0).UTC()
		}
	}
	if len(looks) != len(names) {
		return nil, fmt.Errorf("read the state of units: asked for %d, told of %d", len(names), len(looks))
	}
	return looks, nil
}

// Sight is one process on a server and its units there, as recipe.UnitsOf names them.
type Sight struct {
	Process plane.Process
	Units   []string
}

// Processes looks at processes on one server, all at once, and judges them.
func Processes(ctx context.Context, on Executor, at remote.Target, sights []Sight, now time.Time) ([]plane.ProcessStatus, error) {
	var names []string
	for _, s := range sights {
		names = append(names, s.Units...)
	}
	looks, err := Units(ctx, on, at, names)
	if err != nil {
		return nil, err
	}
	states := make([]plane.ProcessStatus, len(sights))
	for i, s := range sights {
		states[i] = s.Process.Judge(looks[:len(s.Units)], now)
		states[i].ServerID = at.ID
		looks = looks[len(s.Units):]
	}
	return states, nil
}
