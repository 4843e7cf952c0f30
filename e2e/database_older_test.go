//go:build e2e

package e2e

import (
	"errors"
	"strings"
	"testing"

	"github.com/serverplane/serverplane/client"
)

// older is an engine that an administrator installed, with a database of their own: what starts it, how it is asked, and what tells that it is the same process.
type older struct{ name, own, read, unit, says string }

func olders() []older {
	return []older{
		{
			"old-data", `runuser -u postgres -- psql -Xqc "CREATE DATABASE theirs" && runuser -u postgres -- psql -Xqc "CREATE TABLE t AS SELECT 'kept' AS word" theirs`,
			`runuser -u postgres -- psql -XqAtc "SELECT word FROM t" theirs`, "postgresql@15-main", "PostgreSQL was restarted in ",
		},
		{
			"old-more", `mariadb -e "CREATE DATABASE theirs; CREATE TABLE theirs.t AS SELECT 'kept' AS word"`,
			`mariadb -N -e "SELECT word FROM theirs.t"`, "mariadb", "MariaDB was restarted in ",
		},
	}
}

// oldEngines: both engines were on s4 before ServerPlane, for their own server only, and hold what is somebody else's. They stay as they are until
// a backend needs them; then they are restarted once, by a person's word.
func oldEngines(t *testing.T, w *world) {
	w.ssh(t, "s4", "DEBIAN_FRONTEND=noninteractive apt-get update -q >/dev/null && DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends postgresql mariadb-server >/dev/null 2>&1")
	for _, o := range olders() {
		w.ssh(t, "s4", o.own)
	}
	const starts = "systemctl show -p ActiveEnterTimestampMonotonic --value postgresql@15-main mariadb"
	begun := w.ssh(t, "s4", starts)
	for _, app := range []string{"old", "beside"} {
		w.cli(t, "app", "create", app, "--server", "s4", "--kind", "nodejs", "--repo", w.repo.URL(), "--domain", app+".example.com",
			"--health-path", "/health", "--option", "drain=2s", "--no-deploy")
	}
	refuseForeign(t, w)
	for _, wish := range []client.DatabaseWish{
		{Name: "old-data", App: "old", Engine: "postgresql"}, {Name: "old-more", App: "old", Engine: "mariadb", Prefix: "MORE"}, {Name: "beside", App: "beside", Engine: "postgresql"},
	} {
		_, err := w.api.CreateDatabase(w.ctx, wish)
		must(t, err)
	}
	for _, name := range []string{"old-data", "old-more", "beside"} {
		if d := w.untilDatabase(t, name, "ready"); d.Open {
			t.Errorf("%s listens outside: %+v", name, d)
		}
	}
	w.cli(t, "deploy", "old", "--wait")
	w.cli(t, "lb", "enable", "old", "--yes", "--wait")
	said := w.refuse(t, 1, "backend", "add", "old", "s2", "--wait")
	for _, want := range []string{
		"PostgreSQL was there before ServerPlane", "MariaDB was there before ServerPlane", "restarted once, which cuts the connections of old, beside, whatever else uses it for about a second",
		"acknowledge:", "--acknowledge restart",
	} {
		if !strings.Contains(said, want) {
			t.Errorf("it does not say %q: %s", want, said)
		}
	}
	if now := w.ssh(t, "s4", starts); now != begun {
		t.Error("an engine was restarted for a database or a deployment")
	}
	w.cli(t, "backend", "add", "old", "s2", "--acknowledge", "restart", "--wait")
	log := w.cli(t, "run", "log", w.lastRunOf(t, "old", "backend-add").ID)
	if !strings.Contains(log, "the median of 20") {
		t.Errorf("the log does not tell how far s4 is:\n%s", lastLines(log, 60))
	}
	opened := w.ssh(t, "s4", starts)
	for _, o := range olders() {
		if strings.Count(log, o.says) != 1 || !strings.Contains(log, "since it does not listen on "+w.servers["s4"].Addr.String()) {
			t.Errorf("the log does not tell of one restart of %s, measured:\n%s", o.unit, lastLines(log, 40))
		}
		if kept := w.ssh(t, "s4", o.read); kept != "kept" {
			t.Errorf("what was in %s before is %q", o.unit, kept)
		}
		d := w.untilDatabase(t, o.name, "ready")
		if !d.Open || !d.TLS || len(d.Access) != 2 || d.Access[1].Proof.Verdict != "pass" || d.Access[1].Proof.TLS == "" {
			t.Errorf("%s: %+v", o.name, d)
		}
	}
	if same := strings.Fields(begun); len(same) != 2 || strings.Contains(opened, same[0]) || strings.Contains(opened, same[1]) {
		t.Errorf("started at %q and now at %q", begun, opened)
	}
}

// refuseForeign: an app on another primary cannot have a database by its name.
func refuseForeign(t *testing.T, w *world) {
	const words = `database "shop-data" exists already and is "shop"'s, on its primary "s1"; "old" lives on "s4", and an app uses databases of its own primary only`
	if said := w.refuse(t, 1, "db", "create", "shop-data", "--app", "old", "--engine", "postgresql", "--wait"); !strings.Contains(said, "name: "+words) {
		t.Errorf("the command line says: %s", said)
	}
	_, err := w.api.CreateDatabase(w.ctx, client.DatabaseWish{Name: "shop-data", App: "old", Engine: "postgresql"})
	var told *client.Error
	if !errors.As(err, &told) || told.Code != "conflict" || told.Field != "name" || !strings.Contains(told.Error(), words) {
		t.Errorf("the API says: %v", err)
	}
}
