package cli_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/serverplane/serverplane/internal/cli"
	"github.com/serverplane/serverplane/internal/plane"
	"github.com/serverplane/serverplane/internal/web"
	"github.com/serverplane/serverplane/internal/web/webtest"
)

// serve runs a panel's door on the address until stop, which returns when the
// port is free again.
func serve(t *testing.T, p *webtest.Panel, addr string) (bound string, stop func()) {
	t.Helper()
	l, err := net.Listen("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() {
		done <- web.New(web.Config{Control: p, Log: slog.New(slog.DiscardHandler)}).Run(ctx, l)
	}()
	return l.Addr().String(), sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// ownPort is a free port that nobody is given who asks for any: not while the panel is away, and not the one who asks for it.
func ownPort(t *testing.T) string {
	t.Helper()
	for {
		addr := fmt.Sprint("127.0.0.1:", 10_000+rand.IntN(20_000))
		if l, err := net.Listen("tcp", addr); err == nil {
			_ = l.Close()
			return addr
		}
	}
}

// lines lets a test wait for what a command has written so far.
type lines struct {
	mu   sync.Mutex
	text bytes.Buffer
	more chan struct{}
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.more != nil {
		close(l.more)
		l.more = nil
	}
	return l.text.Write(p)
}

func (l *lines) await(t *testing.T, want string) {
	t.Helper()
	limit := time.After(time.Minute)
	for {
		l.mu.Lock()
		text := l.text.String()
		if l.more == nil {
			l.more = make(chan struct{})
		}
		more := l.more
		l.mu.Unlock()
		if strings.Contains(text, want) {
			return
		}
		select {
		case <-more:
		case <-limit:
			t.Fatalf("%q was not written; so far:\n%s", want, text)
		}
	}
}

func signIn(t *testing.T, addr string) {
	t.Helper()
	t.Setenv("XDG_CONFIG_HOME", t.TempDir())
	t.Setenv("SERVERPLANE_URL", "http://"+addr)
	t.Setenv("SERVERPLANE_TOKEN", webtest.Token(plane.RoleOwner))
}

// Lines written before, while the panel is away and after it is back: each is
// printed once and in order.
func TestFollowOverARestartOfThePanel(t *testing.T) {
	p := webtest.New()
	addr, stop := serve(t, p, ownPort(t))
	signIn(t, addr)
	var out, errs lines
	code := make(chan int, 1)
	go func() {
		code <- cli.Execute(context.Background(), []string{"run", "log", "run_1", "--follow"},
			cli.Streams{In: strings.NewReader(""), Out: &out, Err: &errs}, nil)
	}()
	var want strings.Builder
	say := func(from, to int) {
		for n := from; n < to; n++ {
			p.Say(plane.EventOutput, "s1", fmt.Sprintf("line %d.", n))
			fmt.Fprintf(&want, "05:06:07 s1 | line %d.\n", n)
		}
	}
	say(0, 50)
	out.await(t, "line 49.")
	for restart := range 2 {
		stop()
		errs.await(t, "the panel is away")
		say(50+restart*50, 100+restart*50)
		_, stop = serve(t, p, addr)
		out.await(t, fmt.Sprintf("line %d.", 99+restart*50))
	}
	defer func() { stop() }()
	say(150, 160)
	p.End(plane.RunSucceeded, "")
	if got := <-code; got != 0 {
		t.Errorf("exit %d: %s", got, errs.text.String())
	}
	if out.text.String() != want.String() {
		t.Errorf("lines lost, doubled or out of order:\n%s", out.text.String())
	}
}

func TestCtrlCStopsFollowingNotTheRun(t *testing.T) {
	p := webtest.New()
	addr, stop := serve(t, p, "127.0.0.1:0")
	defer stop()
	signIn(t, addr)
	ctx, interrupt := context.WithCancel(context.Background())
	var errs lines
	code := make(chan int, 1)
	go func() {
		code <- cli.Execute(ctx, []string{"deploy", "web", "--wait"}, cli.Streams{In: strings.NewReader(""), Out: io.Discard, Err: &errs}, nil)
	}()
	p.Say(plane.EventStep, "s1", "build")
	errs.await(t, "== build")
	interrupt()
	if got := <-code; got != 3 || !strings.Contains(errs.text.String(), "the Run goes on") {
		t.Errorf("exit %d: %s", got, errs.text.String())
	}
	if p.Wish("CancelRun") != nil {
		t.Error("the Run was cancelled")
	}
}
