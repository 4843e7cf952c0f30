package remote

import (
	"context"
	"errors"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"
)

const (
	// sessionLimit stays below sshd's MaxSessions of 10: a command we gave up on may hold its place on the server for a while.
	sessionLimit = 8
	// pendingLimit is the number of unanswered dials above which a line is given up for a new one: at about 1 019 of them sshd
	// runs out of descriptors and every dial through it fails.
	pendingLimit = 200
)

// line is one SSH connection and what is under way on it.
type line struct {
	target Target
	client *ssh.Client
	raw    *wire
	slots  chan struct{} // one element per exec channel in use
	dead   chan struct{} // closed when the connection has ended

	mu      sync.Mutex
	users   int  // exec channels and forwarded connections in use
	retired bool // nothing new begins here; closed when the last user leaves
	dials   map[string]*dial
	pending int       // dials sshd has not answered
	heard   time.Time // when the server last answered a keep-alive
	asked   time.Time // when we last sent one
}

func newLine(t Target, client *ssh.Client, raw *wire) *line {
	now := time.Now()
	return &line{
		target: t, client: client, raw: raw, heard: now, asked: now,
		slots: make(chan struct{}, sessionLimit), dead: make(chan struct{}), dials: map[string]*dial{},
	}
}

// enter counts a user in; it reports false on a line that takes nothing new.
func (l *line) enter() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.retired || l.isDead() {
		return false
	}
	l.users++
	return true
}

// leave counts a user out and closes a retired line after its last.
func (l *line) leave() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.users--
	if l.retired && l.users == 0 {
		l.hangUp()
	}
}

// retire lets what is under way finish and takes nothing new.
func (l *line) retire() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.retired = true
	if l.users == 0 {
		l.hangUp()
	}
}

func (l *line) usable() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return !l.retired && !l.isDead()
}

func (l *line) isDead() bool {
	select {
	case <-l.dead:
		return true
	default:
		return false
	}
}

// hangUp closes the socket itself: an orderly goodbye could block on a peer that reads no more.
func (l *line) hangUp() { _ = l.raw.Close() }

// due reports, once per interval, that a keep-alive should be sent.
func (l *line) due(every time.Duration) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if time.Since(l.asked) < every {
		return false
	}
	l.asked = time.Now()
	return true
}

func (l *line) lastHeard() time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.heard
}

// ping asks the server for a sign of life and waits for it as long as ctx lets it. Any answer counts, a refusal too.
func (l *line) ping(ctx context.Context) error {
	answer := make(chan error, 1)
	go func() {
		_, _, err := l.client.SendRequest("keepalive@openssh.com", true, nil)
		if err == nil {
			l.mu.Lock()
			l.heard = time.Now()
			l.mu.Unlock()
		}
		answer <- err
	}()
	select {
	case err := <-answer:
		return err
	case <-l.dead:
		return errors.New("the connection ended")
	case <-ctx.Done():
		return ctx.Err()
	}
}
