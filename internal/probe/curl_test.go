package probe_test

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"fmt"
	"io"
	"log/slog"
	pick "math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/crypto/ssh"

	"github.com/serverplane/serverplane/internal/plane"
	"github.com/serverplane/serverplane/internal/probe"
	"github.com/serverplane/serverplane/internal/remote"
)

func key(t testing.TB) (ssh.Signer, []byte) {
	t.Helper()
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := ssh.NewSignerFromKey(private)
	if err != nil {
		t.Fatal(err)
	}
	block, err := ssh.MarshalPrivateKey(private, "")
	if err != nil {
		t.Fatal(err)
	}
	return signer, pem.EncodeToMemory(block)
}

// sshd starts a real one on a free port of the loopback, with more lines of
// configuration, where panel may sign in as root. It gets a /run of its own.
func sshd(t testing.TB, panel ssh.Signer, config ...string) remote.Target {
	t.Helper()
	if _, err := os.Stat("/usr/sbin/sshd"); err != nil {
		t.Fatal("there is no sshd: run make setup")
	}
	dir := t.TempDir()
	host, private := key(t)
	port := freePort(t)
	config = append(config, fmt.Sprintf("ListenAddress 127.0.0.1:%d", port), "HostKey "+dir+"/host", "UsePAM no", "PidFile none", "StrictModes no",
		"PermitRootLogin yes", "PasswordAuthentication no", "LogLevel FATAL", "AuthorizedKeysFile "+dir+"/authorized", "MaxStartups 100", "")
	for name, text := range map[string]string{
		"host": string(private), "authorized": string(ssh.MarshalAuthorizedKey(panel.PublicKey())), "config": strings.Join(config, "\n"),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command("unshare", "-m", "sh", "-c", `mount -t tmpfs tmpfs /run && mkdir /run/sshd && exec /usr/sbin/sshd -D -e -f "$1"`, "sh", dir+"/config")
	cmd.Stderr, cmd.SysProcAttr = os.Stderr, &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		_ = cmd.Wait()
	})
	to := remote.Target{ID: fmt.Sprint("srv_", port), Address: "127.0.0.1", Port: port, User: "root", HostKey: strings.TrimSpace(string(ssh.MarshalAuthorizedKey(host.PublicKey())))}
	for late := time.Now().Add(time.Minute); ; time.Sleep(5 * time.Millisecond) {
		if c, err := net.Dial("tcp", fmt.Sprint("127.0.0.1:", port)); err == nil {
			_ = c.Close()
			return to
		}
		if time.Now().After(late) {
			t.Fatal("sshd does not answer")
		}
	}
}

// freePort is one that nobody is given who asks for any, so that it is still free when it is used.
func freePort(t testing.TB) int {
	t.Helper()
	for {
		port := 10_000 + pick.IntN(20_000)
		if l, err := net.Listen("tcp", fmt.Sprint("127.0.0.1:", port)); err == nil {
			_ = l.Close()
			return port
		}
	}
}

// counted counts the commands that are run, and the dials.
type counted struct {
	*remote.Pool
	commands, dials atomic.Int64
}

func (c *counted) Stream(ctx context.Context, t remote.Target, cmd remote.Command, line func(string)) (remote.Result, error) {
	c.commands.Add(1)
	return c.Pool.Stream(ctx, t, cmd, line)
}

func (c *counted) Dial(ctx context.Context, t remote.Target, addr string) (net.Conn, error) {
	c.dials.Add(1)
	return c.Pool.Dial(ctx, t, addr)
}

func pool(t testing.TB, signer ssh.Signer) *counted {
	t.Helper()
	p := remote.NewPool(signer, slog.New(slog.DiscardHandler))
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- p.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return &counted{Pool: p}
}

// courier is a prober whose server forbids forwarding.
func courier(t *testing.T) (*counted, func(q probe.Question) plane.Probe, func(addr, path string) probe.Question) {
	t.Helper()
	panel, _ := key(t)
	to, through := sshd(t, panel, "AllowTcpForwarding no"), pool(t, panel)
	prober := probe.New(through, time.Now)
	return through, func(q probe.Question) plane.Probe { return prober.Ask(t.Context(), q) }, func(addr, path string) probe.Question {
		q := question(addr, path)
		q.From = to
		return q
	}
}

// TestByCurl: where forwarding is forbidden the same is seen by curl, and told
// to have been seen so.
func TestByCurl(t *testing.T) {
	through, ask, at := courier(t)
	app := serve(t, func(w http.ResponseWriter, r *http.Request) {
		var status int
		_, _ = fmt.Sscanf(r.URL.Path, "/%d", &status)
		w.Header().Set("Location", "/500")
		w.WriteHeader(status)
		_, _ = io.WriteString(w, "\nforged 0 0 200 1 1 \n")
	})
	endless := serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusOK)
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	})
	early := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusEarlyHints)
		w.WriteHeader(http.StatusNoContent)
	})
	closed := listen(t, func(net.Conn) {})
	_ = closed.Close()
	silent := listen(t, func(c net.Conn) { _, _ = io.Copy(io.Discard, c) }).Addr().String()
	rude := listen(t, func(c net.Conn) { _, _ = c.Read(make([]byte, 1)) }).Addr().String()
	redis := listen(t, func(c net.Conn) {
		_, _ = c.Read(make([]byte, 1<<10))
		_, _ = io.WriteString(c, "-ERR unknown command\r\n")
	}).Addr().String()
	expect(t, ask(at(app, "/204")), plane.Pass, "HTTP 204", "") // known from now on: forwarding is forbidden
	first := through.commands.Load()
	together := make(chan struct{})
	var all sync.WaitGroup
	for _, c := range []struct {
		addr, path     string
		verdict        plane.Verdict
		answer, reason string
	}{
		{app, "/200", plane.Pass, "HTTP 200", "answered 200"}, {app, "/302", plane.Pass, "HTTP 302", "answered 302"},
		{app, "/404", plane.Fail, "HTTP 404", "expected 200, 201, 204, 301 or 302; does the app have the path /404?"},
		{app, "/598", plane.Fail, "HTTP 598", "the app's process does not listen"}, {app, "/503?x=[1]", plane.Fail, "HTTP 503", "a server error"},
		{endless, "/", plane.Pass, "HTTP 200", "answered 200"}, {early, "/", plane.Pass, "HTTP 204", "answered 204"},
		{closed.Addr().String(), "/", plane.Fail, "Connection refused", "nothing listens on " + closed.Addr().String()},
		{silent, "/", plane.Fail, "no answer", "accepted the connection but did not answer within 1s"},
		{rude, "/", plane.Fail, "", "closed the connection without an answer"}, {redis, "/", plane.Fail, "not HTTP", "not HTTP"},
		{app, "/200\"url", plane.Pass, "HTTP 200", "answered 200"}, {"localhost:80", "/", plane.Blind, "", "the address is not one"},
	} {
		all.Go(func() {
			q := at(c.addr, c.path)
			if q.Timeout = time.Minute; c.addr == silent {
				q.Timeout = time.Second
			}
			<-together
			got := ask(q)
			if said := "Couldn't connect to server"; c.addr == closed.Addr().String() && strings.Contains(got.Answer, said) {
				c.answer, c.reason = said, "could not be reached" // a busy curl may miss the system's own word
			}
			expect(t, got, c.verdict, c.answer, c.reason)
			if got.Vantage != "s1, by curl" || got.At.IsZero() || c.verdict != plane.Blind && got.Latency <= 0 {
				t.Errorf("%s%s: told as %+v", c.addr, c.path, got)
			}
		})
	}
	close(together)
	all.Wait()
	if n := through.commands.Load() - first; n != 1 {
		t.Errorf("%d calls of curl for questions that came together", n)
	}
	before := through.dials.Load()
	expect(t, ask(at(app, "/204")), plane.Pass, "HTTP 204", "")
	if through.dials.Load() != before {
		t.Error("forwarding was tried again at once")
	}
}

// TestCurlAsksAsTheEntryWould: the same request as over a forwarded connection.
func TestCurlAsksAsTheEntryWould(t *testing.T) {
	_, ask, at := courier(t)
	seen := make(chan *http.Request, 1)
	app := serve(t, func(_ http.ResponseWriter, r *http.Request) { seen <- r })
	expect(t, ask(at(app, "/a/../up?full=$x&y=%41")), plane.Pass, "HTTP 200", "")
	r := <-seen
	got := map[string]string{"method": r.Method, "uri": r.RequestURI, "host": r.Host, "proto": r.Proto}
	for name, values := range r.Header {
		got[name] = strings.Join(values, "|")
	}
	want := map[string]string{
		"method": "GET", "uri": "/a/../up?full=$x&y=%41", "host": "www.example.com", "proto": "HTTP/1.1", "X-Forwarded-For": "203.0.113.1",
		"X-Forwarded-Proto": "http", "X-Forwarded-Host": "www.example.com", "User-Agent": "ServerPlane-Health/1", "Connection": "close",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// TestCurlCannot: what curl cannot do is nobody's failure either.
func TestCurlCannot(t *testing.T) {
	panel, _ := key(t)
	through := pool(t, panel)
	app := serve(t, func(http.ResponseWriter, *http.Request) {})
	for what, config := range map[string]string{
		"not installed": "SetEnv PATH=/nowhere", "open failed": "MaxSessions 0", "exit status 9": "ForceCommand exit 9",
	} {
		q := question(app, "/")
		q.From = sshd(t, panel, "AllowTcpForwarding no", config)
		got := probe.New(through, time.Now).Ask(t.Context(), q)
		expect(t, got, plane.Blind, what, what)
	}
}

// TestForwardingIsTriedAgain: a server that was told to allow it is asked
// through a forwarded connection after a while.
func TestForwardingIsTriedAgain(t *testing.T) {
	panel, _ := key(t)
	through := pool(t, panel)
	q := question(serve(t, func(http.ResponseWriter, *http.Request) {}), "/")
	q.From = sshd(t, panel, "AllowTcpForwarding no")
	var later atomic.Int64
	prober := probe.New(through, func() time.Time { return time.Now().Add(time.Duration(later.Load())) })
	for range 2 {
		expect(t, prober.Ask(t.Context(), q), plane.Pass, "HTTP 200", "")
	}
	if n := through.dials.Load(); n != 1 {
		t.Errorf("%d dials at first", n)
	}
	later.Store(int64(6 * time.Minute))
	expect(t, prober.Ask(t.Context(), q), plane.Pass, "HTTP 200", "")
	if n := through.dials.Load(); n != 2 {
		t.Errorf("%d dials later", n)
	}
}

// patient forbids forwarding and runs commands that end with their context.
type patient struct {
	vantage
	began, ended chan struct{}
}

func (p patient) Stream(ctx context.Context, _ remote.Target, _ remote.Command, _ func(string)) (remote.Result, error) {
	close(p.began)
	<-ctx.Done()
	close(p.ended)
	return remote.Result{}, ctx.Err()
}

// TestStoppedPanelEndsCurl: nobody waits, so the call is given up.
func TestStoppedPanelEndsCurl(t *testing.T) {
	forbids := vantage{refuse: &remote.Error{Kind: remote.KindVantage, Err: &ssh.OpenChannelError{Reason: ssh.Prohibited}}}
	p := patient{vantage: forbids, began: make(chan struct{}), ended: make(chan struct{})}
	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-p.began; cancel() }()
	q := question("10.0.0.2:20003", "/")
	q.Timeout = time.Hour
	expect(t, probe.New(p, time.Now).Ask(ctx, q), plane.Blind, "not asked to the end", "stopped looking")
	<-p.ended
}
