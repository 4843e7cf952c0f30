package files

import (
	"errors"
	"net/netip"
	"regexp"
	"strings"
	"testing"
)

func addresses(all ...string) []netip.Addr {
	var out []netip.Addr
	for _, a := range all {
		out = append(out, netip.MustParseAddr(a))
	}
	return out
}

func TestPostgreSQLAccess(t *testing.T) {
	got, err := PostgreSQLAccess([]Grant{
		{Role: "sp_web", Addresses: addresses("127.0.0.1"), RequireTLS: true},
		{Role: "sp_shop", Addresses: addresses("fd00::2", "10.0.0.2", "127.0.0.1")},
	})
	const want = `host sp_shop sp_shop 10.0.0.2/32 scram-sha-256
host sp_shop sp_shop 127.0.0.1/32 scram-sha-256
host sp_shop sp_shop fd00::2/128 scram-sha-256
host all sp_shop all reject
local all sp_shop reject
hostssl sp_web sp_web 127.0.0.1/32 scram-sha-256
host all sp_web all reject
local all sp_web reject
`
	if err != nil || string(got) != want {
		t.Errorf("%v\n%s", err, got)
	}
}

// TestMariaDBScript: the name in a grant is a pattern, so that its _ stands for
// itself: sp_a must not open spXa.
func TestMariaDBScript(t *testing.T) {
	got, err := MariaDBScript(Grant{Role: "sp_a_b", Addresses: addresses("127.0.0.1", "10.0.0.2"), RequireTLS: true}, "password")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"GRANT ALL PRIVILEGES ON `sp\\_a\\_b`.* TO 'sp_a_b'@'10.0.0.2';",
		"'sp_a_b'@'localhost' IDENTIFIED BY PASSWORD '*2470C0C06DEE42FD1618BB99005ADCA2EC9D1E19' REQUIRE NONE;", // as MariaDB's own PASSWORD('password')
		"'sp_a_b'@'10.0.0.2' IDENTIFIED BY PASSWORD '*2470C0C06DEE42FD1618BB99005ADCA2EC9D1E19' REQUIRE SSL;",
		"Host NOT IN ('localhost', '127.0.0.1', '10.0.0.2')",
	} {
		if !strings.Contains(string(got), want) {
			t.Errorf("no %s in\n%s", want, got)
		}
	}
	if strings.Contains(string(got), "'password'") {
		t.Error("the password itself is in the text")
	}
}

// TestScramVerifier takes the example of RFC 7677.
func TestScramVerifier(t *testing.T) {
	salt := []byte{0x5b, 0x6d, 0x99, 0x68, 0x9d, 0x12, 0x35, 0x8e, 0xec, 0xa0, 0x4b, 0x14, 0x12, 0x36, 0xfa, 0x81}
	got, err := scramVerifier("pencil", salt)
	const want = "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU="
	if err != nil || got != want {
		t.Errorf("%v\n%s", err, got)
	}
}

func TestDatabaseConf(t *testing.T) {
	at := netip.MustParseAddr("10.0.0.1")
	if got := string(PostgreSQLConf(at, 200)); !strings.Contains(got, "listen_addresses = '127.0.0.1,10.0.0.1'\nmax_connections = 200\n") {
		t.Error(got)
	}
	if got := string(PostgreSQLConf(netip.Addr{}, 0)); strings.Contains(got, "listen") || strings.Contains(got, "max_") {
		t.Error(got)
	}
	if got := string(MariaDBConfig(at, 0, true)); !strings.Contains(got, "bind_address = 127.0.0.1,10.0.0.1\nskip_name_resolve\n") {
		t.Error(got)
	}
	if got := string(MariaDBConfig(at, 300, false)); strings.Contains(got, "skip_name_resolve") || !strings.Contains(got, "max_connections = 300\n") {
		t.Error(got)
	}
}

func TestDatabaseRefusals(t *testing.T) {
	var refusal *Refusal
	for name, g := range map[string]Grant{
		"no role": {}, "no prefix": {Role: "shop"}, "quote": {Role: "sp_a'b"}, "upper": {Role: "sp_A"}, "blank": {Role: "sp_a b"}, "newline": {Role: "sp_a\n"},
		"too long": {Role: "sp_" + strings.Repeat("a", 25)}, "hyphen": {Role: "sp_a-b"}, "no address": {Role: "sp_a", Addresses: []netip.Addr{{}}},
		"zone": {Role: "sp_a", Addresses: addresses("fe80::1%eth0")}, "everybody": {Role: "sp_a", Addresses: addresses("0.0.0.0")},
	} {
		_, access := PostgreSQLAccess([]Grant{g})
		_, postgres := PostgreSQLScript(g, "")
		_, maria := MariaDBScript(g, "password")
		for _, err := range []error{access, postgres, maria} {
			if !errors.As(err, &refusal) {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
	if _, err := PostgreSQLScript(Grant{Role: "sp_a"}, "x'; DROP ROLE y; --"); !errors.As(err, &refusal) {
		t.Error("a verifier that is none is taken")
	}
	for _, password := range []string{"", "a\nb", "ä", "\x00", strings.Repeat("x", 129)} {
		if _, err := ScramVerifier(password); !errors.As(err, &refusal) {
			t.Errorf("password %q is taken", password)
		}
		if _, err := MariaDBScript(Grant{Role: "sp_a"}, password); !errors.As(err, &refusal) {
			t.Errorf("password %q is taken", password)
		}
	}
	shutPostgres := func(role string) ([]byte, error) { return PostgreSQLShut(role) }
	shutMariaDB := func(role string) ([]byte, error) { return MariaDBShut(role) }
	for _, drop := range []func(string) ([]byte, error){PostgreSQLDrop, MariaDBDrop, shutPostgres, shutMariaDB} {
		for _, superuser := range []string{"postgres", "root"} {
			if _, err := drop(superuser); err == nil {
				t.Error("the superuser can be dropped")
			}
		}
	}
}

// FuzzDatabase: whatever role and password are, the text has no more statements
// than it should, and no word that was not meant.
func FuzzDatabase(f *testing.F) {
	f.Add("sp_shop", "pass word'\"\\", "10.0.0.2")
	f.Add("sp_a'; DROP DATABASE x; --", "p", "10.0.0.2")
	f.Add("sp_a\nhost all all all trust", "p", "::1")
	f.Add("sp_`x`", "p", "fe80::1%a b")
	line := regexp.MustCompile(`^(host sp_[a-z0-9_]+ sp_[a-z0-9_]+ [0-9a-f.:]+/[0-9]+ scram-sha-256|host all sp_[a-z0-9_]+ all reject|local all sp_[a-z0-9_]+ reject)$`)
	f.Fuzz(func(t *testing.T, role, password, address string) {
		a, err := netip.ParseAddr(address)
		if err != nil {
			return
		}
		g := Grant{Role: role, Addresses: []netip.Addr{a}}
		access, err := PostgreSQLAccess([]Grant{g})
		if err == nil {
			for l := range strings.Lines(string(access)) {
				if !line.MatchString(strings.TrimSuffix(l, "\n")) {
					t.Fatalf("%q became the line %q", role, l)
				}
			}
		}
		sql, err := PostgreSQLScript(g, "")
		if err == nil && strings.Count(string(sql), ";") != 1 {
			t.Fatalf("%q became %s", role, sql)
		}
		sql, err = MariaDBScript(g, password)
		if err == nil && strings.Count(string(sql), ";") != 1+2*3+2 {
			t.Fatalf("%q %q became %s", role, password, sql)
		}
	})
}
