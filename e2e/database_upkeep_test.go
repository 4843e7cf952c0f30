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
	w.ssh(t, "s1", "systemctl stop postgresql@15-main")
	until(t, 30*time.Second, "a stopped engine is unknown", func() (bool, string) {
		d, err := w.api.Database(w.ctx, "shop-data")
		return err == nil && d.Now != nil && d.Now.Reason != "", fmt.Sprintf("%+v %v", d.Now, err)
	})
	w.ssh(t, "s1", "systemctl start postgresql@15-main")
	until(t, 30*time.Second, "shop reads again", func() (bool, string) {
		status, _, err := w.visitOf("shop", "GET", "/")
		return err == nil && status == 200, fmt.Sprint(status, err)
	})
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

// passwordsChanged there and back again in PostgreSQL, and there in MariaDB; each
// row that a visitor was told of is there.
func passwordsChanged(t *testing.T, w *world) {
	for _, c := range []struct{ app, name, login string }{
		{"shop", "shop-data", "sp2_shop_data"}, {"blog", "blog", "sp2_blog"}, {"shop", "shop-data", "sp_shop_data"},
	} {
		before := w.rows(t, c.app)
		p := w.post(c.app, 4)
		until(t, 30*time.Second, "rows are written", func() (bool, string) { return p.ok.Load() > 20, "" })
		_, err := w.panel.CLI(w.ctx, "db", "rotate-password", c.name, "--yes", "--wait")
		at := p.ok.Load()
		until(t, 30*time.Second, "rows are written", func() (bool, string) { return p.ok.Load() > at+50, "" })
		ok, failed := p.end()
		must(t, err)
		t.Logf("%s: %d rows while its password was changed, %d requests failed", c.name, ok, failed)
		if failed > 0 {
			t.Errorf("%s lost %d of %d requests", c.app, failed, ok+failed)
		}
		if after := w.rows(t, c.app); after != before+int(ok) {
			t.Errorf("%s has %d rows more after %d posts", c.app, after-before, ok)
		}
		d := w.untilDatabase(t, c.name, "ready")
		if d.Login != c.login || d.PasswordChange != "" || d.PasswordAt.IsZero() {
			t.Errorf("%s signs in as %s, %q", c.name, d.Login, d.PasswordChange)
		}
	}
	if hash := w.ssh(t, "s1", "runuser -u postgres -- psql -qAtc \"SELECT rolpassword IS NULL FROM pg_authid WHERE rolname = 'sp2_shop_data'\""); hash != "t" {
		t.Errorf("the former login keeps a password: %s", hash)
	}
	if locked := w.ssh(t, "s1", "mariadb -N -e \"SHOW CREATE USER 'sp_blog'@'127.0.0.1'\""); !strings.Contains(locked, "ACCOUNT LOCK") {
		t.Errorf("the former login of blog is not locked: %s", locked)
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

func dumpedBySchedule(t *testing.T, w *world) {
	w.cli(t, "db", "backup", "shop-data", "--wait")
	w.refuse(t, 1, "db", "set", "shop-data", "--backup-schedule", "now and then")
	due := time.Now().UTC().Add(90 * time.Second)
	w.cli(t, "db", "set", "shop-data", "--backup-schedule", "daily@"+due.Format("15:04"), "--keep", "1")
	var all client.List[client.Backup]
	until(t, 4*time.Minute, "a dump is made by itself", func() (bool, string) {
		var err error
		all, err = w.api.Backups(w.ctx, "shop-data")
		return err == nil && len(all.Items) == 1 && all.Items[0].Actor == "schedule", fmt.Sprintf("%+v %v", all.Items, err)
	})
	if files := w.ssh(t, "s1", "ls /var/backups/serverplane/databases/shop-data"); files == "" || strings.Contains(files, "\n") || !strings.HasSuffix(all.Items[0].Path, files) {
		t.Errorf("kept is %q, listed %s", files, all.Items[0].Path)
	}
	if d := w.untilDatabase(t, "shop-data", "ready"); d.BackupTrouble != "" || d.NextBackup.Before(time.Now()) || d.Keep != 1 {
		t.Errorf("%+v", d)
	}
	w.cli(t, "db", "set", "shop-data", "--backup-schedule", "off")
}
