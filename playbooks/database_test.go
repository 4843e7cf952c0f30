package playbooks

import (
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/serverplane/serverplane/internal/ansible"
	"github.com/serverplane/serverplane/internal/authority"
	"github.com/serverplane/serverplane/internal/plane"
	"github.com/serverplane/serverplane/internal/recipe"
)

// cluster is a real PostgreSQL, laid out as Debian does, in a folder that stands
// for the whole server. Only what needs a whole machine has a stand-in: systemd,
// Debian's packages and ufw, whose rules are lines of a file.
type cluster struct {
	*testing.T
	dir, bin string
	port     int
	owner    string // whom the engine runs as
	as       *syscall.SysProcAttr
	ca       authority.Pair
	cert     authority.Pair
	state    recipe.EngineState
}

// stands are the stand-ins; DIR, BIN, PORT and AS are those of the cluster.
var stands = map[string]string{
	"runuser":       `shift 3; exec "$@"`,
	"dpkg-query":    `echo "postgresql installed"`,
	"pg_lsclusters": `echo "15 main PORT online OWNER DIR/data DIR/log"`,
	"systemd-run":   `while [ "$1" != /bin/sh ]; do shift; done; exec "$@"`,
	"journalctl":    `tail -n 20 DIR/log`,
	"systemctl": `case $1 in
is-active) exec BIN/pg_isready -q -h DIR -p PORT;;
reload) kill -HUP "$(head -n 1 DIR/data/postmaster.pid)";;
restart) AS BIN/pg_ctl -D DIR/data -l DIR/log -w -m fast restart >/dev/null;;
esac`,
	"ufw": `touch DIR/ufw
case "$1 $2" in
"status ") echo "Status: active";;
"show added") sed 's/^/ufw /' DIR/ufw;;
"--force delete") shift 2; grep -v -F "$* comment" DIR/ufw >DIR/ufw.new; mv DIR/ufw.new DIR/ufw;;
*) echo "${*% comment *} comment '${*##* comment }'" >>DIR/ufw;;
esac`,
}

func newCluster(t *testing.T) *cluster {
	t.Helper()
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin")
	if err != nil || len(found) == 0 {
		t.Fatal("no PostgreSQL on this machine: run make setup")
	}
	dir, err := os.MkdirTemp("", "spdb") // t.TempDir is too deep for a socket, and closed to other users
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	c := &cluster{T: t, dir: dir, bin: slices.Max(found), port: freePort(t)}
	c.hand()
	for _, name := range []string{"tools", "etc/postgresql/15/main/conf.d", "etc/serverplane", "state", "run"} {
		must(t, os.MkdirAll(filepath.Join(dir, name), 0o755))
	}
	for name, script := range stands {
		must(t, os.WriteFile(filepath.Join(dir, "tools", name), []byte("#!/bin/sh\n"+c.fill(script)+"\n"), 0o755))
	}
	c.file("postgresql.conf", "data_directory = 'DIR/data'\nhba_file = 'DIR/etc/postgresql/15/main/pg_hba.conf'\n"+
		"unix_socket_directories = 'DIR'\nport = PORT\nlisten_addresses = '127.0.0.3'\nfsync = off\ninclude_dir = 'conf.d'\n")
	c.file("pg_hba.conf", "local all all trust\nhost all all all trust\n")
	c.run(c.bin+"/initdb", "-D", dir+"/data", "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync", "--no-instructions")
	c.run(c.bin+"/pg_ctl", "-D", dir+"/data", "-l", dir+"/log", "-w", "-o", "-c config_file="+dir+"/etc/postgresql/15/main/postgresql.conf", "start")
	c.endWithTest()
	c.agree()
	return c
}

// freePort is one that nobody is given who asks for any, so that it is still free when it is used.
func freePort(t *testing.T) int {
	t.Helper()
	for {
		port := 10_000 + rand.IntN(20_000)
		if l, err := net.Listen("tcp", fmt.Sprint("127.0.0.1:", port)); err == nil {
			_ = l.Close()
			return port
		}
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// hand finds who may run the engine, which refuses to be root, and gives them
// the folder.
func (c *cluster) hand() {
	c.Helper()
	now, err := user.Current()
	must(c.T, err)
	c.owner = now.Username
	if os.Getuid() != 0 {
		return
	}
	u, err := user.Lookup("postgres")
	must(c.T, err)
	uid, _ := strconv.Atoi(u.Uid)
	gid, _ := strconv.Atoi(u.Gid)
	must(c.T, os.Chown(c.dir, uid, gid))
	must(c.T, os.Chmod(c.dir, 0o755))
	c.owner, c.as = u.Username, &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}
}

func (c *cluster) fill(text string) string {
	as := ""
	if c.as != nil {
		as = "/usr/sbin/runuser -u " + c.owner + " --"
	}
	return strings.NewReplacer("DIR", c.dir, "BIN", c.bin, "PORT", strconv.Itoa(c.port), "OWNER", c.owner, "AS ", as+" ").Replace(text)
}

func (c *cluster) file(name, text string) {
	c.Helper()
	path := filepath.Join(c.dir, "etc/postgresql/15/main", name)
	must(c.T, os.WriteFile(path, []byte(c.fill(text)), 0o644))
	if c.as != nil {
		must(c.T, os.Chown(path, int(c.as.Credential.Uid), int(c.as.Credential.Gid)))
	}
}

func (c *cluster) run(name string, args ...string) {
	c.Helper()
	cmd := exec.Command(name, args...)
	cmd.SysProcAttr, cmd.Dir = c.as, "/"
	log, err := os.Create(filepath.Join(c.dir, "said")) // no pipe: the engine would keep it open
	must(c.T, err)
	defer log.Close()
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Run(); err != nil {
		said, _ := os.ReadFile(log.Name())
		c.Fatalf("%s: %v: %s", name, err, said)
	}
}

// endWithTest stops the engine also when the test process dies: then its end of
// the pipe is closed.
func (c *cluster) endWithTest() {
	c.Helper()
	watch := exec.Command("sh", "-c", `read -r line; exec "$1" -D "$2" -m immediate stop`, "sh", c.bin+"/pg_ctl", c.dir+"/data")
	watch.SysProcAttr, watch.Dir = c.as, "/"
	end, err := watch.StdinPipe()
	must(c.T, err)
	must(c.T, watch.Start())
	c.Cleanup(func() {
		_ = end.Close()
		_ = watch.Wait()
	})
}

// agree sets out what the engine should be: open to one backend, by the book on
// the port that is usual.
func (c *cluster) agree() {
	c.Helper()
	private := netip.MustParseAddr("127.0.0.2")
	var err error
	c.ca, err = authority.New("test", time.Now())
	must(c.T, err)
	c.cert, err = c.ca.Issue("postgresql", []netip.Addr{private}, time.Now())
	must(c.T, err)
	c.state = recipe.EngineState{
		Run: "run_aaaaaaaaaaaaaaaa", Key: c.cert.Key, CA: c.ca.Certificate, MayRestart: true,
		Server: plane.Server{ID: "srv_aaaaaaaaaaaaaaaa", Name: "s1", Address: private, PrivateAddress: private, SSHPort: 22, HostKey: "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIFZ9H5K2zQ1pGgNn1vQ0rWmJ0e2s3t4u5v6w7x8y9z0A", Firewall: plane.FirewallManage},
		Engine: plane.DatabaseServer{Engine: plane.PostgreSQL, Generation: 1, Port: 5432, Certificate: c.cert.Certificate},
		Guests: []recipe.Guest{{Database: shopData(), Password: "a password of some length", Fresh: true, Addresses: addresses("127.0.0.1", "10.0.0.2")}},
	}
}

func shopData() plane.Database {
	return plane.Database{ID: "dbs_aaaaaaaaaaaaaaaa", Name: "shop", Engine: plane.PostgreSQL, State: plane.DatabaseReady}
}

func addresses(all ...string) (out []netip.Addr) {
	for _, a := range all {
		out = append(out, netip.MustParseAddr(a))
	}
	return out
}

// program is a step as the playbook puts it together, in this folder's world.
func (c *cluster) program(step string) string {
	c.Helper()
	var text strings.Builder
	for _, name := range []string{"server.py", "database.py", step} {
		part, err := FS.ReadFile("steps/" + name)
		must(c.T, err)
		text.Write(part)
	}
	uid, gid := os.Getuid(), os.Getgid()
	return strings.NewReplacer(
		`"/var/lib/serverplane"`, `"`+c.dir+`/state"`, `"/run/serverplane"`, `"`+c.dir+`/run"`, `"/var/backups/serverplane`, `"`+c.dir+`/backups`,
		`"/etc/serverplane/database"`, `"`+c.dir+`/etc/serverplane/database"`, `"/etc/postgresql/`, `"`+c.dir+`/etc/postgresql/`,
		`"/usr/sbin/policy-rc.d"`, `"`+c.dir+`/policy"`, `"postgresql@*"), "postgres"`, `"postgresql@*"), "`+c.owner+`"`,
		"uid=0, gid=0", fmt.Sprintf("uid=%d, gid=%d", uid, gid), "0o644, 0, 0)", fmt.Sprintf("0o644, %d, %d)", uid, gid),
	).Replace(text.String())
}

func (c *cluster) command(step string, p ansible.Play, err error) *exec.Cmd {
	c.Helper()
	must(c.T, err)
	cmd := exec.Command("/usr/bin/python3", "-c", "import json,sys;SPEC=json.load(sys.stdin);exec(compile(open(sys.argv[1]).read(),sys.argv[2],'exec'))",
		c.keep(step), step)
	spec := strings.ReplaceAll(string(p.Files[0].Content), "/etc/serverplane/database/", c.dir+"/etc/serverplane/database/")
	cmd.Stdin, cmd.Dir = strings.NewReader(spec), "/"
	cmd.Env = append(os.Environ(), "PATH="+c.dir+"/tools:"+os.Getenv("PATH"), "PGHOST="+c.dir, "PGUSER=postgres")
	return cmd
}

func (c *cluster) keep(step string) string {
	path := filepath.Join(c.dir, step)
	must(c.T, os.WriteFile(path, []byte(c.program(step)), 0o644))
	return path
}

// step runs one to its end and returns what it said.
func (c *cluster) step(step string, p ansible.Play, err error) (string, error) {
	c.Helper()
	out, err := c.command(step, p, err).CombinedOutput()
	return string(out), err
}

// bring brings the engine to its state, which must succeed.
func (c *cluster) bring() string {
	c.Helper()
	p, err := recipe.Engine(c.state)
	out, err := c.step("database_engine.py", p, err)
	if err != nil {
		c.Fatalf("%v\n%s", err, out)
	}
	c.state.Guests[0].Fresh = false
	return out
}

func (c *cluster) sql(database, text string) string {
	c.Helper()
	out, err := exec.Command("psql", "-XqAt", "-v", "ON_ERROR_STOP=1", "-h", c.dir, "-p", strconv.Itoa(c.port), "-U", "postgres", "-d", database, "-c", text).CombinedOutput()
	if err != nil {
		c.Fatalf("%s: %v: %s", text, err, out)
	}
	return strings.TrimSpace(string(out))
}

func (c *cluster) dump(run, file string) map[string]int64 {
	c.Helper()
	p, err := recipe.DumpDatabase(recipe.Dump{Run: run, Server: c.state.Server, Database: shopData(), File: file})
	out, err := c.step("database_dump.py", p, err)
	if err != nil {
		c.Fatalf("%v\n%s", err, out)
	}
	_, learned, _ := strings.Cut(out, "learned: ")
	var told struct{ Rows map[string]int64 }
	must(c.T, json.Unmarshal([]byte(learned), &told))
	return told.Rows
}

// TestEngineThatWasThere: it keeps what its owner had it listen on, and the
// firewall names the port it really has.
func TestEngineThatWasThere(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	must(t, os.WriteFile(c.dir+"/ufw", []byte("allow from 10.0.0.2 to 127.0.0.2 port 5432 proto tcp comment 'serverplane db'\n"+
		"allow from 10.0.0.2 to 127.0.0.2 port 3306 proto tcp comment 'serverplane db'\nallow 22/tcp comment 'mine'\n"), 0o644))
	out := c.bring()
	listens := func() string { return c.sql("postgres", "SHOW listen_addresses") }
	if got := listens(); got != "127.0.0.3,127.0.0.1,127.0.0.2" {
		t.Errorf("it listens on %s\n%s", got, out)
	}
	rules, err := os.ReadFile(c.dir + "/ufw")
	must(t, err)
	for rule, want := range map[string]bool{
		fmt.Sprintf("allow from 10.0.0.2 to 127.0.0.2 port %d proto tcp comment 'serverplane db'\n", c.port): true,
		"port 5432": false, "port 3306": true, "comment 'mine'": true,
	} {
		if strings.Contains(string(rules), rule) != want {
			t.Errorf("%q should be there: %v\n%s", rule, want, rules)
		}
	}
	if out := c.bring(); strings.Contains(out, "changed: ") || listens() != "127.0.0.3,127.0.0.1,127.0.0.2" {
		t.Errorf("asked again it changed something; it listens on %s\n%s", listens(), out)
	}
	c.limit()
}

// limit: a limit that waits for a restart holds nobody else up.
func (c *cluster) limit() {
	c.Helper()
	c.state.Engine.WantedMax, c.state.MayRestart = 150, false
	if out := c.bring(); !strings.Contains(out, "100 connections until it is restarted, then 150") {
		c.Error(out)
	}
	c.state.MayRestart = true
	c.bring()
	if got := c.sql("postgres", "SHOW max_connections"); got != "150" {
		c.Errorf("it takes %s", got)
	}
}

// TestSessionsEndAfterTheRight: who may no longer connect has no session left,
// however often it tries; who may keeps its own.
func TestSessionsEndAfterTheRight(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	c.bring()
	stubborn := exec.Command("sh", "-c", `while :; do psql -XqAt "$1" -c "SELECT pg_sleep(600)"; sleep 0.02; done`, "sh",
		fmt.Sprintf("host=127.0.0.1 port=%d user=sp_shop dbname=sp_shop", c.port))
	stubborn.Env = append(os.Environ(), "PGPASSWORD=a password of some length")
	stubborn.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	must(t, stubborn.Start())
	t.Cleanup(func() {
		_ = syscall.Kill(-stubborn.Process.Pid, syscall.SIGKILL)
		_ = stubborn.Wait()
	})
	sessions := func() string {
		return c.sql("postgres", "SELECT count(*) FROM pg_stat_activity WHERE usename = 'sp_shop'")
	}
	c.until("it has a session", func() bool { return sessions() == "1" })
	c.state.Engine.Generation++
	if out := c.bring(); strings.Contains(out, "ended") || sessions() != "1" {
		t.Errorf("who may connect lost its session\n%s", out)
	}
	c.state.Engine.Generation++
	c.state.Guests[0].Addresses = addresses("10.0.0.2")
	if out := c.bring(); !strings.Contains(out, "ended 1 sessions of sp_shop from 127.0.0.1; none is left") || sessions() != "0" {
		t.Errorf("%s sessions are left\n%s", sessions(), out)
	}

	c.state.Engine.Generation++
	c.state.Guests[0].Addresses = addresses("127.0.0.1")
	c.bring()
	c.until("it is back", func() bool { return sessions() == "1" })
	c.state.Engine.Generation++
	c.state.Guests[0].Gone, c.state.Guests[0].Must = true, true
	out := c.bring()
	if left := c.sql("postgres", "SELECT count(*) FROM pg_roles WHERE rolname = 'sp_shop'") + c.sql("postgres", "SELECT count(*) FROM pg_database WHERE datname = 'sp_shop'"); left != "00" || sessions() != "0" {
		t.Errorf("left are %s\n%s", left, out)
	}
	if out := c.bring(); strings.Contains(out, "changed: ") {
		t.Errorf("asked again it removed something\n%s", out)
	}
}

func (c *cluster) until(what string, look func() bool) {
	c.Helper()
	for limit := time.Now().Add(time.Minute); time.Now().Before(limit); time.Sleep(50 * time.Millisecond) {
		if look() {
			return
		}
	}
	c.Fatal("not within a minute: " + what)
}

const (
	first  = "20260101T000000Z-aaaaaaaa.dump"
	second = "20260101T000000Z-bbbbbbbb.dump"
)

// TestRestoreIsWholeOrNothing, while somebody connects all the time.
func TestRestoreIsWholeOrNothing(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	c.bring()
	c.sql("sp_shop", "CREATE TABLE visits AS SELECT n, md5(n::text) AS t FROM generate_series(1, 5000) n; ALTER TABLE visits OWNER TO sp_shop; ALTER TABLE visits ADD PRIMARY KEY (n)")
	rows := c.dump("run_aaaaaaaaaaaaaaab", first)
	c.sql("postgres", `CREATE ROLE reader; GRANT CONNECT ON DATABASE sp_shop TO reader; ALTER DATABASE sp_shop SET search_path TO "$user", public, 'it''s';
		ALTER DATABASE sp_shop SET timezone TO 'Europe/Berlin'; ALTER ROLE reader IN DATABASE sp_shop SET application_name TO 'a "b'' c'`)
	// What set_config takes for one name is other SQL where it is written down as it stands.
	c.sql("postgres", `CREATE ROLE hostile; SELECT set_config('search_path', 'a;CREATE/**/ROLE/**/evil/**/SUPERUSER;', false);
		ALTER ROLE hostile IN DATABASE sp_shop SET search_path FROM CURRENT; SELECT set_config('search_path', '', false);
		CREATE ROLE bare; ALTER ROLE bare IN DATABASE sp_shop SET search_path FROM CURRENT`)
	const own = `SELECT setrole::regrole, setconfig FROM pg_db_role_setting JOIN pg_database d ON d.oid = setdatabase AND datname = 'sp_shop'
		WHERE setrole::regrole::text NOT IN ('hostile', 'bare') ORDER BY 1;
		SELECT datacl FROM pg_database WHERE datname = 'sp_shop'`
	settings := c.sql("postgres", own)
	c.sql("sp_shop", "DELETE FROM visits WHERE n > 100")
	c.sql("postgres", "ALTER DATABASE sp_shop WITH ALLOW_CONNECTIONS false") // as an older panel could leave it
	c.dump("run_aaaaaaaaaaaaaaac", second)
	restore := func(run string, rows map[string]int64) (string, error) {
		p, err := recipe.RestoreDatabase(recipe.Dump{Run: run, Server: c.state.Server, Database: shopData(), File: first, Rows: rows, Before: second})
		return c.step("database_restore.py", p, err)
	}
	count := func() string { return c.sql("sp_shop", "SELECT count(*) FROM visits") }
	beside := func() string {
		return c.sql("postgres", "SELECT count(*) FROM pg_database WHERE datname LIKE 'sp_shop-%'")
	}

	if out, err := restore("run_wrong", map[string]int64{"public.visits": 7}); err == nil || !strings.Contains(out, "5000 instead of 7") || count() != "100" || beside() != "0" {
		t.Errorf("another dump than was told: %v, %s rows, %s beside\n%s", err, count(), beside(), out)
	}
	must(t, os.WriteFile(c.dir+"/run/database.stopped", []byte("sp-database-run-run_stopped\n"), 0o644))
	if out, err := restore("run_stopped", rows); err == nil || count() != "100" || beside() != "0" {
		t.Errorf("it was stopped: %v, %s rows, %s beside\n%s", err, count(), beside(), out)
	}

	crowd := exec.Command("sh", "-c", `while :; do psql -XqAt -h "$1" -p "$2" -U postgres -d sp_shop -c "SELECT count(*), pg_sleep(0.3) FROM visits" 2>&1; done`, "sh", c.dir, strconv.Itoa(c.port))
	crowd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	said, err := crowd.StdoutPipe()
	must(t, err)
	must(t, crowd.Start())
	go func() { _, _ = io.Copy(io.Discard, said) }()
	t.Cleanup(func() {
		_ = syscall.Kill(-crowd.Process.Pid, syscall.SIGKILL)
		_ = crowd.Wait()
	})
	if out, err := restore("run_good", rows); err != nil || count() != "5000" || beside() != "0" {
		t.Errorf("%v, %s rows, %s beside\n%s", err, count(), beside(), out)
	}
	if now := c.sql("postgres", own); now != settings || !strings.Contains(now, "Europe/Berlin") || !strings.Contains(now, "reader=c/") {
		t.Errorf("what was set at the database was\n%s\nand is\n%s", settings, now)
	}
	if evil := c.sql("postgres", "SELECT count(*) FROM pg_roles WHERE rolname = 'evil'"); evil != "0" {
		t.Error("a setting of the database was carried out as SQL")
	}
	if told, _ := os.ReadFile(c.dir + "/run/database.restored"); string(told) != "run_good\n" {
		t.Errorf("the panel reads that %q was restored", told)
	}
}

// TestRestoreThatIsKilled at any moment leaves the database open, with what it
// held before or with what was restored; asked again it succeeds.
func TestRestoreThatIsKilled(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	c.bring()
	c.sql("sp_shop", "CREATE TABLE visits AS SELECT n FROM generate_series(1, 20000) n; ALTER TABLE visits OWNER TO sp_shop")
	rows := c.dump("run_aaaaaaaaaaaaaaab", first)
	c.sql("sp_shop", "DELETE FROM visits WHERE n > 100")
	c.dump("run_aaaaaaaaaaaaaaac", second)
	for n, after := range []time.Duration{150, 300, 400, 500, 600, 700, 900} {
		run := fmt.Sprintf("run_%d", n)
		p, err := recipe.RestoreDatabase(recipe.Dump{Run: run, Server: c.state.Server, Database: shopData(), File: first, Rows: rows, Before: second})
		cmd := c.command("database_restore.py", p, err)
		cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
		must(t, cmd.Start())
		time.Sleep(after * time.Millisecond) // any moment is as good as another
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		_ = cmd.Wait()
		c.until("the database is whole", func() bool {
			got := c.sql("sp_shop", "SELECT count(*) FROM visits")
			return got == "100" || got == "20000"
		})
	}
	p, err := recipe.RestoreDatabase(recipe.Dump{Run: "run_last", Server: c.state.Server, Database: shopData(), File: first, Rows: rows, Before: second})
	out, err := c.step("database_restore.py", p, err)
	if left := c.sql("postgres", "SELECT count(*) FROM pg_database WHERE datname LIKE 'sp_shop-%'"); err != nil || left != "0" || c.sql("sp_shop", "SELECT count(*) FROM visits") != "20000" {
		t.Errorf("asked again: %v, %s beside\n%s", err, left, out)
	}
}
