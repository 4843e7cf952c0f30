package runner

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/serverplane/serverplane/internal/ansible"
	"github.com/serverplane/serverplane/internal/plane"
	"github.com/serverplane/serverplane/internal/probe"
	"github.com/serverplane/serverplane/internal/secret"
	"github.com/serverplane/serverplane/internal/store"
)

// kept is a balanced app with a database of its own, and all that its plays
// brought to servers.
type kept struct {
	*balanced
	box   *secret.Box
	db    plane.Database
	mu    sync.Mutex
	plays []string                                   // playbooks, in order
	specs []map[string]any                           // what each was told
	fails map[string]func(ctx context.Context) error // by playbook
	says  map[string]string                          // what each learns, by playbook
}

const (
	enginePlay = "database_engine.yml"
	dumpPlay   = "database_dump.yml"
)

func newKept(t *testing.T, answer func(string) (string, bool)) *kept {
	t.Helper()
	k := &kept{balanced: newBalanced(t, 2, answer), fails: map[string]func(context.Context) error{}}
	k.says = map[string]string{
		enginePlay: `{"port":5432,"version":"15.8","open":true,"tls":true,"max_connections":100,"reserved":3}`,
		dumpPlay:   `{"path":"/var/backups/last.dump","bytes":7,"rows":{"visits":3}}`,
	}
	box, err := secret.Open(filepath.Join(t.TempDir(), "keys"))
	if err != nil {
		t.Fatal(err)
	}
	k.box = box
	now := time.Now().UTC().Truncate(time.Microsecond)
	k.db = k.database("shop", "")
	k.write(func(tx *store.Tx) error {
		for n, address := range []string{"127.0.0.1", "10.0.0.2"} {
			err := tx.SetAccess(k.ctx, plane.Access{DatabaseID: k.db.ID, BackendID: k.backends[n].ID, Address: netip.MustParseAddr(address)})
			if err != nil {
				return err
			}
		}
		sealed, err := box.Seal([]byte("key"), plane.SealCertificate(k.server.ID, plane.PostgreSQL))
		if err != nil {
			return err
		}
		return tx.SetDatabaseServer(k.ctx, plane.DatabaseServer{
			ServerID: k.server.ID, Engine: plane.PostgreSQL, Port: 5432, TLS: true, MaxConnections: 100, Reserved: 3,
			Certificate: []byte("certificate"), Key: sealed, SeenAt: now,
		})
	})
	return k
}

// database is one that is ready.
func (k *kept) database(name, prefix string) plane.Database {
	k.t.Helper()
	now := time.Now().UTC().Truncate(time.Microsecond)
	d := plane.Database{
		ID: plane.NewID(plane.PrefixDatabase), Name: name, AppID: k.app.ID, ServerID: k.server.ID, Engine: plane.PostgreSQL, Prefix: prefix, Revision: 1, Pool: 10,
		State: plane.DatabaseReady, Since: now, CreatedAt: now, Stranger: plane.Proof{Verdict: plane.Fail, At: now},
	}
	var err error
	if d.Password, err = k.box.Seal([]byte("a password of some length"), plane.SealDatabase(d.ID)); err != nil {
		k.t.Fatal(err)
	}
	k.write(func(tx *store.Tx) error { return tx.CreateDatabase(k.ctx, d) })
	return d
}

// begin runs a runner that may open what is sealed.
func (k *kept) begin() *Runner {
	r := k.runner()
	r.Player, r.Box, r.Prober = &stage{play: k.play}, k.box, probe.New(r.Pool, time.Now)
	ctx, cancel := context.WithCancel(k.ctx)
	var all sync.WaitGroup
	all.Go(func() { _ = r.Pool.Run(ctx) })
	all.Go(func() { _ = r.Run(ctx) })
	k.t.Cleanup(func() {
		cancel()
		all.Wait()
	})
	return r
}

func (k *kept) play(ctx context.Context, p ansible.Play, event func(ansible.Event)) (ansible.Outcome, error) {
	var spec map[string]any
	if err := json.Unmarshal(p.Files[0].Content, &spec); err != nil {
		return ansible.Outcome{}, err
	}
	k.mu.Lock()
	k.plays, k.specs = append(k.plays, p.Playbook), append(k.specs, spec)
	fail := k.fails[p.Playbook]
	k.mu.Unlock()
	if fail != nil {
		if err := fail(ctx); err != nil {
			return ansible.Outcome{Hosts: map[string]ansible.HostResult{"s1": {Task: "Database", Message: err.Error()}}}, nil
		}
	}
	event(ansible.Event{Kind: "changed", Host: "s1", Task: "Database", Stdout: "learned: " + k.says[p.Playbook] + "\n"})
	return allWell(p), nil
}

func (k *kept) failing(playbook string, with func(ctx context.Context) error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.fails[playbook] = with
}

// played returns what was played since it was last asked.
func (k *kept) played() (books []string, specs []map[string]any) {
	k.mu.Lock()
	defer k.mu.Unlock()
	books, specs, k.plays, k.specs = k.plays, k.specs, nil, nil
	return books, specs
}

func (k *kept) queue(kind plane.RunKind, d plane.Database, more string) plane.Run {
	k.t.Helper()
	r := plane.Run{
		ID: plane.NewID(plane.PrefixRun), Kind: kind, AppID: k.app.ID, ServerID: k.server.ID, Servers: []string{k.server.ID},
		Locks: []string{plane.AppLock(k.app.ID)}, CreatedAt: time.Now().UTC(), Args: json.RawMessage(fmt.Sprintf(`{"database":%q%s}`, d.ID, more)),
	}
	k.write(func(tx *store.Tx) error { return tx.Enqueue(k.ctx, r) })
	return r
}

func (k *kept) now() (d plane.Database, found bool) {
	k.t.Helper()
	err := k.store.Read(k.ctx, func(tx *store.Tx) (err error) {
		d, err = tx.Database(k.ctx, k.db.ID)
		return err
	})
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		k.t.Fatal(err)
	}
	return d, err == nil
}

// rolesIn names the roles in one part of what an engine was told.
func rolesIn(spec map[string]any, part string) (out []string) {
	for _, g := range spec[part].([]any) {
		out = append(out, g.(map[string]any)["role"].(string))
	}
	return out
}

// TestRemovalThatDidNotBegin: as long as nothing was taken away the database is
// what it was, and the app's next deployment gets its variables.
func TestRemovalThatDidNotBegin(t *testing.T) {
	stuck := func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }
	for name, c := range map[string]struct {
		playbook string
		fail     func(context.Context) error
		cancel   bool
	}{
		"the dump fails":            {dumpPlay, func(context.Context) error { return errors.New("the disk is full") }, false},
		"cancelled during the dump": {dumpPlay, stuck, true},
		"the engine refuses":        {enginePlay, func(context.Context) error { return errors.New("damaged markers") }, false},
	} {
		t.Run(name, func(t *testing.T) {
			k := newKept(t, nil)
			begun := make(chan struct{}, 1)
			k.failing(c.playbook, func(ctx context.Context) error { begun <- struct{}{}; return c.fail(ctx) })
			run := k.queue(plane.RunDropDatabase, k.db, "")
			k.begin()
			<-begun
			if c.cancel {
				k.write(func(tx *store.Tx) error { return tx.RequestCancel(k.ctx, run.ID, time.Now().UTC()) })
				k.hub.Publish(topicCancel(run.ID))
			}
			r, _ := k.ended(run.ID)
			d, _ := k.now()
			if r.State == plane.RunSucceeded || d.State != plane.DatabaseReady || !d.Usable() || !d.Since.Equal(k.db.Since) {
				t.Errorf("%s: %s; the database is %s", r.State, r.Reason, d.State)
			}
			if !strings.Contains(d.Reason, "removing it was "+string(r.State)) || !strings.HasSuffix(d.Reason, "nothing was taken away") {
				t.Errorf("it says %q", d.Reason)
			}
			if _, specs := k.played(); slices.ContainsFunc(specs, func(s map[string]any) bool { return s["gone"] != nil && len(s["gone"].([]any)) > 0 }) {
				t.Error("the engine was told to drop it")
			}
		})
	}
}

// TestRemovalGoesOn: once it has begun nothing is dumped again, and whatever Run
// brings the engine to its state makes nothing anew.
func TestRemovalGoesOn(t *testing.T) {
	k := newKept(t, nil)
	other := k.database("other", "OTHER")
	fails := true
	k.failing(enginePlay, func(context.Context) error {
		if d, _ := k.now(); fails && d.State == plane.DatabaseRemoving {
			return errors.New("the connection was lost")
		}
		return nil
	})
	r := k.begin()
	if run, _ := k.ended(k.queue(plane.RunDropDatabase, k.db, "").ID); run.State != plane.RunFailed {
		t.Fatalf("%s: %s", run.State, run.Reason)
	}
	d, _ := k.now()
	if d.State != plane.DatabaseRemoving || d.Usable() || !strings.Contains(d.Reason, "the connection was lost; db remove again continues") {
		t.Errorf("%s: %s", d.State, d.Reason)
	}
	if books, _ := k.played(); !slices.Equal(books, []string{dumpPlay, enginePlay, enginePlay}) {
		t.Errorf("played %q", books)
	}

	fails = false
	j := newJob(r, plane.Run{ID: plane.NewID(plane.PrefixRun)})
	if err := j.bringEngine(t.Context(), k.server, plane.PostgreSQL, engineOrder{}); err != nil {
		t.Fatal(err)
	}
	_, specs := k.played()
	if spec := specs[0]; !slices.Equal(rolesIn(spec, "databases"), []string{other.Role()}) || !slices.Equal(rolesIn(spec, "gone"), []string{k.db.Role()}) || strings.Contains(spec["access"].(string), k.db.Role()) {
		t.Errorf("somebody else's Run makes it anew: %v", specs[0])
	}

	run, _ := k.ended(k.queue(plane.RunDropDatabase, k.db, "").ID)
	if _, found := k.now(); run.State != plane.RunSucceeded || found {
		t.Errorf("again: %s: %s; still in the book: %v", run.State, run.Reason, found)
	}
	if books, specs := k.played(); !slices.Equal(books, []string{enginePlay}) || specs[0]["gone"].([]any)[0].(map[string]any)["must"] != true {
		t.Errorf("played %q, %v", books, specs)
	}
	if !slices.ContainsFunc(run.Receipt, func(l plane.ReceiptLine) bool {
		return l.What == "last dump" && strings.Contains(l.Detail, "/var/backups/last.dump, 3 rows")
	}) {
		t.Errorf("the receipt says %+v", run.Receipt)
	}
}

// TestRemovalOfWhatIsGone: somebody took it away by hand, or an older panel was
// killed after it had.
func TestRemovalOfWhatIsGone(t *testing.T) {
	k := newKept(t, nil)
	k.write(func(tx *store.Tx) error {
		return tx.SetDatabaseState(k.ctx, k.db.ID, plane.DatabaseRemoving, "interrupted", time.Now().UTC())
	})
	k.says[dumpPlay] = `{"gone": true}`
	k.begin()
	run, _ := k.ended(k.queue(plane.RunDropDatabase, k.db, "").ID)
	if _, found := k.now(); run.State != plane.RunSucceeded || found {
		t.Errorf("%s: %s; still in the book: %v", run.State, run.Reason, found)
	}
}

// TestRemovalOfWhatNeverCameToBe: no server has to be reached for it.
func TestRemovalOfWhatNeverCameToBe(t *testing.T) {
	k := newKept(t, nil)
	d := k.database("none", "NONE")
	d.Engine, d.State, d.Stranger = plane.MariaDB, plane.DatabaseFailed, plane.Proof{}
	k.write(func(tx *store.Tx) error { return tx.UpdateDatabase(k.ctx, d) })
	k.begin()
	run, _ := k.ended(k.queue(plane.RunDropDatabase, d, "").ID)
	if books, _ := k.played(); run.State != plane.RunSucceeded || len(books) != 0 {
		t.Errorf("%s: %s; played %q", run.State, run.Reason, books)
	}
}

// TestSettingsThatAreNotTaken: with them in the book every later Run about the
// engine would fail.
func TestSettingsThatAreNotTaken(t *testing.T) {
	k := newKept(t, nil)
	wished := func() (max int, tls bool, generation int64) {
		k.write(func(tx *store.Tx) error {
			s, err := tx.DatabaseServer(k.ctx, k.server.ID, plane.PostgreSQL)
			if err != nil {
				return err
			}
			d, err := tx.Database(k.ctx, k.db.ID)
			max, tls, generation = s.WantedMax, d.RequireTLS, s.Generation
			return err
		})
		return max, tls, generation
	}
	k.write(func(tx *store.Tx) error {
		return tx.AmendEngine(k.ctx, k.db.ID, func(d *plane.Database, s *plane.DatabaseServer) { d.RequireTLS, s.WantedMax = true, 9000 })
	})
	_, _, before := wished()
	k.failing(enginePlay, func(context.Context) error { return errors.New("PostgreSQL did not start with our file") })
	k.begin()
	const change = `,"change":{"from":{"max_connections":200,"require_tls":false},"to":{"max_connections":9000,"require_tls":true}}`
	run, _ := k.ended(k.queue(plane.RunSetDatabase, k.db, change).ID)
	limit, tls, generation := wished()
	if run.State != plane.RunFailed || limit != 200 || tls || generation <= before {
		t.Errorf("%s: the book wishes %d connections, TLS %v, generation %d", run.State, limit, tls, generation)
	}
}

// TestGiven: values hold line breaks and =, and some programs write their title
// over what they were given.
func TestGiven(t *testing.T) {
	const itsOwn = "DB_HOST=10.0.0.1\x00DB_PASSWORD=x=y\nz\x00"
	var process atomic.Value
	k := newKept(t, func(command string) (string, bool) {
		if strings.Contains(command, "EnvironmentFile=/etc/serverplane/apps/web/a/env") {
			return "DB_HOST=10.0.0.2\x00", false
		}
		return process.Load().(string), false
	})
	j := newJob(k.begin(), plane.Run{ID: plane.NewID(plane.PrefixRun)})
	for title, host := range map[string]string{itsOwn: "10.0.0.1", "nginx: master process\x00\x00": "10.0.0.2"} {
		process.Store(title)
		got, err := j.given(t.Context(), k.server, "web", "a", false, []plane.Database{k.db})
		if err != nil || got["DB_HOST"] != host || host == "10.0.0.1" && got["DB_PASSWORD"] != "x=y\nz" {
			t.Errorf("%q: %q, %v", title, got, err)
		}
	}
}
