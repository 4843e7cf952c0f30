package nginx_test

import (
	"fmt"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/serverplane/serverplane/internal/nginx"
)

// visitors ask without a pause over kept connections, GET and POST in turn, and never repeat.
type visitors struct {
	t       *testing.T
	wanted  atomic.Pointer[string] // prefix every answer to a request begun from now on must have
	told    []atomic.Int64         // per visitor: the round in which it was last told to close
	round   atomic.Int64
	total   atomic.Int64
	failure atomic.Value
	stop    chan struct{}
	group   sync.WaitGroup
}

func visit(t *testing.T, n int, expect string) *visitors {
	v := &visitors{t: t, told: make([]atomic.Int64, n), stop: make(chan struct{})}
	v.expect(expect)
	for i := range n {
		v.group.Go(func() { v.one(i) })
	}
	return v
}

// expect is in force for the requests that begin and end before the next: to expect the same again is another expectation.
func (v *visitors) expect(prefix string) { v.wanted.Store(&prefix) }

func (v *visitors) one(i int) {
	kept := &http.Transport{}
	defer kept.CloseIdleConnections()
	for n := i; ; n++ {
		select {
		case <-v.stop:
			return
		default:
		}
		round := v.round.Load()
		want := v.wanted.Load()
		a, err := over(kept, request([]string{"GET", "POST"}[n%2], front, "x"))
		if err != nil || a.code != 200 || !strings.HasPrefix(a.body, *want) && v.wanted.Load() == want {
			v.failure.CompareAndSwap(nil, fmt.Sprintf("want %s, got %d %q, %v", *want, a.code, a.body, err))
		}
		if a.close {
			v.told[i].Store(round)
		}
		v.total.Add(1)
	}
}

// await returns once done says so; the test fails when it takes too long.
func (v *visitors) await(what string, done func() bool) {
	v.t.Helper()
	for limit := time.Now().Add(patient); !done(); time.Sleep(time.Millisecond) {
		if time.Now().After(limit) {
			v.t.Fatalf("waiting for %s", what)
		}
	}
}

// more lets n further requests happen.
func (v *visitors) more(n int64) {
	v.t.Helper()
	goal := v.total.Load() + n
	v.await("requests", func() bool { return v.total.Load() >= goal })
}

// leave ends the visit and fails the test if anything was lost.
func (v *visitors) leave() {
	v.t.Helper()
	close(v.stop)
	v.group.Wait()
	if f := v.failure.Load(); f != nil {
		v.t.Errorf("of %d requests at least one was lost: %v", v.total.Load(), f)
	}
}

func TestSwitchingUnderLoadLosesNothing(t *testing.T) {
	start(t, fleet(2, nginx.RoundRobin))
	for _, at := range []string{"127.0.0.11", "127.0.0.12"} {
		serve(t, "old", at+":20001", nil)
		serve(t, "new", at+":20002", nil)
	}
	v := visit(t, 6, "old")
	for range 10 {
		v.more(20)
		v.expect("") // either will do while it happens
		touch(t, live+"web0.b")
		v.expect("new")
		v.more(20)
		v.expect("")
		os.Remove(live + "web0.b")
		v.expect("old")
	}
	v.leave()
}

// TestAnAnnouncementNeverShowsTheOtherSlot lets announcements begin and end under load where slot b is live.
func TestAnAnnouncementNeverShowsTheOtherSlot(t *testing.T) {
	start(t, fleet(2, nginx.RoundRobin))
	for _, at := range []string{"127.0.0.11", "127.0.0.12"} {
		serve(t, "other", at+":20001", nil)
		serve(t, "app", at+":20002", nil)
	}
	touch(t, live+"web0.b")
	v := visit(t, 6, "app")
	for range 300 {
		announce(t)
		v.more(2)
		touch(t, live+"file")
		if err := os.Rename(live+"file", live+"web0.b"); err != nil {
			t.Fatal(err)
		}
		v.more(2)
	}
	v.leave()
}

func TestAnAnnouncedReloadUnderLoadLosesNothing(t *testing.T) {
	tree := fleet(2, nginx.RoundRobin)
	m := start(t, tree)
	serve(t, "app", "127.0.0.11:20001", nil)
	serve(t, "app", "127.0.0.12:20001", nil)
	v := visit(t, 6, "app")
	for i := range 5 {
		v.more(60)
		announce(t)
		round := v.round.Add(1)
		v.await("every visitor to be told", func() bool {
			for c := range v.told {
				if v.told[c].Load() != round {
					return false
				}
			}
			return true
		})
		tree.Sites[0].Entry.Backends[0].Weight = 2 + i
		m.reload(tree)
		os.Remove(live + "web0.b")
	}
	v.leave()
}
