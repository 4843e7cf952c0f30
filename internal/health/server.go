package health

import (
	"context"
	"sync"
	"time"

	"github.com/serverplane/serverplane/internal/plane"
	"github.com/serverplane/serverplane/internal/recipe"
	"github.com/serverplane/serverplane/internal/remote"
	"github.com/serverplane/serverplane/internal/store"
)

// Signer asks a server for a sign of life, and its Nginx whether its tree is sound.
type Signer interface {
	Check(ctx context.Context, t remote.Target) error
	TestNginx(ctx context.Context, t remote.Target) (remote.Outcome, error)
}

// How often servers are asked, and how long one may take.
const (
	signEvery = 15 * time.Second
	signLimit = 12 * time.Second
)

// Servers keeps whether the panel can sign in to each server: ready becomes
// unreachable and back. States that a Run owns are left to it, but a server
// that failed is asked as well: it may carry apps from before. Servers also
// keeps what Nginx says of each server's tree.
type Servers struct {
	Config
	signer Signer
}

// NewServers returns a keeper of servers; it starts nothing.
func NewServers(c Config, s Signer) *Servers { return &Servers{Config: c, signer: s} }

// Run asks until ctx ends.
func (k *Servers) Run(ctx context.Context) error {
	var nginx sync.WaitGroup
	defer nginx.Wait()
	nginx.Go(func() { k.watchNginx(ctx) })
	tick := time.NewTicker(signEvery)
	defer tick.Stop()
	for {
		k.round(ctx)
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

func (k *Servers) list(ctx context.Context) (all []plane.Server) {
	err := k.Store.Read(ctx, func(tx *store.Tx) (err error) {
		all, err = tx.Servers(ctx)
		return err
	})
	if err != nil && ctx.Err() == nil {
		k.Log.Error("list servers to ask for a sign of life", "err", err)
	}
	return all
}

// round asks all servers at once and records what changed.
func (k *Servers) round(ctx context.Context) {
	var asked sync.WaitGroup
	for _, s := range k.list(ctx) {
		if s.State == plane.ServerReady || s.State == plane.ServerUnreachable || s.State == plane.ServerFailed {
			asked.Go(func() { k.ask(ctx, s) })
		}
	}
	asked.Wait()
}

func (k *Servers) ask(ctx context.Context, s plane.Server) {
	limited, cancel := context.WithTimeout(ctx, signLimit)
	defer cancel()
	err := k.signer.Check(limited, recipe.Target(s))
	state, reason := s.Heard(err)
	if state == s.State && (state != plane.ServerFailed || reason == s.Reason) || ctx.Err() != nil {
		return
	}
	changed := false
	err = k.Store.Write(ctx, func(tx *store.Tx) error {
		now, err := tx.Server(ctx, s.ID)
		if err != nil {
			return ignoreGone(err)
		}
		if changed = now.State == s.State && now.Since.Equal(s.Since); !changed {
			return nil // a Run took it meanwhile
		}
		return tx.SetServerState(ctx, s.ID, state, reason, k.Now().UTC())
	})
	switch {
	case err != nil:
		k.Log.Error("record a server's sign of life", "server", s.Name, "err", err)
	case changed:
		k.Log.Info("server changed", "server", s.Name, "state", state, "reason", reason)
	}
}
