package recipe

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/netip"

	"github.com/serverplane/serverplane/internal/ansible"
	"github.com/serverplane/serverplane/internal/files"
	"github.com/serverplane/serverplane/internal/plane"
)

// Guest is one database of an engine with who may connect to it.
type Guest struct {
	Database  plane.Database
	Password  string
	Addresses []netip.Addr // as the engine's server sees them; loopback among them
	Fresh     bool         // its password is new to the engine
	Other     string       // password of its other login, while that signs in as well
	Gone      bool         // it goes away
	Must      bool         // that it cannot go is a failure, and not only something to say
}

// EngineState is the whole of what one engine on one server should be.
type EngineState struct {
	Run        string
	Server     plane.Server
	Engine     plane.DatabaseServer
	Key        []byte // of the certificate, opened
	CA         []byte
	Guests     []Guest
	MayRestart bool // a person agreed to one
}

type engineSpec struct {
	Engine         string            `json:"engine"`
	Generation     int64             `json:"generation"`
	Private        string            `json:"private"`
	Open           bool              `json:"open"`
	Restart        bool              `json:"restart"`
	MaxConnections int               `json:"max_connections"`
	Certificate    string            `json:"certificate"`
	Key            string            `json:"key"`
	CA             string            `json:"ca"`
	Conf           map[string]string `json:"conf"`
	Access         string            `json:"access"`
	Databases      []guestSpec       `json:"databases"`
	Gone           []guestSpec       `json:"gone"`
	Rules          []map[string]any  `json:"rules"`
	Firewall       bool              `json:"firewall"`
}

// guestSpec: sql makes a database and its role, or takes both away when shut has
// taken the role's rights.
type guestSpec struct {
	ID        string   `json:"id"`
	Role      string   `json:"role"`
	Second    string   `json:"second"` // its other login, or empty where there never was one
	SQL       string   `json:"sql"`
	Shut      string   `json:"shut,omitempty"`
	Must      bool     `json:"must,omitempty"`
	Addresses []string `json:"addresses"` // from which it may have sessions
}

// Engine brings a database engine to the state: installed if it is not there,
// its roles and databases, and who may connect from where.
func Engine(s EngineState) (ansible.Play, error) {
	private := s.Server.PrivateAddress
	spec := engineSpec{
		Engine: string(s.Engine.Engine), Generation: s.Engine.Generation, Private: private.String(), Restart: s.MayRestart,
		MaxConnections: s.Engine.WantedMax, Certificate: string(s.Engine.Certificate), Key: string(s.Key), CA: string(s.CA),
		Firewall: s.Server.Firewall != plane.FirewallLeave, Databases: []guestSpec{}, Gone: []guestSpec{}, Rules: []map[string]any{},
	}
	spec.Conf = engineConf(s.Engine, private)
	var grants []files.Grant
	opened := map[netip.Addr]bool{}
	for _, g := range s.Guests {
		if err := spec.take(g); err != nil {
			return ansible.Play{}, fmt.Errorf("render database %s: %w", g.Database.Name, err)
		}
		if g.Gone {
			continue
		}
		grants = append(grants, grant(g))
		for _, a := range g.Addresses {
			if a.IsLoopback() || opened[a] {
				continue
			}
			opened[a], spec.Open = true, true
			spec.Rules = append(spec.Rules, map[string]any{
				"from": a.String(), "to": private.String(), // the step puts in the port that the engine really has
			})
		}
	}
	access, err := files.PostgreSQLAccess(grants)
	if err != nil {
		return ansible.Play{}, err
	}
	spec.Access = string(access)
	raw, err := json.Marshal(spec)
	if err != nil {
		return ansible.Play{}, fmt.Errorf("encode what a database engine should be: %w", err)
	}
	p := ansible.Play{
		Run: s.Run, Playbook: "database_engine.yml", Vars: map[string]any{}, Hosts: []ansible.Host{host(s.Server, nil)},
		Files: []ansible.File{{Name: "database.json", Content: raw}},
	}
	return p, p.Validate()
}

// engineConf is our configuration in the three cases: an engine that listens as
// it did, one that is opened, and one that is ours from its first start.
func engineConf(s plane.DatabaseServer, private netip.Addr) map[string]string {
	if s.Engine == plane.MariaDB {
		return map[string]string{
			"as_is": string(files.MariaDBConfig(netip.Addr{}, s.WantedMax, false)),
			"open":  string(files.MariaDBConfig(private, s.WantedMax, false)),
			"fresh": string(files.MariaDBConfig(private, s.WantedMax, true)),
		}
	}
	open := string(files.PostgreSQLConf(private, s.WantedMax))
	return map[string]string{"as_is": string(files.PostgreSQLConf(netip.Addr{}, s.WantedMax)), "open": open, "fresh": open}
}

func grant(g Guest) files.Grant {
	d := g.Database
	out := files.Grant{Role: d.Role(), Addresses: g.Addresses, RequireTLS: d.RequireTLS, Login: d.Login(), Both: g.Other != ""}
	if d.HasSecond() {
		out.Other = d.OtherLogin()
	}
	return out
}

func (s *engineSpec) take(g Guest) error {
	sql, err := guestSQL(g)
	if err != nil {
		return err
	}
	guest := guestSpec{ID: g.Database.ID, Role: g.Database.Role(), SQL: string(sql), Must: g.Must, Addresses: []string{}}
	logins := []string{guest.Role}
	if g.Database.HasSecond() {
		logins = g.Database.Logins()
		guest.Second = logins[1]
	}
	if !g.Gone {
		for _, a := range g.Addresses {
			guest.Addresses = append(guest.Addresses, a.String())
		}
		s.Databases = append(s.Databases, guest)
		return nil
	}
	shut := files.PostgreSQLShut
	if g.Database.Engine == plane.MariaDB {
		shut = files.MariaDBShut
	}
	text, err := shut(logins...)
	guest.Shut = string(text)
	s.Gone = append(s.Gone, guest)
	return err
}

func guestSQL(g Guest) ([]byte, error) {
	switch {
	case g.Gone:
		return dropSQL(g.Database)
	case g.Database.Engine == plane.PostgreSQL:
		return postgresSQL(g)
	}
	own, err := files.MariaDBScript(grant(g), g.Password)
	if err != nil {
		return nil, err
	}
	other, err := files.MariaDBLogins(grant(g), g.Other)
	return append(own, other...), err
}

func dropSQL(d plane.Database) ([]byte, error) {
	drop, dropSecond := files.PostgreSQLDrop, files.PostgreSQLDropSecond
	if d.Engine == plane.MariaDB {
		drop, dropSecond = files.MariaDBDrop, files.MariaDBDropSecond
	}
	out, err := drop(d.Role())
	if err != nil || !d.HasSecond() {
		return out, err
	}
	also, err := dropSecond(d.Role())
	return append(out, also...), err
}

// postgresSQL tells PostgreSQL a password only where it is new: what it keeps of
// one differs each time.
func postgresSQL(g Guest) ([]byte, error) {
	var verifier, otherVerifier string
	var err error
	if g.Fresh {
		if verifier, err = files.ScramVerifier(g.Password); err != nil {
			return nil, err
		}
	}
	if g.Other != "" && len(g.Database.Next) > 0 {
		if otherVerifier, err = files.ScramVerifier(g.Other); err != nil {
			return nil, err
		}
	}
	own, err := files.PostgreSQLScript(grant(g), verifier)
	if err != nil {
		return nil, err
	}
	other, err := files.PostgreSQLLogins(grant(g), otherVerifier)
	return append(own, other...), err
}

// Supply is a database whose variables a slot's process gets.
type Supply struct {
	Database plane.Database
	Password string
	Primary  plane.Server
	Port     int
	TLS      bool
	CA       []byte
}

// suppliedVariables adds what is computed of the app's databases for one seat to
// its own variables, which win over what is a mere default.
func suppliedVariables(p Preparation, s Seat) map[string]string {
	all := map[string]string{}
	hard := map[string]string{}
	for _, d := range p.Databases {
		h, soft := d.Database.Variables(d.connection(p, s))
		maps.Copy(hard, h)
		maps.Copy(all, soft)
		if d.TLS {
			all["NODE_EXTRA_CA_CERTS"] = files.CABundlePath(p.App.Name, string(p.Plan.Slot))
		}
	}
	maps.Copy(all, p.Values)
	maps.Copy(all, hard)
	return all
}

func (d Supply) connection(p Preparation, s Seat) plane.Connection {
	c := plane.Connection{Host: d.Primary.PrivateAddress, Port: d.Port, Password: d.Password}
	if kind, err := p.Kinds.Of(p.App.Kind); s.Backend.Primary && err == nil && kind.Container == nil {
		c.Host = loopback() // a container's is its own: see files.Container.Doors
	}
	if d.TLS {
		c.CA = files.CAPath(p.App.Name, string(p.Plan.Slot))
	}
	return c
}

// authorities is the certificate that the slot's processes know their databases
// by, or nil.
func authorities(p Preparation) []byte {
	for _, d := range p.Databases {
		if d.TLS {
			return d.CA
		}
	}
	return nil
}

// ShownVariables is what a process in that slot of the primary is given of a
// database; private is the primary's address.
func ShownVariables(kind plane.Definition, a plane.App, slot plane.Slot, d plane.Database, s plane.DatabaseServer, private netip.Addr, password string) (hard, soft map[string]string) {
	c := plane.Connection{Host: loopback(), Port: s.Port, Password: password}
	if kind.Container != nil {
		c.Host = private
	}
	if s.TLS {
		c.CA = files.CAPath(a.Name, string(slot))
	}
	return d.Variables(c)
}

// Dump is one dump of a database, to be made or brought back.
type Dump struct {
	Run      string
	Server   plane.Server
	Database plane.Database
	File     string
	Rows     map[string]int64 // what a restored one must hold
	Before   string           // file of the dump of what was there before a restore: what is put back if it cannot end
	OrGone   bool             // a database that is not there is nothing to dump, and no failure
}

// DumpDatabase makes a dump on the database's server.
func DumpDatabase(d Dump) (ansible.Play, error) { return d.play("database_dump.yml") }

// RestoreDatabase brings a dump back.
func RestoreDatabase(d Dump) (ansible.Play, error) { return d.play("database_restore.yml") }

func (d Dump) play(playbook string) (ansible.Play, error) {
	raw, err := json.Marshal(map[string]any{
		"engine": d.Database.Engine, "role": d.Database.Role(), "name": d.Database.Name, "run": d.Run, "file": d.File, "rows": d.Rows,
		"before": d.Before, "or_gone": d.OrGone,
	})
	if err != nil {
		return ansible.Play{}, fmt.Errorf("encode a dump: %w", err)
	}
	p := ansible.Play{
		Run: d.Run, Playbook: playbook, Vars: map[string]any{}, Hosts: []ansible.Host{host(d.Server, nil)},
		Files: []ansible.File{{Name: "database.json", Content: raw}},
	}
	return p, p.Validate()
}
