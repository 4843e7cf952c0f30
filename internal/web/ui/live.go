package ui

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"sync"
	"time"

	"github.com/serverplane/serverplane/internal/auth"
	"github.com/serverplane/serverplane/internal/control"
	"github.com/serverplane/serverplane/internal/plane"
)

const (
	slowTick    = 2 * time.Second // another panel's hints do not come here
	merging     = 150 * time.Millisecond
	keepAlive   = 15 * time.Second
	writeTime   = 15 * time.Second // for a browser to take what is sent
	openStreams = 24               // of one session: as many tabs
)

// live is what keeps a page fresh without reloading it: the page's own
// templates whose names begin with live-, rendered anew and sent when they have
// changed. Each of those renders one element whose id is the template's name.
type live struct {
	permission auth.Permission
	file       string // the page's template
	topics     func(of string) []string
	load       func(v *visit, of string) (view, error) // the same as the page's handler uses
	// tail, where the page has a log: what came after seen, rendered by the
	// template "tail" and put at the end of the element with the id "log".
	tail func(v *visit, of string, seen int64) (lines any, last int64, err error)
}

// liveParts declares, by the name used in a stream's address, which pages have
// parts that stay fresh.
func (u *UI) liveParts() map[string]live {
	always := func(topics ...string) func(string) []string { return func(string) []string { return topics } }
	return map[string]live{
		"overview": {auth.AppRead, "overview.html", always(control.TopicQueue, topicHealth), u.loadOverview, nil},
		"runs":     {auth.RunRead, "runs.html", always(control.TopicQueue), u.loadRuns, nil},
		"run": {auth.RunRead, "run.html", func(id string) []string { return []string{control.TopicRun(id), control.TopicQueue} },
			u.loadRun, u.tailRun},
		"apps":        {auth.AppRead, "apps.html", always(control.TopicQueue), u.loadApps, nil},
		"app":         {auth.AppRead, "app.html", always(control.TopicQueue, topicHealth), u.loadApp, nil},
		"deployments": {auth.DeploymentRead, "deployments.html", always(control.TopicQueue), u.loadDeployments, nil},
		"deployment": {auth.DeploymentRead, "deployment.html", func(of string) []string { return readDeploymentOf(of).topics() },
			u.loadDeployment, u.tailDeployment},
		"processes":     {auth.ProcessRead, "processes.html", always(control.TopicQueue, topicProcesses), u.loadProcesses, nil},
		"servers":       {auth.ServerRead, "servers.html", always(control.TopicQueue), u.loadServers, nil},
		"server":        {auth.ServerRead, "server.html", always(control.TopicQueue), u.loadServer, nil},
		"load-balancer": {auth.BalancerRead, "load-balancer.html", always(control.TopicQueue, topicHealth, control.TopicServed), u.loadBalancer, nil},
		"backend":       {auth.BalancerRead, "backend.html", always(control.TopicQueue, topicHealth, control.TopicServed), u.loadBackend, nil},
		"database":      {auth.DatabaseRead, "database.html", always(control.TopicQueue), u.loadDatabases, nil},
		"logs":          {auth.LogRead, "logs.html", always(control.TopicQueue), u.loadLogs, nil},
	}
}

// topicHealth is the hint that some backend's health was recorded.
const topicHealth = "health"

// streamOf is the address of a page's stream; seen is the last line of its log
// that the page shows.
func streamOf(page, of string, seen int64) string {
	q := url.Values{"page": {page}, "of": {of}}
	if seen > 0 {
		q.Set("seen", strconv.FormatInt(seen, 10))
	}
	return "/live?" + q.Encode()
}

// live answers a page's stream (server-sent events) until the browser goes, the
// panel stops or the session ends. A browser that comes back says what it saw.
func (u *UI) live(v *visit) error {
	kind, known := u.lives[v.query("page")]
	if !known {
		return plane.NotFound("stream", v.query("page"))
	}
	if err := may(v.actor, kind.permission); err != nil {
		return err
	}
	if !u.streams.take(v.secret) {
		return plane.Unavailable("too many pages are open in this browser", "close some of them")
	}
	defer u.streams.give(v.secret)
	hint, stop := u.hints.Subscribe(kind.topics(v.query("of"))...) // before the first look: no change falls between
	defer stop()
	s := newStreaming(u, v, kind)
	if v.query("page") == "logs" {
		var err error
		if s.tap, err = u.tapLogs(v, s.of); err != nil {
			return err
		}
		defer s.tap.close()
	}
	first, err := s.look()
	if err != nil {
		return err
	}
	return s.follow(first, hint)
}

// streaming is one open stream.
type streaming struct {
	u      *UI
	v      *visit
	kind   live
	of     string
	seen   int64
	sent   map[string][sha256.Size]byte // by template, what the browser has
	answer *http.ResponseController
	spoke  time.Time
	tap    *tap // of a page that shows a server's log, or nil
}

// tapped is a page that shows how its tap stands.
type tapped interface{ tapped(now tapState) }

func newStreaming(u *UI, v *visit, kind live) *streaming {
	seen, err := strconv.ParseInt(v.r.Header.Get("Last-Event-ID"), 10, 64)
	if err != nil {
		seen, _ = strconv.ParseInt(v.query("seen"), 10, 64) // 0, the beginning, where it is no number
	}
	return &streaming{
		u: u, v: v, kind: kind, of: v.query("of"), seen: max(0, seen), sent: map[string][sha256.Size]byte{},
		answer: http.NewResponseController(v.w), spoke: time.Now(),
	}
}

// follow sends what look finds until there is nobody to send it to.
func (s *streaming) follow(first []byte, hint <-chan struct{}) error {
	h := s.v.w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("X-Accel-Buffering", "no") // a proxy in front must not collect it
	tick := time.NewTicker(slowTick)
	defer tick.Stop()
	for next := first; ; {
		if err := s.send(next); err != nil || !s.wait(hint, tick.C) {
			return nil //nolint:nilerr // the browser has gone, or the panel goes: nobody reads an answer
		}
		var err error
		if next, err = s.freshen(); err != nil {
			_ = s.send([]byte("event: reload\ndata: 1\n\n")) // the page itself will say what has become of it
			return nil
		}
	}
}

// wait returns after a hint, merged with those right behind it, or a tick; false
// when the stream is over.
func (s *streaming) wait(hint <-chan struct{}, tick <-chan time.Time) bool {
	select {
	case <-tick:
		return true
	case <-s.u.stopping:
		return false
	case <-s.v.ctx().Done():
		return false
	case <-s.dripped():
	case <-hint:
	}
	more := time.NewTimer(merging)
	defer more.Stop()
	select {
	case <-more.C:
		return true
	case <-s.u.stopping:
	case <-s.v.ctx().Done():
	}
	return false
}

// dripped tells of lines of the tap; never where there is none.
func (s *streaming) dripped() <-chan struct{} {
	if s.tap == nil {
		return nil
	}
	return s.tap.hint
}

// freshen is look, for somebody who may still look: a session that was ended and
// a role that was taken away end here, before anything more is read.
func (s *streaming) freshen() ([]byte, error) {
	actor, _, err := s.u.whose(s.v.ctx(), s.v.r)
	if err == nil {
		err = may(actor, s.kind.permission)
	}
	if err != nil {
		return nil, err
	}
	s.v.actor = actor
	out, err := s.look()
	if err != nil && !errors.Is(err, context.Canceled) && told(err) == nil {
		s.u.log.ErrorContext(s.v.ctx(), "keep a page fresh", "page", s.v.query("page"), "error", err)
	}
	return out, err
}

// look renders the page's live parts and returns, as messages, those the
// browser does not have.
func (s *streaming) look() ([]byte, error) {
	var out bytes.Buffer
	shown, err := s.kind.load(s.v, s.of)
	if err != nil {
		return nil, err
	}
	if page, ok := shown.(tapped); ok && s.tap != nil {
		page.tapped(s.tap.state())
	}
	for _, part := range s.u.pages.parts(s.kind.file) {
		if err := s.part(&out, part, shown); err != nil {
			return nil, err
		}
	}
	if err := s.tail(&out); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

func (s *streaming) part(out *bytes.Buffer, name string, shown view) error {
	var text bytes.Buffer
	if err := s.u.pages.render(&text, s.kind.file, name, shown); err != nil {
		return err
	}
	sum := sha256.Sum256(text.Bytes())
	if s.sent[name] == sum {
		return nil
	}
	s.sent[name] = sum
	message(out, 0, fmt.Sprintf(`<hx-partial hx-target="#%s" hx-swap="outerMorph">%s</hx-partial>`, name, text.Bytes()))
	return nil
}

func (s *streaming) tail(out *bytes.Buffer) error {
	if s.tap != nil {
		return s.pour(out)
	}
	if s.kind.tail == nil {
		return nil
	}
	lines, last, err := s.kind.tail(s.v, s.of, s.seen)
	if err != nil || last <= s.seen {
		return err
	}
	var text bytes.Buffer
	if err := s.u.pages.render(&text, s.kind.file, "tail", lines); err != nil {
		return err
	}
	s.seen = last
	message(out, last, fmt.Sprintf(`<hx-partial hx-target="#log" hx-swap="beforeend">%s</hx-partial>`, text.Bytes()))
	return nil
}

// pour is tail for a server's log, which no seq counts.
func (s *streaming) pour(out *bytes.Buffer) error {
	lines, replace := s.tap.take()
	if len(lines) == 0 {
		return nil
	}
	var text bytes.Buffer
	if err := s.u.pages.render(&text, s.kind.file, "tail", lines); err != nil {
		return err
	}
	swap := "beforeend"
	if replace {
		swap = "innerHTML"
	}
	message(out, 0, fmt.Sprintf(`<hx-partial hx-target="#log" hx-swap="%s">%s</hx-partial>`, swap, text.Bytes()))
	return nil
}

// message writes one event; an id above 0 is what the browser says it saw when
// it comes back.
func message(out *bytes.Buffer, id int64, text string) {
	if id > 0 {
		fmt.Fprintf(out, "id: %d\n", id)
	}
	for line := range bytes.SplitSeq([]byte(text), []byte("\n")) {
		fmt.Fprintf(out, "data: %s\n", line)
	}
	out.WriteString("\n")
}

func (s *streaming) send(messages []byte) error {
	if len(messages) == 0 {
		if time.Since(s.spoke) < keepAlive {
			return nil
		}
		messages = []byte(":\n\n")
	}
	s.spoke = time.Now()
	_ = s.answer.SetWriteDeadline(time.Now().Add(writeTime)) // where it cannot be set, the server's own limit holds
	if _, err := s.v.w.Write(messages); err != nil {
		return err
	}
	return s.answer.Flush()
}

// streams counts the open streams of each session.
type streams struct {
	mu   *sync.Mutex
	open map[string]int
}

func (s *streams) take(session string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.open[session] >= openStreams {
		return false
	}
	s.open[session]++
	return true
}

func (s *streams) give(session string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.open[session]--; s.open[session] <= 0 {
		delete(s.open, session)
	}
}
