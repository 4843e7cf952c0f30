package probe_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/serverplane/serverplane/internal/plane"
	"github.com/serverplane/serverplane/internal/probe"
	"github.com/serverplane/serverplane/internal/remote"
)

// vantage dials like a held SSH connection does: for real, with the errors of
// remote. refuse and dead make it fail.
type vantage struct {
	refuse error // of Dial
	dead   error // of Check
}

func (v vantage) Dial(ctx context.Context, t remote.Target, addr string) (net.Conn, error) {
	if v.refuse != nil {
		return nil, v.refuse
	}
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, told(remote.KindTarget, t, innermost(err))
	}
	return conn, nil
}

func (v vantage) Check(context.Context, remote.Target) error { return v.dead }

func (v vantage) Stream(context.Context, remote.Target, remote.Command, func(string)) (remote.Result, error) {
	return remote.Result{}, errors.New("no command is run here")
}

func told(kind remote.Kind, t remote.Target, said string) error {
	return &remote.Error{Kind: kind, Target: t.Address, Op: "dialling", Err: errors.New(said)}
}

// innermost is sshd's form of a refusal: the text of the errno alone.
func innermost(err error) string {
	for errors.Unwrap(err) != nil {
		err = errors.Unwrap(err)
	}
	return err.Error()
}

func question(addr, path string) probe.Question {
	return probe.Question{
		From: remote.Target{Address: "203.0.113.1"}, FromName: "s1", Address: addr, Host: "www.example.com", Path: path,
		Visitor: "203.0.113.1", Timeout: time.Minute,
	}
}

func ask(t *testing.T, v vantage, q probe.Question) plane.Probe {
	t.Helper()
	before := time.Now()
	got := probe.New(v, time.Now).Ask(t.Context(), q)
	if got.At.Before(before.Add(-time.Second)) || got.At.After(time.Now()) || got.At.Location() != time.UTC {
		t.Errorf("asked at %v", got.At)
	}
	if got.Latency < 0 || got.Latency > time.Since(before) {
		t.Errorf("the latency is %s", got.Latency)
	}
	if !strings.HasPrefix(got.Vantage, "s1") {
		t.Errorf("the vantage is %q", got.Vantage)
	}
	return got
}

func expect(t *testing.T, got plane.Probe, verdict plane.Verdict, answer, reason string) {
	t.Helper()
	if got.Verdict != verdict || !strings.Contains(got.Answer, answer) || !strings.Contains(got.Reason, reason) {
		t.Errorf("got %s, %q, %q\nwant %s, %q, %q", got.Verdict, got.Answer, got.Reason, verdict, answer, reason)
	}
}

func TestAnswers(t *testing.T) {
	app := serve(t, func(w http.ResponseWriter, r *http.Request) {
		var status int
		_, _ = fmt.Sscanf(r.URL.Path, "/%d", &status)
		w.Header().Set("Location", "/500")
		w.WriteHeader(status)
	})
	for status, want := range map[int]struct {
		verdict plane.Verdict
		reason  string
	}{
		200: {plane.Pass, "answered 200"}, 204: {plane.Pass, "answered 204"},
		301: {plane.Pass, "answered 301"}, 302: {plane.Pass, "answered 302"}, // followed, they would be 500
		307: {plane.Fail, "expected 200, 201, 204, 301 or 302"}, 404: {plane.Fail, "/404"},
		500: {plane.Fail, "answered 500"}, 503: {plane.Fail, "answered 503"}, 598: {plane.Fail, "the app's process does not listen"},
	} {
		got := ask(t, vantage{}, question(app, fmt.Sprintf("/%d", status)))
		expect(t, got, want.verdict, fmt.Sprintf("HTTP %d", status), want.reason)
	}
}

func TestAsksAsTheEntryWould(t *testing.T) {
	seen := make(chan *http.Request, 1)
	app := serve(t, func(_ http.ResponseWriter, r *http.Request) { seen <- r })
	expect(t, ask(t, vantage{}, question(app, "/up?full=1")), plane.Pass, "HTTP 200", "answered 200")
	r := <-seen
	got := map[string]string{"method": r.Method, "uri": r.RequestURI, "host": r.Host}
	for _, name := range []string{"X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Host", "User-Agent", "Connection"} {
		got[name] = strings.Join(r.Header.Values(name), "|")
	}
	want := map[string]string{
		"method": "GET", "uri": "/up?full=1", "host": "www.example.com", "X-Forwarded-For": "203.0.113.1", "X-Forwarded-Proto": "http",
		"X-Forwarded-Host": "www.example.com", "User-Agent": "ServerPlane-Health/1", "Connection": "close",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestEndlessAnswerIsJudgedByItsStatus(t *testing.T) {
	app := serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusOK)
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done() // ends because the prober hangs up
	})
	expect(t, ask(t, vantage{}, question(app, "/")), plane.Pass, "HTTP 200", "answered 200")
}

func TestRefusedConnection(t *testing.T) {
	closed := listen(t, func(net.Conn) {})
	_ = closed.Close()
	expect(t, ask(t, vantage{}, question(closed.Addr().String(), "/")), plane.Fail, "refused", "nothing listens on "+closed.Addr().String())
}

func TestAcceptsAndNeverAnswers(t *testing.T) {
	silent := listen(t, func(c net.Conn) { _, _ = io.Copy(io.Discard, c) })
	q := question(silent.Addr().String(), "/")
	q.Timeout = time.Second
	expect(t, ask(t, vantage{}, q), plane.Fail, "no answer", "did not answer within 1s")
	expect(t, ask(t, vantage{dead: told(remote.KindLost, q.From, "EOF")}, q), plane.Blind, "EOF", "the panel lost sight of s1")
}

func TestWhatCannotBeAskedIsNobodysFailure(t *testing.T) {
	expect(t, ask(t, vantage{}, question("10.0.0.2:80", "/\n")), plane.Blind, "cannot be asked", "the panel cannot ask")
}

func TestHangsUp(t *testing.T) {
	rude := listen(t, func(c net.Conn) { _, _ = c.Read(make([]byte, 1)) })
	q := question(rude.Addr().String(), "/")
	expect(t, ask(t, vantage{}, q), plane.Fail, "", "closed the connection without an answer")
	expect(t, ask(t, vantage{dead: told(remote.KindUnreachable, q.From, "no route")}, q), plane.Blind, "no route", "lost sight of s1")
}

func TestSpeaksSomethingElse(t *testing.T) {
	redis := listen(t, func(c net.Conn) {
		_, _ = c.Read(make([]byte, 1<<10))
		_, _ = io.WriteString(c, "-ERR unknown command\r\n")
	})
	mail := listen(t, func(c net.Conn) {
		_, _ = io.WriteString(c, "220 mail.example.com ESMTP\r\n")
		_, _ = io.Copy(io.Discard, c)
	})
	for _, l := range []net.Listener{redis, mail} {
		expect(t, ask(t, vantage{}, question(l.Addr().String(), "/")), plane.Fail, "not HTTP", "not HTTP")
	}
}

func TestInterimAnswerIsNotTheAnswer(t *testing.T) {
	app := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusEarlyHints)
		w.WriteHeader(http.StatusNoContent)
	})
	expect(t, ask(t, vantage{}, question(app, "/")), plane.Pass, "HTTP 204", "answered 204")
}

func TestEndlessHeadIsNotReadForEver(t *testing.T) {
	flood := listen(t, func(c net.Conn) {
		_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\n")
		for err := error(nil); err == nil; {
			_, err = io.WriteString(c, "X: "+strings.Repeat("x", 4000)+"\r\n")
		}
	})
	expect(t, ask(t, vantage{}, question(flood.Addr().String(), "/")), plane.Fail, "", "")
}

// TestWhoseFailure: whatever kind of failure comes from our own side is blind.
func TestWhoseFailure(t *testing.T) {
	q := question("10.0.0.2:20003", "/")
	for kind, want := range map[remote.Kind]plane.Verdict{
		remote.KindTarget: plane.Fail, remote.KindVantage: plane.Blind, remote.KindLost: plane.Blind,
		remote.KindUnreachable: plane.Blind, remote.KindAuth: plane.Blind, remote.KindHostKey: plane.Blind,
	} {
		got := ask(t, vantage{refuse: told(kind, q.From, "said the server")}, q)
		expect(t, got, want, "said the server", "said the server")
		if want == plane.Blind && !strings.Contains(got.Reason, "the panel cannot look from s1") {
			t.Errorf("%s: %q", kind, got.Reason)
		}
	}
}

func TestWhatSSHDSays(t *testing.T) {
	q := question("10.0.0.2:20003", "/")
	for said, reason := range map[string]string{
		"Connection refused":                   "nothing listens on 10.0.0.2:20003",
		"No route to host":                     "there is no way from s1 to 10.0.0.2:20003",
		"Network is unreachable":               "there is no way from s1",
		"Connection timed out":                 "is a firewall dropping it?",
		"no answer: context deadline exceeded": "did not accept a connection within 1m0s",
		"something new":                        "something new",
	} {
		expect(t, ask(t, vantage{refuse: told(remote.KindTarget, q.From, said)}, q), plane.Fail, said, reason)
	}
}

// hush dials an address whose packets are dropped: nothing until the time is
// over, then the word of remote on whose silence it was.
type hush struct {
	vantage
	kind remote.Kind
}

func (h hush) Dial(ctx context.Context, t remote.Target, _ string) (net.Conn, error) {
	<-ctx.Done()
	return nil, told(h.kind, t, "no answer: "+ctx.Err().Error())
}

func TestDroppedPackets(t *testing.T) {
	q := question("10.0.0.2:20003", "/")
	q.Timeout = 50 * time.Millisecond
	expect(t, probe.New(hush{kind: remote.KindTarget}, time.Now).Ask(t.Context(), q), plane.Fail, "no answer", "did not accept a connection within 50ms")
	expect(t, probe.New(hush{kind: remote.KindVantage}, time.Now).Ask(t.Context(), q), plane.Blind, "no answer", "cannot look from s1")
}

func TestStoppedPanelBlamesNobody(t *testing.T) {
	silent := listen(t, func(c net.Conn) { _, _ = io.Copy(io.Discard, c) })
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	got := probe.New(vantage{refuse: fmt.Errorf("dialling: %w", context.Canceled)}, time.Now).Ask(ctx, question(silent.Addr().String(), "/"))
	expect(t, got, plane.Blind, "", "stopped looking")
}

func serve(t testing.TB, h http.HandlerFunc) string {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s.Listener.Addr().String()
}

// listen handles each connection and closes it.
func listen(t *testing.T, handle func(net.Conn)) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() { handle(c); _ = c.Close() }()
		}
	}()
	return l
}

// deaf is a forwarded connection whose link is half open: closing it wakes
// nobody who reads.
type deaf struct {
	vantage
	net.Conn
	hungUp chan struct{}
}

func (d deaf) Dial(context.Context, remote.Target, string) (net.Conn, error) { return d, nil }

func (d deaf) Write(b []byte) (int, error) { return len(b), nil }

func (d deaf) Read([]byte) (int, error) { <-d.hungUp; return 0, io.EOF }

func (d deaf) Close() error { return nil }

func TestAHalfOpenLinkDoesNotHoldAQuestionUp(t *testing.T) {
	d := deaf{hungUp: make(chan struct{}), vantage: vantage{dead: told(remote.KindLost, remote.Target{Address: "203.0.113.1"}, "no keep-alive")}}
	answered := make(chan plane.Probe, 1)
	go func() {
		q := question("203.0.113.2:80", "/")
		q.Timeout = 50 * time.Millisecond
		answered <- probe.New(d, time.Now).Ask(context.Background(), q)
	}()
	defer close(d.hungUp)
	select {
	case p := <-answered:
		if p.Verdict != plane.Blind {
			t.Errorf("our own link's silence is blamed on the backend: %+v", p)
		}
	case <-time.After(time.Minute):
		t.Error("the question lasted until the link was given up")
	}
}
