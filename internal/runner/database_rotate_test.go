package runner

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/serverplane/serverplane/internal/ansible"
	"github.com/serverplane/serverplane/internal/plane"
	"github.com/serverplane/serverplane/internal/probe"
	"github.com/serverplane/serverplane/internal/remote"
	"github.com/serverplane/serverplane/internal/store"
	"github.com/serverplane/serverplane/internal/store/storetest"
)

// direct stands for the way over SSH.
type direct struct{ net.Dialer }

func (d *direct) Dial(ctx context.Context, _ remote.Target, addr string) (net.Conn, error) {
	return d.DialContext(ctx, "tcp", addr)
}
func (d *direct) Check(context.Context, remote.Target) error { return nil }
func (d *direct) Stream(context.Context, remote.Target, remote.Command, func(string)) (remote.Result, error) {
	return remote.Result{}, errors.New("not over this way")
}

// rotation is a deployment of an app whose database is in a real PostgreSQL, which is
// told what the step on a server would tell it.
type rotation struct {
	*rolling
	server *storetest.Postgres
	port   int
	d      *deployment
	broken error // what the step says
}

func newRotation(t *testing.T) *rotation {
	t.Helper()
	r := &rotation{rolling: newRolling(t, nil)}
	r.port = freePort()
	var err error
	r.server, err = storetest.StartPostgres("listen_addresses=127.0.0.1", "port="+strconv.Itoa(r.port))
	r.must(err)
	t.Cleanup(func() { r.must(r.server.Stop()) })
	r.r.Player, r.r.Prober = &stage{play: r.play}, probe.New(&direct{}, time.Now)
	return r
}

// freePort is one that nobody is given who asks for any, so that it is still free when it is used.
func freePort() int {
	for {
		port := 10_000 + rand.IntN(20_000)
		if l, err := net.Listen("tcp", fmt.Sprint("127.0.0.1:", port)); err == nil {
			_ = l.Close()
			return port
		}
	}
}

func (r *rotation) must(err error) {
	r.t.Helper()
	if err != nil {
		r.t.Fatal(err)
	}
}

func (r *rotation) psql(text string) string {
	r.t.Helper()
	cmd := exec.CommandContext(r.ctx, "psql", "-XqAt", "-v", "ON_ERROR_STOP=1", "-h", r.server.Folder(), "-p", strconv.Itoa(r.port), "-U", "test", "-d", "postgres")
	cmd.Stdin = strings.NewReader(text)
	out, err := cmd.CombinedOutput()
	if err != nil {
		r.t.Fatalf("%v\n%s\n%s", err, text, out)
	}
	return strings.TrimSpace(string(out))
}

// play does what database_engine.py does with the SQL and the lines of pg_hba.conf.
func (r *rotation) play(_ context.Context, p ansible.Play, event func(ansible.Event)) (ansible.Outcome, error) {
	if r.broken != nil {
		return ansible.Outcome{}, r.broken
	}
	var spec struct {
		Access    string
		Databases []struct{ SQL string }
	}
	r.must(json.Unmarshal(p.Files[0].Content, &spec))
	for _, d := range spec.Databases {
		r.psql(d.SQL)
	}
	r.must(os.WriteFile(filepath.Join(r.server.Folder(), "data", "pg_hba.conf"), []byte(spec.Access+"local all test trust\n"), 0o644))
	r.psql("SELECT pg_reload_conf()")
	if bad := r.psql("SELECT error FROM pg_hba_file_rules WHERE error IS NOT NULL"); bad != "" {
		r.t.Fatalf("pg_hba.conf: %s\n%s", bad, spec.Access)
	}
	facts := fmt.Sprintf(`learned: {"port": %d, "version": "15", "open": true, "tls": false, "max_connections": 100, "reserved": 3}`, r.port)
	event(ansible.Event{Kind: "ok", Host: "s1", Stdout: facts + "\n"})
	return allWell(p), nil
}

func (r *rotation) database() (d plane.Database) {
	r.t.Helper()
	r.write(func(tx *store.Tx) (err error) { d, err = tx.Database(r.ctx, "dbs_aaaaaaaaaaaaaaaa"); return err })
	return d
}

func (r *rotation) sealed(password string) []byte {
	r.t.Helper()
	out, err := r.r.Box.Seal([]byte(password), plane.SealDatabase("dbs_aaaaaaaaaaaaaaaa"))
	r.must(err)
	return out
}

// lets tells whether a login with the password gets in and acts as the role.
func (r *rotation) lets(login, password string) bool {
	r.t.Helper()
	proof, err := r.d.loginAs(r.ctx, r.server1(), r.database(), credentials{login, password}, netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), uint16(r.port)), false)
	r.must(err)
	return proof.Verdict == plane.Pass
}

func (r *rotation) server1() plane.Server { return r.d.crew.primary().Server }

// made is the app's database, in a deployment that is under way.
func (r *rotation) made() {
	r.t.Helper()
	now := time.Now().UTC().Truncate(time.Microsecond)
	r.write(func(tx *store.Tx) error {
		return errors.Join(tx.CreateDatabase(r.ctx, plane.Database{
			ID: "dbs_aaaaaaaaaaaaaaaa", Name: "shop", AppID: r.app.ID, ServerID: r.scene.server.ID, Engine: plane.PostgreSQL, Password: r.sealed("the first one"),
			Pool: 1, Revision: 1, State: plane.DatabaseReady, CreatedAt: now, Since: now,
		}), tx.SetAccess(r.ctx, plane.Access{DatabaseID: "dbs_aaaaaaaaaaaaaaaa", BackendID: r.backends[0].ID, Address: netip.MustParseAddr("127.0.0.1")}))
	})
	r.begin()
	r.must(r.d.certify(r.ctx, r.server1(), plane.PostgreSQL))
	r.must(r.d.bringEngine(r.ctx, r.server1(), plane.PostgreSQL, engineOrder{fresh: "dbs_aaaaaaaaaaaaaaaa"}))
}

// allow writes pg_hba.conf by hand.
func (r *rotation) allow(lines string) {
	r.t.Helper()
	r.must(os.WriteFile(filepath.Join(r.server.Folder(), "data", "pg_hba.conf"), []byte(lines+"local all test trust\n"), 0o644))
	r.psql("SELECT pg_reload_conf()")
}

// begin is a deployment of all seats under a Run of its own.
func (r *rotation) begin() {
	r.t.Helper()
	r.queueFor(plane.RunDeploy, 0, "{}")
	var run plane.Run
	r.write(func(tx *store.Tx) (err error) {
		run, _, err = tx.Claim(r.ctx, r.r.Owner, time.Now().UTC(), time.Hour)
		return err
	})
	r.d = r.work(r.add(plane.Deployment{Trigger: plane.TriggerEnvironment, State: plane.DeploymentQueued}, time.Hour, "1"))
	r.d.job = newJob(r.r, run)
}

func (r *rotation) over() {
	r.write(func(tx *store.Tx) error {
		return tx.Finish(r.ctx, r.d.run.ID, r.r.Owner, r.d.run.Attempt, plane.RunSucceeded, "", time.Now().UTC())
	})
}

// TestPasswordIsChanged there and back: both passwords are good in between, one
// before and one after.
func TestPasswordIsChanged(t *testing.T) {
	r := newRotation(t)
	r.made()
	r.expect("before", "sp_shop", true, "the first one")
	r.over()

	old := credentials{"sp_shop", "the first one"}
	for n, next := range []credentials{{"sp2_shop", "the second one"}, {"sp_shop", "the third one"}, {"sp2_shop", "the fourth one"}} {
		r.rotate(next.password)
		r.begin()
		r.must(r.d.renewPasswords(r.ctx))
		r.expect(fmt.Sprint("in between ", n), next.name, true, next.password)
		r.expect(fmt.Sprint("in between ", n), old.name, true, old.password)
		r.expect(fmt.Sprint("mixed up ", n), old.name, false, next.password)
		if d := r.database(); d.Login() != next.name || d.PasswordChange() != "former" || d.Revision != int64(n+2) {
			t.Errorf("%+v", d)
		}
		supplies, err := r.d.supplies(r.ctx, r.app)
		if err != nil || len(supplies) != 1 || supplies[0].Password != next.password || supplies[0].Database.Login() != next.name {
			t.Errorf("%+v, %v", supplies, err)
		}
		r.must(r.d.renewPasswords(r.ctx)) // nothing waits any more
		r.broken = errors.New("the server is away")
		r.must(r.d.endPasswords(r.ctx))
		r.expect(fmt.Sprint("not ended ", n), old.name, true, old.password)
		if d := r.database(); d.PasswordChange() != "former" {
			t.Errorf("forgotten although it is valid: %+v", d)
		}
		r.broken = nil
		r.must(r.d.endPasswords(r.ctx))
		r.expect(fmt.Sprint("after ", n), next.name, true, next.password)
		r.expect(fmt.Sprint("after ", n), old.name, false, old.password)
		if d := r.database(); d.PasswordChange() != "" || d.Renewing() {
			t.Errorf("%+v", d)
		}
		r.over()
		old = next
	}
}

func (r *rotation) rotate(password string) {
	r.t.Helper()
	d := r.database()
	d.Next = r.sealed(password)
	r.write(func(tx *store.Tx) error {
		return errors.Join(tx.UpdateDatabase(r.ctx, d), tx.RaiseDatabaseServer(r.ctx, d.ServerID, d.Engine))
	})
}

func (r *rotation) expect(when, login string, in bool, password string) {
	r.t.Helper()
	if got := r.lets(login, password); got != in {
		r.t.Errorf("%s: %s with %q gets in: %v", when, login, password, got)
	}
}
