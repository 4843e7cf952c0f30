package nginx

import (
	"fmt"
	"net/netip"
)

// Site is one app on one server: a local site for each slot and, on the primary, the entry.
type Site struct {
	App string // the app's name
	ID  string // the app's id; upstreams are named after it
	A   Local
	B   Local

	// Trust is the address the entry connects from: the only one whose forwarded headers are
	// believed. On the primary it is 127.0.0.1.
	Trust netip.Addr

	Entry *Entry // only on the primary
}

// Local is one slot's place on a server.
type Local struct {
	Listen  netip.AddrPort // where the local site is reached by the entry
	Process netip.AddrPort // the loopback port the app's process listens on
}

func (s Site) check(seen claims) error {
	if err := checkApp(fmt.Sprintf("sites[%.40q].app", s.App), s.App); err != nil {
		return err
	}
	at := "sites[" + s.App + "]"
	if err := checkID(at+".id", s.ID); err != nil {
		return err
	}
	if err := checkAddr(at+".trust", s.Trust); err != nil {
		return err
	}
	if err := seen.take("name", s.App, s.App, at+".app"); err != nil {
		return err
	}
	if err := seen.take("id", s.ID, s.App, at+".id"); err != nil {
		return err
	}
	if err := s.A.check(at+".a", s.App, seen); err != nil {
		return err
	}
	if err := s.B.check(at+".b", s.App, seen); err != nil {
		return err
	}
	if err := s.checkProcesses(at, seen); err != nil || s.Entry == nil {
		return err
	}
	return s.Entry.check(at+".entry", s.App, seen)
}

func (l Local) check(at, app string, seen claims) error {
	if err := checkAddrPort(at+".listen", l.Listen); err != nil {
		return err
	}
	if err := checkAddr(at+".process", l.Process.Addr()); err != nil {
		return err
	}
	if p := l.Process.Port(); p < 1024 || p == minPort-1 {
		return refuse(at+".process", "the port must be 1024 to 65535, and not the one that tells the version")
	}
	if !l.Process.Addr().IsLoopback() {
		return refuse(at+".process", "must be a loopback address: a process is reached through its local site only")
	}
	return seen.takeAddress(l.Listen, app, at+".listen")
}

// checkProcesses lets both slots of a site lead to one process, since an app that never runs twice has but one.
func (s Site) checkProcesses(at string, seen claims) error {
	if err := seen.takeAddress(s.A.Process, s.App, at+".a.process"); err != nil || s.A.Process == s.B.Process {
		return err
	}
	return seen.takeAddress(s.B.Process, s.App, at+".b.process")
}
