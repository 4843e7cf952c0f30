//go:build e2e

package e2e

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/serverplane/serverplane/client"
)

// big is a table of 100 000 rows with what dumps could stumble over, made by hand
// in each engine: how it is asked, how it is made, and what its content adds up to.
type big struct{ name, shell, unit, fill, sum, slow string }

const fewer = "DELETE FROM big WHERE n % 10 <> 0;"

func bigs() []big {
	return []big{
		{
			name: "shop-data", shell: "runuser -u postgres -- psql -XqAt -v ON_ERROR_STOP=1 sp_shop_data", unit: "postgresql@15-main",
			fill: `SET ROLE sp_shop_data;
CREATE FUNCTION slow(n int) RETURNS boolean LANGUAGE plpgsql AS 'BEGIN IF n % 500 = 0 THEN PERFORM pg_sleep(0.05); END IF; RETURN true; END';
CREATE TABLE big (n int PRIMARY KEY CHECK (slow(n)), t text NOT NULL, b bytea);
INSERT INTO big SELECT n, md5(n::text) || E'\n\\.\n"''\\' || chr(128169), decode('00ff0a', 'hex') FROM generate_series(1, 100000) n;`,
			sum: "SELECT count(*), md5(string_agg(n || t || b::text, ',' ORDER BY n)) FROM big;",
		},
		{
			name: "blog", shell: "mariadb -N sp_blog", unit: "mariadb",
			fill: `CREATE TABLE big (n INT PRIMARY KEY, t VARCHAR(80) CHARACTER SET utf8mb4 NOT NULL, b VARBINARY(8));
INSERT INTO big SELECT seq, CONCAT(MD5(seq), '\n''"\\;\n', CHAR(0xF09F92A9 USING utf8mb4)), 0x00FF0A FROM seq_1_to_100000;`,
			sum:  "SELECT COUNT(*), SUM(CRC32(CONCAT(n, HEX(t), HEX(b)))) FROM big;",
			slow: "CREATE TABLE more AS SELECT seq AS n, REPEAT(MD5(seq), 4) AS t FROM seq_1_to_300000;",
		},
	}
}

// login is the name the database's processes sign in by.
func (b big) login(t *testing.T, w *world) string {
	t.Helper()
	d, err := w.api.Database(w.ctx, b.name)
	must(t, err)
	return d.Login
}

// query asks an engine by hand, on the primary.
func (w *world) query(t *testing.T, b big, sql string) string {
	t.Helper()
	out, err := w.servers["s1"].SSH(w.ctx, b.shell, strings.NewReader(sql))
	must(t, err)
	return strings.TrimSpace(out)
}

// backUp makes a dump and returns it.
func (w *world) backUp(t *testing.T, name string) client.Backup {
	t.Helper()
	w.cli(t, "db", "backup", name, "--wait")
	all, err := w.api.Backups(w.ctx, name)
	must(t, err)
	return all.Items[0]
}

// rowsComeBack: every row and every byte, while the app goes on.
func rowsComeBack(t *testing.T, w *world) {
	for _, b := range bigs() {
		w.query(t, b, b.fill)
		before := w.query(t, b, b.sum)
		kept := w.backUp(t, b.name)
		w.query(t, b, fewer)
		w.cli(t, "db", "restore", b.name, kept.ID, "--yes", "--wait")
		if after := w.query(t, b, b.sum); after != before || !strings.HasPrefix(after, "100000") {
			t.Errorf("%s holds %q after the restore, and held %q", b.name, after, before)
		}
		app := strings.TrimSuffix(b.name, "-data")
		until(t, 30*time.Second, app+" answers", func() (bool, string) {
			status, body, err := w.visitOf(app, "GET", "/")
			return err == nil && status == 200, fmt.Sprint(status, err, string(body))
		})
	}
}

// restoreKilled: with the panel dead in the middle of a restore, the server comes
// to an end by itself: all is as before, and asked again it is restored.
func restoreKilled(t *testing.T, w *world) {
	for _, b := range bigs() {
		if b.slow != "" { // what makes a load of PostgreSQL last is part of its table
			w.query(t, b, b.slow)
		}
		whole := w.query(t, b, b.sum)
		kept := w.backUp(t, b.name)
		w.query(t, b, fewer)
		if b.slow != "" {
			w.query(t, b, "DELETE FROM more;")
		}
		before := w.query(t, b, b.sum)
		_, err := w.api.RestoreDatabase(w.ctx, b.name, kept.ID)
		must(t, err)
		var run client.Run
		until(t, 2*time.Minute, "the dump is being loaded", func() (bool, string) {
			run = w.lastRun(t, "database-restore")
			state := w.ssh(t, "s1", "systemctl is-active sp-database-run-"+run.ID+" || true")
			return run.Step == "restore and compare rows" && state == "active", run.State + " " + run.Step + " " + state
		})
		must(t, w.panel.Kill())
		must(t, w.panel.Start(w.ctx))
		w.interrupted(t, "database-restore")
		left := w.ssh(t, "s1", "flock -w 120 /run/serverplane/database.lock true; systemctl is-active sp-database-run-"+run.ID+" || true")
		if left != "inactive" {
			t.Errorf("%s: its unit is %s", b.name, left)
		}
		if after := w.query(t, b, b.sum); after != before {
			t.Errorf("%s holds %q, and held %q", b.name, after, before)
		}
		w.cli(t, "db", "restore", b.name, kept.ID, "--yes", "--wait")
		if after := w.query(t, b, b.sum); after != whole {
			t.Errorf("%s, asked again, holds %q instead of %q", b.name, after, whole)
		}
	}
	out := w.ssh(t, "s1", "runuser -u postgres -- psql -XqAtc \"SELECT datname FROM pg_database WHERE datname LIKE '%-%' OR NOT datallowconn\"; ls /var/lib/serverplane/ | grep restoring || true")
	if out != "template0" {
		t.Errorf("left behind: %s", out)
	}
}

// interrupted waits until a Run that lost its panel is over.
func (w *world) interrupted(t *testing.T, kind string) {
	t.Helper()
	until(t, time.Minute, "the Run is over", func() (bool, string) {
		r := w.lastRun(t, kind)
		return r.State == "interrupted", r.State + " " + r.Reason
	})
}

// dumpRefused: what cannot be dumped is said in words and leaves no half dump.
func dumpRefused(t *testing.T, w *world) {
	for _, b := range bigs() {
		folder := "/var/backups/serverplane/databases/" + b.name
		w.ssh(t, "s1", "mount -t tmpfs -o size=300k,mode=0700 sp-small "+folder)
		said := w.refuse(t, 1, "db", "backup", b.name, "--wait")
		if !strings.Contains(said, "No space left") {
			t.Errorf("%s: it does not say that the disk is full:\n%s", b.name, lastLines(said, 20))
		}
		if left := w.ssh(t, "s1", "ls -A "+folder+"; umount "+folder); left != "" {
			t.Errorf("%s: a half dump is left: %s", b.name, left)
		}
		w.ssh(t, "s1", "systemctl stop "+b.unit)
		said = w.refuse(t, 1, "db", "backup", b.name, "--wait")
		w.ssh(t, "s1", "systemctl start "+b.unit)
		if !strings.Contains(said, "is not running here; start it and ask again") {
			t.Errorf("%s: it does not say that the engine is stopped:\n%s", b.name, lastLines(said, 20))
		}
	}
}

// stubborn starts a client of a database on a server, beside the app and with the
// app's own variables, which connects again whenever it is cut off.
func (w *world) stubborn(t *testing.T, app, server, program string) {
	t.Helper()
	pid := w.ssh(t, server, "systemctl show --property=MainPID --value sp-"+app+"-a sp-"+app+"-b | grep -vx -e 0 -e '' | head -n 1")
	dir := "/root/stubborn-" + app
	w.ssh(t, server, `set -e; mkdir -p `+dir+`; cp -r "$(readlink /proc/`+pid+`/cwd)/node_modules" `+dir+`/; cat /etc/serverplane/apps/`+app+`/*/database-ca.pem >`+dir+`/ca.pem
tr '\0' '\n' </proc/`+pid+`/environ | grep -E '^(DB_|DATABASE_URL)' | sed -E 's#sslrootcert=.*#sslrootcert=`+dir+`/ca.pem#; s#^DB_SSL_CA=.*#DB_SSL_CA=`+dir+`/ca.pem#' >`+dir+`/lines
cat >`+dir+`/client.js <<'END'
const fs = require('node:fs')
for (const line of fs.readFileSync(__dirname + '/lines', 'utf8').split('\n')) process.env[line.split('=')[0]] = line.slice(line.indexOf('=') + 1)
const env = process.env
`+program+`
const go = async () => { for (;;) { try { await hold() } catch (err) { console.log(err.message) } await new Promise((r) => setTimeout(r, 20)) } }
go()
END
systemd-run --quiet --unit=stubborn-`+app+` node `+dir+`/client.js`)
}

// noSessionOutlives: a client that comes again at once, from a backend that is
// taken away, is refused and has no session left, in both engines.
func noSessionOutlives(t *testing.T, w *world) {
	s2, s3 := w.servers["s2"].Addr.String(), w.servers["s3"].Addr.String()
	for _, c := range []struct {
		big
		app, server, address, program, count string
	}{
		{bigs()[0], "shop", "s2", s2, `const { Client } = require('pg')
const hold = async () => {
  const c = new Client({ connectionString: env.DATABASE_URL, connectionTimeoutMillis: 3000 })
  c.on('error', () => {})
  await c.connect()
  await c.query('SELECT pg_sleep(3600)')
}`, "SELECT count(*) FROM pg_stat_activity WHERE usename IN ('sp_shop_data', 'sp2_shop_data') AND host(client_addr) = '" + s2 + "'"},
		{bigs()[1], "blog", "s3", s3, `const mysql = require('mysql2/promise')
const hold = async () => {
  const c = await mysql.createConnection({ host: env.DB_HOST, port: Number(env.DB_PORT), user: env.DB_USERNAME, password: env.DB_PASSWORD,
    database: env.DB_DATABASE, connectTimeout: 3000, ssl: { ca: fs.readFileSync(env.DB_SSL_CA) } })
  c.on('error', () => {})
  await c.query('SELECT SLEEP(3600)')
}`, "SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE USER IN ('sp_blog', 'sp2_blog') AND HOST LIKE '" + s3 + ":%'"},
	} {
		holds := map[string]string{"shop": " AND query LIKE '%pg_sleep(3600)%';", "blog": " AND INFO LIKE '%SLEEP(3600)%';"}[c.app]
		w.stubborn(t, c.app, c.server, c.program)
		until(t, 30*time.Second, "the client is in", func() (bool, string) {
			return w.query(t, c.big, c.count+holds) == "1", w.ssh(t, c.server, "journalctl -u stubborn-"+c.app+" -o cat -n 3 --no-pager")
		})
		w.cli(t, "backend", "remove", c.app, c.server, "--wait")
		for range 20 {
			if n := w.query(t, c.big, c.count+";"); n != "0" {
				t.Fatalf("%s: %s sessions from %s outlive its removal", c.app, n, c.server)
			}
			time.Sleep(100 * time.Millisecond)
		}
		if out := w.ssh(t, c.server, "systemctl is-active stubborn-"+c.app+" || true"); out != "active" {
			t.Errorf("the client of %s is %s: nothing was proven", c.app, out)
		}
		said := w.cli(t, "run", "log", w.lastRun(t, "backend-remove").ID)
		if !strings.Contains(said, "sessions of "+c.login(t, w)+" from "+c.address+"; none is left") {
			t.Errorf("%s: the log does not say what was ended:\n%s", c.app, lastLines(said, 40))
		}
		w.ssh(t, c.server, "systemctl stop stubborn-"+c.app)
	}
}

// removeDatabases: one whose panel is killed when nothing can be taken back any
// more, and then every other one.
func removeDatabases(t *testing.T, w *world) {
	_, err := w.api.RemoveDatabase(w.ctx, "other")
	must(t, err)
	until(t, time.Minute, "its removal has begun", func() (bool, string) {
		d, err := w.api.Database(w.ctx, "other")
		return err == nil && d.State == "removing", fmt.Sprint(d.State, d.Reason, err)
	})
	must(t, w.panel.Kill())
	w.ssh(t, "s1", "for i in 1 2 3; do flock -w 60 /run/serverplane/database.lock true; sleep 1; done")
	must(t, w.panel.Start(w.ctx))
	w.interrupted(t, "database-remove")
	for _, name := range []string{"other", "third", "shop-data", "blog"} {
		w.cli(t, "db", "remove", name, "--yes", "--wait")
		base := strings.ReplaceAll(name, "-", "_")
		roles := "IN ('sp_" + base + "', 'sp2_" + base + "')"
		left := w.ssh(t, "s1", "runuser -u postgres -- psql -XqAtc \"SELECT rolname FROM pg_roles WHERE rolname "+roles+" UNION SELECT datname FROM pg_database WHERE datname LIKE 'sp_"+base+"%'\"; "+
			"mariadb -N -e \"SELECT User FROM mysql.user WHERE User "+roles+" UNION SELECT SCHEMA_NAME FROM information_schema.SCHEMATA WHERE SCHEMA_NAME "+roles+"\"; "+
			"grep -E 'sp2?_"+base+" ' /etc/postgresql/15/main/pg_hba.conf || true")
		if left != "" {
			t.Errorf("%s left %s", name, left)
		}
		if dumps := w.ssh(t, "s1", "ls /var/backups/serverplane/databases/"+name); !strings.Contains(dumps, ".dump") {
			t.Errorf("%s left no dump: %s", name, dumps)
		}
	}
	if rules := w.ssh(t, "s1", "ufw status | grep 'serverplane db' || true"); rules != "" {
		t.Errorf("the firewall is still open:\n%s", rules)
	}
}
