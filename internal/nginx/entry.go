package nginx

import (
	"fmt"
	"net/netip"
)

// Entry is what visitors reach: the server block on the primary and its upstreams.
type Entry struct {
	// Names are the host names answered. Empty: the app answers every name no other app has
	// and the bare address; one app per server may do so.
	Names    []string
	Method   Method
	Backends []Backend // in any order; rendered by ID so that a client's place never depends on it
	// NameHeader: answers name the backend that gave them, in X-Served-By. An app's own such
	// header is dropped.
	NameHeader bool
}

// Backend is one server's part in serving the app, as the entry sees it.
type Backend struct {
	ID     string
	Name   string         // of its server; only needed for Entry.NameHeader
	A, B   netip.AddrPort // the local site of each slot
	Weight int            // 1 to 100
	Backup bool           // asked only when all others failed
	Down   bool           // stays in the list, gets no request
}

// Method is how the entry chooses a backend.
type Method string

// The methods; the text is the one of the API.
const (
	RoundRobin       Method = "round-robin"
	LeastConnections Method = "least-connections"
	IPHash           Method = "ip-hash"
)

// maxBackends keeps an upstream within its shared zone (see templates/entry.conf.tmpl).
const maxBackends = 100

func (m Method) directive() (string, bool) {
	switch m {
	case RoundRobin:
		return "", true
	case LeastConnections:
		return "least_conn", true
	case IPHash:
		return "ip_hash", true
	}
	return "", false
}

func (e Entry) check(at, app string, seen claims) error {
	if _, known := e.Method.directive(); !known {
		return refuse(at+".method", "must be round-robin, least-connections or ip-hash")
	}
	if err := e.checkNames(at, app, seen); err != nil {
		return err
	}
	return e.checkBackends(at)
}

func (e Entry) checkNames(at, app string, seen claims) error {
	if len(e.Names) == 0 {
		return seen.take("host name", "(every other)", app, at+".names")
	}
	for i, n := range e.Names {
		field := fmt.Sprintf("%s.names[%d]", at, i)
		if err := checkHostName(field, n); err != nil {
			return err
		}
		if err := seen.take("host name", n, app, field); err != nil {
			return err
		}
	}
	return nil
}

func (e Entry) checkBackends(at string) error {
	if len(e.Backends) > maxBackends {
		return refuse(at+".backends", fmt.Sprintf("must be at most %d", maxBackends))
	}
	seen, serving := newClaims(), 0
	for i, b := range e.Backends {
		if err := b.check(fmt.Sprintf("%s.backends[%d]", at, i), e.Method, seen); err != nil {
			return err
		}
		if e.NameHeader {
			if err := checkApp(fmt.Sprintf("%s.backends[%d].name", at, i), b.Name); err != nil {
				return err // the rule of names is the same
			}
		}
		if !b.Down && !b.Backup {
			serving++
		}
	}
	// Nginx accepts a list in which every server is down and then answers 502 to everybody.
	if serving == 0 {
		return refuse(at+".backends", "at least one backend must be neither down nor a backup")
	}
	return nil
}

func (b Backend) check(at string, m Method, seen claims) error {
	if err := checkID(at+".id", b.ID); err != nil {
		return err
	}
	if err := checkAddrPort(at+".a", b.A); err != nil {
		return err
	}
	if err := checkAddrPort(at+".b", b.B); err != nil {
		return err
	}
	if b.Weight < 1 || b.Weight > 100 {
		return refuse(at+".weight", "must be 1 to 100")
	}
	if b.Backup && m == IPHash {
		return refuse(at+".backup", "ip-hash cannot have a backup backend")
	}
	return b.claim(at, seen)
}

func (b Backend) claim(at string, seen claims) error {
	if err := seen.take("id", b.ID, b.ID, at+".id"); err != nil {
		return err
	}
	if err := seen.takeAddress(b.A, b.ID, at+".a"); err != nil {
		return err
	}
	return seen.takeAddress(b.B, b.ID, at+".b")
}
