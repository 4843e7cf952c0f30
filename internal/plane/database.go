package plane

import (
	"fmt"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Engine is the program that keeps a database.
type Engine string

// The engines.
const (
	PostgreSQL Engine = "postgresql"
	MariaDB    Engine = "mariadb"
)

// CheckEngine accepts the engines that exist.
func CheckEngine(field string, e Engine) error {
	if e == PostgreSQL || e == MariaDB {
		return nil
	}
	return Invalid(field, fmt.Sprintf("engine %q is not known", e), "use postgresql or mariadb")
}

// Title is the engine's own name.
func (e Engine) Title() string {
	if e == MariaDB {
		return "MariaDB"
	}
	return "PostgreSQL"
}

// Port is where the engine listens unless it was told otherwise.
func (e Engine) Port() int {
	if e == MariaDB {
		return 3306
	}
	return 5432
}

// DatabaseState is where a database is in its life.
type DatabaseState string

// The states of a database.
const (
	DatabaseCreating DatabaseState = "creating"
	DatabaseReady    DatabaseState = "ready"
	DatabaseFailed   DatabaseState = "failed"   // creating it failed; db create again continues
	DatabaseRemoving DatabaseState = "removing" // taking it away has begun; only db remove can follow
)

// Defaults of a database.
const (
	DefaultPool = 10 // connections one process may open
	MaxPool     = 1000
	KeepBackups = 7
	MaxPassword = 128
)

// Database is one database of an app, on the app's primary. Each has a role of
// the same name, which may do everything in it and nothing elsewhere.
type Database struct {
	ID         string
	Name       string
	AppID      string
	ServerID   string // the app's primary
	Engine     Engine
	Prefix     string // of its variables; empty for an app's first
	Password   []byte // sealed; of the login in use
	Second     bool   // the second of its logins is in use
	Next       []byte // sealed password of the other login, made for the next deployment; empty: none
	Former     []byte // sealed password of the other login, still valid for processes that were started with it; empty: none
	PasswordAt time.Time
	Revision   int64 // counts up with each change of what its variables hold
	RequireTLS bool
	Pool       int // connections one process may open, by the person's word
	State      DatabaseState
	Reason     string
	Since      time.Time // of the state
	Stranger   Proof     // how somebody who may not connect fared
	Backups    BackupPlan
	LastDump   string // id of the dump that its removal made before it began; empty: none
	CreatedAt  time.Time
}

// Role is the name of both the database in its engine and the role it belongs to.
func (d Database) Role() string { return "sp_" + strings.ReplaceAll(d.Name, "-", "_") }

// Usable tells whether the app's processes get its variables.
func (d Database) Usable() bool { return d.State == DatabaseReady }

// AfterRemoval is the reason to show at a database whose removal did not get to
// its end. While nothing was taken away the database is what it was.
func (d Database) AfterRemoval(how string) string {
	switch d.State {
	case DatabaseRemoving:
		return how + "; db remove again continues"
	case DatabaseFailed:
		return how + "; nothing was taken away: db create again continues, db remove takes away what there is"
	}
	return how + "; nothing was taken away"
}

// EngineSettings are what db set wishes of an engine.
type EngineSettings struct {
	MaxConnections int  `json:"max_connections"` // 0: as it is
	RequireTLS     bool `json:"require_tls"`
}

// EngineChange is one such wish, with what was wished before.
type EngineChange struct {
	From EngineSettings `json:"from"`
	To   EngineSettings `json:"to"`
}

// TakeBack undoes a wish that could not be fulfilled, so that it is in nobody's
// way; what another wish has changed since, or what the engine was seen to do,
// stays.
func (c EngineChange) TakeBack(d *Database, s *DatabaseServer) {
	if s.WantedMax == c.To.MaxConnections && s.MaxConnections != s.WantedMax {
		s.WantedMax = c.From.MaxConnections
	}
	if d.RequireTLS == c.To.RequireTLS {
		d.RequireTLS = c.From.RequireTLS
	}
}

// DatabaseUse says with which state of a database a deployment was started.
type DatabaseUse struct {
	ID       string `json:"id"`
	Revision int64  `json:"revision"`
}

// UsesOf lists what a deployment that starts now is given.
func UsesOf(all []Database) []DatabaseUse {
	uses := []DatabaseUse{}
	for _, d := range all {
		if d.Usable() {
			uses = append(uses, DatabaseUse{d.ID, d.Revision})
		}
	}
	slices.SortFunc(uses, func(a, b DatabaseUse) int { return strings.Compare(a.ID, b.ID) })
	return uses
}

// DatabaseServer is one engine on one server, as it was last seen.
type DatabaseServer struct {
	ServerID       string
	Engine         Engine
	Generation     int64 // numbers what it should be; the server refuses an older one
	Port           int
	Version        string
	Open           bool // listens on the server's private address
	TLS            bool
	MaxConnections int
	Reserved       int // connections kept for administrators
	WantedMax      int // what a person wants as the limit; 0: as it is
	Certificate    []byte
	Key            []byte // of the certificate, sealed
	SeenAt         time.Time
}

// Access is one backend's way to a database, with its proof.
type Access struct {
	DatabaseID string
	BackendID  string
	Address    netip.Addr // as the primary sees the backend; loopback on the primary
	Proof      Proof
}

// Proof is how one attempt to sign in to a database ended. Verdict pass means
// let in and a query answered, fail refused, unknown that the panel could not try;
// empty that nobody tried.
type Proof struct {
	Verdict Verdict   `json:"verdict,omitempty"`
	At      time.Time `json:"at"`
	Vantage string    `json:"vantage,omitempty"`
	Answer  string    `json:"answer,omitempty"` // raw
	TLS     string    `json:"tls,omitempty"`    // version, or empty for plaintext
	Latency Duration  `json:"latency,omitempty"`
}

var prefixPattern = regexp.MustCompile(`^[A-Z][A-Z0-9]{0,15}(_[A-Z0-9]{1,16}){0,2}_?$`)

// CheckPrefix accepts what the names of a second database's variables begin with.
func CheckPrefix(field, prefix string) error {
	if prefix == "" || len(prefix) <= 24 && prefixPattern.MatchString(prefix) {
		return nil
	}
	return Invalid(field, "must be at most 24 letters A-Z, digits and '_', a letter first", "for example REPORTS for REPORTS_DB_HOST")
}

// CheckDatabaseName holds for names of databases: those of CheckName but the ones that
// would be an engine's own.
func CheckDatabaseName(field, name string) error {
	switch name {
	case "postgres", "mysql", "template0", "template1", "root":
		return Invalid(field, fmt.Sprintf("%q is a name of the engine's own", name), "choose another name, for example the app's")
	}
	return CheckName(field, name)
}

// CheckDatabasePassword accepts printable ASCII, which every client sends alike.
func CheckDatabasePassword(field, password string) error {
	if len(password) < 12 || len(password) > MaxPassword || strings.ContainsFunc(password, func(r rune) bool { return r < ' ' || r > '~' }) {
		return Invalid(field, fmt.Sprintf("must be 12 to %d printable ASCII characters", MaxPassword), "leave it out and one is made")
	}
	return nil
}

// CheckPool accepts how many connections a process may open.
func CheckPool(field string, n int) error {
	if n < 1 || n > MaxPool {
		return Invalid(field, fmt.Sprintf("must be 1 to %d", MaxPool), "")
	}
	return nil
}

// CheckMaxConnections accepts a limit an engine can be told.
func CheckMaxConnections(field string, n int) error {
	if n < 20 || n > 10000 {
		return Invalid(field, "must be 20 to 10000", "each connection of PostgreSQL takes 5 to 10 MiB of memory")
	}
	return nil
}

// The names a database's variables have after its prefix. Those in
// softNames are a default that the app's own variables win over.
var (
	computedNames = []string{"DB_CONNECTION", "DB_HOST", "DB_PORT", "DB_DATABASE", "DB_USERNAME", "DB_PASSWORD", "DATABASE_URL", "DB_SSL_CA"}
	softNames     = []string{"PGSSLMODE", "PGSSLROOTCERT"}
)

// Named is a variable's name with the database's prefix.
func (d Database) Named(name string) string {
	if d.Prefix == "" {
		return name
	}
	return strings.TrimSuffix(d.Prefix, "_") + "_" + name
}

// Computes tells whether the variable of that name is computed for this database,
// so that nobody may record one.
func (d Database) Computes(name string) bool {
	return slices.ContainsFunc(computedNames, func(n string) bool { return d.Named(n) == name })
}

// Connection is what a process needs to reach a database from one server.
type Connection struct {
	Host     netip.Addr
	Port     int
	Password string
	CA       string // path of the authority's certificate; empty: the engine offers no TLS
}

// Variables is what a process on one server sees of the database. Soft ones
// give way to variables the app has of its own.
func (d Database) Variables(c Connection) (hard, soft map[string]string) {
	hard = map[string]string{
		d.Named("DB_CONNECTION"): map[Engine]string{PostgreSQL: "pgsql", MariaDB: "mysql"}[d.Engine],
		d.Named("DB_HOST"):       c.Host.String(),
		d.Named("DB_PORT"):       strconv.Itoa(c.Port),
		d.Named("DB_DATABASE"):   d.Role(),
		d.Named("DB_USERNAME"):   d.Login(),
		d.Named("DB_PASSWORD"):   c.Password,
		d.Named("DATABASE_URL"):  d.url(c),
	}
	soft = map[string]string{}
	if c.CA == "" {
		return hard, soft
	}
	hard[d.Named("DB_SSL_CA")] = c.CA
	if d.Engine == PostgreSQL && d.Prefix == "" {
		soft[softNames[0]], soft[softNames[1]] = "require", c.CA
	}
	return hard, soft
}

// url holds no character that a parser of addresses could take for its own: all
// but letters and digits of the password are percent-encoded.
func (d Database) url(c Connection) string {
	scheme, query := "postgresql", ""
	if d.Engine == MariaDB {
		scheme = "mysql"
	} else if c.CA != "" {
		query = "?sslmode=verify-full&sslrootcert=" + c.CA
	}
	at := netip.AddrPortFrom(c.Host, uint16(c.Port)).String()
	return scheme + "://" + d.Login() + ":" + percent(c.Password) + "@" + at + "/" + d.Role() + query
}

func percent(text string) string {
	return strings.ReplaceAll(url.QueryEscape(text), "+", "%20")
}

// Budget is how many connections an engine's databases may want at once, set
// against how many it takes.
type Budget struct {
	Wanted int // pool x processes x backends, over all databases of the engine
	Free   int // the limit without what is reserved
	Limit  int
	Kept   int // reserved
}

// Over tells whether connections could run out. A limit nobody has seen is never over.
func (b Budget) Over() bool { return b.Limit > 0 && b.Wanted > b.Free }

// BudgetOf adds up what an app's backends and processes may open.
func BudgetOf(s DatabaseServer, uses []PoolUse) Budget {
	b := Budget{Limit: s.MaxConnections, Kept: s.Reserved}
	if s.WantedMax > 0 {
		b.Limit = s.WantedMax
	}
	b.Free = b.Limit - b.Kept
	for _, u := range uses {
		b.Wanted += u.Pool * u.Processes * u.Backends
	}
	return b
}

// PoolUse is one database's share of a budget.
type PoolUse struct {
	Pool, Processes, Backends int
}

// UsesOfPool lists what may open connections to a database: on each backend the app's
// own process, and its workers and cron entries on one backend or on all.
func UsesOfPool(pool, backends int, processes []Process) []PoolUse {
	all := PoolUse{pool, ProcessesPerBackend, backends}
	one := PoolUse{pool, 0, 1}
	for _, p := range processes {
		n := max(p.Count, 1) // a cron entry runs once at a time
		switch {
		case p.Removing:
		case p.On == OnAll:
			all.Processes += n
		default:
			one.Processes += n
		}
	}
	return []PoolUse{all, one}
}

// ProcessesPerBackend counts a deployment's moment, when the old slot drains
// while the new one already serves.
const ProcessesPerBackend = 2

// AckBudget and AckRestart are ids of warnings about databases: connections may
// run out; an engine must be restarted once.
const (
	AckBudget  = "budget"
	AckRestart = "restart"
)
