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

// What a release got from its server must be alike, too; where only that differs, building anew mends it.
func TestWhatAReleaseCarriesIsCompared(t *testing.T) {
	var told atomic.Int64
	alike := false
	b := newRolling(t, func(command string) (string, bool) {
		switch {
		case strings.Contains(command, "cobc --version"):
			return "3.2\n", false
		case strings.Contains(command, "runuser") && strings.Contains(command, "sp_web") && strings.Contains(command, "/home/sp_web/releases/20250101000000-aaaaaaa/CORE") && alike:
			return "Core 6" + strings.Repeat("!", 500) + "\n", false
		case strings.Contains(command, "/CORE"):
			return fmt.Sprintf("Core %d\n", told.Add(1)), false
		}
		return "", false
	})
	b.r.Kinds = plane.Kinds{}.With(plane.Definition{
		Kind: "cobol",
		Runtime: func(map[string]string) plane.Runtime {
			return plane.Runtime{Asked: []string{"cobc", "--version"}, Name: "COBOL"}
		},
		Carries: func(p plane.Place) []string { return []string{"cat", p.Folder + "/CORE"} },
	})
	d := b.goingBack("1")
	d.crew.app.Kind = "cobol"
	err := d.compareRuntimes(b.ctx)
	if err == nil {
		t.Fatal("two releases that carry different things serve together")
	}
	for _, want := range []string{"s2 has COBOL 3.2, Core ", "the primary s1 has COBOL 3.2, Core ", "deploy --rebuild"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not told: %v", want, err)
		}
	}
	alike = true
	if err := d.compareRuntimes(b.ctx); err != nil || d.versions["s2"] != "COBOL 3.2, Core 6"+strings.Repeat("!", 94) {
		t.Errorf("alike: %v, %q", err, d.versions)
	}
}

// What a kind finds in the live release is told before another server serves it, and stops nothing.
func TestCautionsAreTold(t *testing.T) {
	b := newRolling(t, func(command string) (string, bool) {
		if strings.Contains(command, "runuser") && strings.Contains(command, "look /home/sp_web/releases/") {
			return "warning: uploads: 2 files\nmore\n", false
		}
		return "", false
	})
	b.r.Kinds = plane.Kinds{}.With(plane.Definition{Kind: "cobol", Cautions: func(p plane.Place) []string { return []string{"look", p.Folder} }})
	d := b.goingBack("1")
	a := &addition{job: newJob(b.r, plane.Run{ID: plane.NewID(plane.PrefixRun)}), crew: d.crew, seat: d.crew.seats[1], live: b.live}
	a.crew.app.Kind = "cobol"
	if err := a.caution(b.ctx); err != nil {
		t.Fatal(err)
	}
	var lines []string
	for _, e := range a.journal.take() {
		lines = append(lines, e.Text)
	}
	if got := strings.Join(lines, "; "); got != "warning: uploads: 2 files; more" {
		t.Errorf("told is %q", got)
	}
}
