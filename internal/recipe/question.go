package recipe

import (
	"net/netip"
	"time"

	"github.com/serverplane/serverplane/internal/plane"
	"github.com/serverplane/serverplane/internal/probe"
)

// Question asks a backend's slot from the entry's place in the network.
func Question(a plane.App, entry, s Seat, slot plane.Slot, path string, timeout time.Duration) probe.Question {
	q := question(a, entry, path, timeout)
	q.Address = SiteAddress(s, slot).String()
	return q
}

// DoorQuestion asks the entry itself, as a visitor would.
func DoorQuestion(a plane.App, entry Seat, path string, timeout time.Duration) probe.Question {
	q := question(a, entry, path, timeout)
	q.Address = netip.AddrPortFrom(loopback(), 80).String()
	return q
}

func question(a plane.App, entry Seat, path string, timeout time.Duration) probe.Question {
	return probe.Question{
		From: Target(entry.Server), FromName: entry.Server.Name, Host: Host(a, entry.Server), Path: path,
		Visitor: entry.Server.Address.String(), Timeout: timeout,
	}
}

// Host is the name an app is asked for: its main domain, or the primary's
// address where it answers any name.
func Host(a plane.App, primary plane.Server) string {
	if len(a.Domains) > 0 {
		return a.Domains[0]
	}
	if primary.Address.Is6() {
		return "[" + primary.Address.String() + "]"
	}
	return primary.Address.String()
}
