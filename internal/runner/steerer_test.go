package runner

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/serverplane/serverplane/internal/store"
)

// TestWishesCloseTogetherAreOneChange: a wish waits a moment for others, and those
// that come meanwhile are one change of the server with the newest in force.
func TestWishesCloseTogetherAreOneChange(t *testing.T) {
	var applied atomic.Int64
	m := newMachine(t, func(command string) (string, bool) {
		if strings.Contains(command, "apply") {
			applied.Add(1)
		}
		return `{"result":"applied"}`, false
	})
	s := newScene(t)
	s.server.SSHPort, s.server.HostKey = m.port, m.hostKey()
	s.write(func(tx *store.Tx) error {
		_, err := tx.RaiseTree(s.ctx, s.server.ID)
		return errors.Join(err, tx.UpdateServer(s.ctx, s.server))
	})
	r := s.runner()
	ctx, cancel := context.WithCancel(s.ctx)
	pooled, settled := make(chan error, 1), make(chan struct{})
	go func() { pooled <- r.Pool.Run(ctx) }()
	var looked time.Time // when it stopped waiting for more wishes
	r.Now = func() time.Time {
		if looked.IsZero() {
			looked = time.Now()
		}
		return time.Now()
	}
	began := time.Now()
	r.steerer.settle(s.ctx, s.server.ID)
	if waited := looked.Sub(began); waited < mergeWindow {
		t.Errorf("it waited only %s for more wishes", waited)
	}
	s.write(func(tx *store.Tx) error { // the steerer reads nothing before this ends
		go func() {
			r.steerer.settle(s.ctx, s.server.ID)
			close(settled)
		}()
		for range 9 {
			if _, err := tx.RaiseTree(s.ctx, s.server.ID); err != nil {
				return err
			}
		}
		return nil
	})
	<-settled
	if now := s.serverState(); now.TreeWanted != 10 || now.TreeApplied != 10 || applied.Load() != 2 {
		t.Errorf("%d of %d in force by %d changes", now.TreeApplied, now.TreeWanted, applied.Load())
	}
	cancel()
	if err := <-pooled; err != nil {
		t.Error(err)
	}
}
