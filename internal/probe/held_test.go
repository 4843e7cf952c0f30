package probe_test

import (
	"io"
	"net"
	"net/http"
	"syscall"
	"testing"
	"time"

	"github.com/serverplane/serverplane/internal/plane"
	"github.com/serverplane/serverplane/internal/probe"
)

// TestThroughAHeldConnection: with a real sshd in between, each failure is its owner's.
func TestThroughAHeldConnection(t *testing.T) {
	panel, _ := key(t)
	prober := probe.New(pool(t, panel), time.Now)
	to := sshd(t, panel)
	within := func(limit time.Duration, addr string) plane.Probe {
		q := question(addr, "/")
		q.From, q.Timeout = to, limit
		return prober.Ask(t.Context(), q)
	}
	at := func(addr string) plane.Probe { return within(time.Minute, addr) }
	app := serve(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusCreated) })
	got := at(app)
	expect(t, got, plane.Pass, "HTTP 201", "answered 201")
	if got.Vantage != "s1, forwarded over SSH" {
		t.Errorf("the vantage is %q", got.Vantage)
	}
	closed := listen(t, func(net.Conn) {})
	_ = closed.Close()
	expect(t, at(closed.Addr().String()), plane.Fail, "Connection refused", "nothing listens on")
	silent := listen(t, func(c net.Conn) { _, _ = io.Copy(io.Discard, c) })
	expect(t, within(time.Second, silent.Addr().String()), plane.Fail, "no answer", "accepted the connection but did not answer within 1s")
	rude := listen(t, func(c net.Conn) { _, _ = c.Read(make([]byte, 1)) })
	expect(t, at(rude.Addr().String()), plane.Fail, "", "closed the connection without an answer")
}

// BenchmarkThroughAHeldConnection tells what one probe costs the panel: ns of
// its own processor time, sshd's not counted. The site's own work is in it.
func BenchmarkThroughAHeldConnection(b *testing.B) {
	panel, _ := key(b)
	prober := probe.New(pool(b, panel), time.Now)
	q := question(serve(b, func(http.ResponseWriter, *http.Request) {}), "/")
	q.From = sshd(b, panel)
	if got := prober.Ask(b.Context(), q); got.Verdict != plane.Pass {
		b.Fatalf("%+v", got)
	}
	used := processor(b)
	for b.Loop() {
		prober.Ask(b.Context(), q)
	}
	b.ReportMetric(float64(processor(b)-used)/float64(b.N), "cpu-ns/op")
}

func processor(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
