package files

import (
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// Places of databases on a server.
const (
	DatabaseDir    = "/etc/serverplane/database"                    // certificates and keys; 0755 root
	DatabaseBackup = "/var/backups/serverplane/databases"           // 0700 root
	MariaDBConf    = "/etc/mysql/mariadb.conf.d/99-serverplane.cnf" // after Debian's own

	DatabaseLock     = "/run/serverplane/database.lock"     // held by a step that changes an engine or restores
	DatabaseRestored = "/run/serverplane/database.restored" // id of the Run whose restore was brought to its end last
)

// HalfRestored is there while a database may hold a part of a dump only: MariaDB restores in place.
func HalfRestored(role string) string { return "/var/lib/serverplane/restoring-" + role }

// DumpPath is where a dump of a database lies.
func DumpPath(database, file string) string { return DatabaseBackup + "/" + database + "/" + file }

// CAPath is where a slot of an app has the certificate of the authority of its
// databases; 0640 root:sp_<app>.
func CAPath(app, slot string) string { return SlotDir(app, slot) + "/database-ca.pem" }

// CABundlePath is the same together with the system's authorities, made on the
// server (playbooks/steps/app_place.py): Node.js takes one file.
func CABundlePath(app, slot string) string { return SlotDir(app, slot) + "/ca-bundle.pem" }

// Grant says from where one role may connect to its database.
type Grant struct {
	Role       string // also the database
	Addresses  []netip.Addr
	RequireTLS bool
	Login      string // who signs in; empty: the role itself
	Other      string // the other login there may be; empty: there never was one
	Both       bool   // while a password is changed, the other signs in as well
}

const maxRole = 3 + 24

func checkRole(field, role string) error {
	if len(role) > maxRole || !matches(`sp_[a-z][a-z0-9_]*`, role) {
		return refuse(field, "must be sp_ and a database's name with _ for -")
	}
	return nil
}

func (g Grant) check() error {
	if err := checkRole("role", g.Role); err != nil {
		return err
	}
	for _, login := range g.logins() {
		if login != g.Role && login != second(g.Role) {
			return refuse("login", "must be the role or its second login")
		}
	}
	if g.Both && g.Other == "" || g.Other == g.login() {
		return refuse("other", "must be another login than the one in use")
	}
	for _, a := range g.Addresses {
		if !a.IsValid() || a.Zone() != "" || a.Is4In6() || a.IsUnspecified() || a.IsMulticast() {
			return refuse("address", "must be one address that a machine has")
		}
	}
	return nil
}

// PostgreSQLAccess gives our lines of pg_hba.conf, which stand before all others: each role
// reaches its own database from its own addresses with its password, and nothing else in any way,
// whatever the lines below allow. The last covers the local socket: a system user may bear a role's name.
func PostgreSQLAccess(grants []Grant) ([]byte, error) {
	var out strings.Builder
	for _, g := range sortedGrants(grants) {
		if err := g.check(); err != nil {
			return nil, err
		}
		kind := "host"
		if g.RequireTLS {
			kind = "hostssl"
		}
		for _, login := range g.logins() {
			if g.signsIn(login) {
				for _, a := range g.Addresses {
					fmt.Fprintf(&out, "%s %s %s %s/%d scram-sha-256\n", kind, g.Role, login, a, a.BitLen())
				}
			}
			fmt.Fprintf(&out, "host all %s all reject\nlocal all %s reject\n", login, login)
		}
	}
	return []byte(out.String()), nil
}

func sortedGrants(grants []Grant) []Grant {
	out := slices.Clone(grants)
	for i := range out {
		out[i].Addresses = slices.SortedFunc(slices.Values(out[i].Addresses), netip.Addr.Compare)
	}
	slices.SortFunc(out, func(a, b Grant) int { return strings.Compare(a.Role, b.Role) })
	return out
}

const conf = "# Written by ServerPlane; changes made by hand are replaced.\n"

// PostgreSQLConf gives our file in the conf.d of a PostgreSQL cluster. Without an address where it
// listens is left as it is, and max 0 leaves the limit.
func PostgreSQLConf(listen netip.Addr, maxConnections int) []byte {
	text := conf + "ssl = on\nssl_cert_file = '" + DatabaseDir + "/postgresql.crt'\nssl_key_file = '" + DatabaseDir + "/postgresql.key'\npassword_encryption = 'scram-sha-256'\n"
	if listen.IsValid() {
		text += "listen_addresses = '127.0.0.1," + listen.String() + "'\n"
	}
	if maxConnections > 0 {
		text += "max_connections = " + strconv.Itoa(maxConnections) + "\n"
	}
	return []byte(text)
}

// MariaDBConfig gives our file of MariaDB's configuration. Names are not looked up only where nobody else's
// accounts may hang on them.
func MariaDBConfig(listen netip.Addr, maxConnections int, fresh bool) []byte {
	text := conf + "[mariadbd]\nssl_ca = " + DatabaseDir + "/ca.crt\nssl_cert = " + DatabaseDir + "/mariadb.crt\nssl_key = " + DatabaseDir + "/mariadb.key\n"
	if listen.IsValid() {
		text += "bind_address = 127.0.0.1," + listen.String() + "\n"
	}
	if fresh {
		text += "skip_name_resolve\nuserstat = 1\n"
	}
	if maxConnections > 0 {
		text += "max_connections = " + strconv.Itoa(maxConnections) + "\n"
	}
	return []byte(text)
}

// ScramVerifier is what PostgreSQL keeps of a password: the password itself never reaches its
// logs. Printable ASCII only, for which SASLprep changes nothing.
func ScramVerifier(password string) (string, error) {
	if err := checkPassword(password); err != nil {
		return "", err
	}
	salt := make([]byte, 16)
	_, _ = rand.Read(salt) // never fails since Go 1.24
	return scramVerifier(password, salt)
}

func scramVerifier(password string, salt []byte) (string, error) {
	const rounds = 4096
	salted, err := pbkdf2.Key(sha256.New, password, salt, rounds, sha256.Size)
	if err != nil {
		return "", fmt.Errorf("derive a key: %w", err)
	}
	keyed := func(text string) []byte {
		m := hmac.New(sha256.New, salted)
		m.Write([]byte(text))
		return m.Sum(nil)
	}
	stored := sha256.Sum256(keyed("Client Key"))
	encode := base64.StdEncoding.EncodeToString
	return fmt.Sprintf("SCRAM-SHA-256$%d:%s$%s:%s", rounds, encode(salt), encode(stored[:]), encode(keyed("Server Key"))), nil
}

const verifierRule = `SCRAM-SHA-256\$[0-9]+:[A-Za-z0-9+/=]+\$[A-Za-z0-9+/=]+:[A-Za-z0-9+/=]+`

// nativeHash is what MariaDB keeps of a password.
func nativeHash(password string) string {
	once := sha1.Sum([]byte(password))
	twice := sha1.Sum(once[:])
	return "*" + strings.ToUpper(hex.EncodeToString(twice[:]))
}

func checkPassword(password string) error {
	if password == "" || len(password) > 128 || strings.ContainsFunc(password, func(r rune) bool { return r < ' ' || r > '~' }) {
		return refuse("password", "must be 1 to 128 printable ASCII characters")
	}
	return nil
}

// PostgreSQLScript gives the SQL, for psql, that makes a role and its database; a verifier of a
// new password, or empty to leave the one there is.
func PostgreSQLScript(g Grant, verifier string) ([]byte, error) {
	if err := g.check(); err != nil {
		return nil, err
	}
	if verifier != "" && !matches(verifierRule, verifier) {
		return nil, refuse("verifier", "must be a SCRAM-SHA-256 verifier")
	}
	var out strings.Builder
	r := g.Role
	fmt.Fprintf(&out, "SELECT 'CREATE ROLE %s LOGIN' WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '%s') \\gexec\n", r, r)
	if verifier != "" {
		fmt.Fprintf(&out, "ALTER ROLE %s PASSWORD '%s';\n", g.login(), verifier)
	}
	fmt.Fprintf(&out, "SELECT 'CREATE DATABASE %s OWNER %s TEMPLATE template0 ENCODING ''UTF8'' LC_COLLATE ''C.UTF-8'' LC_CTYPE ''C.UTF-8''' WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = '%s') \\gexec\n", r, r, r)
	fmt.Fprintf(&out, "REVOKE ALL ON DATABASE %s FROM PUBLIC;\n", r)
	return []byte(out.String()), nil
}

// MariaDBScript gives the SQL that makes a database and an account for each address, with one
// password, and takes away the accounts of all other addresses. The name in a grant is a pattern:
// its _ must stand for itself.
func MariaDBScript(g Grant, password string) ([]byte, error) {
	if err := g.check(); err != nil {
		return nil, err
	}
	if err := checkPassword(password); err != nil {
		return nil, err
	}
	var out strings.Builder
	fmt.Fprintf(&out, "CREATE DATABASE IF NOT EXISTS `%s` CHARACTER SET utf8mb4;\n", g.Role)
	g.accounts(&out, g.login(), password)
	fmt.Fprintf(&out, "SET @gone = (SELECT GROUP_CONCAT(QUOTE(User), '@', QUOTE(Host)) FROM mysql.user WHERE User IN ('%s') AND Host NOT IN ('%s'));\n",
		strings.Join(g.logins(), "', '"), strings.Join(g.hosts(), "', '"))
	out.WriteString("EXECUTE IMMEDIATE IF(@gone IS NULL, 'DO 0', CONCAT('DROP USER ', @gone));\n")
	return []byte(out.String()), nil
}

// hosts are where MariaDB's accounts of a login are from.
func (g Grant) hosts() []string {
	hosts := []string{"localhost"}
	for _, a := range g.Addresses {
		hosts = append(hosts, a.String())
	}
	return hosts
}

// accounts writes the accounts of one login with its password.
func (g Grant) accounts(out *strings.Builder, login, password string) {
	pattern, hash := strings.ReplaceAll(g.Role, "_", `\_`), nativeHash(password)
	unlock := ""
	if g.Other != "" {
		unlock = " ACCOUNT UNLOCK"
	}
	for _, h := range g.hosts() {
		require := "NONE"
		if g.RequireTLS && h != "localhost" {
			require = "SSL"
		}
		fmt.Fprintf(out, "CREATE USER IF NOT EXISTS '%s'@'%s' IDENTIFIED BY PASSWORD '%s';\n", login, h, hash)
		fmt.Fprintf(out, "ALTER USER '%s'@'%s' IDENTIFIED BY PASSWORD '%s' REQUIRE %s%s;\n", login, h, hash, require, unlock)
		fmt.Fprintf(out, "GRANT ALL PRIVILEGES ON `%s`.* TO '%s'@'%s';\n", pattern, login, h)
	}
}

// PostgreSQLShut gives the SQL, for psql, after which nobody signs in by a role's logins any more.
func PostgreSQLShut(logins ...string) ([]byte, error) {
	if err := checkLogins(logins); err != nil {
		return nil, err
	}
	var out []byte
	for _, l := range logins {
		out = fmt.Appendf(out, "SELECT 'ALTER ROLE %s NOLOGIN' WHERE EXISTS (SELECT FROM pg_roles WHERE rolname = '%s') \\gexec\n", l, l)
	}
	return out, nil
}

// PostgreSQLDrop gives the SQL that takes a role and its database away, with what a restore that
// was broken off may have left (playbooks/steps/database_restore.py).
func PostgreSQLDrop(role string) ([]byte, error) {
	if err := checkRole("role", role); err != nil {
		return nil, err
	}
	var out strings.Builder
	for _, name := range []string{role, role + "-restore", role + "-before"} {
		fmt.Fprintf(&out, "DROP DATABASE IF EXISTS \"%s\" WITH (FORCE);\n", name)
	}
	fmt.Fprintf(&out, "DROP ROLE IF EXISTS %s;\n", role)
	return []byte(out.String()), nil
}

// MariaDBShut gives the SQL that takes all accounts of a role's logins away. Sessions outlive that.
func MariaDBShut(logins ...string) ([]byte, error) {
	if err := checkLogins(logins); err != nil {
		return nil, err
	}
	return fmt.Appendf(nil, "SET @gone = (SELECT GROUP_CONCAT(QUOTE(User), '@', QUOTE(Host)) FROM mysql.user WHERE User IN ('%s'));\n"+
		"EXECUTE IMMEDIATE IF(@gone IS NULL, 'DO 0', CONCAT('DROP USER ', @gone));\n", strings.Join(logins, "', '")), nil
}

// checkLogins accepts the role and its second login.
func checkLogins(logins []string) error {
	if len(logins) == 0 || len(logins) > 2 || len(logins) == 2 && logins[1] != second(logins[0]) {
		return refuse("login", "must be the role, and perhaps its second login")
	}
	return checkRole("role", logins[0])
}

// MariaDBDrop gives the SQL that takes a database away.
func MariaDBDrop(role string) ([]byte, error) {
	if err := checkRole("role", role); err != nil {
		return nil, err
	}
	return fmt.Appendf(nil, "DROP DATABASE IF EXISTS `%s`;\n", role), nil
}
