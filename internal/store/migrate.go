package store

import (
	"context"
	"embed"
	"fmt"
	"io/fs"

	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"
)

//go:embed migrations/*.sql
var migrations embed.FS

func (s *Store) migrate(ctx context.Context) error {
	provider, err := s.migrator()
	if err != nil {
		return err
	}
	// goose has no lock for SQLite: whoever loses a race against another
	// program (a panel and an admin command) looks again and finds it done.
	const attempts = 5
	for attempt := 1; ; attempt++ {
		_, err = provider.Up(ctx)
		if err == nil || attempt == attempts || s.engine != sqliteEngine {
			return err
		}
	}
}

func (s *Store) migrator() (*goose.Provider, error) {
	folder, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return nil, fmt.Errorf("open migrations: %w", err)
	}
	if s.engine == sqliteEngine {
		return goose.NewProvider(goose.DialectSQLite3, s.write, folder)
	}
	// Losers of the race look again every second, for five minutes.
	locker, err := lock.NewPostgresSessionLocker(lock.WithLockTimeout(1, 300), lock.WithUnlockTimeout(1, 60))
	if err != nil {
		return nil, fmt.Errorf("make migration lock: %w", err)
	}
	return goose.NewProvider(goose.DialectPostgres, s.write, folder, goose.WithSessionLocker(locker))
}
