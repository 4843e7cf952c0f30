package lab

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"
)

// Crowd is many visitors at once: GET and POST in turn, half of each over
// fresh connections, half over kept ones. It keeps what became of every
// request, and tells losses apart as ServerPlane's own definition does.
//
// Connections are the crowd's own and not those of Go's HTTP client, which
// repeats some requests on its own and does not tell.
type Crowd struct {
	Rate int          // requests a second in all; 50 if zero
	From []netip.Addr // where they come from, in turn; nil: as the machine chooses
	// Patience is how long a visitor waits for an answer; 15 s if zero.
	Patience time.Duration
}

// What bounds a crowd whatever happens to it.
const (
	crowdTime     = 10 * time.Minute
	crowdRequests = 400_000
	crowdInFlight = 3_000 // above it nothing is sent: counted as Held
)

// Fate is what became of one request.
type Fate string

// The fates. Only Lost is a loss that ServerPlane answers for.
const (
	// Served: the app answered under 500, and a body that was sent arrived whole.
	Served Fate = "served"
	// Failed: the app itself answered 5xx.
	Failed Fate = "failed"
	// Lost: a 5xx that the app did not give, no answer in time, or a connection error, on a kept connection after one repeat.
	Lost Fate = "lost"
	// Mangled: an answer that is not the app's, or that shows that the body did not arrive whole.
	Mangled Fate = "mangled"
)

// Event is one request.
type Event struct {
	Sent   time.Time
	Took   time.Duration
	Server string // that answered
	Fate   Fate
	Status int
	Post   bool
	Kept   bool // sent over a kept connection
	Closed bool // the kept connection turned out to be closed; this is the outcome of the repeat
	From   netip.Addr
	Why    string // of what was not served
}

// Gathering is a crowd at work.
type Gathering struct {
	cancel context.CancelFunc
	all    sync.WaitGroup
	mu     sync.Mutex
	events []Event
	held   int
	begun  time.Time
	ended  sync.Once
	lasted time.Duration
}

// Gather lets the crowd begin to ask for page, a plain http URL.
func (c Crowd) Gather(page string) (*Gathering, error) {
	target, err := url.Parse(page)
	if err != nil || target.Scheme != "http" {
		return nil, fmt.Errorf("a crowd asks http URLs, not %q: %w", page, err)
	}
	if c.Rate == 0 {
		c.Rate = 50
	}
	if c.Patience == 0 {
		c.Patience = 15 * time.Second
	}
	if len(c.From) == 0 {
		c.From = []netip.Addr{{}}
	}
	ctx, cancel := context.WithTimeout(context.Background(), crowdTime)
	g := &Gathering{cancel: cancel, begun: time.Now()}
	g.all.Go(func() { g.run(ctx, c, target) })
	return g, nil
}

// run sends what is due, whether or not earlier requests have been answered.
func (g *Gathering) run(ctx context.Context, c Crowd, target *url.URL) {
	visitors := make([]*visitor, len(c.From))
	for i, from := range c.From {
		visitors[i] = newVisitor(target, from, c.Patience)
	}
	defer func() {
		for _, v := range visitors {
			v.leave()
		}
	}()
	var answers sync.WaitGroup
	defer answers.Wait()
	places := make(chan struct{}, crowdInFlight)
	begin := time.Now()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for n := 0; n < crowdRequests; {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		for due := int(time.Since(begin).Seconds() * float64(c.Rate)); n < min(due, crowdRequests); n++ {
			select {
			case places <- struct{}{}:
				answers.Go(func() { g.note(visitors[n/4%len(visitors)].ask(n%2 == 1, n/2%2 == 1)); <-places })
			default:
				g.hold()
			}
		}
	}
}

func (g *Gathering) note(e Event) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.events = append(g.events, e)
}

func (g *Gathering) hold() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.held++
}

// Seen is the number of requests that have ended.
func (g *Gathering) Seen() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.events)
}

// SoFar tells what became of the requests that have ended.
func (g *Gathering) SoFar() Tally {
	g.mu.Lock()
	defer g.mu.Unlock()
	return tally(slices.Clone(g.events), g.held)
}

// Stop ends the crowd, waits for answers under way and tells all it saw; again, it only tells.
func (g *Gathering) Stop() Tally {
	g.ended.Do(func() { g.lasted = time.Since(g.begun) })
	g.cancel()
	g.all.Wait()
	return g.SoFar()
}

// Lasted is how long the crowd went on sending; to be asked after Stop.
func (g *Gathering) Lasted() time.Duration { return g.lasted }

// Tally is what a crowd saw, in numbers.
type Tally struct {
	Events []Event // in the order of their ends

	Sent, Lost, Failed, Mangled int
	Closed                      int            // kept connections that turned out to be closed; their requests were repeated once
	Held                        int            // requests that were never sent: too many were waiting
	Kept                        int            // requests sent over a kept connection
	Served                      map[string]int // by server
	First                       string         // the first loss, in words
	P50, P95, Max               time.Duration
}

func tally(events []Event, held int) Tally {
	t := Tally{Events: events, Sent: len(events), Held: held, Served: map[string]int{}}
	var took []time.Duration
	for _, e := range events {
		t.count(e)
		took = append(took, e.Took)
	}
	if len(took) > 0 {
		slices.Sort(took)
		t.P50, t.P95, t.Max = took[len(took)/2], took[len(took)*95/100], took[len(took)-1]
	}
	return t
}

func (t *Tally) count(e Event) {
	switch e.Fate {
	case Served:
		t.Served[e.Server]++
	case Failed:
		t.Failed++
	case Lost:
		t.Lost++
	case Mangled:
		t.Mangled++
	}
	if (e.Fate == Lost || e.Fate == Mangled) && t.First == "" {
		t.First = fmt.Sprintf("%s %s at %s after %s (kept %v): %s", e.Fate, verb(e.Post), e.Sent.Format("15:04:05.000"), e.Took.Round(time.Millisecond), e.Kept, e.Why)
	}
	if e.Kept {
		t.Kept++
	}
	if e.Closed {
		t.Closed++
	}
}

// Between is the tally of what was sent in a span of time.
func (t Tally) Between(from, to time.Time) Tally {
	var some []Event
	for _, e := range t.Events {
		if !e.Sent.Before(from) && e.Sent.Before(to) {
			some = append(some, e)
		}
	}
	return tally(some, 0)
}

// By is the tally of one visitor's address.
func (t Tally) By(from netip.Addr) Tally {
	var some []Event
	for _, e := range t.Events {
		if e.From == from {
			some = append(some, e)
		}
	}
	return tally(some, 0)
}

// String is the tally in a line.
func (t Tally) String() string {
	var servers []string
	for name, n := range t.Served {
		servers = append(servers, fmt.Sprintf("%s %d", name, n))
	}
	slices.Sort(servers)
	return fmt.Sprintf("%d sent, %d lost, %d mangled, %d failed by the app, %d kept connections closed and repeated, %d held back; served: %s; p50 %s, p95 %s, longest %s",
		t.Sent, t.Lost, t.Mangled, t.Failed, t.Closed, t.Held, strings.Join(servers, ", "),
		t.P50.Round(100*time.Microsecond), t.P95.Round(100*time.Microsecond), t.Max.Round(time.Millisecond))
}

// errClosed is what asking over a kept connection gives that was closed before
// any of the answer came.
var errClosed = errors.New("the kept connection was closed")
