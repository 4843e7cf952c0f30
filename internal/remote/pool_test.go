package remote

import (
	"net"
	"syscall"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
)

func fingerprint(key ssh.PublicKey) string { return ssh.FingerprintSHA256(key) }

// held is the line the pool has for t now, or nil.
func held(p *Pool, t Target) *line {
	p.mu.Lock()
	defer p.mu.Unlock()
	if k := p.links[t]; k != nil && k.line != nil && k.line.usable() {
		return k.line
	}
	return nil
}

func TestKeepAliveNoticesASilentServer(t *testing.T) {
	signer := newSigner(t)
	s := newServer(t, signer)
	p := runPoolEvery(t, time.Second, signer)
	up, end := make(chan string, 1), make(chan error, 1)
	go func() {
		_, err := p.Stream(t.Context(), s.Target, Command{Args: []string{"sh", "-c", "echo up; sleep 60"}}, func(l string) { up <- l })
		end <- err
	}()
	receive(t, "the command", up)
	first := held(p, s.Target)
	s.signal(syscall.SIGSTOP)
	silent := time.Now()
	wantKind(t, receive(t, "the stopped sshd being noticed", end), KindLost)
	t.Logf("noticed after %v", time.Since(silent))
	s.signal(syscall.SIGCONT)
	eventually(t, "a new connection nobody asked for", func() bool { l := held(p, s.Target); return l != nil && l != first })
	if err := p.Check(within(t, patient), s.Target); err != nil {
		t.Error(err)
	}
}

func TestRedialAfterARestart(t *testing.T) {
	signer := newSigner(t)
	s := newServer(t, signer)
	p := runPool(t, signer)
	must(t, p.Check(within(t, patient), s.Target))
	s.kill()
	eventually(t, "the loss being noticed", func() bool { return held(p, s.Target) == nil })
	_, err := p.Exec(within(t, patient), s.Target, Command{Args: []string{"id"}})
	wantKind(t, err, KindUnreachable)
	s.start()
	eventually(t, "a new connection", func() bool { return held(p, s.Target) != nil })
}

func TestForgetHoldsNothing(t *testing.T) {
	signer := newSigner(t)
	s := newServer(t, signer)
	p := runPool(t, signer)
	must(t, p.Check(within(t, patient), s.Target))
	l := held(p, s.Target)
	p.Forget(s.ID)
	receive(t, "the connection's end", l.dead)
	if held(p, s.Target) != nil {
		t.Error("still held")
	}
	if err := p.Check(within(t, patient), s.Target); err != nil {
		t.Errorf("wanted again: %v", err)
	}
}

func TestAfterRunNothingWorks(t *testing.T) {
	signer := newSigner(t)
	s := newServer(t, signer)
	p := runPool(t, signer)
	must(t, p.Check(within(t, patient), s.Target))
	p.shutdown()
	wantKind(t, p.Check(within(t, time.Second), s.Target), KindLost, "closed")
}

func TestSilentAddressDoesNotHoldTheCaller(t *testing.T) {
	p := runPool(t, newSigner(t))
	_, line := newKey(t, ed25519Key(t))
	begun := time.Now()
	err := p.Check(within(t, 300*time.Millisecond), Target{ID: "srv_x", Address: "10.9.9.2", User: "root", HostKey: line})
	wantKind(t, err, KindUnreachable)
	if took := time.Since(begun); took > handshakeLimit/2 {
		t.Errorf("took %v", took)
	}
}

// listen is a service on this machine that says hello.
func listen(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			_, _ = conn.Write([]byte("hello"))
			_ = conn.Close()
		}
	}()
	return l.Addr().String()
}
