package mirror

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestLookReadsWhatIsAskedForAndKeepsNothing(t *testing.T) {
	u, dir := newUpstream(t), t.TempDir()
	if err := os.WriteFile(filepath.Join(u.dir, "large"), []byte(strings.Repeat("x", maxText+1)), 0o644); err != nil {
		t.Fatal(err)
	}
	u.commit("two")
	m := New(dir, true)
	paths, texts, err := m.Look(t.Context(), u.source().Address, "main", func(string) bool { return true })
	if err != nil || len(paths) != 2 || len(texts) != 1 || texts["file"] != "two" {
		t.Errorf("%v, %v, %v", paths, texts, err)
	}
	if _, _, err := m.Look(t.Context(), u.source().Address, "gone", func(string) bool { return true }); err == nil {
		t.Error("a branch that is not there was looked at")
	}
	left, err := os.ReadDir(dir)
	if err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}
