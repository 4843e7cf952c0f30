package survey

import (
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/serverplane/serverplane/internal/plane"
	"github.com/serverplane/serverplane/internal/remote"
)

//go:embed database.py
var databaseLook string

// LookAtDatabase asks an engine on its own server, as its administrator, how a
// database is now. It takes as long as ctx allows.
func (s *Surveyor) LookAtDatabase(ctx context.Context, server plane.Server, q plane.DatabaseQuery) (plane.DatabaseLook, error) {
	order, err := json.Marshal(map[string]any{"engine": q.Engine, "port": q.Port, "database": q.Database, "roles": q.Roles})
	if err != nil {
		return plane.DatabaseLook{}, fmt.Errorf("encode what to ask a database engine: %w", err)
	}
	target := remote.Target{
		ID: server.ID, Address: server.Address.String(), Port: server.SSHPort, User: s.login, HostKey: server.HostKey,
	}
	res, err := s.pool.Exec(ctx, target, remote.Command{Args: []string{"python3", "-c", databaseLook, string(order)}, Sudo: true})
	if err != nil {
		if errors.Is(ctx.Err(), context.DeadlineExceeded) {
			return plane.DatabaseLook{}, plane.Unavailable("server "+server.Name+" did not answer in time", "look again")
		}
		return plane.DatabaseLook{}, inWords(err)
	}
	return s.readDatabase(server, res)
}

func (s *Surveyor) readDatabase(server plane.Server, res remote.Result) (plane.DatabaseLook, error) {
	var look plane.DatabaseLook
	switch {
	case res.Exit == 127:
		return look, plane.Unavailable("the server has no python3", "install it: apt-get install python3")
	case res.Exit != 0:
		return look, plane.Unavailable(lastLine(res.Stderr), "")
	}
	if err := json.Unmarshal(res.Stdout, &look); err != nil {
		return look, fmt.Errorf("read what the engine said: %w", err)
	}
	look.TakenAt, look.Vantage = s.now().UTC(), server.Name+", over SSH"
	return look, nil
}
