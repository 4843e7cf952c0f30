package fleet

import (
	"context"
	"fmt"
)

// Cut drops everything between two servers, both ways, until Heal. Other servers and this machine still reach both, and
// nothing inside a server shows or undoes it. It holds across power cuts and boots.
func (f *Fleet) Cut(ctx context.Context, a, b *Server) error {
	return f.change(ctx, fmt.Sprintf("cutting %s from %s", a.Name, b.Name), func(n *network) {
		n.cuts[way(a, b)], n.cuts[way(b, a)] = true, true
	})
}

// CutOneWay drops what one server sends to another until Heal; what comes back arrives.
func (f *Fleet) CutOneWay(ctx context.Context, from, to *Server) error {
	return f.change(ctx, fmt.Sprintf("cutting the way from %s to %s", from.Name, to.Name), func(n *network) {
		n.cuts[way(from, to)] = true
	})
}

// Heal undoes Cut and CutOneWay, whichever way.
func (f *Fleet) Heal(ctx context.Context, a, b *Server) error {
	return f.change(ctx, fmt.Sprintf("healing %s and %s", a.Name, b.Name), func(n *network) {
		delete(n.cuts, way(a, b))
		delete(n.cuts, way(b, a))
	})
}

// CutFromMachine drops everything between a server and this machine, both ways, until HealFromMachine: SSH too. The server
// still reaches the other servers, and the outside through this machine's address translation. Strangers, who stand for
// other machines, still reach it as well.
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

// way names two ports of the bridge, from the one to the other.
func way(from, to *Server) [2]string { return [2]string{from.port(), to.port()} }
