//go:build e2e

package e2e

import (
	"bytes"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"
)

// sights watches every process of this machine, the servers' among them, for a
// text that must never be in a command line.
type sights struct {
	stop  chan struct{}
	all   sync.WaitGroup
	seen  []string
	reads int
}

func watchCommandLines(needle string) *sights {
	s := &sights{stop: make(chan struct{})}
	s.all.Go(func() {
		tick := time.NewTicker(100 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-s.stop:
				return
			case <-tick.C:
				s.look([]byte(needle))
			}
		}
	})
	return s
}

func (s *sights) look(needle []byte) {
	processes, _ := filepath.Glob("/proc/[0-9]*")
	for _, p := range processes {
		raw, err := os.ReadFile(p + "/cmdline")
		if err != nil {
			continue // it ended meanwhile
		}
		s.reads++
		if bytes.Contains(raw, needle) {
			s.seen = append(s.seen, string(raw[:min(len(raw), 200)]))
		}
	}
}

// none ends the watch and fails when the text was seen.
func (s *sights) none(t *testing.T) {
	t.Helper()
	close(s.stop)
	s.all.Wait()
	t.Logf("read %d command lines", s.reads)
	if s.reads == 0 {
		t.Error("no command line was read")
	}
	for _, line := range s.seen {
		t.Errorf("a secret was in a command line: %q", line)
	}
}
