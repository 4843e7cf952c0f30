package nginx_test

import (
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/serverplane/serverplane/internal/nginx"
)

// hits sends n requests, GET and POST in turn or GET only, and counts who carried them out.
func hits(t *testing.T, n int, verbs []string, processes ...*process) []int64 {
	t.Helper()
	before := make([]int64, len(processes))
	for i, p := range processes {
		before[i] = p.hits.Load()
	}
	for i := range n {
		if a := ask(t, request(verbs[i%len(verbs)], front, "")); a.code != 200 {
			t.Fatalf("got %d", a.code)
		}
	}
	counts := make([]int64, len(processes))
	for i, p := range processes {
		counts[i] = p.hits.Load() - before[i]
	}
	return counts
}

func TestWeightsDivideTheRequests(t *testing.T) {
	tree := fleet(2, nginx.RoundRobin)
	tree.Sites[0].Entry.Backends[1].Weight = 3
	start(t, tree)
	light, heavy := serve(t, "light", "127.0.0.11:20001", nil), serve(t, "heavy", "127.0.0.12:20001", nil)
	for _, verb := range []string{"GET", "POST"} {
		if got := hits(t, 40, []string{verb}, light, heavy); got[0] != 10 || got[1] != 30 {
			t.Errorf("%s with weights 1 and 3: %v of 40", verb, got)
		}
	}
}

func TestABackendThatIsDownGetsNothing(t *testing.T) {
	tree := fleet(2, nginx.RoundRobin)
	tree.Sites[0].Entry.Backends[0].Down = true
	start(t, tree)
	off, on := serve(t, "off", "127.0.0.11:20001", nil), serve(t, "on", "127.0.0.12:20001", nil)
	if got := hits(t, 20, []string{"GET", "POST"}, off, on); got[0] != 0 || got[1] != 20 {
		t.Errorf("off and on: %v", got)
	}
}

func TestABackupServesOnlyWhenAllOthersFail(t *testing.T) {
	tree := fleet(2, nginx.RoundRobin)
	tree.Sites[0].Entry.Backends[1].Backup = true
	start(t, tree)
	first, backup := serve(t, "first", "127.0.0.11:20001", nil), serve(t, "backup", "127.0.0.12:20001", nil)
	if got := hits(t, 20, []string{"GET", "POST"}, first, backup); got[0] != 20 || got[1] != 0 {
		t.Errorf("first and backup: %v", got)
	}
	first.server.Close()
	if got := hits(t, 20, []string{"GET", "POST"}, backup); got[0] != 20 {
		t.Errorf("backup alone: %v", got)
	}
}

func TestIPHashKeepsAClientOnItsBackend(t *testing.T) {
	tree := fleet(3, nginx.IPHash)
	m := start(t, tree)
	processes := []*process{serve(t, "a", "127.0.0.11:20001", nil), serve(t, "b", "127.0.0.12:20001", nil), serve(t, "c", "127.0.0.13:20001", nil)}
	first := hits(t, 30, []string{"GET", "POST"}, processes...)
	home := -1
	for i, n := range first {
		if n == 30 {
			home = i
		}
	}
	if home < 0 {
		t.Fatalf("one client is spread: %v", first)
	}
	tree.Sites[0].Entry.Backends[(home+1)%3].Down = true
	m.reload(tree)
	if got := hits(t, 30, []string{"GET", "POST"}, processes...); got[home] != 30 {
		t.Errorf("another backend going off moved the client: %v", got)
	}
}

func TestLeastConnectionsAvoidsTheBusyBackend(t *testing.T) {
	start(t, fleet(2, nginx.LeastConnections))
	held, release := make(chan struct{}, 8), make(chan struct{})
	slow := serve(t, "slow", "127.0.0.11:20001", func(w http.ResponseWriter, r *http.Request) {
		held <- struct{}{}
		<-release
	})
	quick := serve(t, "quick", "127.0.0.12:20001", nil)
	defer close(release)
	for waiting := true; waiting; { // one request after the other, until one is held
		answered := make(chan error, 1)
		go func() {
			_, err := send(request("GET", front, ""))
			answered <- err
		}()
		select {
		case <-held:
			waiting = false
		case err := <-answered:
			must(t, err)
		}
	}
	if got := hits(t, 20, []string{"GET"}, slow, quick); got[1] != 20 {
		t.Errorf("slow and quick: %v", got)
	}
}

// TestBodiesOfEveryFormAreRepeated covers clients that do not tell the length, and those that
// wait for a "100 Continue", on the announced way as well.
func TestBodiesOfEveryFormAreRepeated(t *testing.T) {
	start(t, fleet(2, nginx.RoundRobin))
	serve(t, "app", "127.0.0.12:20001", nil)
	body := strings.Repeat("y", 200<<10)
	for _, told := range []bool{false, true} {
		if told {
			announce(t)
		}
		for i := range 8 {
			r := request("POST", front, body)
			if i%2 == 0 {
				r.Body, r.ContentLength = io.NopCloser(strings.NewReader(body)), -1
			}
			transport := &http.Transport{ExpectContinueTimeout: 5 * time.Second}
			if i%4 < 2 {
				r.Header.Set("Expect", "100-continue")
			}
			a, err := over(transport, r)
			transport.CloseIdleConnections()
			if err != nil || a.code != 200 || a.body != "app: "+body {
				t.Errorf("announced %v, form %d: %d, %d bytes, %v", told, i%4, a.code, len(a.body), err)
			}
		}
	}
}

// A backend that accepts and never answers costs those who wait for it. Their
// requests are not sent again, since they may have been carried out; but once
// five of them have waited for as long as an answer may take, the entry itself
// keeps the others away, all but one in 5 s.
func TestASilentBackendIsLeftAloneAfterFiveWaitedInVain(t *testing.T) {
	for _, verb := range []string{"GET", "POST"} {
		t.Run(verb, func(t *testing.T) {
			start(t, fleet(2, nginx.RoundRobin), hurried)
			over := make(chan struct{})
			silent := serve(t, "silent", "127.0.0.11:20001", func(http.ResponseWriter, *http.Request) { <-over })
			defer close(over)
			sound := serve(t, "sound", "127.0.0.12:20001", nil)
			var rounds []int64 // how many of ten at once waited in vain
			for len(rounds) < 8 && (len(rounds) == 0 || rounds[len(rounds)-1] > 0) {
				rounds = append(rounds, inVain(t, 10, verb))
			}
			var waited int64
			for _, n := range rounds {
				waited += n
			}
			if waited < 5 || rounds[len(rounds)-1] > 0 {
				t.Errorf("in rounds of ten there waited in vain: %v", rounds)
			}
			if all := int64(10 * len(rounds)); silent.hits.Load() != waited || sound.hits.Load() != all-waited {
				t.Errorf("of %d, %d waited in vain; silent was asked %d times, sound %d", all, waited, silent.hits.Load(), sound.hits.Load())
			}
		})
	}
}

// inVain asks n times at once and counts those who were told that nobody answered.
func inVain(t *testing.T, n int, verb string) int64 {
	var waited atomic.Int64
	var group sync.WaitGroup
	for range n {
		group.Go(func() {
			switch a, err := send(request(verb, front, "x")); {
			case err != nil:
				t.Error(err)
			case a.code == 504:
				waited.Add(1)
			case a.code != 200:
				t.Errorf("got %d", a.code)
			}
		})
	}
	group.Wait()
	return waited.Load()
}
