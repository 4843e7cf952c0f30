//go:build e2e

package e2e

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/serverplane/serverplane/client"
	"github.com/serverplane/serverplane/e2e/fleet"
	"github.com/serverplane/serverplane/e2e/lab"
)

// printable is a password of every printable character.
const printable = ` !"#$%&'()*+,-./0123456789:;<=>?@ABCDEFGHIJKLMNOPQRSTUVWXYZ[\]^_` + "`" + `abcdefghijklmnopqrstuvwxyz{|}~`

// TestDatabase is one database for all backends: shop on PostgreSQL, blog on
// MariaDB, both on s1, with backends on s2 and s3; s4 is nobody's.
func TestDatabase(t *testing.T) {
	t.Parallel() // nothing here is held against the clock
	tellDatabase(t, []databasePart{
		{"bad input changes nothing", databaseBadInput},
		{"a port that is taken is said, and nothing is half done", portTaken},
		{"a database is made for each app, one of them with a password of every printable character", createDatabases},
		{"variables are computed for each server", databaseVariables},
		{"more connections than an engine takes are refused with numbers", budgetRefused},
		{"two backends are added at once", addTwoAtOnce},
		{"every request leaves its row, read through every backend", rowsEqualRequests},
		{"what the engines say is shown", enginesSay},
		{"each role is refused by the other's database", rolesAreApart},
		{"nobody is let in without encryption", requireTLS},
		{"a dump is made by schedule", dumpedBySchedule(passwordsChanged)},
		{"strangers are refused at login", strangersRefused},
		{"a dump is brought back by a person at the dashboard", restoreByHand},
		{"no backend has a database server", noServerOnBackends},
		{"a database killed for 5 s comes back by itself", databaseKilled},
		{"damaged markers are refused", markersDamaged},
		{"a backend leaves one app and the other loses nothing", leaveOneApp},
	})
}

// TestDatabaseKept is the same world when dumps are brought back, backends leave and databases go.
func TestDatabaseKept(t *testing.T) {
	t.Parallel() // nothing here is held against the clock
	tellDatabase(t, []databasePart{
		atOnce(
			inOrder("two apps with a database each", []databasePart{
				{"a database is made for each app", createDatabases},
				{"two backends are added at once", addTwoAtOnce},
				{"100 000 rows come back as they were", rowsComeBack},
			}),
			databasePart{"engines that were there before are restarted once, announced", oldEngines},
		),
		{"a panel killed in a restore leaves what was there", restoreKilled},
		{"what cannot be dumped is said and leaves no half dump", dumpRefused},
		{"the primary goes down in the middle of a restore and everything returns", primaryDown},
		{"no session outlives a removed backend", noSessionOutlives},
		{"removed databases are gone, whatever became of the panel", removeDatabases},
	})
}

type databasePart struct {
	name string
	tell func(*testing.T, *world)
}

// atOnce tells parts that have nothing to do with each other beside each other.
func atOnce(parts ...databasePart) databasePart {
	return databasePart{"at once", func(t *testing.T, w *world) {
		var all sync.WaitGroup
		for _, part := range parts {
			all.Go(func() { t.Run(part.name, func(t *testing.T) { part.tell(t, w) }) })
		}
		all.Wait()
	}}
}

// inOrder tells parts that build on each other.
func inOrder(name string, parts []databasePart) databasePart {
	return databasePart{name, func(t *testing.T, w *world) {
		for _, part := range parts {
			if !t.Run(part.name, func(t *testing.T) { part.tell(t, w) }) {
				t.Fatal("the rest of the line builds on this")
			}
		}
	}}
}

func tellDatabase(t *testing.T, parts []databasePart) {
	t.Helper()
	inOrder("", parts).tell(t, newDatabaseWorld(t))
}

// newDatabaseWorld has no engine anywhere.
func newDatabaseWorld(t *testing.T) *world {
	t.Helper()
	w := makeWorld(t, fleet.Config{Log: os.Stderr, Packages: lab.Packages()}, named([]string{"s1", "s2", "s3", "s4"})...)
	dir := filepath.Join(t.TempDir(), "repo")
	repo, err := lab.NewRepository(dir, "../examples/database")
	must(t, err)
	w.repo = repo
	w.add(t, "s1", "s2", "s3", "s4")
	var both errgroup.Group
	for _, app := range []string{"shop", "blog"} {
		both.Go(func() error {
			_, err := w.panel.CLI(w.ctx, "app", "create", app, "--server", "s1", "--kind", "nodejs", "--repo", repo.URL(), "--domain", app+".example.com",
				"--health-path", "/health", "--option", "drain=2s", "--wait")
			return err
		})
	}
	must(t, both.Wait())
	w.cliEach(t, [][]string{{"lb", "enable", "shop", "--yes", "--wait"}, {"lb", "enable", "blog", "--yes", "--wait"}})
	return w
}

// cliEach runs commands at once, each of which must succeed.
func (w *world) cliEach(t *testing.T, commands [][]string) {
	t.Helper()
	var all errgroup.Group
	for _, args := range commands {
		all.Go(func() error {
			_, err := w.panel.CLI(w.ctx, args...)
			return err
		})
	}
	must(t, all.Wait())
}

func databaseBadInput(t *testing.T, w *world) {
	before, err := w.api.Runs(w.ctx, client.RunFilter{})
	must(t, err)
	for _, bad := range []struct {
		args []string
		says string
	}{
		{[]string{"postgres", "--app", "shop", "--engine", "postgresql"}, "name"},
		{[]string{"a'; DROP TABLE x; --", "--app", "shop", "--engine", "postgresql"}, "name"},
		{[]string{"UPPER", "--app", "shop", "--engine", "postgresql"}, "name"},
		{[]string{"a", "--app", "nobody", "--engine", "postgresql"}, "app"},
		{[]string{"a", "--app", "shop", "--engine", "oracle"}, "engine"},
		{[]string{"a", "--app", "shop", "--engine", "postgresql", "--prefix", "a b"}, "prefix"},
	} {
		said := w.refuse(t, 1, append([]string{"db", "create"}, bad.args...)...)
		if !strings.Contains(said, bad.says+":") {
			t.Errorf("%q: %s", bad.args, said)
		}
	}
	w.cli(t, "env", "set", "shop", "DB_HOST=elsewhere")
	if said := w.refuse(t, 1, "db", "create", "shop", "--app", "shop", "--engine", "postgresql"); !strings.Contains(said, "env unset shop DB_HOST") {
		t.Error(said)
	}
	w.cli(t, "env", "unset", "shop", "DB_HOST")
	after, err := w.api.Runs(w.ctx, client.RunFilter{})
	must(t, err)
	if len(after.Items) != len(before.Items) {
		t.Errorf("bad input queued %d Runs", len(after.Items)-len(before.Items))
	}
}

// portTaken: both engines' ports are somebody else's. Afterwards no engine was installed, and asked again it continues.
func portTaken(t *testing.T, w *world) {
	const holders = "for p in 5432 3306; do systemd-run --quiet --unit=holder-$p python3 -m http.server $p; done; until [ $(ss -ltnH | grep -cE ':(5432|3306) ') = 2 ]; do sleep 0.1; done"
	w.ssh(t, "s1", holders)
	for name, wish := range map[string]client.DatabaseWish{
		"5432": {Name: "shop-data", App: "shop", Engine: "postgresql", Password: printable}, "3306": {Name: "blog", App: "blog", Engine: "mariadb"},
	} {
		_, err := w.api.CreateDatabase(w.ctx, wish)
		must(t, err)
		d := w.untilDatabase(t, wish.Name, "failed")
		if !strings.Contains(d.Reason, "engine: port "+name+" is taken by python3 (pid ") || !strings.Contains(d.Reason, "nothing was changed: stop it or give it another port") {
			t.Errorf("%s says: %s", wish.Name, d.Reason)
		}
	}
	if left := w.ssh(t, "s1", "dpkg-query -W -f '${Package} ${db:Status-Status}\n' postgresql mariadb-server 2>/dev/null | grep ' installed' || true; ls -d /etc/serverplane/database 2>/dev/null || true"); left != "" {
		t.Errorf("half done: %s", left)
	}
	before, err := w.api.Runs(w.ctx, client.RunFilter{})
	must(t, err)
	w.cli(t, "server", "survey", "s1") // from now on the panel knows
	said := w.refuse(t, 1, "db", "create", "shop-data", "--app", "shop", "--engine", "postgresql")
	if !strings.Contains(said, `engine: port 5432 of "s1" is held by python3, and PostgreSQL listens there`) || !strings.Contains(said, "server survey s1") {
		t.Errorf("what the survey found says: %s", said)
	}
	if after, err := w.api.Runs(w.ctx, client.RunFilter{}); err != nil || len(after.Items) != len(before.Items) {
		t.Errorf("a Run was queued for a port that is known to be taken (%v)", err)
	}
	w.ssh(t, "s1", "systemctl stop holder-5432 holder-3306")
	w.cli(t, "server", "survey", "s1")
}

func createDatabases(t *testing.T, w *world) {
	for _, wish := range []client.DatabaseWish{{Name: "shop-data", App: "shop", Engine: "postgresql", Password: printable}, {Name: "blog", App: "blog", Engine: "mariadb"}} {
		if d, err := w.api.Database(w.ctx, wish.Name); err == nil && d.State == "failed" {
			wish.Password = "" // it was given when it was asked for first
		}
		_, err := w.api.CreateDatabase(w.ctx, wish)
		must(t, err)
	}
	for name, port := range map[string]int{"shop-data": 5432, "blog": 3306} {
		d := w.untilDatabase(t, name, "ready")
		t.Logf("%s: %s %s, TLS %v, %d connections, stranger %s: %s", name, d.Engine, d.Version, d.TLS, d.MaxConnections, d.Stranger.Verdict, d.Stranger.Answer)
		if d.Port != port || !d.TLS || !d.Open || len(d.Access) != 1 || d.Access[0].Proof.Verdict != "pass" || d.Access[0].Proof.TLS == "" {
			t.Errorf("%s: %+v", name, d)
		}
		if d.Stranger.Verdict != "fail" {
			t.Errorf("a stranger at %s: %+v", name, d.Stranger)
		}
	}
	w.cliEach(t, [][]string{{"env", "apply", "shop", "--wait"}, {"env", "apply", "blog", "--wait"}})
	if out := w.cli(t, "env", "apply", "shop", "--wait"); strings.Contains(out, "run_") {
		t.Errorf("nothing had changed, but env apply queued %s", out)
	}
}

func (w *world) untilDatabase(t *testing.T, name, state string) client.Database {
	t.Helper()
	var d client.Database
	until(t, 5*time.Minute, name+" is "+state, func() (bool, string) {
		var err error
		d, err = w.api.Database(w.ctx, name)
		if err == nil && d.State == "failed" && state != "failed" {
			t.Fatalf("%s failed: %s", name, d.Reason)
		}
		return err == nil && d.State == state, fmt.Sprintf("%s %s %v", d.State, d.Reason, err)
	})
	return d
}

func databaseVariables(t *testing.T, w *world) {
	var list struct{ Items []client.Variable }
	must(t, w.panel.Read(w.ctx, &list, "env", "list", "shop"))
	computed := map[string]bool{}
	for _, v := range list.Items {
		if v.Computed != "" {
			computed[v.Name] = true
		}
		if v.Value != nil {
			t.Errorf("%s shows its value", v.Name)
		}
	}
	for _, name := range []string{"DB_CONNECTION", "DB_HOST", "DB_PORT", "DB_DATABASE", "DB_USERNAME", "DB_PASSWORD", "DATABASE_URL", "DB_SSL_CA", "PGSSLMODE"} {
		if !computed[name] {
			t.Errorf("%s is not shown as computed", name)
		}
	}
	if said := w.refuse(t, 1, "env", "set", "shop", "DB_HOST=elsewhere"); !strings.Contains(said, "computed") {
		t.Error(said)
	}
}

// budgetRefused in both engines: nothing is queued, and the choices are named.
func budgetRefused(t *testing.T, w *world) {
	for _, c := range []struct{ app, name, takes string }{
		{"shop", "shop-data", "PostgreSQL takes 97 (3 of 100 are kept for administrators)"}, {"blog", "blog", "MariaDB takes 151 (0 of 151 are kept for administrators)"},
	} {
		w.cli(t, "db", "set", c.name, "--pool", "40")
		said := w.refuse(t, 1, "backend", "add", c.app, "s2")
		for _, want := range []string{"may want 160 connections", c.takes, "db set " + c.name + " --max-connections 200", "--pool N", "--acknowledge budget"} {
			if !strings.Contains(said, want) {
				t.Errorf("%s: it does not say %q: %s", c.name, want, said)
			}
		}
		w.cli(t, "db", "set", c.name, "--pool", "10")
	}
}

func addTwoAtOnce(t *testing.T, w *world) {
	var adds [][]string
	for _, app := range []string{"shop", "blog"} {
		for _, s := range []string{"s2", "s3"} {
			adds = append(adds, []string{"backend", "add", app, s, "--wait"})
		}
	}
	const starts = "systemctl show -p ActiveEnterTimestampMonotonic --value postgresql@15-main mariadb"
	begun := w.ssh(t, "s1", starts)
	w.cliEach(t, adds)
	if now := w.ssh(t, "s1", starts); now != begun {
		t.Errorf("an engine of ServerPlane's own was restarted for a backend: it began at %q, now at %q", begun, now)
	}
	for _, name := range []string{"shop-data", "blog"} {
		d := w.untilDatabase(t, name, "ready")
		if len(d.Access) != 3 {
			t.Errorf("%s is open to %+v", name, d.Access)
		}
		for _, g := range d.Access {
			if g.Proof.Verdict != "pass" || g.Proof.TLS == "" {
				t.Errorf("%s from %s: %+v", name, g.Server, g.Proof)
			}
		}
	}
	for _, app := range []string{"shop", "blog"} {
		for _, s := range []string{"s2", "s3"} {
			w.untilState(t, app, s, "healthy", 30*time.Second)
		}
	}
}

// visitOf asks an app by its name.
func (w *world) visitOf(app, method, path string) (status int, body []byte, err error) {
	req, err := http.NewRequest(method, strings.TrimSuffix(w.entry("s1"), "/")+path, nil)
	if err != nil {
		return 0, nil, err
	}
	req.Host = app + ".example.com"
	resp, err := (&http.Client{Timeout: 15 * time.Second}).Do(req)
	if err != nil {
		return 0, nil, err
	}
	defer resp.Body.Close()
	body, err = io.ReadAll(resp.Body)
	return resp.StatusCode, body, err
}

type visited struct {
	Server string
	Rows   map[string]int
	Host   string
	Error  string
}

func rowsEqualRequests(t *testing.T, w *world) {
	for _, app := range []string{"shop", "blog"} {
		const requests = 120
		var failed atomic.Int64
		var all errgroup.Group
		all.SetLimit(6)
		for range requests {
			all.Go(func() error {
				if status, body, err := w.visitOf(app, "POST", "/"); err != nil || status != 200 {
					failed.Add(1)
					t.Logf("%s: %d %v %s", app, status, err, body)
				}
				return nil
			})
		}
		must(t, all.Wait())
		if failed.Load() > 0 {
			t.Errorf("%s: %d POSTs failed", app, failed.Load())
		}
		readBy := map[string]bool{}
		for range 12 {
			v := w.read(t, app)
			readBy[v.Server] = true
			sum := 0
			for _, n := range v.Rows {
				sum += n
			}
			if sum != requests || len(v.Rows) != 3 {
				t.Errorf("%s through %s: rows %v", app, v.Server, v.Rows)
			}
		}
		if len(readBy) != 3 {
			t.Errorf("%s was read through %v only", app, readBy)
		}
	}
	for server, host := range map[string]string{"s1": "127.0.0.1", "s2": w.servers["s1"].Addr.String()} {
		address := w.backend(t, "shop", server).Address
		var v visited
		must(t, json.Unmarshal([]byte(w.ssh(t, "s1", "curl -s http://"+address+"/env")), &v))
		if v.Host != host {
			t.Errorf("DB_HOST on %s is %s", server, v.Host)
		}
	}
}

func (w *world) read(t *testing.T, app string) visited {
	t.Helper()
	status, body, err := w.visitOf(app, "GET", "/")
	must(t, err)
	var v visited
	must(t, json.Unmarshal(body, &v))
	if status != 200 {
		t.Errorf("%s answers %d: %s", app, status, v.Error)
	}
	return v
}

// rolesAreApart tries the other's database in each engine with a second database
// there: roles are apart within one engine, too.
func rolesAreApart(t *testing.T, w *world) {
	createByHand(t, w)
	w.ssh(t, "s1", "runuser -u postgres -- psql -qc \"ALTER ROLE sp_other PASSWORD 'known to the story'\"")
	for _, where := range []string{"host=127.0.0.1", "host=" + w.servers["s1"].Addr.String()} {
		out := w.ssh(t, "s1", "PGPASSWORD='known to the story' psql '"+where+" user=sp_other dbname=sp_shop_data' -c 'select 1' 2>&1 || true")
		if !strings.Contains(out, "pg_hba.conf rejects") && !strings.Contains(out, "no pg_hba.conf entry") {
			t.Errorf("sp_other at sp_shop_data: %s", out)
		}
	}
	out := w.ssh(t, "s1", "runuser -u postgres -- psql -c 'SET ROLE sp_other' -c 'select has_database_privilege(current_user, $$sp_shop_data$$, $$CONNECT$$)' -qAt")
	if !strings.Contains(out, "f") {
		t.Errorf("sp_other may connect to sp_shop_data: %s", out)
	}
	if own := w.ssh(t, "s1", "PGPASSWORD='known to the story' psql 'host=127.0.0.1 user=sp_other dbname=sp_other' -qAtc 'select 1' 2>&1 || true"); own != "1" {
		t.Errorf("sp_other at its own database: %s", own)
	}
	if said := w.refuse(t, 1, "db", "create", "shop-data", "--app", "blog", "--engine", "postgresql", "--prefix", "MORE"); !strings.Contains(said, "exists already") {
		t.Errorf("another app's database could be had: %s", said)
	}
	hosts := strings.Fields(w.ssh(t, "s1", "mariadb -N -e \"SELECT Host FROM mysql.user WHERE User = 'sp_blog'; SELECT @@skip_name_resolve\""))
	want := []string{"1", "127.0.0.1", "localhost", w.servers["s2"].Addr.String(), w.servers["s3"].Addr.String()}
	slices.Sort(hosts)
	if slices.Sort(want); !slices.Equal(hosts, want) {
		t.Errorf("MariaDB has accounts of blog for, and skips looking up names: %q", hosts)
	}
	if out := w.ssh(t, "s1", "runuser -u sp_shop -- psql -U sp_shop_data -d sp_shop_data -c 'select 1' 2>&1 || true"); !strings.Contains(out, "reject") {
		t.Errorf("over the socket: %s", out)
	}
}

// strangersRefused in the three colours: as it should be, where nobody can try, and with a door that somebody opened by hand.
func strangersRefused(t *testing.T, w *world) {
	for _, name := range []string{"shop-data", "blog"} {
		d := w.untilDatabase(t, name, "ready")
		if d.Stranger.Verdict != "fail" || !strings.HasPrefix(d.Stranger.Vantage, "s4") {
			t.Errorf("%s: %+v", name, d.Stranger)
		}
	}
	for _, port := range []string{"5432", "3306"} {
		out := w.ssh(t, "s4", "timeout 3 bash -c '</dev/tcp/"+w.servers["s1"].Addr.String()+"/"+port+"' 2>/dev/null && echo open || echo closed")
		if out != "closed" {
			t.Errorf("s4 finds port %s %s", port, out)
		}
	}
	b := w.atDashboard(t, desktop)
	b.open("/apps/shop/database")
	b.sees("Nobody else gets in", 10*time.Second)
	w.strangerUnproven(t, b)
	w.strangerLetIn(t, b)
	b.calm()
}

// proven tries anew who gets in, and returns what db show says of strangers, and what the last Run did.
func (w *world) proven(t *testing.T, name string) (d client.Database, shown, said string) {
	t.Helper()
	w.cli(t, "db", "set", name, "--prove", "--wait")
	for line := range strings.Lines(w.cli(t, "db", "show", name)) {
		if strings.HasPrefix(line, "strangers") {
			shown = line
		}
	}
	return w.untilDatabase(t, name, "ready"), shown, w.cli(t, "run", "log", w.lastRun(t, "database-set").ID)
}

// strangerUnproven: the only server that could try has no way to the primary, which is no proof of anything. A page that is open tells it by itself.
func (w *world) strangerUnproven(t *testing.T, b *browser) {
	t.Helper()
	const rule = "reject from %s to any port 22 proto tcp"
	s4 := w.servers["s4"].Addr.String()
	w.ssh(t, "s1", "ufw insert 1 "+fmt.Sprintf(rule, s4))
	stays := b.stays()
	d, shown, said := w.proven(t, "shop-data")
	w.ssh(t, "s1", "ufw delete "+fmt.Sprintf(rule, s4))
	const unproven = "no other managed server reaches the primary to try from; add one that is no backend of shop"
	if d.Stranger.Verdict != "unknown" || !strings.Contains(shown, "not proven: "+unproven+"; db set shop-data --prove tries again") {
		t.Errorf("%+v; db show says %q", d.Stranger, shown)
	}
	if !strings.Contains(said, "not proven that strangers are refused by database shop-data: "+unproven) {
		t.Errorf("the Run says:\n%s", lastLines(said, 20))
	}
	b.sees("Not proven that nobody else gets in: "+unproven, 10*time.Second)
	stays()
	b.shot("database-unproven")
}

// strangerLetIn: somebody opened the firewall and PostgreSQL by hand, and the account of MariaDB. The first is found out and blocks; the
// second goes by itself. Behind an open firewall it is the engine that refuses, in its own words.
func (w *world) strangerLetIn(t *testing.T, b *browser) {
	t.Helper()
	s4 := w.servers["s4"].Addr.String()
	const hba = "/etc/postgresql/15/main/pg_hba.conf"
	w.ssh(t, "s1", "ufw allow from "+s4+" to any port 5432,3306 proto tcp && sed -i '1i host all all "+s4+"/32 trust' "+hba+" && systemctl reload postgresql@15-main"+
		" && mariadb -e \"CREATE USER '"+w.login(t, "blog")+"'@'%' IDENTIFIED BY 'known to the story'\"")
	b.click("Prove who gets in")
	b.sees("failed", time.Minute)
	b.sees("database shop-data let a stranger in: s4", 10*time.Second)
	b.sees("a line of pg_hba.conf above ServerPlane's part", 10*time.Second)
	b.shot("database-let-in-run")
	b.open("/apps/shop/database")
	b.sees("A stranger was let in", 10*time.Second)
	b.shot("database-let-in")
	if shown := w.cli(t, "db", "show", "shop-data"); !strings.Contains(shown, "LET IN at ") || !strings.Contains(shown, "then db set shop-data --prove") {
		t.Errorf("db show says:\n%s", shown)
	}
	w.ssh(t, "s1", "sed -i '1d' "+hba+" && systemctl reload postgresql@15-main")
	// Once an account let everybody come, MariaDB asks everybody for a password until it is started anew, though the account is gone.
	for name, words := range map[string]string{"shop-data": "28000 pg_hba.conf rejects connection", "blog": "1045 Access denied"} {
		if d, shown, _ := w.proven(t, name); d.Stranger.Verdict != "fail" || !strings.Contains(shown, "refused at ") || !strings.Contains(shown, words) {
			t.Errorf("%s: %+v; db show says %q", name, d.Stranger, shown)
		}
	}
	if left := w.ssh(t, "s1", "mariadb -N -e \"SELECT User FROM mysql.user WHERE Host = '%' AND User LIKE 'sp%'\""); left != "" {
		t.Errorf("MariaDB lets %s in from anywhere", left)
	}
	w.ssh(t, "s1", "ufw delete allow from "+s4+" to any port 5432,3306 proto tcp")
	b.sees("Nobody else gets in", 10*time.Second)
}

// login is the name a database's processes sign in by.
func (w *world) login(t *testing.T, name string) string {
	t.Helper()
	d, err := w.api.Database(w.ctx, name)
	must(t, err)
	return d.Login
}

func noServerOnBackends(t *testing.T, w *world) {
	for _, s := range []string{"s2", "s3"} {
		if out := w.ssh(t, s, "ls /usr/sbin/mariadbd /usr/lib/postgresql/*/bin/postgres 2>/dev/null || true; ss -ltnH | grep -E ':(5432|3306) ' || true"); out != "" {
			t.Errorf("%s has %s", s, out)
		}
	}
}

// poster writes rows until it is stopped and counts what became of them.
type poster struct {
	ok, failed atomic.Int64
	stop       chan struct{}
	all        sync.WaitGroup
}

func (w *world) post(app string, workers int) *poster {
	p := &poster{stop: make(chan struct{})}
	for range workers {
		p.all.Go(func() {
			for {
				select {
				case <-p.stop:
					return
				case <-time.After(20 * time.Millisecond):
				}
				status, _, err := w.visitOf(app, "POST", "/")
				if err == nil && status == 200 {
					p.ok.Add(1)
				} else {
					p.failed.Add(1)
				}
			}
		})
	}
	return p
}

func (p *poster) end() (ok, failed int64) {
	close(p.stop)
	p.all.Wait()
	return p.ok.Load(), p.failed.Load()
}

// killedEngine is one engine under load, and how it goes away and is started again.
type killedEngine struct{ app, database, kill, start string }

// databaseKilled kills both engines at once. The app's own answer without a database is a 500 of its own;
// nothing that ServerPlane answers for stays broken, and db show says why. They are
// away a little longer than what an engine said before is told again.
func databaseKilled(t *testing.T, w *world) {
	var all sync.WaitGroup
	for _, e := range []killedEngine{
		{"shop", "shop-data", "systemctl kill -s KILL 'postgresql@*' && systemctl stop 'postgresql@*' || true", "systemctl start postgresql@15-main"},
		{"blog", "blog", "systemctl kill -s KILL mariadb && systemctl stop mariadb || true", "systemctl start mariadb"},
	} {
		all.Go(func() { t.Run(e.app, func(t *testing.T) { e.tell(t, w) }) })
	}
	all.Wait()
}

func (e killedEngine) tell(t *testing.T, w *world) {
	p := w.post(e.app, 4)
	until(t, 30*time.Second, "rows are written", func() (bool, string) { return p.ok.Load() > 20, "" })
	killed := make(chan error, 1)
	go func() {
		_, err := w.servers["s1"].SSH(w.ctx, e.kill+"; sleep 7; "+e.start, nil)
		killed <- err
	}()
	until(t, 15*time.Second, "it is said that the engine is away", func() (bool, string) {
		d, err := w.api.Database(w.ctx, e.database)
		return err == nil && d.Now != nil && strings.HasPrefix(d.Now.Reason, "the engine refuses: "), fmt.Sprintf("%+v %v", d.Now, err)
	})
	must(t, <-killed)
	for range 3 {
		at := p.ok.Load()
		until(t, 30*time.Second, "rows are written again", func() (bool, string) { return p.ok.Load() > at+20, fmt.Sprint(p.failed.Load(), " failed") })
	}
	ok, failed := p.end()
	t.Logf("%s: %d rows, %d refused while the database was away", e.app, ok, failed)
	if failed == 0 {
		t.Error("the database was not away")
	}
	for _, s := range []string{"s1", "s2", "s3"} {
		w.untilState(t, e.app, s, "healthy", 30*time.Second)
	}
	readBy := map[string]bool{}
	for range 12 {
		readBy[w.read(t, e.app).Server] = true
	}
	if len(readBy) != 3 {
		t.Errorf("only %v came back", readBy)
	}
}

func markersDamaged(t *testing.T, w *world) {
	const hba = "/etc/postgresql/15/main/pg_hba.conf"
	w.ssh(t, "s1", "cp -a "+hba+" /root/hba && sed -i '/serverplane end/d' "+hba)
	before := w.ssh(t, "s1", "sha256sum "+hba)
	said := w.refuse(t, 1, "db", "create", "third", "--app", "shop", "--engine", "postgresql", "--prefix", "THIRD", "--wait")
	if !strings.Contains(said, "damaged") || !strings.Contains(said, "+# serverplane end") {
		t.Errorf("it does not say what is damaged:\n%s", lastLines(said, 30))
	}
	if after := w.ssh(t, "s1", "sha256sum "+hba); after != before {
		t.Error("the damaged file was changed")
	}
	w.refuse(t, 1, "db", "remove", "other", "--yes", "--wait")
	if d := w.untilDatabase(t, "other", "ready"); !strings.Contains(d.Reason, "nothing was taken away") {
		t.Errorf("a removal that could not begin says: %s", d.Reason)
	}
	w.ssh(t, "s1", "cp -a /root/hba "+hba)
	w.cli(t, "db", "create", "third", "--app", "shop", "--engine", "postgresql", "--prefix", "THIRD", "--wait")
}

func leaveOneApp(t *testing.T, w *world) {
	p := w.post("blog", 3)
	until(t, 30*time.Second, "rows are written", func() (bool, string) { return p.ok.Load() > 20, "" })
	w.cli(t, "backend", "remove", "shop", "s3", "--wait")
	at := p.ok.Load()
	until(t, 30*time.Second, "rows are written", func() (bool, string) { return p.ok.Load() > at+50, "" })
	if ok, failed := p.end(); failed > 0 {
		t.Errorf("blog lost %d of %d", failed, ok)
	}
	d := w.untilDatabase(t, "shop-data", "ready")
	for _, g := range d.Access {
		if g.Server == "s3" {
			t.Errorf("s3 may still connect: %+v", g)
		}
	}
	rules := w.ssh(t, "s1", "ufw status | grep 'serverplane db'")
	s3 := w.servers["s3"].Addr.String()
	for _, port := range []string{"5432", "3306"} { // blog's second database is in PostgreSQL too: the rule is counted
		if !strings.Contains(rules, port) || !strings.Contains(rules, s3) {
			t.Errorf("the firewall lost what blog needs:\n%s", rules)
		}
	}
	if hba := w.ssh(t, "s1", "grep -c 'sp_shop_data sp_shop_data "+s3+"' /etc/postgresql/15/main/pg_hba.conf || true"); hba != "0" {
		t.Error("pg_hba.conf still lets s3 in")
	}
}
