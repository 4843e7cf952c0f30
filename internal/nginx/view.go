package nginx

import (
	"cmp"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// sharedView is what templates/shared.conf.tmpl sees.
type sharedView struct {
	Version        string
	VersionAddress string
	IPv4Only       bool
	Catch          bool // answer names that belong to no app
	LongNames      bool
	Entries        bool // some app has its entry here
	NameHeader     bool // some app's answers name their backend
}

// longName is the length from which a host name no longer fits Nginx's default hash bucket of
// 64 bytes. The larger bucket is only asked for then: a second such directive in a person's own
// nginx.conf would be refused as a duplicate.
const longName = 40

// newSharedView has port 80 answered only where an app has its entry and none is the default
// server itself. Elsewhere the port may be somebody else's, and Nginx would not start.
func newSharedView(t Tree) sharedView {
	entries, unnamed := 0, 0
	v := sharedView{VersionAddress: VersionAddress, IPv4Only: t.IPv4Only}
	for _, s := range t.Sites {
		if s.Entry == nil {
			continue
		}
		entries++
		v.NameHeader = v.NameHeader || s.Entry.NameHeader
		if len(s.Entry.Names) == 0 {
			unnamed++
		}
		v.LongNames = v.LongNames || slices.ContainsFunc(s.Entry.Names, func(n string) bool { return len(n) > longName })
	}
	v.Entries = entries > 0
	v.Catch = v.Entries && unnamed == 0 && !t.ForeignDefault
	return v
}

// siteView is what templates/site.conf.tmpl sees.
type siteView struct {
	App    string
	Trust  string
	Locals []localView
	Entry  *entryView
}

type localView struct{ Slot, Listen, Process, Trust, Gap string }

func newSiteView(s Site, ipv4Only bool) siteView {
	trust := s.Trust.String()
	return siteView{
		App:   s.App,
		Trust: trust,
		Locals: []localView{
			{"a", s.A.Listen.String(), s.A.Process.String(), trust, GapPath(s.App)},
			{"b", s.B.Listen.String(), s.B.Process.String(), trust, GapPath(s.App)},
		},
		Entry: newEntryView(s, ipv4Only),
	}
}

// entryView is what templates/entry.conf.tmpl sees.
type entryView struct {
	App, ID   string
	Gap       string // folder that is there while the only backend is restarted
	IPv4Only  bool
	Default   bool
	Names     []string
	Upstreams []upstreamView
	Retry     string      // suffix of the upstreams that repeats go to
	Named     []namedView // names of backends by address; empty: answers do not name them
}

type namedView struct{ Key, Name string }

type upstreamView struct {
	Name      string
	Directive string // of the method; empty for round robin
	Servers   []serverView
	Keep      bool
}

type serverView struct{ ID, Address, Options string }

func newEntryView(s Site, ipv4Only bool) *entryView {
	if s.Entry == nil {
		return nil
	}
	return &entryView{
		App: s.App, ID: s.ID, Gap: GapPath(s.App), IPv4Only: ipv4Only,
		Default:   len(s.Entry.Names) == 0,
		Names:     slices.Sorted(slices.Values(s.Entry.Names)),
		Upstreams: slices.Concat(upstreams(s, "a"), upstreams(s, "b")),
		Retry:     retrySuffix(s.Entry.Method),
		Named:     named(*s.Entry),
	}
}

func named(e Entry) []namedView {
	var all []namedView
	for _, b := range byID(e.Backends) {
		if e.NameHeader {
			all = append(all, namedView{answeredBy(b.A), b.Name}, namedView{answeredBy(b.B), b.Name})
		}
	}
	return all
}

// answeredBy is the key of a map for an answer from the address. One of IPv6 may be too long for the
// bucket that Nginx has for a key, and is written as a pattern, which needs none.
func answeredBy(a netip.AddrPort) string {
	if a.Addr().Is4() {
		return "yes " + a.String()
	}
	return "~^yes " + strings.NewReplacer("[", `\[`, "]", `\]`).Replace(a.String()) + "$"
}

func byID(backends []Backend) []Backend {
	return slices.SortedFunc(slices.Values(backends), func(a, b Backend) int { return cmp.Compare(a.ID, b.ID) })
}

// retrySuffix names the upstreams for repeats. A hash would send the repeat to the backend that
// has just refused, so ip-hash gets a pair of its own without it.
func retrySuffix(m Method) string {
	if m == IPHash {
		return "_r"
	}
	return "_w"
}

func upstreams(s Site, slot string) []upstreamView {
	directive, _ := s.Entry.Method.directive()
	name, servers := s.ID+"_"+slot, servers(s.Entry.Backends, slot)
	list := []upstreamView{
		{Name: name, Directive: directive, Servers: servers, Keep: true},
		{Name: name + "_w", Directive: directive, Servers: servers},
	}
	if retry := retrySuffix(s.Entry.Method); retry != "_w" {
		list = append(list, upstreamView{Name: name + retry, Servers: servers})
	}
	return list
}

func servers(backends []Backend, slot string) []serverView {
	list := make([]serverView, 0, len(backends))
	for _, b := range byID(backends) {
		address := b.A
		if slot == "b" {
			address = b.B
		}
		list = append(list, serverView{ID: b.ID, Address: address.String(), Options: options(b)})
	}
	return list
}

func options(b Backend) string {
	text := " weight=" + strconv.Itoa(b.Weight)
	if b.Backup {
		text += " backup"
	}
	if b.Down {
		text += " down"
	}
	return text
}
