// Package storetest proves that a store keeps its promises: one suite, run on
// SQLite and on a real PostgreSQL, which it also starts for tests of others.
package storetest

import (
	"context"
	"path/filepath"
	"testing"

	"github.com/serverplane/serverplane/internal/store"
)

// SQLite opens a new store in a temporary file that the test closes at its end.
func SQLite(t testing.TB) *store.Store {
	t.Helper()
	return open(t, store.Config{Path: filepath.Join(t.TempDir(), "panel.db")})
}

// Open opens a new store in a database of its own that the test closes at its end.
func (p *Postgres) Open(t testing.TB) *store.Store {
	t.Helper()
	return open(t, store.Config{URL: p.URL(t)})
}

func open(t testing.TB, c store.Config) *store.Store {
	t.Helper()
	s, err := store.Open(context.Background(), c)
	if err != nil {
		t.Fatalf("open store: %v", err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("close store: %v", err)
		}
	})
	return s
}

// Run runs the whole suite; open returns a new, empty store each time.
func Run(t *testing.T, open func(t *testing.T) *store.Store) {
	for _, c := range []struct {
		name string
		test func(t *testing.T, s *store.Store)
	}{
		{"server round trip", serverRoundTrip},
	} {
		t.Run(c.name, func(t *testing.T) { c.test(t, open(t)) })
	}
}
