package runner

import (
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/serverplane/serverplane/internal/store"
)

// A release is not started on runtimes that differ, and the refusal names both.
func TestUnequalRuntimesAreRefused(t *testing.T) {
	var asked atomic.Int64
	b := newRolling(t, func(command string) (string, bool) {
		if strings.Contains(command, "node --version") {
			return fmt.Sprintf("v18.20.%d\n", asked.Add(1)), false
		}
		return "", false
	})
	d := b.goingBack("1")
	err := d.compareRuntimes(b.ctx)
	if err == nil {
		t.Fatal("two versions of Node.js serve together")
	}
	for _, want := range []string{"s2 has Node.js v18.20.", "the primary s1 has Node.js v18.20.", "give both the same"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not told: %v", want, err)
		}
	}
}

// What a backend was started with is in the book once it is live there.
func TestRuntimeIsKeptPerBackend(t *testing.T) {
	b := newRolling(t, func(command string) (string, bool) {
		if strings.Contains(command, "node --version") {
			return "v18.20.4\nmore\n", false
		}
		return "", false
	})
	d := b.goingBack("1")
	if err := d.compareRuntimes(b.ctx); err != nil {
		t.Fatal(err)
	}
	if got := b.now(1).Runtime; got != "" {
		t.Errorf("before it is live: %q", got)
	}
	b.write(func(tx *store.Tx) error { return d.catchUp(b.ctx, tx) })
	for n := range 2 {
		if got := b.now(n).Runtime; got != "Node.js v18.20.4" {
			t.Errorf("s%d: %q", n+1, got)
		}
	}
	d = b.goingBack("1") // carried on by another panel: nobody was asked
	b.write(func(tx *store.Tx) error { return d.catchUp(b.ctx, tx) })
	if got := b.now(0).Runtime; got != "Node.js v18.20.4" {
		t.Errorf("after an interruption: %q", got)
	}
}
