package recipe

import (
	"fmt"
	"net/netip"

	"github.com/serverplane/serverplane/internal/nginx"
	"github.com/serverplane/serverplane/internal/plane"
	"github.com/serverplane/serverplane/internal/remote"
)

// Presence is one app's part in one server's Nginx.
type Presence struct {
	App   plane.App
	Here  plane.Backend
	Seats []Seat // all backends of the app; only needed on its primary
}

// Tree is the complete set of our files in a server's Nginx.
func Tree(s plane.Server, present []Presence) (remote.Change, error) {
	tree := nginx.Tree{ForeignDefault: s.Survey.NginxDefaultExplicit}
	for _, p := range present {
		tree.Sites = append(tree.Sites, site(s, p))
	}
	rendered, err := nginx.Render(tree)
	if err != nil {
		return remote.Change{}, fmt.Errorf("render nginx of %s: %w", s.Name, err)
	}
	change := remote.Change{Generation: s.TreeWanted, Version: rendered.Version, Announce: true}
	for _, f := range rendered.Files {
		change.Files = append(change.Files, remote.File{Path: f.Path, Text: f.Text})
	}
	return change, nil
}

func site(s plane.Server, p Presence) nginx.Site {
	out := nginx.Site{
		App: p.App.Name, ID: p.App.ID, Trust: p.Here.SeenAs,
		A: local(s, p.Here, plane.SlotA), B: local(s, p.Here, plane.SlotB),
	}
	if p.Here.Primary && p.App.LiveSlot != "" {
		out.Entry = entry(p)
	}
	return out
}

func local(s plane.Server, b plane.Backend, slot plane.Slot) nginx.Local {
	return nginx.Local{
		Listen:  SiteAddress(Seat{Backend: b, Server: s}, slot),
		Process: netip.AddrPortFrom(loopback(), uint16(b.Ports.Process(slot))),
	}
}

func loopback() netip.Addr { return netip.AddrFrom4([4]byte{127, 0, 0, 1}) }

// SiteAddress is where the entry reaches a slot of a backend: the server's
// private address, loopback on the primary.
func SiteAddress(s Seat, slot plane.Slot) netip.AddrPort {
	addr := s.Server.PrivateAddress
	if s.Backend.Primary {
		addr = loopback()
	}
	return netip.AddrPortFrom(addr, uint16(s.Backend.Ports.Site(slot)))
}

// entry lists who is in the upstream. A backend that is off stays in the list
// as down only with IP hash, where leaving it out would move other clients.
func entry(p Presence) *nginx.Entry {
	e := &nginx.Entry{Names: p.App.Domains, Method: nginx.Method(p.App.Balancer.Method)}
	for _, s := range p.Seats {
		b := s.Backend
		if !b.Placed || b.Removing {
			continue
		}
		if !b.Enabled && p.App.Balancer.Method != plane.IPHash {
			continue
		}
		e.Backends = append(e.Backends, nginx.Backend{
			ID: b.ID, A: SiteAddress(s, plane.SlotA), B: SiteAddress(s, plane.SlotB),
			Weight: b.Weight, Backup: b.Backup, Down: !b.Enabled,
		})
	}
	return e
}
