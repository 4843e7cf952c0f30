package storetest

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/serverplane/serverplane/internal/store"
)

// Postgres is a PostgreSQL server of this test process, with its data in a
// temporary folder and no port unless it is told one: only the Unix socket in that folder.
type Postgres struct {
	folder    string
	settings  []string
	process   *os.Process
	ended     chan struct{}
	mu        sync.Mutex
	databases int      // created so far
	emptied   []string // addresses of used ones, migrated and without rows
}

// StartPostgres starts Debian's PostgreSQL; call it from TestMain and Stop it
// at the end. If the test process dies before that, the kernel ends the server. Settings
// are of the form name=value and win over its own.
func StartPostgres(settings ...string) (*Postgres, error) {
	programs, err := postgresPrograms()
	if err != nil {
		return nil, err
	}
	folder, err := os.MkdirTemp("", "sppg")
	if err != nil {
		return nil, fmt.Errorf("make folder for postgres: %w", err)
	}
	p := &Postgres{folder: folder, settings: settings, ended: make(chan struct{})}
	if err := p.start(programs); err != nil {
		return nil, errors.Join(err, p.Stop())
	}
	return p, nil
}

// OwnPostgres starts a server for one test, which ends with it, and gives the address of a database there.
func OwnPostgres(t testing.TB) *url.URL {
	t.Helper()
	p, err := StartPostgres()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Stop(); err != nil {
			t.Error(err)
		}
	})
	address, err := url.Parse(p.URL(t))
	if err != nil {
		t.Fatal(err)
	}
	return address
}

func postgresPrograms() (string, error) {
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if err != nil || len(found) == 0 {
		return "", errors.New("no PostgreSQL on this machine: run make setup")
	}
	slices.Sort(found)
	return filepath.Dir(found[len(found)-1]), nil
}

func (p *Postgres) start(programs string) error {
	as, err := unprivileged(p.folder)
	if err != nil {
		return err
	}
	data := filepath.Join(p.folder, "data")
	initdb := exec.Command(filepath.Join(programs, "initdb"), "-D", data, "-U", "test", "-A", "trust",
		"-E", "UTF8", "--locale=C", "--no-sync", "--no-instructions")
	initdb.SysProcAttr, initdb.Dir = &syscall.SysProcAttr{Credential: as}, p.folder
	if out, err := initdb.CombinedOutput(); err != nil {
		return fmt.Errorf("initdb: %w: %s", err, out)
	}
	server := exec.Command(filepath.Join(programs, "postgres"), "-D", data, "-k", p.folder, "-c", "listen_addresses=",
		"-c", "fsync=off", "-c", "synchronous_commit=off", "-c", "full_page_writes=off", "-c", "max_connections=200",
		"-c", "autovacuum=off")
	for _, s := range p.settings {
		server.Args = append(server.Args, "-c", s)
	}
	server.Dir = p.folder
	server.SysProcAttr = &syscall.SysProcAttr{Credential: as, Setpgid: true, Pdeathsig: syscall.SIGQUIT}
	return p.run(server)
}

// unprivileged chooses who runs the server, which refuses to be root, and
// gives them the folder; nil: whoever we are.
func unprivileged(folder string) (*syscall.Credential, error) {
	if os.Getuid() != 0 {
		return nil, nil
	}
	u, err := user.Lookup("postgres")
	if err != nil {
		u, err = user.Lookup("nobody")
	}
	if err != nil {
		return nil, fmt.Errorf("find a user for postgres: %w", err)
	}
	uid, errU := strconv.Atoi(u.Uid)
	gid, errG := strconv.Atoi(u.Gid)
	if err := errors.Join(errU, errG); err != nil {
		return nil, fmt.Errorf("read user %s: %w", u.Username, err)
	}
	if err := os.Chown(folder, uid, gid); err != nil {
		return nil, fmt.Errorf("hand over folder: %w", err)
	}
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, nil
}

// run returns when the server takes connections. The goroutine keeps the
// thread that started it: the kernel sends Pdeathsig when that thread ends.
func (p *Postgres) run(server *exec.Cmd) error {
	log, err := server.StderrPipe()
	if err != nil {
		return fmt.Errorf("open log of postgres: %w", err)
	}
	started := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		defer close(p.ended)
		if err := server.Start(); err != nil {
			started <- err
			return
		}
		p.process = server.Process
		started <- awaitReady(log)
		_ = server.Wait() // how it ended does not matter to any test
	}()
	select {
	case err := <-started:
		if err != nil {
			return fmt.Errorf("start postgres: %w", err)
		}
		return nil
	case <-time.After(startLimit):
		return fmt.Errorf("start postgres: it takes no connections after %s", startLimit)
	}
}

const startLimit = 2 * time.Minute

// awaitReady reads the log up to the line that says so, then leaves the rest
// to a reader of its own, or the pipe would fill up.
func awaitReady(log interface{ Read([]byte) (int, error) }) error {
	var said strings.Builder
	lines := bufio.NewScanner(log)
	for lines.Scan() {
		said.WriteString(lines.Text() + "\n")
		if strings.Contains(lines.Text(), "ready to accept connections") {
			go func() {
				for lines.Scan() { // read and dropped
				}
			}()
			return nil
		}
	}
	return fmt.Errorf("it ended: %s", said.String())
}

// Folder is where its socket and, under data, its configuration are.
func (p *Postgres) Folder() string { return p.folder }

// Stop ends the server and removes its data.
func (p *Postgres) Stop() error {
	if p.process != nil {
		_ = p.process.Signal(syscall.SIGQUIT) // at once; it may be gone already
		<-p.ended
	}
	if err := os.RemoveAll(p.folder); err != nil {
		return fmt.Errorf("remove folder of postgres: %w", err)
	}
	return nil
}

// Open opens a store without rows that the test closes at its end. Its database
// may be one an earlier test has done with: creating and migrating takes a
// hundred times as long as emptying.
func (p *Postgres) Open(t testing.TB) *store.Store {
	t.Helper()
	address := p.used()
	if address == "" {
		address = p.URL(t)
	}
	t.Cleanup(func() { p.empty(t, address) })
	return Open(t, store.Config{URL: address})
}

func (p *Postgres) used() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.emptied) == 0 {
		return ""
	}
	address := p.emptied[0]
	p.emptied = p.emptied[1:]
	return address
}

func (p *Postgres) empty(t testing.TB, address string) {
	t.Helper()
	execute(t, address, `DO $$ DECLARE name text; BEGIN
		SET LOCAL session_replication_role = replica; -- in any order of tables
		FOR name IN SELECT tablename FROM pg_tables WHERE schemaname = 'public' AND tablename <> 'goose_db_version' LOOP
			EXECUTE 'DELETE FROM ' || quote_ident(name);
		END LOOP;
	END $$`)
	// What was deleted would lie there still, and each look at the queue of a later test would read past it.
	execute(t, address, "VACUUM runs, run_locks, locks, run_events")
	p.mu.Lock()
	defer p.mu.Unlock()
	p.emptied = append(p.emptied, address)
}

// URL returns the address of a new database without any table.
func (p *Postgres) URL(t testing.TB) string {
	t.Helper()
	p.mu.Lock()
	p.databases++
	name := fmt.Sprintf("test%d", p.databases)
	p.mu.Unlock()
	execute(t, p.address("postgres"), "CREATE DATABASE "+name+" TEMPLATE template0")
	return p.address(name)
}

func execute(t testing.TB, address, statement string) {
	t.Helper()
	ctx := context.Background()
	conn, err := pgx.Connect(ctx, address)
	if err != nil {
		t.Fatalf("connect to postgres: %v", err)
	}
	defer conn.Close(ctx) // the statement is done
	if _, err := conn.Exec(ctx, statement); err != nil {
		t.Fatalf("prepare database: %v", err)
	}
}

func (p *Postgres) address(database string) string {
	q := url.Values{"host": {p.folder}, "user": {"test"}, "sslmode": {"disable"}}
	return "postgres:///" + database + "?" + q.Encode()
}
