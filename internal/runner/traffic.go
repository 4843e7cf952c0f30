package runner

import (
	"context"

	"github.com/serverplane/serverplane/internal/plane"
	"github.com/serverplane/serverplane/internal/store"
)

// steering waits for a wish about traffic that was not in force in time. It
// changes nothing: the wish stays wished however this ends, and comes into force
// by itself once what is in its way is gone.
type steering struct {
	*job
}

func (s *steering) do(ctx context.Context) error {
	s.steps(1)
	a, err := s.args()
	if err != nil {
		return err
	}
	var server plane.Server
	err = s.Store.Read(ctx, func(tx *store.Tx) (err error) {
		server, err = tx.Server(ctx, a.Server)
		return err
	})
	if err != nil {
		return err
	}
	if err := s.step(ctx, "put the wish in force at "+server.Name); err != nil {
		return err
	}
	return s.awaitAnew(ctx, a.Server, a.Generation)
}

func (s *steering) undo(context.Context, error)                                     {}
func (s *steering) done(context.Context, *store.Tx) error                           { return nil }
func (s *steering) failed(context.Context, *store.Tx, plane.RunState, string) error { return nil }
