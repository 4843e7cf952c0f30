package remote

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"
)

const (
	keepAliveEvery = 5 * time.Second
	backOffFirst   = time.Second
	backOffMost    = 30 * time.Second
)

var errClosed = errors.New("the pool of connections is closed")

// Pool holds one SSH connection per Target, opened on first use and shared by everything that follows. It is safe for
// concurrent use.
type Pool struct {
	signer ssh.Signer
	log    *slog.Logger
	every  time.Duration // between keep-alives, and how long an answer may take

	ctx   context.Context // ends with Run; connection attempts, shared by callers, live under it
	close context.CancelFunc
	tasks sync.WaitGroup

	mu     sync.Mutex
	closed bool
	links  map[Target]*link
	lines  map[*line]struct{} // every connection alive, retired ones too
}

// NewPool makes a pool that signs in with signer everywhere. It starts nothing.
func NewPool(signer ssh.Signer, log *slog.Logger) *Pool {
	ctx, cancel := context.WithCancel(context.Background())
	return &Pool{
		signer: signer, log: log, every: keepAliveEvery, ctx: ctx, close: cancel,
		links: map[Target]*link{}, lines: map[*line]struct{}{},
	}
}

// Run keeps the connections alive until ctx ends: it asks each server for a sign of life every 5 s, hangs up on one that stays
// silent as long, and opens lost connections again, waiting longer after each failure up to 30 s. A server that refuses our
// key, or shows another host key, is only tried again when it is wanted. Without Run the pool works but notices no cut
// connection. At the end everything is closed, whatever was under way, and the pool is of no further use; Run returns nil when
// that is done.
func (p *Pool) Run(ctx context.Context) error {
	defer p.shutdown()
	tick := time.NewTicker(min(p.every, time.Second))
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			p.keepAlive()
			p.redial()
		}
	}
}

// Forget closes every connection of the server with this id and holds none until it is wanted again.
func (p *Pool) Forget(id string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for t := range p.links {
		if t.ID == id {
			delete(p.links, t)
		}
	}
	for l := range p.lines {
		if l.target.ID == id {
			l.hangUp()
		}
	}
}

// Check asks the server itself for a sign of life over the held connection. It errs with [KindVantage] when there is none in
// time, and like Exec when there is no connection.
func (p *Pool) Check(ctx context.Context, t Target) error {
	l, err := p.line(ctx, t)
	if err != nil {
		return err
	}
	defer l.leave()
	if err := l.ping(ctx); err != nil {
		return fail(KindVantage, t, "asking for a sign of life", err)
	}
	return nil
}

func (p *Pool) keepAlive() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for l := range p.lines {
		if l.due(p.every) {
			p.tasks.Go(func() { p.hear(l) })
		}
	}
}

// hear hangs up on a server that gives no sign of life in time.
func (p *Pool) hear(l *line) {
	ctx, cancel := context.WithTimeout(p.ctx, p.every)
	defer cancel()
	err := l.ping(ctx)
	if err == nil || p.ctx.Err() != nil || l.isDead() || !l.raw.silent(p.every) {
		return
	}
	p.log.Warn("server is silent, hanging up", "server", l.target.ID, "address", l.target.hostPort(), "after", p.every)
	l.hangUp()
}

func (p *Pool) redial() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, k := range p.links {
		if k.wantsRedial() {
			p.begin(k)
		}
	}
}

func (p *Pool) shutdown() {
	p.mu.Lock()
	p.closed = true
	p.close()
	for l := range p.lines {
		l.hangUp()
	}
	p.mu.Unlock()
	p.tasks.Wait()
}

// line gives the held connection to t, opening it where there is none. The caller is counted in and must leave.
func (p *Pool) line(ctx context.Context, t Target) (*line, error) {
	for {
		l, try, err := p.take(t)
		if l != nil || err != nil {
			return l, err
		}
		select {
		case <-try.done:
			if try.err != nil {
				return nil, try.err
			}
		case <-ctx.Done():
			return nil, fail(KindUnreachable, t, "waiting for the connection", ctx.Err())
		}
	}
}

// take returns the connection, or the attempt to wait for, or the failure of one that has just ended.
func (p *Pool) take(t Target) (*line, *attempt, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil, nil, fail(KindLost, t, "using the connection", errClosed)
	}
	k := p.links[t]
	if k == nil {
		k = &link{target: t}
		p.links[t] = k
	}
	if k.line != nil && k.line.enter() {
		return k.line, nil, nil
	}
	if k.attempt == nil {
		if k.justFailed() {
			return nil, nil, k.failure
		}
		p.begin(k)
	}
	return nil, k.attempt, nil
}

// begin starts an attempt to connect; p.mu is held.
func (p *Pool) begin(k *link) {
	if p.closed {
		return
	}
	try := &attempt{done: make(chan struct{})}
	k.attempt = try
	p.tasks.Go(func() {
		client, raw, err := connect(p.ctx, k.target, ssh.PublicKeys(p.signer))
		p.mu.Lock()
		defer p.mu.Unlock()
		defer close(try.done)
		k.attempt = nil
		switch {
		case err != nil:
			try.err = err
			k.fail(err)
		case p.closed || p.links[k.target] != k:
			_ = raw.Close()
			_ = client.Wait()
			try.err = fail(KindLost, k.target, "connecting", errors.New("the server was forgotten meanwhile"))
		default:
			p.adopt(k, newLine(k.target, client, raw))
		}
	})
}

// adopt puts a new connection in its place and lets go of the same server's connections by older particulars; p.mu is held.
func (p *Pool) adopt(k *link, l *line) {
	k.connected(l)
	p.lines[l] = struct{}{}
	p.tasks.Go(func() {
		_ = l.client.Wait()
		close(l.dead)
		_ = l.raw.Close()
		p.mu.Lock()
		delete(p.lines, l)
		p.mu.Unlock()
	})
	for t, other := range p.links {
		if t.ID != "" && t.ID == k.target.ID && other != k {
			delete(p.links, t)
			if other.line != nil {
				other.line.retire()
			}
		}
	}
}
