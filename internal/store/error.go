package store

import (
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/serverplane/serverplane/internal/plane"
	"modernc.org/sqlite"
)

// ErrNotFound is what errors.Is finds when no row has the id or name; the
// error is a *plane.Error with CodeNotFound too.
var ErrNotFound = errors.New("not found")

// ErrLost says that the caller does not own the Run any more (or never did, or
// the Run is over) and must stop what it is doing.
var ErrLost = errors.New("the run belongs to someone else now or is over")

type notFound struct{ told *plane.Error }

func missing(noun, name string) error { return notFound{plane.NotFound(noun, name)} }

func (e notFound) Error() string { return e.told.Error() }

func (e notFound) Unwrap() error { return e.told }

func (e notFound) Is(target error) bool { return target == ErrNotFound }

// kept turns a broken unique rule into a conflict that names what exists, and
// says about any other error what we were doing.
func kept(err error, noun, name, doing string) error {
	if isUnique(err) {
		return plane.Conflict(fmt.Sprintf("%s %q exists already", noun, name), "choose another one")
	}
	return fmt.Errorf("%s %s %q: %w", doing, noun, name, err)
}

// The codes of the two engines, from SQLite's result codes and PostgreSQL's
// appendix of error codes.
const (
	sqlitePrimaryKey, sqliteUnique, sqliteTrigger     = 1555, 2067, 1811
	sqliteForeign, sqliteBusy                         = 787, 5
	postgresUnique, postgresForeign, postgresRestrict = "23505", "23503", "23001"
	postgresSerialization, postgresDeadlock           = "40001", "40P01"
)

func sqliteCode(err error) int {
	if e, ok := errors.AsType[*sqlite.Error](err); ok {
		return e.Code()
	}
	return 0
}

func postgresCode(err error) string {
	if e, ok := errors.AsType[*pgconn.PgError](err); ok {
		return e.Code
	}
	return ""
}

func isUnique(err error) bool {
	code := sqliteCode(err)
	return code == sqliteUnique || code == sqlitePrimaryKey || postgresCode(err) == postgresUnique
}

// isForeign tells whether rows still refer to what was to be deleted. SQLite
// carries out RESTRICT with a trigger of its own and says so in its code.
func isForeign(err error) bool {
	code, text := sqliteCode(err), postgresCode(err)
	return code == sqliteForeign || code == sqliteTrigger || text == postgresForeign || text == postgresRestrict
}

// isTransient tells errors that a second try may not meet: another
// transaction was in the way. On SQLite that is another program's writer that
// was there for longer than the driver's patience.
func isTransient(err error) bool {
	code := postgresCode(err)
	return code == postgresSerialization || code == postgresDeadlock || sqliteCode(err) == sqliteBusy
}
