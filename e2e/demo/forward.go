package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
)

// forward passes connections from a loopback port of this machine on to the
// entry, so that a browser here reaches it under an address of this machine.
type forward struct {
	listener net.Listener
	target   string

	mu   sync.Mutex
	done bool
	open map[net.Conn]struct{}
	all  sync.WaitGroup
}

// openForward listens on a free loopback port.
func openForward(target string) (*forward, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("open a port for the entry: %w", err)
	}
	f := &forward{listener: l, target: target, open: map[net.Conn]struct{}{}}
	f.all.Go(f.accept)
	return f, nil
}

func (f *forward) url() string { return "http://" + f.listener.Addr().String() + "/" }

// accept ends when the listener is closed.
func (f *forward) accept() {
	for {
		in, err := f.listener.Accept()
		if err != nil {
			return
		}
		f.all.Go(func() { f.pass(in) })
	}
}

// pass copies both ways until both ends have said what they had to say.
func (f *forward) pass(in net.Conn) {
	defer f.forget(in)
	if !f.hold(in) {
		return
	}
	out, err := net.Dial("tcp", f.target)
	if err != nil {
		return // the visitor sees a closed connection, as with any entry that is away
	}
	defer f.forget(out)
	if !f.hold(out) {
		return
	}
	var both sync.WaitGroup
	both.Go(func() { copyHalf(out, in) })
	both.Go(func() { copyHalf(in, out) })
	both.Wait()
}

// copyHalf passes one direction on, its end included. An error is an end too.
func copyHalf(to, from net.Conn) {
	_, _ = io.Copy(to, from)
	if half, ok := to.(*net.TCPConn); ok {
		_ = half.CloseWrite()
	}
}

// hold remembers a connection for close; false once closing has begun.
func (f *forward) hold(c net.Conn) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.open[c] = struct{}{}
	return !f.done
}

func (f *forward) forget(c net.Conn) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.open, c)
	_ = c.Close()
}

// close ends all connections and waits for them.
func (f *forward) close() error {
	err := f.listener.Close()
	f.mu.Lock()
	f.done = true
	for c := range f.open {
		_ = c.Close()
	}
	f.mu.Unlock()
	f.all.Wait()
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}
