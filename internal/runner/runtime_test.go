package runner

import (
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/serverplane/serverplane/internal/plane"
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
}

// What another panel has found out is not lost with it: a deployment that is carried forward asks again.
func TestRuntimeOfADeploymentCarriedForward(t *testing.T) {
	b := newRolling(t, func(command string) (string, bool) {
		if strings.Contains(command, "node --version") {
			return "v22.1.0\n", false
		}
		return "", false
	})
	d := b.goingBack("1")
	d.plan.State = plane.DeploymentSwitching
	if err := d.carryForward(b.ctx); err != nil {
		t.Fatal(err)
	}
	b.write(func(tx *store.Tx) error { return d.catchUp(b.ctx, tx) })
	for n := range 2 {
		if got := b.now(n).Runtime; got != "Node.js v22.1.0" {
			t.Errorf("s%d: %q", n+1, got)
		}
	}
}

// By then visitors may be on the new slots: what one server does not tell ends nothing, and the book keeps what it says.
func TestNoRuntimeEndsWhatIsCarriedForward(t *testing.T) {
	silent := false
	b := newRolling(t, func(command string) (string, bool) {
		if strings.Contains(command, "node --version") && !silent {
			return "v18.20.4\n", false
		}
		return "", false
	})
	for range 2 {
		d := b.goingBack("1")
		if err := d.carryForward(b.ctx); err != nil {
			t.Fatal(err)
		}
		b.write(func(tx *store.Tx) error { return d.catchUp(b.ctx, tx) })
		if got := b.now(0).Runtime; got != "Node.js v18.20.4" {
			t.Errorf("with nothing told %v: %q", silent, got)
		}
		silent = true
	}
}
