package store_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/serverplane/serverplane/internal/store"
	"github.com/serverplane/serverplane/internal/store/storetest"
)

var postgres *storetest.Postgres

func TestMain(m *testing.M) { os.Exit(withPostgres(m)) }

func withPostgres(m *testing.M) int {
	p, err := storetest.StartPostgres()
	if err != nil {
		fmt.Fprintln(os.Stderr, "start postgres:", err)
		return 1
	}
	defer p.Stop()
	postgres = p
	// Each story plays on a real database; a command line may ask for more.
	if err := flag.Set("rapid.checks", "40"); err != nil {
		fmt.Fprintln(os.Stderr, "shorten the random stories:", err)
		return 1
	}
	return m.Run()
}

func TestSQLite(t *testing.T) {
	t.Parallel()
	storetest.Run(t, func(t *testing.T) *store.Store { return storetest.SQLite(t) })
}

func TestPostgres(t *testing.T) {
	t.Parallel()
	storetest.Run(t, func(t *testing.T) *store.Store { return postgres.Open(t) })
}

// places are new databases, one of each engine.
func places(t *testing.T) map[string]store.Config {
	t.Helper()
	return map[string]store.Config{
		"SQLite":     {Path: filepath.Join(t.TempDir(), "panel.db")},
		"PostgreSQL": {URL: postgres.URL(t)},
	}
}

func TestSeveralStoresShareWork(t *testing.T) {
	for name, c := range places(t) {
		t.Run(name, func(t *testing.T) {
			stores := []*store.Store{storetest.Open(t, c), storetest.Open(t, c), storetest.Open(t, c)}
			storetest.ShareCounter(t, stores...)
			storetest.ShareWork(t, stores...)
			storetest.ShareLog(t, stores...)
		})
	}
}

func TestManyMigrateAtOnce(t *testing.T) {
	for name, c := range places(t) {
		t.Run(name, func(t *testing.T) {
			var all sync.WaitGroup
			errs := make([]error, 4)
			for i := range errs {
				all.Go(func() {
					s, err := store.Open(t.Context(), c)
					if err == nil {
						err = errors.Join(put(s, fmt.Sprint(i)), s.Close())
					}
					errs[i] = err
				})
			}
			all.Wait()
			if err := errors.Join(errs...); err != nil {
				t.Fatal(err)
			}
		})
	}
}

func TestOpenAgainKeepsTheData(t *testing.T) {
	for name, c := range places(t) {
		t.Run(name, func(t *testing.T) {
			for turn, want := range []string{"", "1", "1"} {
				s := storetest.Open(t, c)
				if got := setting(t, s); got != want {
					t.Fatalf("turn %d: got %q, want %q", turn, got, want)
				}
				if err := put(s, "1"); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}

func put(s *store.Store, value string) error {
	ctx := context.Background()
	return s.Write(ctx, func(tx *store.Tx) error { return tx.SetSetting(ctx, "a", []byte(value)) })
}

func setting(t *testing.T, s *store.Store) string {
	t.Helper()
	var value []byte
	if err := s.Read(t.Context(), func(tx *store.Tx) (err error) {
		value, err = tx.Setting(t.Context(), "a")
		if errors.Is(err, store.ErrNotFound) {
			return nil
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	return string(value)
}

func TestWriteRepeatsWhatPostgresGaveUp(t *testing.T) {
	s := postgres.Open(t)
	for _, c := range []struct {
		code  string
		fails int
		turns int
		ok    bool
	}{
		{"40001", 2, 3, true},
		{"40P01", 1, 2, true},
		{"40001", 99, 5, false},
		{"23514", 1, 1, false},
	} {
		turns := 0
		err := s.Write(t.Context(), func(tx *store.Tx) error {
			if turns++; turns <= c.fails {
				return fmt.Errorf("wrapped: %w", &pgconn.PgError{Code: c.code})
			}
			return nil
		})
		if turns != c.turns || (err == nil) != c.ok {
			t.Errorf("%s: %d turns and %v; want %d turns, ok %t", c.code, turns, err, c.turns, c.ok)
		}
	}
}

// A panel that hangs inside a Write must not hold up the others for ever.
func TestHangingWriterIsShutOut(t *testing.T) {
	t.Parallel()
	address := postgres.URL(t)
	other := storetest.Open(t, store.Config{URL: address})
	hanging := storetest.Open(t, store.Config{URL: address + "&idle_in_transaction_session_timeout=2s"})
	inside, free := make(chan struct{}), make(chan struct{})
	ended := make(chan error)
	go func() {
		ended <- hanging.Write(context.Background(), func(tx *store.Tx) error {
			close(inside)
			<-free
			return tx.SetSetting(context.Background(), "a", []byte("hanging"))
		})
	}()
	<-inside
	if err := put(other, "other"); err != nil {
		t.Fatal(err)
	}
	close(free)
	if err := <-ended; err == nil {
		t.Error("the hanging write was committed")
	}
	if got := setting(t, other); got != "other" {
		t.Errorf("got %q, want the other's", got)
	}
	if err := put(hanging, "back"); err != nil {
		t.Errorf("the store does not recover: %v", err)
	}
}

func TestSQLiteFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "odd ?name#%41&.db")
	s := storetest.Open(t, store.Config{Path: path})
	if err := put(s, "1"); err != nil {
		t.Fatal(err)
	}
	for _, suffix := range []string{"", "-wal"} {
		info, err := os.Stat(path + suffix)
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %s; want it private", path+suffix, info.Mode())
		}
	}
}

func TestOpenSaysWhatIsWrong(t *testing.T) {
	for name, c := range map[string]struct {
		config store.Config
		says   string
	}{
		"nothing given":   {store.Config{}, "neither a file nor a database URL"},
		"no such folder":  {store.Config{Path: filepath.Join(t.TempDir(), "none", "panel.db")}, "no such file"},
		"not a database":  {store.Config{Path: garbage(t)}, "not a database"},
		"no server":       {store.Config{URL: "postgres://me:s3cret@127.0.0.1:1/x?sslmode=disable"}, "refused"},
		"not an address":  {store.Config{URL: "postgres://me:s3cret@127.0.0.1:port/x"}, "port"},
		"unknown setting": {store.Config{URL: "postgres://me:s3cret@127.0.0.1/x?sslmode=maybe"}, "sslmode"},
	} {
		t.Run(name, func(t *testing.T) {
			s, err := store.Open(t.Context(), c.config)
			if err == nil {
				t.Fatal("opened", s.Close())
			}
			if !strings.Contains(err.Error(), c.says) || strings.Contains(err.Error(), "s3cret") {
				t.Errorf("got %q; want %q in it and no password", err, c.says)
			}
		})
	}
}

func garbage(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "notes.txt")
	if err := os.WriteFile(path, []byte(strings.Repeat("this is no database\n", 100)), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
