//go:build e2e

package e2e

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/serverplane/serverplane/client"
)

// big is a table of 100 000 rows with what dumps could stumble over, made by hand in each engine: how it is asked, how it is made, and what its
// content adds up to; and what keeps a restore of it from its end, how that is seen, and what lets it go.
type big struct{ name, shell, unit, fill, sum, hold, held, release string }

const fewer = "DELETE FROM big WHERE n % 10 <> 0;"

func bigs() []big {
	return []big{
		{
			name: "shop-data", shell: "runuser -u postgres -- psql -XqAt -v ON_ERROR_STOP=1 sp_shop_data", unit: "postgresql@15-main",
			fill: `SET ROLE sp_shop_data;
CREATE FUNCTION slow(n int) RETURNS boolean LANGUAGE plpgsql AS 'BEGIN IF n % 500 = 0 AND current_setting(''story.hold'', true) = ''1'' THEN PERFORM pg_sleep(0.5); END IF; RETURN true; END';
CREATE TABLE big (n int PRIMARY KEY CHECK (slow(n)), t text NOT NULL, b bytea);
INSERT INTO big SELECT n, md5(n::text) || E'\n\\.\n"''\\' || chr(128169), decode('00ff0a', 'hex') FROM generate_series(1, 100000) n;`,
			sum:     "SELECT count(*), md5(string_agg(n || t || b::text, ',' ORDER BY n)) FROM big;",
			hold:    `runuser -u postgres -- psql -Xqc "ALTER ROLE postgres SET story.hold = '1'"`,
			held:    "SELECT (count(*) > 0)::int FROM pg_stat_activity WHERE datname = 'sp_shop_data-restore' AND wait_event = 'PgSleep';",
			release: `runuser -u postgres -- psql -Xqc "ALTER ROLE postgres RESET story.hold"`,
		},
		{
			name: "blog", shell: "mariadb -N sp_blog", unit: "mariadb",
			fill: `CREATE TABLE big (n INT PRIMARY KEY, t VARCHAR(80) CHARACTER SET utf8mb4 NOT NULL, b VARBINARY(8));
INSERT INTO big SELECT seq, CONCAT(MD5(seq), '\n''"\\;\n', CHAR(0xF09F92A9 USING utf8mb4)), 0x00FF0A FROM seq_1_to_100000;
CREATE TABLE held (n INT);`,
			sum: "SELECT COUNT(*), SUM(CRC32(CONCAT(n, HEX(t), HEX(b)))) FROM big;",
			hold: `systemd-run --quiet --unit=story-hold --collect mariadb sp_blog -e "LOCK TABLES held READ; SELECT SLEEP(600)"
until mariadb -e 'SHOW FULL PROCESSLIST' | grep -q 'SELECT SLEEP(600)'; do sleep 0.1; done`,
			held:    "SELECT COUNT(*) > 0 FROM information_schema.PROCESSLIST WHERE STATE LIKE 'Waiting for table metadata lock%';",
			release: `mariadb -N -e "SELECT CONCAT('KILL ', ID, ';') FROM information_schema.PROCESSLIST WHERE INFO LIKE 'SELECT SLEEP(600)%'" | mariadb`,
		},
	}
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
		w.query(t, b, fewer+" CREATE TABLE later (n int);")
		w.cli(t, "db", "restore", b.name, kept.ID, "--yes", "--wait")
		if later := w.query(t, b, "SELECT COUNT(*) FROM information_schema.tables WHERE table_name = 'later';"); later != "0" {
			t.Errorf("%s keeps a table that came after the dump", b.name)
		}
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

// restoring makes a dump, leaves a tenth of the rows, and returns in the middle of bringing the dump back, which is held there. It tells what there was
// and what is there now.
func (w *world) restoring(t *testing.T, b big) (kept client.Backup, run client.Run, whole, before string) {
	t.Helper()
	whole = w.query(t, b, b.sum)
	kept = w.backUp(t, b.name)
	w.query(t, b, fewer)
	before = w.query(t, b, b.sum)
	w.ssh(t, "s1", b.hold)
	_, err := w.api.RestoreDatabase(w.ctx, b.name, kept.ID)
	must(t, err)
	until(t, 2*time.Minute, "the dump is being loaded", func() (bool, string) {
		run = w.lastRun(t, "database-restore")
		held := w.query(t, b, b.held)
		return run.Step == "restore and compare rows" && held == "1", run.State + " " + run.Step + " " + held
	})
	return kept, run, whole, before
}

// restoreKilled: with the panel dead in the middle of a restore, the server comes
// to an end by itself: all is as before, and asked again it is restored.
func restoreKilled(t *testing.T, w *world) {
	for _, b := range bigs() {
		kept, run, whole, before := w.restoring(t, b)
		must(t, w.panel.Kill())
		must(t, w.panel.Start(w.ctx))
		w.interrupted(t, "database-restore")
		unit := "sp-database-run-" + run.ID
		until(t, time.Minute, unit+" is stopped", func() (bool, string) {
			state := w.ssh(t, "s1", "systemctl is-active "+unit+" || true")
			return state == "inactive", state
		})
		w.ssh(t, "s1", b.release)
		w.ssh(t, "s1", "flock -w 120 /run/serverplane/database.lock true")
		if after := w.query(t, b, b.sum); after != before {
			t.Errorf("%s holds %q, and held %q", b.name, after, before)
		}
		w.cli(t, "db", "restore", b.name, kept.ID, "--yes", "--wait")
		if after := w.query(t, b, b.sum); after != whole {
			t.Errorf("%s, asked again, holds %q instead of %q", b.name, after, whole)
		}
	}
	w.nothingHalf(t)
}

// nothingHalf is left on the primary of a restore that did not come to its end.
func (w *world) nothingHalf(t *testing.T) {
	t.Helper()
	out := w.ssh(t, "s1", "runuser -u postgres -- psql -XqAtc \"SELECT datname FROM pg_database WHERE datname LIKE '%-%' OR NOT datallowconn\"; "+
		"ls /var/lib/serverplane/ /etc/systemd/system/ /etc/systemd/system/multi-user.target.wants/ | grep -E 'restoring|put-back' || true")
	if out != "template0" {
		t.Errorf("left behind: %s", out)
	}
}

// primaryDown: both engines, two apps' entry and everybody's data lose their power in the middle of a restore that works in place. It is said in
// words, and with the power everything comes back by itself: what was in the database before, too.
func primaryDown(t *testing.T, w *world) {
	b := bigs()[1]
	_, run, _, before := w.restoring(t, b)
	rows := w.rows(t, "shop")
	must(t, w.servers["s1"].PowerCut(w.ctx))
	w.saidWithoutPrimary(t, run.ID)
	begun := time.Now()
	must(t, w.servers["s1"].Boot(w.ctx))
	for _, app := range []string{"shop", "blog"} {
		w.untilWhole(t, app)
	}
	t.Logf("%s after the power came back, both apps read and write through every backend", time.Since(begun).Round(100*time.Millisecond))
	if now := w.rows(t, "shop"); now <= rows {
		t.Errorf("shop has %d rows, and had %d", now, rows)
	}
	until(t, time.Minute, "what was there before is put back", func() (bool, string) {
		state := w.ssh(t, "s1", "ls /var/lib/serverplane | grep -E 'restoring|put-back' || true")
		return state == "", state
	})
	if after := w.query(t, b, b.sum); after != before {
		t.Errorf("%s holds %q, and held %q", b.name, after, before)
	}
	w.nothingHalf(t)
	w.backUp(t, b.name)
	if said := w.cli(t, "run", "log", w.lastRun(t, "database-backup").ID); strings.Contains(said, "cut off in the middle") {
		t.Errorf("it still warns of what was put back:\n%s", lastLines(said, 20))
	}
}

// saidWithoutPrimary: nothing is claimed of what cannot be seen, and the restore that was under way ends and says what becomes of it.
func (w *world) saidWithoutPrimary(t *testing.T, restore string) {
	t.Helper()
	for _, name := range []string{"shop-data", "blog"} {
		until(t, time.Minute, name+" is unknown", func() (bool, string) {
			d, err := w.api.Database(w.ctx, name)
			return err == nil && d.Now != nil && d.Now.Reason != "", fmt.Sprintf("%+v %v", d.Now, err)
		})
	}
	for _, app := range []string{"shop", "blog"} {
		s := w.untilState(t, app, "s2", "unknown", time.Minute)
		t.Logf("%s on s2 is unknown: %s", app, s.Reason)
		if s.Reason == "" {
			t.Errorf("%s on s2 is unknown and does not say why", app)
		}
	}
	until(t, 3*time.Minute, "the restore is over", func() (bool, string) {
		r, err := w.api.Run(w.ctx, restore)
		return err == nil && r.State == "failed", r.State + " " + r.Reason
	})
	if said := w.cli(t, "run", "log", restore); !strings.Contains(said, "it puts back what was there before when it comes up") {
		t.Errorf("the log does not say what becomes of it:\n%s", lastLines(said, 20))
	}
}

// untilWhole waits until an app reads and writes through all of its backends.
func (w *world) untilWhole(t *testing.T, app string) {
	t.Helper()
	for _, s := range []string{"s1", "s2", "s3"} {
		w.untilState(t, app, s, "healthy", time.Minute)
	}
	until(t, time.Minute, app+" reads and writes through every backend", func() (bool, string) {
		by := map[string]bool{}
		for range 9 {
			status, body, err := w.visitOf(app, "GET", "/")
			var v visited
			if err != nil || status != 200 || json.Unmarshal(body, &v) != nil {
				return false, fmt.Sprint(status, err, string(body))
			}
			by[v.Server] = true
		}
		status, body, err := w.visitOf(app, "POST", "/")
		return err == nil && status == 200 && len(by) == 3, fmt.Sprint(by, status, err, string(body))
	})
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
		if !strings.Contains(said, "sessions of "+w.login(t, c.name)+" from "+c.address+"; none is left") {
			t.Errorf("%s: the log does not say what was ended:\n%s", c.app, lastLines(said, 40))
		}
		if !strings.Contains(said, "is refused by database "+c.name) {
			t.Errorf("%s: the log does not say that a login from there was refused:\n%s", c.app, lastLines(said, 40))
		}
		w.ssh(t, c.server, "systemctl stop stubborn-"+c.app)
	}
}

// removeDatabases: one whose panel is killed when nothing can be taken back any
// more, and then every other one.
func removeDatabases(t *testing.T, w *world) {
	w.cli(t, "db", "create", "other", "--app", "blog", "--engine", "postgresql", "--prefix", "OTHER", "--wait")
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
	for _, name := range []string{"other", "shop-data", "blog"} {
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
