package recipe

import (
	"fmt"
	"net/netip"
	"slices"

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

// entry lists who is in the upstream.
func entry(p Presence) *nginx.Entry {
	b := p.App.Balancer
	return &nginx.Entry{Names: p.App.Domains, Method: nginx.Method(b.Method), Backends: upstream(p.App, p.Seats), NameHeader: b.NameHeader}
}

// upstream is who gets requests. With IP hash, a backend that gets none stays
// in the list as down: leaving it out would move the clients of the others.
func upstream(a plane.App, seats []Seat) []nginx.Backend {
	in := kept(eligible(a, seats))
	var out []nginx.Backend
	for _, s := range in {
		out = append(out, member(s))
	}
	if a.Balancer.Method != plane.IPHash || a.Balancer.Status == plane.BalancerOff {
		return out
	}
	for _, s := range seats {
		if s.Backend.Placed && !s.Backend.Removing && !slices.ContainsFunc(in, s.same) {
			down := member(s)
			down.Down, down.Backup = true, false // nginx knows no backup with ip_hash
			out = append(out, down)
		}
	}
	return out
}

func member(s Seat) nginx.Backend {
	return nginx.Backend{
		ID: s.Backend.ID, Name: s.Server.Name, A: SiteAddress(s, plane.SlotA), B: SiteAddress(s, plane.SlotB), Weight: s.Backend.Weight, Backup: s.Backend.Backup,
	}
}

func (s Seat) same(o Seat) bool { return s.Backend.ID == o.Backend.ID }

// eligible keeps the backends that a person wants in the upstream and whose live
// slot holds exactly what is live. Without load balancing that is the primary.
func eligible(a plane.App, seats []Seat) []Seat {
	var out []Seat
	for _, s := range seats {
		b := s.Backend
		switch {
		case !b.Placed || b.Removing:
		case a.Balancer.Status == plane.BalancerOff:
			if b.Primary {
				out = append(out, s)
			}
		case b.Enabled && b.Current(a):
			out = append(out, s)
		}
	}
	return out
}

// kept leaves out what automatic take-out keeps out, unless nobody would be left
// (fail-open). Where only backups are left, the others being out is just what
// they are for: they serve as ordinary ones, for Nginx refuses a list of backups.
func kept(seats []Seat) []Seat {
	in := slices.DeleteFunc(slices.Clone(seats), func(s Seat) bool { return s.Backend.TakenOut })
	if len(in) == 0 {
		in = slices.Clone(seats)
	}
	if slices.ContainsFunc(in, func(s Seat) bool { return !s.Backend.Backup }) {
		return in
	}
	for i := range in {
		in[i].Backend.Backup = false
	}
	return in
}

// InUpstream tells whether the entry sends requests to the backend.
func InUpstream(a plane.App, seats []Seat, backendID string) bool {
	return a.LiveSlot != "" && slices.ContainsFunc(kept(eligible(a, seats)), func(s Seat) bool { return s.Backend.ID == backendID })
}

// OthersServe tells whether the entry would have somebody to send requests to
// without the backend.
func OthersServe(a plane.App, seats []Seat, backendID string) bool {
	return slices.ContainsFunc(eligible(a, seats), func(s Seat) bool { return s.Backend.ID != backendID && !s.Backend.TakenOut })
}

// EntryPath is the app's file in its primary's Nginx, relative to /etc/nginx.
func EntryPath(app string) string { return nginx.SitePath(app) }

// EntryLogPath is where the app's entry logs its requests, on its primary; who is not root may
// not read it.
func EntryLogPath(app string) string { return nginx.EntryLogPath(app) }
