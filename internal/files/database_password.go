package files

import (
	"fmt"
	"strings"
)

// second is the other login of a role, as plane.Database.Logins has it.
func second(role string) string { return "sp2_" + strings.TrimPrefix(role, "sp_") }

func (g Grant) login() string {
	if g.Login == "" {
		return g.Role
	}
	return g.Login
}

// logins are all that ever signed in, the one in use first.
func (g Grant) logins() []string {
	if g.Other == "" {
		return []string{g.login()}
	}
	return []string{g.login(), g.Other}
}

func (g Grant) signsIn(login string) bool { return login == g.login() || g.Both }

// PostgreSQLLogins gives the SQL, for psql, that brings a role's other login to what it
// should be: with Both it signs in, with a verifier by a new password; else it has none
// and its sessions are ended. The second login acts as the role, so that what it makes
// belongs to the role. What it made after an app itself gave that up is handed over
// before the role signs in again; that waits for locks 5 s at most.
func PostgreSQLLogins(g Grant, verifier string) ([]byte, error) {
	if err := g.check(); err != nil {
		return nil, err
	}
	if verifier != "" && !matches(verifierRule, verifier) {
		return nil, refuse("verifier", "must be a SCRAM-SHA-256 verifier")
	}
	if g.Other == "" {
		return nil, nil
	}
	var out strings.Builder
	r, also := g.Role, second(g.Role)
	fmt.Fprintf(&out, "SELECT 'CREATE ROLE %s LOGIN IN ROLE %s' WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '%s') \\gexec\n", also, r, also)
	fmt.Fprintf(&out, "ALTER ROLE %s SET role = '%s';\n", also, r)
	switch {
	case !g.Both:
		fmt.Fprintf(&out, "ALTER ROLE %s PASSWORD NULL;\n", g.Other)
		fmt.Fprintf(&out, "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE usename = '%s' \\g /dev/null\n", g.Other)
	case verifier != "":
		fmt.Fprintf(&out, "ALTER ROLE %s PASSWORD '%s';\n", g.Other, verifier)
		if g.Other == r {
			fmt.Fprintf(&out, "\\connect %s\nSET lock_timeout = '5s';\nREASSIGN OWNED BY %s TO %s;\n", r, also, r)
		}
	}
	return []byte(out.String()), nil
}

// MariaDBLogins gives the SQL that brings the accounts of a role's other login to what
// they should be: with Both they sign in by the password; else they are locked and their
// sessions ended. They are not dropped, since views and routines they made run by their name.
func MariaDBLogins(g Grant, password string) ([]byte, error) {
	if err := g.check(); err != nil || g.Other == "" {
		return nil, err
	}
	var out strings.Builder
	if g.Both {
		if err := checkPassword(password); err != nil {
			return nil, err
		}
		g.accounts(&out, g.Other, password)
		return []byte(out.String()), nil
	}
	for _, h := range g.hosts() {
		fmt.Fprintf(&out, "ALTER USER IF EXISTS '%s'@'%s' IDENTIFIED VIA mysql_native_password USING 'invalid' ACCOUNT LOCK;\n", g.Other, h)
	}
	fmt.Fprintf(&out, "KILL CONNECTION USER '%s';\n", g.Other)
	return []byte(out.String()), nil
}

// PostgreSQLDropSecond gives the SQL that takes a role's second login away, once its
// database is gone.
func PostgreSQLDropSecond(role string) ([]byte, error) {
	if err := checkRole("role", role); err != nil {
		return nil, err
	}
	return fmt.Appendf(nil, "DROP ROLE IF EXISTS %s;\n", second(role)), nil
}

// MariaDBDropSecond is the same for MariaDB.
func MariaDBDropSecond(role string) ([]byte, error) {
	if err := checkRole("role", role); err != nil {
		return nil, err
	}
	return fmt.Appendf(nil, "SET @gone = (SELECT GROUP_CONCAT(QUOTE(User), '@', QUOTE(Host)) FROM mysql.user WHERE User = '%s');\n"+
		"EXECUTE IMMEDIATE IF(@gone IS NULL, 'DO 0', CONCAT('DROP USER ', @gone));\n", second(role)), nil
}
