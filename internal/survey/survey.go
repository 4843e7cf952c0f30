// Package survey looks at servers and never changes them: their host key, and
// what they run, hold and have open, before anything is touched.
package survey

import (
	"bytes"
	"context"
	_ "embed"
	"encoding/json"
	"fmt"
	"net/netip"
	"time"

	"github.com/serverplane/serverplane/internal/plane"
	"github.com/serverplane/serverplane/internal/remote"
)

//go:embed look.py
var look string

// Surveyor looks at servers, as a person once or as the panel.
type Surveyor struct {
	pool     *remote.Pool
	panelPEM []byte // the panel's own private key, for a person who pasted its public half
	panelKey string // authorized_keys form
	login    string // whom the panel signs in as
	now      func() time.Time
}

// New returns a Surveyor; it connects nowhere yet.
func New(pool *remote.Pool, panelPEM []byte, panelKey, login string, now func() time.Time) *Surveyor {
	return &Surveyor{pool: pool, panelPEM: panelPEM, panelKey: panelKey, login: login, now: now}
}

// patience is how long a person waits for one look.
const patience = 60 * time.Second

// HostKey asks a server for its host key without signing in.
func (s *Surveyor) HostKey(ctx context.Context, address netip.Addr, port int) (plane.HostKey, error) {
	ctx, cancel := context.WithTimeout(ctx, 15*time.Second)
	defer cancel()
	key, err := remote.ScanHostKey(ctx, address.String(), port)
	if err != nil {
		return plane.HostKey{}, inWords(err)
	}
	return plane.HostKey{Line: key.Line, Fingerprint: key.Fingerprint, Type: key.Type}, nil
}

// Look signs in once as the person says and surveys.
func (s *Surveyor) Look(ctx context.Context, e plane.Entrance) (plane.Survey, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	begin := s.now()
	res, err := remote.Visit(ctx, s.contact(e), program())
	if err != nil {
		return plane.Survey{}, entering(e, err)
	}
	return s.read(begin, res)
}

// Install signs in once as the person says and lets the panel in.
func (s *Surveyor) Install(ctx context.Context, e plane.Entrance) error {
	ctx, cancel := context.WithTimeout(ctx, 2*patience)
	defer cancel()
	if err := remote.Install(ctx, s.contact(e), s.panelKey); err != nil {
		return entering(e, err)
	}
	return nil
}

// Survey looks at a server as the panel.
func (s *Surveyor) Survey(ctx context.Context, server plane.Server) (plane.Survey, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	begin := s.now()
	target := remote.Target{
		ID: server.ID, Address: server.Address.String(), Port: server.SSHPort, User: s.login, HostKey: server.HostKey,
	}
	res, err := s.pool.Exec(ctx, target, remote.Command{Args: program(), Sudo: true})
	if err != nil {
		return plane.Survey{}, inWords(err)
	}
	return s.read(begin, res)
}

func program() []string { return []string{"python3", "-c", look} }

func (s *Surveyor) contact(e plane.Entrance) remote.FirstContact {
	c := remote.FirstContact{
		Target:   remote.Target{Address: e.Address.String(), Port: e.Port, User: e.User, HostKey: e.HostKey},
		Password: e.Password, Key: e.Key, SudoPassword: e.SudoPassword,
	}
	if len(c.Key) == 0 && c.Password == "" {
		c.Key = s.panelPEM
	}
	return c
}

// read takes a report apart. The clock is compared with the middle of the call.
func (s *Surveyor) read(begin time.Time, res remote.Result) (plane.Survey, error) {
	end := s.now()
	if res.Exit == 127 {
		return plane.Survey{}, plane.Unavailable("the server has no python3", "install it: apt-get install python3")
	}
	if res.Exit != 0 {
		return plane.Survey{}, plane.Unavailable(fmt.Sprintf("looking at the server failed: %s", lastLine(res.Stderr)), "")
	}
	var report struct {
		plane.Survey
		Clock float64 `json:"clock"`
	}
	if err := json.Unmarshal(res.Stdout, &report); err != nil {
		return plane.Survey{}, fmt.Errorf("read the survey: %w", err)
	}
	at := time.UnixMicro(int64(report.Clock * 1e6))
	report.ClockOffset = plane.Duration(at.Sub(begin.Add(end.Sub(begin) / 2)).Round(time.Millisecond))
	report.TakenAt = end.UTC()
	return report.Survey, nil
}

func lastLine(text []byte) string {
	text = bytes.TrimSpace(text)
	return string(text[bytes.LastIndexByte(text, '\n')+1:])
}

// entering names, of what a person gave to get in by, the part the server refused.
func entering(e plane.Entrance, err error) error {
	switch remote.KindOf(err) {
	case remote.KindAuth:
		field, hint := refusedWay(e)
		return plane.Invalid(field, err.Error(), hint)
	case remote.KindSudo:
		return plane.Invalid("sudo_password", err.Error(), "give the password "+e.User+" types for sudo, or a user that may use sudo, or root")
	}
	return inWords(err)
}

func refusedWay(e plane.Entrance) (field, hint string) {
	switch {
	case len(e.Key) > 0 && e.Password != "":
		return "key", "neither key nor password was taken: is the key's public half in authorized_keys of " + e.User + ", and is it the right user?"
	case len(e.Key) > 0:
		return "key", "is its public half in authorized_keys of " + e.User + ", and is it the right user?"
	case e.Password != "":
		return "password", "is it the right user, and does the server let " + e.User + " sign in with a password?"
	}
	return "user", "without a key or password the panel's own key must be in authorized_keys of " + e.User
}

// inWords turns what SSH met into an error for a person.
func inWords(err error) error {
	switch remote.KindOf(err) {
	case remote.KindUnreachable:
		return plane.Unavailable(err.Error(), "check address, port and firewall, and that the SSH server runs")
	case remote.KindHostKey:
		return plane.Conflict(err.Error(), "if the server was reinstalled on purpose, remove and add it; if not, someone may be in between")
	case remote.KindAuth, remote.KindSudo:
		return plane.Conflict(err.Error(), "the server does not let the panel in any more: put the panel's key back (serverplane server key), or remove the server and add it again")
	case remote.KindLost, remote.KindVantage:
		return plane.Unavailable(err.Error(), "try again")
	}
	return err
}
