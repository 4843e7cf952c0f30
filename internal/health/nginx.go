package health

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/serverplane/serverplane/internal/plane"
	"github.com/serverplane/serverplane/internal/recipe"
	"github.com/serverplane/serverplane/internal/remote"
	"github.com/serverplane/serverplane/internal/store"
)

// How often Nginx is asked whether a server's whole tree is sound: often enough
// to know of somebody's broken file before it is in the way of a change, and
// sooner where that is known, so that its mending is noticed.
const (
	nginxPace    = time.Second
	nginxFirst   = 20 * time.Second // at most, after the start
	nginxEvery   = 5 * time.Minute
	nginxSoon    = 20 * time.Second
	nginxLimit   = 90 * time.Second // the guard may wait for its lock
	nginxConfirm = 2 * time.Second
)

// nginxLooks is when each server's Nginx is due to be asked, by id.
type nginxLooks struct {
	mu   sync.Mutex
	next map[string]time.Time
	busy map[string]bool
}

// begin tells whether the server is due, and marks it as asked.
func (l *nginxLooks) begin(id string, now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	at, known := l.next[id]
	if !known {
		at = now.Add(rand.N(nginxFirst))
		l.next[id] = at
	}
	if l.busy[id] || now.Before(at) {
		return false
	}
	l.busy[id] = true
	return true
}

func (l *nginxLooks) end(id string, next time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.busy, id)
	l.next[id] = next
}

// watchNginx asks until ctx ends and every answer is back.
func (k *Servers) watchNginx(ctx context.Context) {
	looks := &nginxLooks{next: map[string]time.Time{}, busy: map[string]bool{}}
	var asked sync.WaitGroup
	defer asked.Wait()
	tick := time.NewTicker(nginxPace)
	defer tick.Stop()
	for {
		for _, s := range k.list(ctx) {
			if s.Carries() && looks.begin(s.ID, k.Now()) {
				asked.Go(func() {
					wait := k.lookAtNginx(ctx, s)
					looks.end(s.ID, k.Now().Add(wait-rand.N(wait/10)))
				})
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// lookAtNginx asks once, records what is new and tells when to ask again.
func (k *Servers) lookAtNginx(ctx context.Context, s plane.Server) time.Duration {
	mine, err := k.leaseNginx(ctx, s.ID)
	if err != nil || !mine {
		return nginxEvery
	}
	refusal, err := k.refusal(ctx, s)
	if err == nil {
		err = k.settleNginx(ctx, s, refusal)
	}
	switch {
	case errors.Is(err, errInBetween):
		return nginxSoon
	case err != nil:
		if ctx.Err() == nil {
			k.Log.Warn("ask nginx whether its tree is sound", "server", s.Name, "err", err)
		}
		return nginxEvery
	case refusal != "":
		return nginxSoon
	}
	return nginxEvery
}

// leaseNginx keeps several panels on one database from asking the same server.
func (k *Servers) leaseNginx(ctx context.Context, id string) (mine bool, err error) {
	err = k.Store.Write(ctx, func(tx *store.Tx) error {
		mine, err = tx.Lease(ctx, "nginx:"+id, k.Owner, k.Now().UTC(), nginxEvery+nginxLimit)
		return err
	})
	return mine, err
}

// errInBetween says that the tree was just being changed by ourselves: what
// Nginx said of it then counts for nothing.
var errInBetween = errors.New("a change of our own was under way")

// refusal is why Nginx refuses the server's tree, or empty. A refusal must be
// heard twice, with none of our own changes wished before or meanwhile: half of
// a change that is being put in place must not pass for somebody's mistake.
func (k *Servers) refusal(ctx context.Context, s plane.Server) (string, error) {
	if s.TreeWanted > s.TreeApplied && s.TreeError == "" {
		return "", errInBetween
	}
	first, err := k.askNginx(ctx, s)
	if err != nil || first == "" {
		return "", err
	}
	select {
	case <-ctx.Done():
		return "", ctx.Err()
	case <-time.After(nginxConfirm):
	}
	again, err := k.askNginx(ctx, s)
	if err == nil && again != "" && again != first {
		return "", errInBetween
	}
	return again, err
}

func (k *Servers) askNginx(ctx context.Context, s plane.Server) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, nginxLimit)
	defer cancel()
	o, err := k.signer.TestNginx(ctx, recipe.Target(s))
	switch {
	case err != nil:
		return "", err
	case o.Result == remote.Unchanged:
		return "", nil
	case o.Result == remote.Refused && o.File != "":
		return fmt.Sprintf("%s:%d: %s", o.File, o.Line, o.Message), nil
	case o.Result == remote.Refused:
		return o.Message, nil
	}
	return "", fmt.Errorf("the look %s: %s", o.Result, o.Message)
}

// settleNginx records what Nginx says now, unless the tree has become another
// meanwhile. Where a mended tree has a change waiting, the steerer is woken.
func (k *Servers) settleNginx(ctx context.Context, s plane.Server, refusal string) error {
	var now plane.Server
	err := k.Store.Write(ctx, func(tx *store.Tx) (err error) {
		if now, err = tx.Server(ctx, s.ID); err != nil {
			return err
		}
		if refusal != "" && now.TreeWanted != s.TreeWanted {
			return errInBetween
		}
		return tx.SetNginx(ctx, s.ID, refusal, k.Now().UTC())
	})
	if err != nil {
		return ignoreGone(err)
	}
	switch refusal {
	case now.NginxError:
	case "":
		k.Log.Info("nginx accepts the server's tree again", "server", s.Name)
		k.Hub.Publish(topicTree)
	default:
		k.Log.Warn("nginx refuses the server's tree", "server", s.Name, "reason", refusal)
	}
	return nil
}
