package plane_test

import (
	"net/netip"
	"net/url"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/serverplane/serverplane/internal/plane"
)

func TestDatabaseNames(t *testing.T) {
	for name, ok := range map[string]bool{
		"shop": true, "a": true, "shop-2": true, strings.Repeat("a", 24): true,
		"": false, "Shop": false, "2shop": false, "shop_2": false, "shop-": false, strings.Repeat("a", 25): false,
		"postgres": false, "mysql": false, "root": false, "template1": false, "a'b": false, "a b": false, "a;b": false, "ä": false, "a\n": false,
	} {
		if got := plane.CheckDatabaseName("name", name) == nil; got != ok {
			t.Errorf("%q: %v", name, got)
		}
	}
	for prefix, ok := range map[string]bool{
		"": true, "REPORTS": true, "REPORTS_": true, "A_B": true, "R2": true,
		"reports": false, "_A": false, "A B": false, "A=B": false, strings.Repeat("A", 25): false, "2A": false,
	} {
		if got := plane.CheckPrefix("prefix", prefix) == nil; got != ok {
			t.Errorf("prefix %q: %v", prefix, got)
		}
	}
}

// Two names never share a role: the mapping loses nothing.
func TestRolesAreApart(t *testing.T) {
	name := rapid.StringMatching(`[a-z][a-z0-9-]{0,22}[a-z0-9]`)
	rapid.Check(t, func(t *rapid.T) {
		a, b := name.Draw(t, "a"), name.Draw(t, "b")
		same := plane.Database{Name: a}.Role() == plane.Database{Name: b}.Role()
		if same != (a == b) {
			t.Fatalf("%q and %q", a, b)
		}
	})
}

// TestDatabaseURL: whatever the password holds, a parser of addresses gives back
// exactly it, and takes nothing of it for something else.
func TestDatabaseURL(t *testing.T) {
	printable := rapid.StringMatching(`[ -~]{1,128}`)
	rapid.Check(t, func(t *rapid.T) {
		password := printable.Draw(t, "password")
		d := plane.Database{Name: "shop-data", Engine: rapid.SampledFrom([]plane.Engine{plane.PostgreSQL, plane.MariaDB}).Draw(t, "engine")}
		host := rapid.SampledFrom([]string{"10.0.0.1", "fd00::1"}).Draw(t, "host")
		hard, _ := d.Variables(plane.Connection{Host: netip.MustParseAddr(host), Port: 5432, Password: password, CA: "/etc/ca.pem"})
		u, err := url.Parse(hard["DATABASE_URL"])
		if err != nil {
			t.Fatal(err)
		}
		got, _ := u.User.Password()
		if got != password || u.User.Username() != "sp_shop_data" || u.Hostname() != host || u.Port() != "5432" || u.Path != "/sp_shop_data" || u.Fragment != "" {
			t.Fatalf("%q through %s", password, hard["DATABASE_URL"])
		}
		if hard["DB_PASSWORD"] != password {
			t.Fatal("the password itself is not as it is")
		}
	})
}

func TestVariables(t *testing.T) {
	c := plane.Connection{Host: netip.MustParseAddr("10.0.0.1"), Port: 5432, Password: "p w", CA: "/ca.pem"}
	d := plane.Database{Name: "shop", Engine: plane.PostgreSQL}
	hard, soft := d.Variables(c)
	want := map[string]string{
		"DB_CONNECTION": "pgsql", "DB_HOST": "10.0.0.1", "DB_PORT": "5432", "DB_DATABASE": "sp_shop", "DB_USERNAME": "sp_shop", "DB_PASSWORD": "p w",
		"DB_SSL_CA": "/ca.pem", "DATABASE_URL": "postgresql://sp_shop:p%20w@10.0.0.1:5432/sp_shop?sslmode=verify-full&sslrootcert=/ca.pem",
	}
	same(t, hard, want)
	same(t, soft, map[string]string{"PGSSLMODE": "require", "PGSSLROOTCERT": "/ca.pem"})
	for name := range hard {
		if !d.Computes(name) {
			t.Errorf("%s is not said to be computed", name)
		}
	}
	d.Prefix, d.Engine, c.CA = "REPORTS", plane.MariaDB, ""
	hard, soft = d.Variables(c)
	if hard["REPORTS_DATABASE_URL"] != "mysql://sp_shop:p%20w@10.0.0.1:5432/sp_shop" || hard["REPORTS_DB_CONNECTION"] != "mysql" || len(soft) != 0 || hard["DB_HOST"] != "" {
		t.Errorf("%v %v", hard, soft)
	}
	if d.Computes("DB_HOST") || !d.Computes("REPORTS_DB_HOST") || d.Computes("PGSSLMODE") {
		t.Error("a prefix is not part of what is computed")
	}
}

func same(t *testing.T, got, want map[string]string) {
	t.Helper()
	if len(got) != len(want) {
		t.Errorf("got %v", got)
	}
	for name, value := range want {
		if got[name] != value {
			t.Errorf("%s is %q, want %q", name, got[name], value)
		}
	}
}

func TestBudget(t *testing.T) {
	uses := []plane.PoolUse{{Pool: 10, Processes: 2, Backends: 3}, {Pool: 5, Processes: 2, Backends: 4}}
	for limit, over := range map[int]bool{0: false, 102: true, 103: false} {
		b := plane.BudgetOf(plane.DatabaseServer{MaxConnections: limit, Reserved: 3}, uses)
		if b.Wanted != 100 || b.Over() != over {
			t.Errorf("limit %d: %+v", limit, b)
		}
	}
	if b := plane.BudgetOf(plane.DatabaseServer{MaxConnections: 50, WantedMax: 200}, uses); b.Over() || b.Limit != 200 {
		t.Errorf("a limit that is wished does not count: %+v", b)
	}
}

func TestDatabasePassword(t *testing.T) {
	for password, ok := range map[string]bool{
		"twelve chars": true, strings.Repeat("~", 128): true, "short": false, strings.Repeat("~", 129): false,
		"twelve charä": false, "twelve\nchars": false, "twelve\x00chars": false,
	} {
		if got := plane.CheckDatabasePassword("password", password) == nil; got != ok {
			t.Errorf("%q: %v", password, got)
		}
	}
}

func TestAfterRemoval(t *testing.T) {
	for state, want := range map[plane.DatabaseState]string{
		plane.DatabaseReady: "it failed; nothing was taken away", plane.DatabaseRemoving: "it failed; db remove again continues",
		plane.DatabaseFailed: "it failed; nothing was taken away: db create again continues, db remove takes away what there is",
	} {
		if got := (plane.Database{State: state}).AfterRemoval("it failed"); got != want {
			t.Errorf("%s: %s", state, got)
		}
	}
}

// TestTakeBack: only what nobody has changed since, and what is not in force.
func TestTakeBack(t *testing.T) {
	c := plane.EngineChange{From: plane.EngineSettings{100, false}, To: plane.EngineSettings{300, true}}
	for name, k := range map[string]struct {
		wanted, seen, want int
		tls, wantTLS       bool
	}{
		"nothing was done":      {300, 100, 100, true, false},
		"another wish since":    {400, 100, 400, false, false},
		"the engine has it yet": {300, 300, 300, true, false},
	} {
		d, s := plane.Database{RequireTLS: k.tls}, plane.DatabaseServer{WantedMax: k.wanted, MaxConnections: k.seen}
		c.TakeBack(&d, &s)
		if s.WantedMax != k.want || d.RequireTLS != k.wantTLS {
			t.Errorf("%s: %d, %v", name, s.WantedMax, d.RequireTLS)
		}
	}
}
