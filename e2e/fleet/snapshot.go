package fleet

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
)

// Snapshot is a server's file system at one moment. Any number of servers can be cloned from it; it lives as long as its
// fleet, even if its server is removed.
type Snapshot struct {
	fleet  *Fleet
	layers []string
}

// Snapshot freezes the file system of a server, powering it off in order first if it runs. The server stays off; Boot it
// to go on from the same state.
func (f *Fleet) Snapshot(ctx context.Context, s *Server) (*Snapshot, error) {
	if s.disk > 0 {
		return nil, fmt.Errorf("server %s has a limited disk: it has no snapshots", s.Name)
	}
	if err := s.PowerOff(ctx); err != nil {
		return nil, err
	}
	if err := unmount(s.Root()); err != nil {
		return nil, err
	}
	f.mu.Lock()
	f.snapshots++
	frozen := filepath.Join(f.folder, fmt.Sprintf("snapshot-%d", f.snapshots))
	f.mu.Unlock()
	if err := os.Rename(s.upper(), frozen); err != nil {
		return nil, fmt.Errorf("freezing server %s: %w", s.Name, err)
	}
	s.layers = append([]string{frozen}, s.layers...)
	if err := s.mount(); err != nil {
		return nil, err
	}
	return &Snapshot{fleet: f, layers: slices.Clone(s.layers)}, nil
}
