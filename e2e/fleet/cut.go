package fleet

import (
	"context"
	"fmt"
)

// Cut drops everything between two servers, both ways, until Heal. Other servers and this machine still reach both, and
// nothing inside a server shows or undoes it. It holds across power cuts and boots.
func (f *Fleet) Cut(ctx context.Context, a, b *Server) error {
	return f.change(ctx, fmt.Sprintf("cutting %s from %s", a.Name, b.Name), func(n *network) {
		n.cuts[pair(a, b)] = true
	})
}

// Heal undoes Cut.
func (f *Fleet) Heal(ctx context.Context, a, b *Server) error {
	return f.change(ctx, fmt.Sprintf("healing %s and %s", a.Name, b.Name), func(n *network) {
		delete(n.cuts, pair(a, b))
	})
}

// CutFromMachine drops everything between a server and this machine, both ways, until HealFromMachine: SSH too. The server
// still reaches the other servers, and the outside through this machine's address translation.
func (f *Fleet) CutFromMachine(ctx context.Context, s *Server) error {
	return f.change(ctx, "cutting "+s.Name+" from this machine", func(n *network) {
		n.alone[s.Addr] = true
	})
}

// HealFromMachine undoes CutFromMachine.
func (f *Fleet) HealFromMachine(ctx context.Context, s *Server) error {
	return f.change(ctx, "healing "+s.Name+" and this machine", func(n *network) {
		delete(n.alone, s.Addr)
	})
}

func (f *Fleet) change(ctx context.Context, doing string, edit func(*network)) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	edit(f.network)
	if err := f.network.apply(ctx); err != nil {
		return fmt.Errorf("%s: %w", doing, err)
	}
	return nil
}

// forget drops all cuts of a server and tells whether there were any.
func (n *network) forget(s *Server) bool {
	before := len(n.cuts) + len(n.alone)
	delete(n.alone, s.Addr)
	for ports := range n.cuts {
		if ports[0] == s.port() || ports[1] == s.port() {
			delete(n.cuts, ports)
		}
	}
	return len(n.cuts)+len(n.alone) != before
}

// pair names two ports of the bridge, in order, so that Cut(a, b) and Heal(b, a) mean the same.
func pair(a, b *Server) [2]string {
	if a.port() > b.port() {
		a, b = b, a
	}
	return [2]string{a.port(), b.port()}
}
