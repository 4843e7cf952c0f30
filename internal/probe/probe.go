// Package probe asks one HTTP question from a server's own place in the
// network and says in words what came back. What the panel's own side could
// not do is never blamed on the one that was asked.
package probe

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/serverplane/serverplane/internal/plane"
	"github.com/serverplane/serverplane/internal/remote"
)

// Dialer opens connections from a server's place in the network, and runs
// commands there.
type Dialer interface {
	Dial(ctx context.Context, t remote.Target, addr string) (net.Conn, error)
	Check(ctx context.Context, t remote.Target) error
	Stream(ctx context.Context, t remote.Target, cmd remote.Command, line func(string)) (remote.Result, error)
}

// Question is what is asked, and from where.
type Question struct {
	From     remote.Target // whose place in the network
	FromName string        // its name, for the vantage
	Address  string        // host:port that is asked
	Host     string        // the app's domain or address
	Path     string        // with its leading slash
	Visitor  string        // what X-Forwarded-For says, as the entry would
	Timeout  time.Duration // for everything, connecting included
}

// Prober asks questions. It remembers only which servers forbid forwarding, and
// asks by curl there.
type Prober struct {
	dialer   Dialer
	now      func() time.Time
	couriers *couriers
}

// New returns a Prober that dials through d.
func New(d Dialer, now func() time.Time) *Prober {
	return &Prober{dialer: d, now: now, couriers: newCouriers()}
}

// userAgent names ServerPlane's own requests, so that they can be left out of figures.
const userAgent = "ServerPlane-Health/1"

// Ask asks and judges the answer by the founding document's rules.
func (p *Prober) Ask(ctx context.Context, q Question) plane.Probe {
	if p.couriers.serve(q.From, p.now()) {
		return p.byCurl(ctx, q)
	}
	begin := p.now()
	status, err := p.get(ctx, q)
	if remote.Forbidden(err) {
		p.couriers.forbid(q.From, p.now().Add(forbiddenIs))
		return p.byCurl(ctx, q)
	}
	result := plane.Probe{At: begin.UTC(), Vantage: q.FromName + ", forwarded over SSH", Latency: p.now().Sub(begin)}
	if err != nil {
		result.Verdict, result.Answer, result.Reason = p.explain(q, err)
		return result
	}
	result.Answer = fmt.Sprintf("HTTP %d", status)
	result.Verdict, result.Reason = plane.Judge(status, q.Path)
	return result
}

// get speaks HTTP on the dialled connection itself: net/http's own transport
// would at the end of its time say only that, not what the dialer knows of
// whose silence it was, and it logs what speaks without being asked.
func (p *Prober) get(ctx context.Context, q Question) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, q.Timeout)
	defer cancel()
	req, err := request(ctx, q)
	if err != nil {
		return 0, err
	}
	conn, err := p.dialer.Dial(ctx, q.From, q.Address)
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	answers := make(chan answer, 1)
	go func() {
		status, err := exchange(conn, req)
		answers <- answer{status, err}
	}()
	select {
	case a := <-answers:
		return a.status, a.err
	case <-ctx.Done():
		// Closing a forwarded connection does not wake who reads from it: on a link that is half open that
		// takes until the link itself is given up, long after the question's time.
		return 0, ctx.Err()
	}
}

// answer is how an exchange ended.
type answer struct {
	status int
	err    error
}

// errQuestion is a question that cannot be put into words: nobody's failure.
var errQuestion = errors.New("this cannot be asked")

func request(ctx context.Context, q Question) (*http.Request, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+q.Address+q.Path, nil)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errQuestion, err)
	}
	req.Host, req.Close = q.Host, true
	req.Header.Set("User-Agent", userAgent)
	req.Header.Set("X-Forwarded-For", q.Visitor)
	req.Header.Set("X-Forwarded-Proto", "http")
	req.Header.Set("X-Forwarded-Host", q.Host)
	return req, nil
}

// maxHead bounds what is read of an answer; its body is not.
const maxHead = 256 << 10

// exchange returns the status of the first answer that is not an interim one
// (RFC 9110 15.2). A redirect is an answer and is not followed.
func exchange(conn net.Conn, req *http.Request) (int, error) {
	if err := req.Write(conn); err != nil {
		return 0, err
	}
	from := bufio.NewReader(io.LimitReader(conn, maxHead))
	for {
		resp, err := http.ReadResponse(from, req) //nolint:bodyclose // the body is not read; the caller closes the connection
		if err != nil {
			return 0, err
		}
		if resp.StatusCode >= 200 || resp.StatusCode == http.StatusSwitchingProtocols {
			return resp.StatusCode, nil
		}
	}
}

// explain says whose failure an error is. The server we look from is asked for
// a sign of life before silence is taken for the other's.
func (p *Prober) explain(q Question, err error) (plane.Verdict, string, string) {
	switch remote.KindOf(err) {
	case remote.KindTarget:
		return plane.Fail, cause(err), inWords(q, cause(err))
	case remote.KindVantage, remote.KindLost, remote.KindUnreachable, remote.KindAuth, remote.KindHostKey:
		return plane.Blind, cause(err), "the panel cannot look from " + q.FromName + ": " + cause(err)
	}
	if errors.Is(err, errQuestion) {
		return plane.Blind, err.Error(), "the panel cannot ask: " + err.Error()
	}
	if errors.Is(err, context.Canceled) {
		return plane.Blind, "not asked to the end", "the panel stopped looking"
	}
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
	defer cancel()
	if dead := p.dialer.Check(ctx, q.From); dead != nil {
		return plane.Blind, cause(dead), "the panel lost sight of " + q.FromName + " while it looked"
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return plane.Fail, "no answer", neverAnswered(q)
	}
	if strings.Contains(err.Error(), "malformed HTTP") {
		return plane.Fail, "not HTTP", notHTTP
	}
	return plane.Fail, err.Error(), hungUp
}

const (
	notHTTP = "answered something that is not HTTP"
	hungUp  = "closed the connection without an answer"
)

func neverAnswered(q Question) string {
	return fmt.Sprintf("accepted the connection but did not answer within %s", q.Timeout)
}

// cause is the innermost text: what the server itself said.
func cause(err error) string {
	if e, ok := errors.AsType[*remote.Error](err); ok && e.Err != nil {
		return e.Err.Error()
	}
	return err.Error()
}

func inWords(q Question, said string) string {
	switch {
	case strings.Contains(said, "refused"):
		return "refused the connection: nothing listens on " + q.Address + "; is Nginx running there?"
	case strings.Contains(said, "o route to host"), strings.Contains(said, "unreachable"):
		return "there is no way from " + q.FromName + " to " + q.Address
	case strings.Contains(said, "deadline"), strings.Contains(said, "timed out"):
		return fmt.Sprintf("did not accept a connection within %s; is a firewall dropping it?", q.Timeout)
	}
	return "could not be reached: " + said
}
