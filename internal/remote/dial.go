package remote

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"
)

// freshFor is how long a dial that sshd has not answered stands for its address. A silent address keeps sshd trying for about
// 127 s at growing intervals, so that after the address has come back a new try is much sooner than the old one's next packet.
const freshFor = 15 * time.Second

// dial is one direct-tcpip channel being opened, which several callers may wait for.
type dial struct {
	begun time.Time
	done  chan struct{}
	conn  chan net.Conn // holds the connection until a caller takes it
	err   error         // set before done is closed
}

// Dial connects to addr ("host:port") from t's place in the network. Callers that dial the same address at the same time take
// turns, and share one that hangs. The connection knows no deadlines; close it to end a call.
// Errors: [KindTarget] with the server's words when addr refuses, or when ctx's deadline passes while the server itself still
// answers; [KindVantage] when we may not forward, sshd cannot, or the server does not answer us either; [KindLost]; and those
// of reaching t.
func (p *Pool) Dial(ctx context.Context, t Target, addr string) (net.Conn, error) {
	for {
		l, err := p.line(ctx, t)
		if err != nil {
			return nil, err
		}
		conn, err := l.forward(ctx, addr)
		if conn != nil {
			return conn, nil // leaves when it is closed
		}
		l.leave()
		if err != nil {
			return nil, err
		}
	}
}

// forward opens addr, or waits for the dial of it that is under way; nil and nil mean that another caller took its connection.
func (l *line) forward(ctx context.Context, addr string) (net.Conn, error) {
	d, mine := l.dial(addr)
	conn, err := l.await(ctx, d, addr)
	if err != nil && mine {
		go d.discard()
	}
	if conn == nil {
		return nil, err
	}
	return &forwarded{Conn: conn, left: l.leave}, nil
}

// dial finds the fresh unanswered dial of addr or starts one.
func (l *line) dial(addr string) (d *dial, mine bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if d := l.dials[addr]; d != nil && time.Since(d.begun) < freshFor {
		return d, false
	}
	d = &dial{begun: time.Now(), done: make(chan struct{}), conn: make(chan net.Conn, 1)}
	l.dials[addr] = d
	l.pending++
	if l.pending > pendingLimit {
		l.retired = true // we are in it ourselves: leave closes it
	}
	go l.carry(d, addr)
	return d, true
}

// carry waits for sshd's answer, however long it takes.
func (l *line) carry(d *dial, addr string) {
	conn, err := l.client.Dial("tcp", addr)
	l.mu.Lock()
	l.pending--
	if l.dials[addr] == d {
		delete(l.dials, addr)
	}
	l.mu.Unlock()
	if err == nil {
		d.conn <- conn
	}
	d.err = err
	close(d.done)
}

// discard closes a connection that nobody waits for any more.
func (d *dial) discard() {
	<-d.done
	select {
	case conn := <-d.conn:
		_ = conn.Close()
	default:
	}
}

// await waits for d and, when the answer is slow, asks the server itself whether it is still there, so that silence can be put
// down to the right side.
func (l *line) await(ctx context.Context, d *dial, addr string) (net.Conn, error) {
	begun := time.Now()
	slow := time.NewTimer(patience(ctx))
	defer slow.Stop()
	for {
		select {
		case <-d.done:
			return l.answer(d, addr)
		case <-slow.C:
			go func() { _ = l.ping(ctx) }()
		case <-ctx.Done():
			return nil, l.silence(ctx, begun, addr)
		}
	}
}

// patience is a third of the caller's time, at most a second.
func patience(ctx context.Context) time.Duration {
	deadline, ok := ctx.Deadline()
	if !ok {
		return time.Second
	}
	return min(time.Second, time.Until(deadline)/3)
}

func (l *line) answer(d *dial, addr string) (net.Conn, error) {
	if d.err == nil {
		select {
		case conn := <-d.conn:
			return conn, nil
		default:
			return nil, nil
		}
	}
	var refused *ssh.OpenChannelError
	switch {
	case !errors.As(d.err, &refused):
		return nil, fail(KindLost, l.target, "dialling "+addr, plainly(d.err))
	case forwardKind(refused) == KindTarget:
		return nil, fail(KindTarget, l.target, "dialling "+addr, errors.New(refused.Message))
	}
	return nil, fail(KindVantage, l.target, "dialling "+addr, d.err)
}

// silence is the error of a dial that got no answer in the caller's time.
func (l *line) silence(ctx context.Context, begun time.Time, addr string) error {
	op := "dialling " + addr
	switch {
	case !errors.Is(ctx.Err(), context.DeadlineExceeded):
		return fmt.Errorf("%s through %s: %w", op, l.target.name(), ctx.Err())
	case l.lastHeard().After(begun):
		return fail(KindTarget, l.target, op, fmt.Errorf("no answer: %w", ctx.Err()))
	}
	return fail(KindVantage, l.target, op, fmt.Errorf("the server itself does not answer either: %w", ctx.Err()))
}

// forwarded is a connection that keeps its line in use.
type forwarded struct {
	net.Conn
	once sync.Once
	left func()
}

func (f *forwarded) Close() error {
	err := f.Conn.Close()
	f.once.Do(f.left)
	return err
}
