//go:build e2e

package e2e

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/serverplane/serverplane/client"
)

// enginesSay asks both engines while all backends hold connections. An engine is
// asked every 5 s at most: what it said before the rows were written is waited over.
func enginesSay(t *testing.T, w *world) {
	held := []*poster{w.post("shop", 4), w.post("blog", 4)}
	for _, p := range held {
		until(t, 30*time.Second, "rows are written", func() (bool, string) { return p.ok.Load() > 40, "" })
	}
	written := time.Now()
	for name, port := range map[string]string{"shop-data": ":5432", "blog": ":3306"} {
		d := w.saidSince(t, name, written)
		now := d.Now
		if now.Reason != "" {
			t.Fatalf("%s: %+v", name, now)
		}
		t.Logf("%s: %s, %d bytes, %d of %d, %+v, %+v", name, now.Version, now.Bytes, now.Used, now.Allowed, now.Connections, now.TLS)
		if now.Version != d.Version || now.Bytes < 4096 || now.Used < 3 || now.Allowed < 90 || !strings.HasPrefix(now.Vantage, "s1") {
			t.Errorf("%s: %+v", name, now)
		}
		if at := strings.Join(now.Listening, " "); !strings.Contains(at, w.servers["s1"].Addr.String()+port) || !strings.Contains(at, "127.0.0.1"+port) {
			t.Errorf("%s listens on %s", name, at)
		}
		from := map[string]int{}
		for _, c := range now.Connections {
			from[c.Server] += c.Used
		}
		if len(from) != 3 || from["s1"] == 0 || from["s2"] == 0 || from["s3"] == 0 {
			t.Errorf("%s: connections from %v", name, from)
		}
		if now.TLS.Reason != "" || now.TLS.Sessions == 0 || now.TLS.Encrypted == 0 {
			t.Errorf("%s: %+v", name, now.TLS)
		}
	}
	for _, p := range held {
		p.end()
	}
}

// saidSince waits for what an engine says after a moment.
func (w *world) saidSince(t *testing.T, name string, moment time.Time) client.Database {
	t.Helper()
	var d client.Database
	until(t, 30*time.Second, name+"'s engine is asked", func() (bool, string) {
		var err error
		d, err = w.api.Database(w.ctx, name)
		return err == nil && d.Now != nil && d.Now.At.After(moment), fmt.Sprintf("%+v %v", d.Now, err)
	})
	return d
}

// asApp runs a program of Node.js on a server as if it were part of the app: its variables, its folder, its packages.
func (w *world) asApp(t *testing.T, app, server, program string) string {
	t.Helper()
	pid := w.ssh(t, server, "systemctl show --property=MainPID --value sp-"+app+"-a sp-"+app+"-b | grep -vx -e 0 -e '' | head -n 1")
	out, err := w.servers[server].SSH(w.ctx, `python3 -c 'import os,sys
p = "/proc/`+pid+`"
env = dict(x.split("=", 1) for x in open(p + "/environ").read().split("\0") if "=" in x)
os.chdir(p + "/cwd")
os.execvpe("node", ["node", "-e", sys.stdin.read()], env)' 2>&1`, strings.NewReader(program))
	must(t, err)
	return strings.TrimSpace(out)
}

// knocks are programs that sign in as the app, with encryption or without, and print what came of it.
var knocks = map[string]string{
	"shop": `const { Client } = require('pg')
const knock = (ssl) => { const c = new Client({ host: env.DB_HOST, port: Number(env.DB_PORT), user: env.DB_USERNAME, password: env.DB_PASSWORD, database: env.DB_DATABASE, ssl })
  return c.connect().then(() => c.query('SELECT 1')).then(() => c.end()) }`,
	"blog": `const mysql = require('mysql2/promise')
const knock = async (ssl) => { const c = await mysql.createConnection({ host: env.DB_HOST, port: Number(env.DB_PORT), user: env.DB_USERNAME, password: env.DB_PASSWORD, database: env.DB_DATABASE, ssl: ssl || undefined })
  await c.query('SELECT 1'); await c.end() }`,
}

const knockBoth = `const env = process.env
const tell = (how, p) => p.then(() => how + ': let in', (err) => how + ': ' + err.message)
const go = async () => { console.log(await tell('plain', knock(false))); console.log(await tell('tls', knock({ ca: require('fs').readFileSync(env.DB_SSL_CA) }))) }
go()
`

// requireTLS from both engines, under load: the app goes on, who comes without encryption and with everything else right is refused by the engine.
func requireTLS(t *testing.T, w *world) {
	apps := map[string]string{"shop": "shop-data", "blog": "blog"}
	for app := range apps {
		if said := w.asApp(t, app, "s2", knocks[app]+"\n"+knockBoth); !strings.Contains(said, "plain: let in") || !strings.Contains(said, "tls: let in") {
			t.Errorf("%s before: %s", app, said)
		}
	}
	held := map[string]*poster{"shop": w.post("shop", 2), "blog": w.post("blog", 2)}
	w.cliEach(t, [][]string{{"db", "set", "shop-data", "--require-tls", "--wait"}, {"db", "set", "blog", "--require-tls", "--wait"}})
	written := time.Now()
	for app, name := range apps {
		for _, server := range []string{"s1", "s2"} {
			refused := map[string]string{"shop": "plain: pg_hba.conf rejects connection", "blog": "plain: Access denied for user"}[app]
			if said := w.asApp(t, app, server, knocks[app]+"\n"+knockBoth); !strings.Contains(said, refused) || !strings.Contains(said, "tls: let in") {
				t.Errorf("%s on %s: %s", app, server, said)
			}
		}
		at := held[app].ok.Load()
		until(t, 30*time.Second, "rows are written", func() (bool, string) { return held[app].ok.Load() > at+20, "" })
		d := w.saidSince(t, name, written)
		if !d.RequireTLS || app == "shop" && (d.Now.TLS.Sessions == 0 || d.Now.TLS.Encrypted != d.Now.TLS.Sessions) {
			t.Errorf("%s: %v, %+v", name, d.RequireTLS, d.Now)
		}
		if ok, failed := held[app].end(); failed > 0 {
			t.Errorf("%s lost %d of %d requests", app, failed, ok+failed)
		}
	}
}

// passwordsChanged there and back again in PostgreSQL, and there in MariaDB; each
// row that a visitor was told of is there.
func passwordsChanged(t *testing.T, w *world) {
	there := func(app, name, login string) databasePart {
		return databasePart{name + " to " + login, func(t *testing.T, w *world) { w.passwordChanged(t, app, name, login, w.rotate(name)) }}
	}
	atOnce(there("shop", "shop-data", "sp2_shop_data"), there("blog", "blog", "sp2_blog")).tell(t, w)
	w.passwordChanged(t, "shop", "shop-data", "sp_shop_data", func() error { return keepByHand(t, w) })
	if hash := w.ssh(t, "s1", "runuser -u postgres -- psql -qAtc \"SELECT rolpassword IS NULL FROM pg_authid WHERE rolname = 'sp2_shop_data'\""); hash != "t" {
		t.Errorf("the former login keeps a password: %s", hash)
	}
	if locked := w.ssh(t, "s1", "mariadb -N -e \"SHOW CREATE USER 'sp_blog'@'127.0.0.1'\""); !strings.Contains(locked, "ACCOUNT LOCK") {
		t.Errorf("the former login of blog is not locked: %s", locked)
	}
}

// rotate changes a password by the command line.
func (w *world) rotate(name string) func() error {
	return func() error {
		_, err := w.panel.CLI(w.ctx, "db", "rotate-password", name, "--yes", "--wait")
		return err
	}
}

func (w *world) passwordChanged(t *testing.T, app, name, login string, change func() error) {
	t.Helper()
	before := w.rows(t, app)
	p := w.post(app, 2)
	until(t, 30*time.Second, "rows are written", func() (bool, string) { return p.ok.Load() > 20, "" })
	err := change()
	at := p.ok.Load()
	until(t, 30*time.Second, "rows are written", func() (bool, string) { return p.ok.Load() > at+50, "" })
	ok, failed := p.end()
	must(t, err)
	t.Logf("%s: %d rows while its password was changed, %d requests failed", name, ok, failed)
	if failed > 0 {
		t.Errorf("%s lost %d of %d requests", app, failed, ok+failed)
	}
	if after := w.rows(t, app); after != before+int(ok) {
		t.Errorf("%s has %d rows more after %d posts", app, after-before, ok)
	}
	d := w.untilDatabase(t, name, "ready")
	if d.Login != login || d.PasswordChange != "" || d.PasswordAt.IsZero() {
		t.Errorf("%s signs in as %s, %q", name, d.Login, d.PasswordChange)
	}
}

func (w *world) rows(t *testing.T, app string) int {
	t.Helper()
	sum := 0
	for _, n := range w.read(t, app).Rows {
		sum += n
	}
	return sum
}

// dumpedBySchedule makes a dump of the database that nobody else works on due soon, and looks for it when something else was told meanwhile.
func dumpedBySchedule(meanwhile func(*testing.T, *world)) func(*testing.T, *world) {
	return func(t *testing.T, w *world) {
		w.cli(t, "db", "backup", "other", "--wait")
		w.refuse(t, 1, "db", "set", "other", "--backup-schedule", "now and then")
		due := time.Now().UTC().Add(90 * time.Second)
		w.cli(t, "db", "set", "other", "--backup-schedule", "daily@"+due.Format("15:04"), "--keep", "1")
		if !t.Run("a password is changed while visitors are served", func(t *testing.T) { meanwhile(t, w) }) {
			return
		}
		var all client.List[client.Backup]
		until(t, 4*time.Minute, "a dump is made by itself", func() (bool, string) {
			var err error
			all, err = w.api.Backups(w.ctx, "other")
			return err == nil && len(all.Items) == 1 && all.Items[0].Actor == "schedule", fmt.Sprintf("%+v %v", all.Items, err)
		})
		if files := w.ssh(t, "s1", "ls /var/backups/serverplane/databases/other"); files == "" || strings.Contains(files, "\n") || !strings.HasSuffix(all.Items[0].Path, files) {
			t.Errorf("kept is %q, listed %s", files, all.Items[0].Path)
		}
		if d := w.untilDatabase(t, "other", "ready"); d.BackupTrouble != "" || d.NextBackup.Before(time.Now()) || d.Keep != 1 {
			t.Errorf("%+v", d)
		}
		w.cli(t, "db", "set", "other", "--backup-schedule", "off")
	}
}
