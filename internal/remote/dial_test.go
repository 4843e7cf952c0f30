package remote

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/netip"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestDialThrough(t *testing.T) {
	signer := newSigner(t)
	s := newServer(t, signer)
	addr := listen(t)
	p := runPool(t, signer)
	var all sync.WaitGroup
	for range 20 { // of one address, at once: they take turns
		all.Go(func() {
			conn, err := p.Dial(within(t, patient), s.Target, addr)
			if err != nil {
				t.Error(err)
				return
			}
			defer conn.Close()
			if text, err := io.ReadAll(conn); err != nil || string(text) != "hello" {
				t.Errorf("read %q %v", text, err)
			}
		})
	}
	all.Wait()
}

func TestDialTellsWhoseFailureItIs(t *testing.T) {
	signer := newSigner(t)
	open, forbidden := newServer(t, signer), newServer(t, signer, "AllowTcpForwarding no")
	p := runPool(t, signer)
	ctx := within(t, patient)
	_, err := p.Dial(ctx, open.Target, "127.0.0.1:9")
	wantKind(t, err, KindTarget, "Connection refused", "127.0.0.1:9")
	_, err = p.Dial(ctx, forbidden.Target, listen(t))
	wantKind(t, err, KindVantage, "prohibited")
}

// An sshd without descriptors cannot even try, which says nothing about the address.
func TestDialWithoutDescriptors(t *testing.T) {
	signer := newSigner(t)
	s := newServer(t, signer)
	addr := listen(t)
	p := runPool(t, signer)
	ctx := within(t, patient)
	must(t, p.Check(ctx, s.Target))
	for _, pid := range family(s.cmd.Process.Pid)[1:] {
		must(t, setDescriptors(pid, 3))
	}
	_, err := p.Dial(ctx, s.Target, addr)
	wantKind(t, err, KindVantage)
}

func setDescriptors(pid int, most uint64) error {
	return unix.Prlimit(pid, unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: most, Max: most}, nil)
}

func TestSilentTargetIsDialledOnce(t *testing.T) {
	signer := newSigner(t)
	s := newServer(t, signer)
	p := runPool(t, signer)
	must(t, p.Check(within(t, patient), s.Target))
	for range 3 {
		ctx := untilHeard{t.Context(), held(p, s.Target), make(chan struct{})}
		_, err := p.Dial(ctx, s.Target, "10.9.9.2:80")
		wantKind(t, err, KindTarget, "no answer")
	}
	if n := pending(held(p, s.Target)); n != 1 {
		t.Errorf("%d dials pending in sshd, want 1", n)
	}
}

// untilHeard is a caller's time that is over once the server itself has given a sign of life, however busy it is.
type untilHeard struct {
	context.Context
	line *line
	over chan struct{}
}

// Deadline is what a dial asks for when it begins.
func (u untilHeard) Deadline() (time.Time, bool) {
	begun := time.Now()
	go func() {
		defer close(u.over)
		for !u.line.lastHeard().After(begun) && time.Since(begun) < patient {
			time.Sleep(time.Millisecond)
		}
	}()
	return begun.Add(300 * time.Millisecond), true
}

func (u untilHeard) Done() <-chan struct{} { return u.over }

func (u untilHeard) Err() error {
	select {
	case <-u.over:
		return context.DeadlineExceeded
	default:
		return nil
	}
}

func pending(l *line) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.pending
}

func TestManyPendingDialsRecycleTheConnection(t *testing.T) {
	signer := newSigner(t)
	s := newServer(t, signer)
	p := runPool(t, signer)
	must(t, p.Check(within(t, patient), s.Target))
	first := held(p, s.Target)
	ctx, cancel := context.WithCancel(context.Background())
	var all sync.WaitGroup
	for i := range pendingLimit + 1 {
		all.Go(func() { _, _ = p.Dial(ctx, s.Target, fmt.Sprintf("10.9.9.2:%d", 1000+i)) })
	}
	eventually(t, "the connection being given up", func() bool { return !first.usable() })
	if err := p.Check(within(t, patient), s.Target); err != nil {
		t.Errorf("over the next connection: %v", err)
	}
	cancel()
	all.Wait()
	receive(t, "the connection's end", first.dead)
}

// A half-open connection is our own blindness and not the target's failure.
func TestDialOverAHalfOpenConnection(t *testing.T) {
	signer := newSigner(t)
	s := newServer(t, signer)
	p := NewPool(signer, nil) // nobody keeps it alive, so that the dial finds out by itself
	t.Cleanup(p.shutdown)
	must(t, p.Check(within(t, patient), s.Target))
	s.signal(syscall.SIGSTOP)
	_, err := p.Dial(within(t, 300*time.Millisecond), s.Target, "127.0.0.1:9")
	wantKind(t, err, KindVantage, "does not answer")
	s.signal(syscall.SIGCONT)
}

func TestSeenAs(t *testing.T) {
	signer := newSigner(t)
	via, loop, other := newServer(t, signer), newServer(t, signer), newServerAt(t, "10.9.9.1", signer)
	p := runPool(t, signer)
	ctx := within(t, patient)
	for address, to := range map[string]Target{"127.0.0.1": loop.Target, "10.9.9.1": other.Target} {
		seen, err := p.SeenAs(ctx, via.Target, to)
		if err != nil || seen.Address != netip.MustParseAddr(address) || seen.RTT > 5*time.Second {
			t.Errorf("got %+v %v, want %s", seen, err, address)
		}
	}
	stranger := other.Target
	stranger.HostKey = loop.HostKey
	_, err := p.SeenAs(ctx, via.Target, stranger)
	wantKind(t, err, KindHostKey, stranger.ID)
	nobody := loop.Target
	nobody.Port = 9
	_, err = p.SeenAs(ctx, via.Target, nobody)
	wantKind(t, err, KindTarget, "Connection refused", net.JoinHostPort(nobody.Address, "9"))
}
