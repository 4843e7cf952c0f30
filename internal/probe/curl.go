package probe

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/serverplane/serverplane/internal/plane"
	"github.com/serverplane/serverplane/internal/remote"
)

// Where a server's sshd forbids forwarding, curl asks in our place, on that
// server. Questions for one server that come close together travel in one call,
// since only a few commands may run there at once.
const (
	gather      = 250 * time.Millisecond
	batchMost   = 200             // curl makes them all at once
	curlSlack   = 5 * time.Second // for starting curl and bringing the answers home
	forbiddenIs = 5 * time.Minute // believed; then forwarding is tried again
)

// couriers are the servers where curl asks, and what waits to be asked there.
type couriers struct {
	mu        sync.Mutex
	forbidden map[remote.Target]time.Time // until then
	waiting   map[remote.Target]*batch
}

// batch is one call of curl; it is given up when nobody waits for it any more.
type batch struct {
	ctx     context.Context
	giveUp  context.CancelFunc
	waiters int
	errands []*errand
}

// errand is one question of a batch.
type errand struct {
	question Question
	answer   chan plane.Probe // takes one without waiting
}

func newCouriers() *couriers {
	return &couriers{forbidden: map[remote.Target]time.Time{}, waiting: map[remote.Target]*batch{}}
}

func (c *couriers) forbid(t remote.Target, until time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.forbidden[t] = until
}

func (c *couriers) serve(t remote.Target, now time.Time) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	until, known := c.forbidden[t]
	if known && !now.Before(until) {
		delete(c.forbidden, t)
	}
	return known && now.Before(until)
}

// byCurl asks with the next call of curl on that server.
func (p *Prober) byCurl(ctx context.Context, q Question) plane.Probe {
	e := &errand{question: q, answer: make(chan plane.Probe, 1)}
	b := p.join(e)
	defer p.leave(b)
	select {
	case got := <-e.answer:
		return got
	case <-ctx.Done():
		return p.unseen(q, "not asked to the end", "the panel stopped looking")
	}
}

// join puts the errand into the batch that waits, or begins one.
func (p *Prober) join(e *errand) *batch {
	c, from := p.couriers, e.question.From
	c.mu.Lock()
	defer c.mu.Unlock()
	b := c.waiting[from]
	if b == nil || len(b.errands) == batchMost {
		b = &batch{}
		b.ctx, b.giveUp = context.WithCancel(context.Background())
		c.waiting[from] = b
		time.AfterFunc(gather, func() { p.send(from, b) })
	}
	b.waiters++
	b.errands = append(b.errands, e)
	return b
}

func (p *Prober) leave(b *batch) {
	p.couriers.mu.Lock()
	defer p.couriers.mu.Unlock()
	if b.waiters--; b.waiters == 0 {
		b.giveUp()
	}
}

// send closes the batch to others and carries it out. Every errand is answered.
func (p *Prober) send(from remote.Target, b *batch) {
	c := p.couriers
	c.mu.Lock()
	if c.waiting[from] == b {
		delete(c.waiting, from)
	}
	c.mu.Unlock()
	begun := p.now().UTC()
	call := newCall(b.errands)
	for i, err := range call.bad {
		p.reply(b.errands[i], p.unseen(b.errands[i].question, err.Error(), "the panel cannot ask this by curl: "+err.Error()))
	}
	ctx, cancel := context.WithTimeout(b.ctx, call.longest+curlSlack)
	defer cancel()
	cmd := remote.Command{Args: curlArgs(), Stdin: strings.NewReader(call.config)}
	result, err := p.dialer.Stream(ctx, from, cmd, func(line string) {
		if r, ok := call.read(line); ok {
			e := b.errands[r.index]
			p.reply(e, r.probe(e.question, begun, call))
		}
	})
	said := noAnswer(result, err)
	for _, e := range b.errands {
		p.reply(e, p.unseen(e.question, said, "the panel cannot look from "+e.question.FromName+": "+said))
	}
}

// reply answers an errand; the first answer counts.
func (p *Prober) reply(e *errand, got plane.Probe) {
	select {
	case e.answer <- got:
	default:
	}
}

func (p *Prober) unseen(q Question, answer, reason string) plane.Probe {
	return plane.Probe{At: p.now().UTC(), Verdict: plane.Blind, Vantage: vantageByCurl(q), Answer: answer, Reason: reason}
}

func vantageByCurl(q Question) string { return q.FromName + ", by curl" }

// noAnswer says why a call brought no answer to some question.
func noAnswer(r remote.Result, err error) string {
	switch {
	case err != nil:
		return cause(err)
	case r.Exit == 127:
		return "curl is not installed there"
	}
	lines := strings.Split(strings.TrimSpace(string(r.Stderr)), "\n")
	return fmt.Sprintf("curl gave no answer (exit status %d): %s", r.Exit, lines[len(lines)-1])
}

// curlArgs are the same for every call: what is asked comes by standard input,
// so that nothing of it is in a list of processes or read by a shell. -q leaves
// out a file of settings, and -v is where curl tells why it could not connect.
func curlArgs() []string {
	return []string{"curl", "-q", "-sS", "-v", "--parallel", "--parallel-immediate", "--parallel-max", strconv.Itoa(batchMost), "-K", "-"}
}

// call is one config for curl and what is read of its output.
type call struct {
	mark    string // begins our own lines; not to be guessed by whoever is asked
	config  string
	bad     map[int]error
	longest time.Duration
	causes  map[string]string // by address, or address and port: why it could not be connected to
}

func newCall(errands []*errand) *call {
	c := &call{mark: rand.Text(), bad: map[int]error{}, causes: map[string]string{}}
	var parts []string
	for i, e := range errands {
		part, err := curlConfig(c.mark, i, e.question)
		if err != nil {
			c.bad[i] = err
			continue
		}
		parts = append(parts, part)
		c.longest = max(c.longest, e.question.Timeout)
	}
	c.config = strings.Join(parts, "next\n")
	return c
}

// wordPattern is what may stand between quotes in curl's config: no blank,
// quote, backslash or percent sign with a meaning of its own there. Percent is
// one only in write-out, which holds nothing of a question.
var wordPattern = regexp.MustCompile(`^[A-Za-z0-9._~!$&()*+,;=:@%/?\[\]-]+$`)

// curlConfig is one question as curl's config has it: the same request as over
// a forwarded connection, the head of its answer and nothing more (head with
// request GET), no redirects, no proxies, no other protocol.
func curlConfig(mark string, index int, q Question) (string, error) {
	if _, err := netip.ParseAddrPort(q.Address); err != nil {
		return "", errors.New("the address is not one")
	}
	u, err := url.Parse("http://" + q.Address + q.Path)
	if err != nil || !strings.HasPrefix(q.Path, "/") {
		return "", errors.New("the path is not one")
	}
	where := "http://" + q.Address + u.RequestURI()
	for _, word := range []string{where, q.Host, q.Visitor} {
		if !wordPattern.MatchString(word) {
			return "", fmt.Errorf("%q holds what is not allowed", word)
		}
	}
	limit := strconv.FormatFloat(q.Timeout.Seconds(), 'f', 3, 64)
	lines := []string{
		`url = "` + where + `"`, `request = "GET"`, "head", "globoff", "path-as-is", "http1.1", `proto = "=http"`, `noproxy = "*"`,
		`max-time = ` + limit, `output = "/dev/null"`, `user-agent = "` + userAgent + `"`,
		`header = "Host: ` + q.Host + `"`, `header = "Accept:"`, `header = "Connection: close"`,
		`header = "X-Forwarded-For: ` + q.Visitor + `"`, `header = "X-Forwarded-Proto: http"`, `header = "X-Forwarded-Host: ` + q.Host + `"`,
		fmt.Sprintf(`write-out = "%%{stderr}%s %d %%{exitcode} %%{http_code} %%{time_connect} %%{time_total} %%{errormsg}\n"`, mark, index),
	}
	return strings.Join(lines, "\n") + "\n", nil
}

// causePattern is how curl tells why a connection failed.
var causePattern = regexp.MustCompile(`^\* +(?:connect to (\S+) port (\d+) (?:from \S+ port \d+ )?failed|Immediate connect fail for (\S+)): (.+)$`)

// answered is curl's own account of one question.
type answered struct {
	index, exit, status int
	connected           bool
	took                time.Duration
	said                string
}

// read takes in one line of output; it may be the account of one question.
func (c *call) read(line string) (answered, bool) {
	if m := causePattern.FindStringSubmatch(line); m != nil {
		if m[3] != "" {
			c.causes[m[3]] = m[4]
		} else {
			c.causes[m[1]+" "+m[2]] = m[4]
		}
		return answered{}, false
	}
	rest, ours := strings.CutPrefix(line, c.mark+" ")
	fields := strings.SplitN(rest, " ", 6)
	if !ours || len(fields) < 6 {
		return answered{}, false
	}
	var numbers [5]float64
	for i := range numbers {
		n, err := strconv.ParseFloat(fields[i], 64)
		if err != nil {
			return answered{}, false
		}
		numbers[i] = n
	}
	return answered{
		index: int(numbers[0]), exit: int(numbers[1]), status: int(numbers[2]), connected: numbers[3] > 0,
		took: time.Duration(numbers[4] * float64(time.Second)), said: fields[5],
	}, true
}

// curl's exit statuses that are about whom it asked (its manual, "EXIT CODES").
const (
	curlProtocol, curlConnect, curlWeird, curlPartial         = 1, 7, 8, 18
	curlTimeout, curlNothing, curlSend, curlReceive, curlFine = 28, 52, 55, 56, 0
)

// probe judges an account as the same thing seen over a forwarded connection.
func (a answered) probe(q Question, at time.Time, c *call) plane.Probe {
	p := plane.Probe{At: at, Vantage: vantageByCurl(q), Latency: a.took}
	switch {
	case a.exit == curlFine && a.status > 0:
		p.Answer = fmt.Sprintf("HTTP %d", a.status)
		p.Verdict, p.Reason = plane.Judge(a.status, q.Path)
	case a.exit == curlConnect:
		p.Answer = c.why(q.Address, a.said)
		p.Verdict, p.Reason = plane.Fail, inWords(q, p.Answer)
		if ownFailure(p.Answer) {
			p.Verdict, p.Reason = plane.Blind, "the panel cannot look from "+q.FromName+": "+p.Answer
		}
	case a.exit == curlTimeout && a.connected:
		p.Verdict, p.Answer, p.Reason = plane.Fail, "no answer", neverAnswered(q)
	case a.exit == curlTimeout:
		p.Verdict, p.Answer, p.Reason = plane.Fail, "no answer", inWords(q, "timed out")
	case a.exit == curlWeird, a.exit == curlProtocol && strings.Contains(a.said, "HTTP/0.9"):
		p.Verdict, p.Answer, p.Reason = plane.Fail, "not HTTP", notHTTP
	case slices.Contains([]int{curlNothing, curlSend, curlReceive, curlPartial}, a.exit):
		p.Verdict, p.Answer, p.Reason = plane.Fail, a.said, hungUp
	default:
		p.Verdict, p.Answer = plane.Blind, fmt.Sprintf("curl: (%d) %s", a.exit, a.said)
		p.Reason = "the panel cannot look from " + q.FromName + ": " + p.Answer
	}
	return p
}

// why is what the kernel said of an address that could not be connected to.
func (c *call) why(address, said string) string {
	at, err := netip.ParseAddrPort(address)
	if err != nil {
		return said
	}
	for _, key := range []string{fmt.Sprintf("%s %d", at.Addr(), at.Port()), at.Addr().String()} {
		if told := c.causes[key]; told != "" {
			return told
		}
	}
	return said
}

// ownFailure tells what the server curl runs on could not do.
func ownFailure(said string) bool {
	return slices.ContainsFunc([]string{"Too many open files", "assign requested address", "Cannot allocate", "No buffer space"},
		func(s string) bool { return strings.Contains(said, s) })
}
