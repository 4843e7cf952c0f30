// Package store keeps what ServerPlane knows: one SQL text and one schema for
// SQLite, the default, and for PostgreSQL, which several panels can share.
//
// All access goes through Read and Write, one transaction each. Write
// transactions run one after another on both engines (SQLite has one writer;
// on PostgreSQL every Write first takes one advisory lock), so what a Write
// has read stays true until it commits: look, decide and change in one
// function without further locking. Keep such functions short, and never
// touch a server or call Read or Write in them.
package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	_ "modernc.org/sqlite" // registers the driver "sqlite"
)

// Config says where the data is.
type Config struct {
	Path string // the SQLite file; created, readable by its owner alone
	URL  string // postgres://…; wins over Path
}

// Store is an open database; safe for use by many goroutines.
type Store struct {
	engine engine
	read   *sql.DB
	write  *sql.DB // one connection
}

type engine int

const (
	sqliteEngine engine = iota
	postgresEngine
)

// Open opens the database and brings its schema up to date. Several panels may
// open the same database at once. Errors never hold the URL's password.
func Open(ctx context.Context, c Config) (*Store, error) {
	s, err := connect(c)
	if err != nil {
		return nil, fmt.Errorf("open store: %w", err)
	}
	if err := s.migrate(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("migrate store: %w", err), s.Close())
	}
	return s, nil
}

func connect(c Config) (*Store, error) {
	switch {
	case c.URL != "":
		return connectPostgres(c.URL)
	case c.Path != "":
		return connectSQLite(c.Path)
	}
	return nil, errors.New("neither a file nor a database URL is given")
}

// connectSQLite opens one connection that writes and a pool that reads.
// Writers begin with the write lock: one that took it later could fail with
// "database is locked" whatever its patience.
func connectSQLite(path string) (*Store, error) {
	if err := createPrivate(path); err != nil {
		return nil, err
	}
	const pragmas = "?_pragma=busy_timeout(5000)&_pragma=journal_mode(WAL)&_pragma=synchronous(NORMAL)&_pragma=foreign_keys(1)"
	name := "file:" + (&url.URL{Path: path}).EscapedPath() + pragmas
	write, err := sql.Open("sqlite", name+"&_txlock=immediate")
	if err != nil {
		return nil, err
	}
	read, err := sql.Open("sqlite", name+"&_pragma=query_only(1)")
	if err != nil {
		return nil, errors.Join(err, write.Close())
	}
	return pools(sqliteEngine, read, write), nil
}

// createPrivate makes the file before SQLite does, since SQLite asks the umask
// only; its journal files take over the mode. An existing file is not opened:
// closing it again would drop the locks of a store open in this process.
func createPrivate(path string) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return f.Close()
}

// connectPostgres gives each panel one connection that writes, as on SQLite:
// more would only queue for the write lock, on the server instead of here.
func connectPostgres(address string) (*Store, error) {
	c, err := pgx.ParseConfig(address)
	if err != nil {
		return nil, err
	}
	// A panel that vanishes inside a Write must not hold up the others for long.
	for name, value := range map[string]string{
		"application_name": "serverplane", "idle_in_transaction_session_timeout": "30s",
		"tcp_keepalives_idle": "30", "tcp_keepalives_interval": "10", "tcp_keepalives_count": "3",
	} {
		if _, set := c.RuntimeParams[name]; !set {
			c.RuntimeParams[name] = value
		}
	}
	return pools(postgresEngine, stdlib.OpenDB(*c), stdlib.OpenDB(*c)), nil
}

func pools(e engine, read, write *sql.DB) *Store {
	write.SetMaxOpenConns(1)
	read.SetMaxOpenConns(8)
	read.SetMaxIdleConns(8)
	read.SetConnMaxIdleTime(5 * time.Minute)
	return &Store{engine: e, read: read, write: write}
}

// Close waits for running transactions and closes the database.
func (s *Store) Close() error { return errors.Join(s.read.Close(), s.write.Close()) }

// Read runs fn in one transaction that sees one state of the data and changes
// nothing.
func (s *Store) Read(ctx context.Context, fn func(tx *Tx) error) error {
	return s.transact(ctx, s.read, &sql.TxOptions{ReadOnly: true, Isolation: sql.LevelRepeatableRead}, fn)
}

// Write runs fn in one transaction, committed if fn returns nil. After a
// serialization failure, a deadlock or a busy database it is tried again a few
// times, so fn must be repeatable. After any error of a Tx method but
// ErrNotFound and ErrLost the transaction is spoilt: return that error.
func (s *Store) Write(ctx context.Context, fn func(tx *Tx) error) error {
	const attempts = 5
	for attempt := 1; ; attempt++ {
		err := s.transact(ctx, s.write, &sql.TxOptions{}, func(tx *Tx) error {
			if err := s.lockWriters(ctx, tx); err != nil {
				return err
			}
			return fn(tx)
		})
		if attempt == attempts || !isTransient(err) {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(time.Duration(attempt) * 10 * time.Millisecond):
		}
	}
}

// writeLock is the advisory lock that puts the writers of one database in a
// row; the number only has to differ from goose's.
const writeLock = 7311001

func (s *Store) lockWriters(ctx context.Context, tx *Tx) error {
	if s.engine == sqliteEngine {
		return nil
	}
	_, err := tx.exec(ctx, "take write lock", `SELECT pg_advisory_xact_lock($1)`, writeLock)
	return err
}

func (s *Store) transact(ctx context.Context, db *sql.DB, o *sql.TxOptions, fn func(tx *Tx) error) error {
	tx, err := db.BeginTx(ctx, o)
	if err != nil {
		return fmt.Errorf("begin transaction: %w", err)
	}
	defer tx.Rollback() //nolint:errcheck // does nothing after a commit; otherwise fn's error counts
	if err := fn(&Tx{tx: tx}); err != nil {
		return err
	}
	if err := tx.Commit(); err != nil {
		return fmt.Errorf("commit transaction: %w", err)
	}
	return nil
}
