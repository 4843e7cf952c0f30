package files

import (
	"strings"
	"testing"
)

func rotating(both bool) Grant {
	return Grant{Role: "sp_a_b", Login: "sp_a_b", Other: "sp2_a_b", Both: both, Addresses: addresses("127.0.0.1", "10.0.0.2")}
}

func TestAccessOfBothLogins(t *testing.T) {
	const mine = "host sp_a_b sp_a_b 10.0.0.2/32 scram-sha-256\nhost sp_a_b sp_a_b 127.0.0.1/32 scram-sha-256\nhost all sp_a_b all reject\nlocal all sp_a_b reject\n"
	const also = "host sp_a_b sp2_a_b 10.0.0.2/32 scram-sha-256\nhost sp_a_b sp2_a_b 127.0.0.1/32 scram-sha-256\n"
	const never = "host all sp2_a_b all reject\nlocal all sp2_a_b reject\n"
	for both, want := range map[bool]string{true: mine + also + never, false: mine + never} {
		got, err := PostgreSQLAccess([]Grant{rotating(both)})
		if err != nil || string(got) != want {
			t.Errorf("both %v: %v\n%s", both, err, got)
		}
	}
}

func TestLoginsAreRefused(t *testing.T) {
	for what, spoil := range map[string]func(*Grant){
		"a stranger's login":   func(g *Grant) { g.Login = "root" },
		"another role's login": func(g *Grant) { g.Other = "sp2_a" },
		"the same twice":       func(g *Grant) { g.Other = "sp_a_b" },
		"nobody as well":       func(g *Grant) { g.Other = "" },
	} {
		g := rotating(true)
		spoil(&g)
		if _, err := PostgreSQLLogins(g, ""); err == nil {
			t.Errorf("%s is taken", what)
		}
		if _, err := MariaDBLogins(g, "password"); err == nil {
			t.Errorf("%s is taken by MariaDB's", what)
		}
	}
}

func TestMariaDBLogins(t *testing.T) {
	got, err := MariaDBLogins(rotating(true), "password")
	for _, want := range []string{
		"CREATE USER IF NOT EXISTS 'sp2_a_b'@'10.0.0.2' IDENTIFIED BY PASSWORD '*2470C0C06DEE42FD1618BB99005ADCA2EC9D1E19';",
		"REQUIRE NONE ACCOUNT UNLOCK;", "GRANT ALL PRIVILEGES ON `sp\\_a\\_b`.* TO 'sp2_a_b'@'127.0.0.1';",
	} {
		if err != nil || !strings.Contains(string(got), want) {
			t.Errorf("%v: no %s in\n%s", err, want, got)
		}
	}
	got, err = MariaDBLogins(rotating(false), "")
	if err != nil || strings.Count(string(got), "ACCOUNT LOCK;") != 3 || !strings.Contains(string(got), "KILL CONNECTION USER 'sp2_a_b';") {
		t.Errorf("%v\n%s", err, got)
	}
	if got, err := MariaDBLogins(Grant{Role: "sp_a_b"}, ""); err != nil || got != nil {
		t.Errorf("one that never changed: %v, %s", err, got)
	}
}
