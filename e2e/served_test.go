//go:build e2e

package e2e

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/serverplane/serverplane/client"
	"github.com/serverplane/serverplane/e2e/fleet"
	"github.com/serverplane/serverplane/e2e/lab"
)

// TestServed counts what visitors sent and got, by what the backends themselves
// say, and holds the panel's figures against it: to the request.
func TestServed(t *testing.T) {
	t.Parallel() // nothing here is held against the clock
	b := newBalanced(t, fleet.Spec{Name: "s1"}, fleet.Spec{Name: "s2"})
	b.join(t, "s2")
	k := &known{balanced: b, served: map[string]int{}, errors: map[string]int{}}
	k.quiet(t) // joining, enabling and health checks left nothing in the figures
	for _, story := range []struct {
		name string
		tell func(*testing.T)
	}{
		{"each request is counted for who served it", k.plainly},
		{"an app's error is counted for its backend", k.errs},
		{"answers name who gave them", k.named},
		{"what was refused is passed on and is no error", k.refuses},
		{"nothing is lost when logs are rotated", k.rotates},
		{"nothing is counted twice when the panel is killed", k.killed},
		{"an entry that cannot be read leaves the figures", k.away},
		{"a removed app leaves no log", k.gone},
	} {
		if !t.Run(story.name, story.tell) {
			t.Fatal("the rest builds on this")
		}
	}
}

// known is what visitors saw so far.
type known struct {
	*balanced
	served, errors map[string]int
	entry          int // answered by the entry itself
}

func (k *known) figures(t *testing.T) client.Served {
	t.Helper()
	s, err := k.api.Served(k.ctx, "web")
	must(t, err)
	return s
}

// counted waits until the figures are exactly what visitors saw.
func (k *known) counted(t *testing.T) client.Served {
	t.Helper()
	var s client.Served
	until(t, 45*time.Second, "the figures are what visitors saw", func() (bool, string) {
		s = k.figures(t)
		ok := s.State == "current" && s.Entry.Hour.Requests == k.entry && s.Entry.Day.Requests == k.entry
		text := fmt.Sprintf("%s %s, entry %d of %d", s.State, s.Reason, s.Entry.Hour.Requests, k.entry)
		for _, b := range s.Backends {
			h, d := b.Hour, b.Day
			ok = ok && h.Requests == k.served[b.Server] && d.Requests == h.Requests && h.Errors == k.errors[b.Server] && d.Errors == h.Errors
			text += fmt.Sprintf("; %s %d of %d with %d errors of %d", b.Server, h.Requests, k.served[b.Server], h.Errors, k.errors[b.Server])
		}
		return ok, text
	})
	if s.Gap != "" {
		t.Errorf("something was left out: %s", s.Gap)
	}
	return s
}

func (k *known) figure(s client.Served, server string) client.ServedFigures {
	for _, b := range s.Backends {
		if b.Server == server {
			return b.Hour
		}
	}
	return client.ServedFigures{}
}

// visit sends n requests and adds who served them.
func (k *known) visit(t *testing.T, n int) {
	t.Helper()
	c, err := lab.Spread(k.front(), n)
	must(t, err)
	for server, served := range c.Served {
		k.served[server] += served
	}
}

func (k *known) front() string { return k.balanced.entry("s1") }

// quiet sees several looks pass without any visitor, while backends are asked
// for their health every second.
func (k *known) quiet(t *testing.T) {
	t.Helper()
	k.cli(t, "lb", "set", "web", "--interval", "1s", "--timeout", "1s")
	var first time.Time
	until(t, time.Minute, "the log is read again and again", func() (bool, string) {
		s := k.figures(t)
		if s.ReadAt != nil && first.IsZero() {
			first = *s.ReadAt
		}
		return s.ReadAt != nil && s.ReadAt.Sub(first) > 15*time.Second, s.State + " " + s.Reason
	})
	k.counted(t)
}

func (k *known) plainly(t *testing.T) {
	k.visit(t, 101)
	crowd := k.crowd(t, 200)
	span(t, crowd, 2000)
	got := crowd.Stop()
	nothingLost(t, "200 requests a second", got)
	for server, n := range got.Served {
		k.served[server] += n
	}
	s := k.counted(t)
	for _, b := range s.Backends {
		if b.Hour.P50 == nil || b.Hour.P95 == nil || *b.Hour.P95 < *b.Hour.P50 || b.Hour.PerSecond <= 0 || b.Hour.Share < 0.4 || b.Hour.Share > 0.6 {
			t.Errorf("%s: %+v", b.Server, b.Hour)
		}
	}
	t.Logf("\n%s", k.cli(t, "lb", "traffic", "web"))
	h, err := k.api.BackendServed(k.ctx, "web", "s2", false)
	must(t, err)
	all := 0
	for _, p := range h.Pieces {
		all += p.Requests
	}
	if all != k.served["s2"] {
		t.Errorf("the minutes of s2 come to %d of %d", all, k.served["s2"])
	}
	// What a visitor wrote stays on the entry.
	get(t, k.front()+"secret-of-a-visitor%22%0a?token=hidden")
	k.served[k.unlike(t)]++
	k.counted(t)
	if line := k.ssh(t, "s1", "grep -c secret-of-a-visitor /var/log/nginx/sp-web.access.log; grep -c hidden /var/log/nginx/sp-web.access.log || true; stat -c %a /var/log/nginx/sp-web.access.log"); line != "1\n0\n640" {
		t.Errorf("lines with the path, lines with the query, mode: %q", line)
	}
}

// unlike is who served the last request, as its log says: it was no page that tells.
func (k *known) unlike(t *testing.T) string {
	t.Helper()
	var line string
	until(t, 30*time.Second, "the log is written", func() (bool, string) {
		line = k.ssh(t, "s1", "tail -n 1 /var/log/nginx/sp-web.access.log")
		return strings.Contains(line, "secret-of-a-visitor"), line
	})
	if strings.Contains(line, "127.0.0.1:") {
		return "s1"
	}
	return "s2"
}

func get(t *testing.T, url string) int {
	t.Helper()
	resp, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Get(url)
	must(t, err)
	defer resp.Body.Close()
	_, err = io.Copy(io.Discard, resp.Body)
	must(t, err)
	return resp.StatusCode
}

// errs has s2 answer 500 to everything.
func (k *known) errs(t *testing.T) {
	k.mood(t, "s2", "500")
	for range 40 {
		if get(t, k.front()) == 500 {
			k.served["s2"]++
			k.errors["s2"]++
		} else {
			k.served["s1"]++
		}
	}
	k.mood(t, "s2", "")
	if s := k.counted(t); k.errors["s2"] < 10 || k.figure(s, "s2").ErrorShare <= 0 {
		t.Errorf("%d errors: %+v", k.errors["s2"], s)
	}
}

// named asks who gave an answer, by its header and by what the app itself says.
func (k *known) named(t *testing.T) {
	k.cli(t, "lb", "set", "web", "--name-header")
	met := map[string]int{}
	for range 20 {
		resp, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Get(k.front())
		must(t, err)
		raw, err := io.ReadAll(resp.Body)
		must(t, errors.Join(err, resp.Body.Close()))
		name := resp.Header.Get("X-Served-By")
		if name == "" || !strings.Contains(string(raw), `"server":"`+name+`"`) {
			t.Errorf("%q is said to be by %q", raw, name)
		}
		k.served[name]++
		met[name]++
	}
	if len(met) != 2 {
		t.Errorf("met %v", met)
	}
	k.counted(t)
	k.cli(t, "lb", "set", "web", "--name-header=false")
}

// refuses stops the process of s2, then of both.
func (k *known) refuses(t *testing.T) {
	live := liveSlot(t, k.world)
	before := k.figure(k.figures(t), "s2").PassedOn
	k.ssh(t, "s2", "systemctl stop sp-web-"+live)
	k.visit(t, 40)
	if s := k.counted(t); k.figure(s, "s2").PassedOn <= before {
		t.Errorf("s2 refused nothing: %+v", s)
	}
	k.ssh(t, "s1", "systemctl stop sp-web-"+live)
	for range 5 {
		if code := get(t, k.front()); code != 502 {
			t.Errorf("with no process at all: %d", code)
		}
		k.entry++
	}
	if s := k.counted(t); s.Entry.Hour.Errors != k.entry {
		t.Errorf("the entry's own: %+v", s.Entry)
	}
	k.each(t, "systemctl start sp-web-"+live)
	for _, s := range []string{"s1", "s2"} {
		k.untilState(t, "web", s, "healthy", 30*time.Second)
	}
}

// rotates has Debian's own rule rename the logs in the middle of a crowd.
func (k *known) rotates(t *testing.T) {
	crowd := k.crowd(t, 100)
	for range 3 {
		span(t, crowd, 300)
		k.ssh(t, "s1", "logrotate -f /etc/logrotate.d/nginx")
		rotated := time.Now()
		span(t, crowd, 300)
		// Rotated twice between two looks would be a loss, and a look that ends soon may have begun before.
		k.readAnew(t, rotated.Add(5*time.Second))
	}
	got := crowd.Stop()
	nothingLost(t, "rotated logs", got)
	for server, n := range got.Served {
		k.served[server] += n
	}
	k.counted(t)
}

// readAnew waits until a look has ended after this moment.
func (k *known) readAnew(t *testing.T, from time.Time) {
	t.Helper()
	until(t, 45*time.Second, "the log is read again", func() (bool, string) {
		s := k.figures(t)
		return s.ReadAt != nil && s.ReadAt.After(from), s.State + " " + s.Reason
	})
}

// killed kills the panel at any moment, and has the logs rotated before its next life.
func (k *known) killed(t *testing.T) {
	crowd := k.crowd(t, 100)
	for range 3 {
		span(t, crowd, 700)
		must(t, k.panel.Kill())
		span(t, crowd, 100)
		k.ssh(t, "s1", "logrotate -f /etc/logrotate.d/nginx")
		span(t, crowd, 100)
		rotated := time.Now()
		must(t, k.panel.Start(k.ctx))
		k.readAnew(t, rotated)
	}
	got := crowd.Stop()
	nothingLost(t, "while the panel is killed", got)
	for server, n := range got.Served {
		k.served[server] += n
	}
	k.counted(t)
}

// away has the panel look at an entry whose log cannot be read.
func (k *known) away(t *testing.T) {
	k.ssh(t, "s1", "mv /usr/bin/python3 /usr/bin/python3.away")
	defer k.ssh(t, "s1", "mv /usr/bin/python3.away /usr/bin/python3")
	until(t, time.Minute, "the figures are told to be old", func() (bool, string) {
		s := k.figures(t)
		return s.State == "stale" && strings.HasPrefix(s.Reason, "s1: "), s.State + " " + s.Reason
	})
	s := k.figures(t)
	t.Logf("stale: %s", s.Reason)
	for _, b := range s.Backends {
		if b.Hour.Requests != k.served[b.Server] {
			t.Errorf("%s has %d of %d", b.Server, b.Hour.Requests, k.served[b.Server])
		}
	}
}

// gone takes the app away: its logs, rotated ones too, go with it.
func (k *known) gone(t *testing.T) {
	if logs := k.ssh(t, "s1", "ls /var/log/nginx/sp-web.access.log* | wc -l"); logs == "0" || logs == "1" {
		t.Errorf("%s logs before, too few to prove anything", logs)
	}
	k.cli(t, "lb", "disable", "web", "--remove-backends", "--wait")
	k.cli(t, "app", "remove", "web", "--yes", "--wait")
	if left := k.ssh(t, "s1", "ls /var/log/nginx | grep sp- || true"); left != "" {
		t.Errorf("left: %s", left)
	}
}
