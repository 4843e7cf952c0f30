package nginx_test

import (
	"net/http"
	"net/netip"
	"strings"
	"testing"

	"github.com/serverplane/serverplane/internal/nginx"
)

// naming is a fleet whose answers name their backends b1, b2 and so on.
func naming(n int, m nginx.Method) nginx.Tree {
	tree := fleet(n, m)
	tree.Sites[0].Entry.NameHeader = true
	for i := range tree.Sites[0].Entry.Backends {
		tree.Sites[0].Entry.Backends[i].Name = "b" + string(rune('1'+i))
	}
	return tree
}

const servedBy = "X-Served-By"

func TestAnswersNameTheBackendThatGaveThem(t *testing.T) {
	for _, method := range []nginx.Method{nginx.RoundRobin, nginx.IPHash} {
		t.Run(string(method), func(t *testing.T) {
			start(t, naming(3, method))
			forge := func(name string) http.HandlerFunc {
				return func(w http.ResponseWriter, r *http.Request) {
					w.Header().Set(servedBy, "forged by the app")
					echo(name)(w, r)
				}
			}
			serve(t, "b2", "127.0.0.12:20001", forge("b2")) // b1 has no process
			serve(t, "b3", "127.0.0.13:20001", forge("b3"))
			for i := range 24 {
				r := request([]string{"GET", "POST"}[i%2], front+[]string{"", "code/404", "code/500"}[i%3], "")
				r.Header.Set(servedBy, "forged by the visitor")
				a := ask(t, r)
				if got := a.header[servedBy]; len(got) != 1 || !strings.HasPrefix(a.body, got[0]+":") {
					t.Errorf("request %d: %d %q is said to be by %q", i, a.code, a.body, got)
				}
			}
		})
	}
}

// A long address of IPv6 does not fit the bucket that Nginx has for a map's keys by itself.
func TestNamesOfLongAddressesAreTaken(t *testing.T) {
	tree := naming(2, nginx.RoundRobin)
	tree.Sites[0].Entry.Backends[1].A = netip.MustParseAddrPort("[2001:0db8:c0c0:1234:9400:2fff:fe12:3456]:20003")
	tree.Sites[0].Entry.Backends[1].B = netip.MustParseAddrPort("[2001:0db8:c0c0:1234:9400:2fff:fe12:3456]:20004")
	start(t, tree) // which tests it first
	serve(t, "b1", "127.0.0.11:20001", echo("b1"))
	for range 4 {
		if a := ask(t, request("GET", front, "")); a.code != 200 || a.header[servedBy][0] != "b1" {
			t.Errorf("%d by %q", a.code, a.header[servedBy])
		}
	}
}

func TestWhatNobodyAnsweredNamesNobody(t *testing.T) {
	tree := naming(2, nginx.RoundRobin)
	tree.Sites[1].A.Listen = addr("127.0.0.12:20005") // where the entry asks b2, nobody listens
	start(t, tree)
	for i := range 8 {
		a := ask(t, request([]string{"GET", "POST"}[i%2], front, ""))
		if got := a.header[servedBy]; a.code < 500 || got != nil {
			t.Errorf("request %d: %d is said to be by %q", i, a.code, got)
		}
	}
}

func TestAnswersNameNobodyUnasked(t *testing.T) {
	start(t, fleet(1, nginx.RoundRobin))
	serve(t, "app", "127.0.0.11:20001", func(w http.ResponseWriter, _ *http.Request) { w.Header().Set(servedBy, "the app's own") })
	if got := ask(t, request("GET", front, "")).header[servedBy]; len(got) != 1 || got[0] != "the app's own" {
		t.Errorf("got %q", got)
	}
}
