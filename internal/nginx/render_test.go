package nginx_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"reflect"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/serverplane/serverplane/internal/nginx"
)

func TestRefusals(t *testing.T) {
	entry := func(f func(*nginx.Entry)) func(*nginx.Tree) {
		return func(t *nginx.Tree) { f(t.Sites[0].Entry) }
	}
	site := func(f func(*nginx.Site)) func(*nginx.Tree) {
		return func(t *nginx.Tree) { f(&t.Sites[0]) }
	}
	names := func(list ...string) func(*nginx.Tree) {
		return entry(func(e *nginx.Entry) { e.Names = list })
	}
	for _, c := range []struct {
		name   string
		change func(*nginx.Tree)
		field  string
	}{
		{"app upper case", site(func(s *nginx.Site) { s.App = "Web" }), `sites["Web"].app`},
		{"app too long", site(func(s *nginx.Site) { s.App = strings.Repeat("a", 25) }), ".app"},
		{"app ends with hyphen", site(func(s *nginx.Site) { s.App = "web-" }), ".app"},
		{"app with newline", site(func(s *nginx.Site) { s.App = "web\n" }), ".app"},
		{"app climbs", site(func(s *nginx.Site) { s.App = "../web" }), ".app"},
		{"app empty", site(func(s *nginx.Site) { s.App = "" }), ".app"},
		{"app twice", site(func(s *nginx.Site) { s.App = "web1" }), "sites[web1].app"},
		{"id of another shape", site(func(s *nginx.Site) { s.ID = "app_1;" }), ".id"},
		{"id twice", site(func(s *nginx.Site) { s.ID = "app_0000000000000001" }), "sites[web1].id"},
		{"no trust", site(func(s *nginx.Site) { s.Trust = netip.Addr{} }), ".trust"},
		{"trust everybody", site(func(s *nginx.Site) { s.Trust = netip.IPv4Unspecified() }), ".trust"},
		{"trust with a zone", site(func(s *nginx.Site) { s.Trust = netip.MustParseAddr("fe80::1%a;b") }), ".trust"},
		{"mapped trust", site(func(s *nginx.Site) { s.Trust = netip.MustParseAddr("::ffff:10.0.0.1") }), ".trust"},
		{"no listen", site(func(s *nginx.Site) { s.A.Listen = netip.AddrPort{} }), ".a.listen"},
		{"listen everywhere", site(func(s *nginx.Site) { s.A.Listen = addr("0.0.0.0:20003") }), ".a.listen"},
		{"listen on 80", site(func(s *nginx.Site) { s.B.Listen = addr("127.0.0.11:80") }), ".b.listen"},
		{"listen on the version port", site(func(s *nginx.Site) { s.B.Listen = addr("127.0.0.1:20000") }), ".b.listen"},
		{"process elsewhere", site(func(s *nginx.Site) { s.A.Process = addr("10.0.0.1:20001") }), ".a.process"},
		{"one listener for two", site(func(s *nginx.Site) { s.B.Listen = s.A.Listen }), ".b.listen"},
		{"process on a port of root's", site(func(s *nginx.Site) { s.A.Process = addr("127.0.0.1:443") }), ".a.process"},
		{"process on the version port", site(func(s *nginx.Site) { s.A.Process = addr("127.0.0.1:20000") }), ".a.process"},
		{"process of the other slot's listener", site(func(s *nginx.Site) { s.B.Listen = s.A.Process }), ".a.process"},
		{"site of another app's port", site(func(s *nginx.Site) { s.A.Listen = addr("127.0.0.12:20003") }), "sites[web1].a.listen"},
		{"unknown method", entry(func(e *nginx.Entry) { e.Method = "random" }), ".method"},
		{"no method", entry(func(e *nginx.Entry) { e.Method = "" }), ".method"},
		{"name upper case", names("Example.com"), ".names[0]"},
		{"name with a directive", names("a.example; return 200 x"), ".names[0]"},
		{"name as a pattern", names("~^.*$"), ".names[0]"},
		{"name with a trailing dot", names("example.com."), ".names[0]"},
		{"name with a leading dot", names(".example.com"), ".names[0]"},
		{"star inside", names("ok.example.com", "www.*.example.com"), ".names[1]"},
		{"star alone", names("*"), ".names[0]"},
		{"label too long", names(strings.Repeat("a", 64) + ".example.com"), ".names[0]"},
		{"name too long", names(strings.Repeat("a.", 126) + "aa"), ".names[0]"},
		{"name with hyphen first", names("-a.example.com"), ".names[0]"},
		{"name not ASCII", names("bücher.example"), ".names[0]"},
		{"name empty", names(""), ".names[0]"},
		{"name twice", names("example.com", "example.com"), ".names[1]"},
		{"no backends", entry(func(e *nginx.Entry) { e.Backends = nil }), ".backends"},
		{"all down", entry(func(e *nginx.Entry) { e.Backends[0].Down, e.Backends[1].Down = true, true }), ".backends"},
		{"backups only", entry(func(e *nginx.Entry) { e.Backends[0].Backup, e.Backends[1].Down = true, true }), ".backends"},
		{"weight 0", entry(func(e *nginx.Entry) { e.Backends[1].Weight = 0 }), ".backends[1].weight"},
		{"weight 101", entry(func(e *nginx.Entry) { e.Backends[1].Weight = 101 }), ".backends[1].weight"},
		{"ip-hash with backup", entry(func(e *nginx.Entry) { e.Method, e.Backends[1].Backup = nginx.IPHash, true }), ".backends[1].backup"},
		{"backend id", entry(func(e *nginx.Entry) { e.Backends[0].ID = "x\n" }), ".backends[0].id"},
		{"backend twice", entry(func(e *nginx.Entry) { e.Backends[1].ID = e.Backends[0].ID }), ".backends[1].id"},
		{"backend address twice", entry(func(e *nginx.Entry) { e.Backends[1].A = e.Backends[0].A }), ".backends[1].a"},
		{"one address for both slots", entry(func(e *nginx.Entry) { e.Backends[1].B = e.Backends[1].A }), ".backends[1].b"},
		{"too many backends", entry(func(e *nginx.Entry) { e.Backends = make([]nginx.Backend, 101) }), ".backends"},
		{"two default servers", func(t *nginx.Tree) { t.Sites[1].Entry = fleet(2, nginx.RoundRobin).Sites[0].Entry }, "sites[web1].entry.names"},
	} {
		t.Run(c.name, func(t *testing.T) {
			tree := fleet(2, nginx.RoundRobin)
			c.change(&tree)
			r, err := nginx.Render(tree)
			var refusal *nginx.Refusal
			if !errors.As(err, &refusal) || !strings.HasSuffix(refusal.Field, c.field) || refusal.Rule == "" {
				t.Errorf("got %v, want a refusal of …%s", err, c.field)
			}
			if len(r.Files) != 0 {
				t.Error("something was rendered")
			}
		})
	}
}

func TestEveryChangeChangesTheVersion(t *testing.T) {
	version := func(t2 nginx.Tree) string {
		r, err := nginx.Render(t2)
		if err != nil {
			t.Fatal(err)
		}
		return r.Version
	}
	base := fleet(2, nginx.RoundRobin)
	seen := map[string]bool{version(base): true}
	for _, change := range []func(*nginx.Tree){
		func(t *nginx.Tree) { t.Sites[0].Entry.Backends[0].Weight = 2 },
		func(t *nginx.Tree) { t.Sites[0].Entry.Backends[1].Down = true },
		func(t *nginx.Tree) { t.Sites[0].Entry.Names = []string{"example.com"} },
		func(t *nginx.Tree) { t.Sites[1].Trust = netip.MustParseAddr("10.0.0.9") },
		func(t *nginx.Tree) { t.Sites = t.Sites[:1] },
		func(t *nginx.Tree) { t.IPv4Only = true },
	} {
		tree := fleet(2, nginx.RoundRobin)
		change(&tree)
		if v := version(tree); seen[v] {
			t.Errorf("version %s seen before", v)
		} else {
			seen[v] = true
		}
	}
}

func TestOrderDoesNotMatter(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		tree := drawTree(t)
		first, err := nginx.Render(tree)
		if err != nil {
			t.Fatal(err)
		}
		shuffle := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 0))
		shuffle.Shuffle(len(tree.Sites), func(i, j int) { tree.Sites[i], tree.Sites[j] = tree.Sites[j], tree.Sites[i] })
		for _, s := range tree.Sites {
			if e := s.Entry; e != nil {
				shuffle.Shuffle(len(e.Names), func(i, j int) { e.Names[i], e.Names[j] = e.Names[j], e.Names[i] })
				shuffle.Shuffle(len(e.Backends), func(i, j int) { e.Backends[i], e.Backends[j] = e.Backends[j], e.Backends[i] })
			}
		}
		if second, err := nginx.Render(tree); err != nil || !reflect.DeepEqual(first, second) {
			t.Fatalf("another order renders differently (%v)", err)
		}
	})
}

// TestNginxAcceptsWhatWeAccept asks the real Nginx about random trees that Render accepts.
func TestNginxAcceptsWhatWeAccept(t *testing.T) {
	cases := 0
	rapid.Check(t, func(rt *rapid.T) {
		tree := drawTree(rt)
		if cases++; cases > 25 { // each costs a process
			return
		}
		install(t, tree)
		verify(t)
	})
}

// drawTree gives any tree that Render must accept.
func drawTree(t *rapid.T) nginx.Tree {
	tree := nginx.Tree{IPv4Only: rapid.Bool().Draw(t, "IPv4 only")}
	port := uint16(20001)
	next := func(a string) netip.AddrPort {
		port++
		return netip.AddrPortFrom(netip.MustParseAddr(a), port)
	}
	for i := range rapid.IntRange(0, 6).Draw(t, "apps") {
		own := rapid.SampledFrom([]string{"127.0.0.1", "10.1.2.3", "fd00:0:0:1::7", "::1"}).Draw(t, "own address")
		s := nginx.Site{
			App:   fmt.Sprintf("%s%d", rapid.StringMatching(`[a-z]([a-z0-9-]{0,20}[a-z0-9])?`).Draw(t, "app"), i),
			ID:    fmt.Sprintf("app_%016d", i),
			A:     nginx.Local{Listen: next(own), Process: next("127.0.0.1")},
			B:     nginx.Local{Listen: next(own), Process: next("127.0.0.1")},
			Trust: netip.MustParseAddr(rapid.SampledFrom([]string{"127.0.0.1", "10.9.9.9", "fd00::1", "2001:db8:0:0:1::"}).Draw(t, "trust")),
		}
		if rapid.Bool().Draw(t, "primary") {
			s.Entry = drawEntry(t, i)
		}
		tree.Sites = append(tree.Sites, s)
	}
	return tree
}

func drawEntry(t *rapid.T, i int) *nginx.Entry {
	e := &nginx.Entry{Method: rapid.SampledFrom([]nginx.Method{nginx.RoundRobin, nginx.LeastConnections, nginx.IPHash}).Draw(t, "method")}
	if i > 0 || rapid.Bool().Draw(t, "named") {
		for j := range rapid.IntRange(1, 5).Draw(t, "names") {
			label := rapid.StringMatching(`(\*\.)?([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.){1,3}`).Draw(t, "label")
			e.Names = append(e.Names, fmt.Sprintf("%sn%d-%d", label, i, j))
		}
	}
	for j := range rapid.IntRange(1, 100).Draw(t, "backends") {
		b := nginx.Backend{
			ID: fmt.Sprintf("srv_%016d", j), Weight: rapid.IntRange(1, 100).Draw(t, "weight"),
			A: addr(fmt.Sprintf("10.0.%d.1:20003", j)), B: addr(fmt.Sprintf("10.0.%d.1:20004", j)),
		}
		b.Down = j > 0 && rapid.Bool().Draw(t, "down")
		b.Backup = j > 0 && e.Method != nginx.IPHash && rapid.Bool().Draw(t, "backup")
		e.Backends = append(e.Backends, b)
	}
	return e
}

func TestForeignDefaultIsLeftAlone(t *testing.T) {
	text := func(foreign bool) string {
		tree := fleet(2, nginx.RoundRobin, "www.example.com")
		tree.ForeignDefault = foreign
		out, err := nginx.Render(tree)
		if err != nil {
			t.Fatal(err)
		}
		all := ""
		for _, f := range out.Files {
			all += f.Text
		}
		return all
	}
	if !strings.Contains(text(false), "default_server") {
		t.Error("nobody answers the names that belong to no app")
	}
	if strings.Contains(text(true), "default_server") {
		t.Error("a second default server is rendered: Nginx would refuse it")
	}
}
