package files

import (
	"errors"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write what is rendered into the golden file")

// golden holds what is rendered against the file of that name in testdata.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got); if that is meant, run with -update:\n%s", name, diff)
	}
}

func goodUnit() Unit {
	return Unit{App: "web", Slot: "a", Release: "20260102030405-0123abc", Root: "apps/site", Port: 20001,
		Server: "s1", Memory: 512, Stop: 30 * time.Second}
}

func TestSlotUnitGolden(t *testing.T) {
	got, err := SlotUnit(goodUnit())
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "sp-web-a.service", got)
}

// TestUnitsThatAreNeverBesideEachOther: systemd itself stops one before it starts the other, for containers as for processes.
func TestUnitsThatAreNeverBesideEachOther(t *testing.T) {
	for slot, want := range map[string]string{"a": "\nConflicts=sp-web-b.service\n", "b": "\nConflicts=sp-web-a.service\nAfter=sp-web-a.service\n"} {
		u := goodUnit()
		u.Slot, u.Alone = slot, true
		text, err := SlotUnit(u)
		c := Container{App: u.App, ID: "app_aaaaaaaaaaaaaaaa", Slot: slot, Release: u.Release, Port: u.Port, Inside: 8080, Server: u.Server, Stop: u.Stop, Alone: true}
		contained, failure := c.Unit()
		head, _, _ := strings.Cut(text, "[Service]")
		containedHead, _, _ := strings.Cut(contained, "[Service]")
		if err != nil || failure != nil || !strings.Contains(head, want) || !strings.Contains(containedHead, want) {
			t.Errorf("slot %s: %v, %v\n%s\n%s", slot, err, failure, text, contained)
		}
	}
	if text, _ := SlotUnit(goodUnit()); strings.Contains(text, "Conflicts") {
		t.Error("slots that run side by side keep each other out")
	}
}

// TestSystemdUnderstandsTheUnit asks the real parser, which warns about every key or value it
// does not know. Unit and user exist only in a folder of the test.
func TestSystemdUnderstandsTheUnit(t *testing.T) {
	for _, change := range []func(*Unit){func(*Unit) {}, func(u *Unit) { u.Memory, u.Root = 0, "" }, func(u *Unit) { u.App = "a-rather-long-app-name-x"; u.Slot = "b" }, func(u *Unit) { u.Scratch, u.Quit = true, true },
		func(u *Unit) { u.Alone = true }, func(u *Unit) { u.Alone, u.Slot = true, "b" }} {
		u := goodUnit()
		change(&u)
		text, err := SlotUnit(u)
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(t.TempDir(), UnitName(u.App, u.Slot))
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		out, err := exec.Command("systemd-analyze", "verify", "--man=no", "--recursive-errors=no", path).CombinedOutput()
		if err != nil || strings.Contains(string(out), filepath.Base(path)) {
			t.Errorf("systemd-analyze verify (systemd comes with `make setup`): %v\n%s\n%s", err, out, text)
		}
	}
}

func TestUnitRefusals(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*Unit)
		field  string
	}{
		"app":                   {func(u *Unit) { u.App = "we b" }, "app"},
		"app with a newline":    {func(u *Unit) { u.App = "web\n" }, "app"},
		"slot":                  {func(u *Unit) { u.Slot = "c" }, "slot"},
		"release":               {func(u *Unit) { u.Release = "../../etc" }, "release"},
		"release with a branch": {func(u *Unit) { u.Release = "20260102030405-main" }, "release"},
		"root absolute":         {func(u *Unit) { u.Root = "/etc" }, "root"},
		"root climbs":           {func(u *Unit) { u.Root = "a/../../b" }, "root"},
		"root with a specifier": {func(u *Unit) { u.Root = "%h" }, "root"},
		"root with a directive": {func(u *Unit) { u.Root = "a\nUser=root" }, "root"},
		"root ends in a slash":  {func(u *Unit) { u.Root = "a/" }, "root"},
		"server":                {func(u *Unit) { u.Server = "s_1" }, "server"},
		"port":                  {func(u *Unit) { u.Port = 80 }, "port"},
		"memory":                {func(u *Unit) { u.Memory = 1 }, "memory"},
		"stop":                  {func(u *Unit) { u.Stop = 0 }, "stop"},
	} {
		t.Run(name, func(t *testing.T) {
			u := goodUnit()
			c.change(&u)
			text, err := SlotUnit(u)
			var refusal *Refusal
			if !errors.As(err, &refusal) || refusal.Field != c.field || text != "" {
				t.Errorf("got %v and %q", err, text)
			}
		})
	}
}

// FuzzSlotUnit holds that accepted names never add a line to the unit.
func FuzzSlotUnit(f *testing.F) {
	f.Add("web", "a", "20260102030405-0123abc", "apps/site", "s1")
	f.Add("web\n", "a\n", "20260102030405-0123abc\nUser=root", "%h\\", "s1\n")
	plain, err := SlotUnit(goodUnit())
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, app, slot, release, root, server string) {
		u := goodUnit()
		u.App, u.Slot, u.Release, u.Root, u.Server = app, slot, release, root, server
		text, err := SlotUnit(u)
		if err != nil {
			return
		}
		if !slices.Equal(keys(text), keys(plain)) || strings.ContainsAny(text, "%\\\"'") {
			t.Errorf("%+v adds to the unit:\n%s", u, text)
		}
	})
}

func keys(unit string) []string {
	var list []string
	for line := range strings.Lines(unit) {
		key, _, _ := strings.Cut(line, "=")
		list = append(list, key)
	}
	return list
}
