package files

import (
	"os/exec"
	"strings"
	"testing"

	"github.com/serverplane/serverplane/internal/store/storetest"
)

// TestPostgreSQLLogins changes a password twice in a real PostgreSQL: whoever signs
// in acts as the role, and nothing that the second login ever owned is left to it.
func TestPostgreSQLLogins(t *testing.T) {
	address := storetest.OwnPostgres(t)
	psql := func(role, database, text string) string {
		t.Helper()
		q := address.Query()
		q.Set("user", role)
		at := "postgres:///" + database + "?" + q.Encode()
		cmd := exec.CommandContext(t.Context(), "psql", "-XqAt", "-v", "ON_ERROR_STOP=1", "-d", at)
		cmd.Stdin = strings.NewReader(text)
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%v\n%s\n%s", err, text, out)
		}
		return strings.TrimSpace(string(out))
	}
	const role, also = "sp_shop_data", "sp2_shop_data"
	bring := func(g Grant, verifier, other string) {
		t.Helper()
		own, err := PostgreSQLScript(g, verifier)
		if err != nil {
			t.Fatal(err)
		}
		logins, err := PostgreSQLLogins(g, other)
		if err != nil {
			t.Fatal(err)
		}
		psql("test", "postgres", string(own)+string(logins))
	}
	verifier := func() string {
		v, err := ScramVerifier("a password of them")
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	keeps := func(login, want string) {
		t.Helper()
		if got := psql("test", "postgres", "SELECT rolpassword IS NOT NULL FROM pg_authid WHERE rolname = '"+login+"'"); got != want {
			t.Errorf("%s keeps a password: %s, want %s", login, got, want)
		}
	}
	at := addresses("127.0.0.1")

	bring(Grant{Role: role, Addresses: at}, verifier(), "")
	psql(role, role, "CREATE TABLE first (n int)")
	next := Grant{Role: role, Addresses: at, Login: role, Other: also, Both: true}
	bring(next, "", verifier())
	bring(next, "", verifier()) // as often as it takes
	keeps(also, "t")
	if who := psql(also, role, "CREATE TABLE second (n int); SELECT current_user"); who != role {
		t.Errorf("the second login acts as %s", who)
	}
	psql(role, role, "INSERT INTO second VALUES (1)") // what runs with the former password reads and writes it
	psql(also, role, "INSERT INTO first VALUES (1); ALTER TABLE first ADD COLUMN m int; DROP TABLE second")

	bring(Grant{Role: role, Addresses: at, Login: also, Other: role}, "", "")
	keeps(role, "f")
	psql(also, role, "DISCARD ALL; SET ROLE NONE; CREATE TABLE own (n int)") // an app that gives the role up
	bring(Grant{Role: role, Addresses: at, Login: also, Other: role, Both: true}, "", verifier())
	if owner := psql("test", role, "SELECT DISTINCT tableowner FROM pg_tables WHERE schemaname = 'public'"); owner != role {
		t.Errorf("tables belong to %s", owner)
	}
	psql(role, role, "INSERT INTO own VALUES (1)")
	bring(Grant{Role: role, Addresses: at, Login: role, Other: also}, "", "")
	keeps(also, "f")
	keeps(role, "t")

	drop, err := PostgreSQLDrop(role)
	if err != nil {
		t.Fatal(err)
	}
	dropAlso, err := PostgreSQLDropSecond(role)
	if err != nil {
		t.Fatal(err)
	}
	psql("test", "postgres", string(drop)+string(dropAlso))
	if left := psql("test", "postgres", "SELECT count(*) FROM pg_roles WHERE rolname LIKE 'sp%'"); left != "0" {
		t.Errorf("%s roles are left", left)
	}
}
