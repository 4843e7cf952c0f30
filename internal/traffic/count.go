package traffic

import (
	"time"

	"github.com/serverplane/serverplane/internal/plane"
)

// minuteOf is a minute of one backend; no backend is the entry itself.
type minuteOf struct {
	backend string
	begun   time.Time
}

// counter adds requests up, minute by minute.
type counter struct {
	backends map[string]string // by address, of either slot
	now      time.Time
	minutes  map[minuteOf]plane.Served
	first    time.Time // the earliest request
	unread   int       // lines that are none of ours
}

func newCounter(backends map[string]string, now time.Time) *counter {
	return &counter{backends: backends, now: now, minutes: map[minuteOf]plane.Served{}}
}

// count takes in one line.
func (c *counter) count(line string) {
	r, ok := parse(line)
	if !ok {
		c.unread++
		return
	}
	if r.at.After(c.now) {
		r.at = c.now // the server's clock may be seconds ahead of ours
	}
	if c.first.IsZero() || r.at.Before(c.first) {
		c.first = r.at
	}
	c.add(r)
}

// add counts the request for the backend it was last asked of, whose answer or
// failure the visitor got, and every other try as passed on. What a backend
// refused was not carried out: where nobody is left to ask, it is the entry that
// answers with an error of its own. A backend that is gone has no figures.
func (c *counter) add(r request) {
	last := len(r.tries) - 1
	served := last >= 0 && !refusedByAll(r)
	for i, t := range r.tries {
		if i < last || !served {
			c.put(r, t, plane.Served{PassedOn: 1})
		}
	}
	one := plane.Served{Requests: 1}
	if r.status >= 500 {
		one.Errors = 1
	}
	if !served {
		c.merge("", r.at, one)
		return
	}
	if t := r.tries[last]; t.answered && t.status != 101 { // a WebSocket's answer says nothing of the app's work
		one.Latency = one.Latency.Add(t.took)
	}
	c.put(r, r.tries[last], one)
}

// put counts for the backend at a try's address.
func (c *counter) put(r request, t try, s plane.Served) {
	if id := c.backends[t.address]; id != "" {
		c.merge(id, r.at, s)
	} else if s.Requests > 0 && !isAddress(t.address) {
		c.merge("", r.at, plane.Served{Requests: s.Requests, Errors: s.Errors}) // nobody in the upstream could be asked
	}
}

// refusedByAll tells a refusal that nobody was left to take from an app's own
// 429: that one would have reached the visitor (nginx, package comment).
func refusedByAll(r request) bool {
	return (r.status == 502 || r.status == 503) && r.tries[len(r.tries)-1].status == 429
}

// isAddress tells an address from the name of an upstream, which holds no colon.
func isAddress(s string) bool {
	for _, b := range []byte(s) {
		if b == ':' {
			return true
		}
	}
	return false
}

func (c *counter) merge(backend string, at time.Time, s plane.Served) {
	of := minuteOf{backend, plane.Minute(at)}
	c.minutes[of] = c.minutes[of].Merge(s)
}
