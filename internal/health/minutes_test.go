package health

import (
	"context"
	"log/slog"
	"path/filepath"
	"testing"
	"time"

	"github.com/serverplane/serverplane/internal/plane"
	"github.com/serverplane/serverplane/internal/store"
)

// TestMinutesThatNobodyTakesAreForgotten has a store that refuses every write.
func TestMinutesThatNobodyTakesAreForgotten(t *testing.T) {
	s, err := store.Open(t.Context(), store.Config{Path: filepath.Join(t.TempDir(), "panel.db")})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	now := time.Date(2026, 1, 2, 3, 4, 0, 0, time.UTC)
	k := New(Config{Store: s, Now: func() time.Time { return now }, Log: slog.New(slog.DiscardHandler)})
	for range 300 {
		k.minutes.add("bck_1", plane.Probe{At: now})
		now = now.Add(time.Minute)
		k.flush(context.Background(), now)
	}
	if n := len(k.minutes); n != 60 {
		t.Errorf("%d minutes are held, want those of the last hour", n)
	}
}
