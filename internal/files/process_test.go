package files

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/serverplane/serverplane/internal/plane"
)

func process() Process {
	return Process{App: "web", Name: "mail", Slot: "a", Release: "20260102030405-0123abc", Root: "apps/site", Deployment: "dep_aaaaaaaaaaaaaaaa", Server: "s1", Stop: time.Minute}
}

func tick() Tick {
	return Tick{App: "web", Name: "report", Minutes: []int{30}, Hours: []int{2}, Days: []int{1, 15}, Months: []int{1, 2}, Weekdays: []int{1}, EitherDay: true, Zone: "Asia/Kathmandu"}
}

func TestProcessFiles(t *testing.T) {
	script, err := TickScript(tick())
	if err != nil {
		t.Fatal(err)
	}
	for name, render := range map[string]func() (string, error){
		"sp-web_p_mail@.service":  func() (string, error) { return ProcessUnit(process()) },
		"sp-web_c_mail.service":   func() (string, error) { return CronRunUnit(process()) },
		"sp-web_c_report.timer":   func() (string, error) { return TimerUnit(tick()) },
		"sp-web_t_report.service": func() (string, error) { return TickUnit(tick()) },
		"report.tick":             func() (string, error) { return string(script), nil },
	} {
		got, err := render()
		if err != nil {
			t.Fatal(name, err)
		}
		golden(t, name, got)
	}
}

func TestProcessRefusals(t *testing.T) {
	for field, spoil := range map[string]func(*Process){
		"app": func(p *Process) { p.App = "a_b" }, "process": func(p *Process) { p.Name = "a\nExecStart=id" }, "slot": func(p *Process) { p.Slot = "c" },
		"release": func(p *Process) { p.Release = "x" }, "root": func(p *Process) { p.Root = "../.." }, "deployment": func(p *Process) { p.Deployment = "dep_1\n" },
		"server": func(p *Process) { p.Server = "s 1" }, "stop": func(p *Process) { p.Stop = 0 },
	} {
		p := process()
		spoil(&p)
		for _, render := range []func(Process) (string, error){ProcessUnit, CronRunUnit, ContainerProcessUnit, ContainerCronRunUnit} {
			text, err := render(p)
			if refusal, ok := errors.AsType[*Refusal](err); !ok || refusal.Field != field || text != "" {
				t.Errorf("%s: %q, %v", field, text, err)
			}
		}
	}
	for field, spoil := range map[string]func(*Tick){
		"app": func(k *Tick) { k.App = "" }, "process": func(k *Tick) { k.Name = "a b" }, "zone": func(k *Tick) { k.Zone = "UTC;id" }, "minutes": func(k *Tick) { k.Minutes = nil },
		"hours": func(k *Tick) { k.Hours = []int{24} }, "days": func(k *Tick) { k.Days = []int{0} }, "months": func(k *Tick) { k.Months = []int{13} }, "weekdays": func(k *Tick) { k.Weekdays = []int{7} },
	} {
		k := tick()
		spoil(&k)
		if _, err := TickScript(k); err == nil || !strings.Contains(err.Error(), field) {
			t.Errorf("%s: %v", field, err)
		}
	}
}

// No process of any app has the name of a unit of anything else of ours.
func TestProcessNamesAreNobodyElses(t *testing.T) {
	name := rapid.StringMatching(`[a-z](-?[a-z0-9]){0,6}`)
	rapid.Check(t, func(t *rapid.T) {
		app, other, one, two := name.Draw(t, "app"), name.Draw(t, "other"), name.Draw(t, "one"), name.Draw(t, "two")
		mine := []string{ProcessInstance(app, one, 1), ProcessTemplate(app, one), CronTimer(app, one), CronTick(app, one), CronRun(app, one)}
		theirs := []string{UnitName(other, "a"), UnitName(other, "b"), TransientUnit(other, "run_"+two) + ".service"}
		if app != other || one != two {
			theirs = append(theirs, ProcessInstance(other, two, 1), ProcessTemplate(other, two), CronTimer(other, two), CronTick(other, two), CronRun(other, two))
		}
		for i, m := range mine {
			for _, o := range append(theirs, mine[:i]...) {
				if m == o {
					t.Fatalf("%s is the name of two", m)
				}
			}
		}
	})
}

// What a server's shell decides from the rendered script is what the domain says
// of the schedule, and the timer wakes it at each minute that matters.
func TestTickScriptDecidesAsTheScheduleDoes(t *testing.T) {
	dir := t.TempDir()
	for i, c := range []struct {
		schedule, zone, from string
		step                 time.Duration
		count                int
	}{
		{"*/5 * * * *", "UTC", "2026-01-01T00:00:00Z", time.Minute, 12},
		{"30 2 * * *", "Europe/Berlin", "2026-10-24T23:30:00Z", 30 * time.Minute, 8}, // 02:30 is shown twice
		{"30 2 * * *", "Europe/Berlin", "2026-03-29T00:00:00Z", 30 * time.Minute, 8}, // and not at all
		{"0 * * * *", "Australia/Lord_Howe", "2026-04-04T13:00:00Z", 30 * time.Minute, 8},
		{"15 1 * * *", "Australia/Lord_Howe", "2026-04-04T13:15:00Z", 30 * time.Minute, 8},
		{"0 0 13 * fri", "Asia/Kathmandu", "2026-02-11T18:15:00Z", 12 * time.Hour, 14},
		{"0 12 1-7 */3 *", "America/St_Johns", "2025-12-30T15:30:00Z", 24 * time.Hour, 14},
		{"8,9 8,9 8,9 8,9 *", "UTC", "2026-08-08T08:08:00Z", time.Minute, 4}, // octal to a careless shell
	} {
		s, err := plane.ParseSchedule("schedule", c.schedule)
		if err != nil {
			t.Fatal(err)
		}
		n := s.Fields()
		k := Tick{App: "web", Name: "x", Minutes: n.Minutes, Hours: n.Hours, Days: n.Days, Months: n.Months, Weekdays: n.Weekdays, EitherDay: n.EitherDay, Twice: n.Twice, Zone: c.zone}
		script, err := TickScript(k)
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(dir, fmt.Sprint(i))
		if err := os.WriteFile(path, script, 0o600); err != nil {
			t.Fatal(err)
		}
		zone, err := time.LoadLocation(c.zone)
		if err != nil {
			t.Fatal(err)
		}
		at, err := time.Parse(time.RFC3339, c.from)
		if err != nil {
			t.Fatal(err)
		}
		for range c.count {
			if got, want := runs(t, path, at), s.Due(at.In(zone)); got != want {
				t.Errorf("%q at %s: the server says %t, the schedule %t", c.schedule, at.In(zone), got, want)
			}
			if s.Due(at.In(zone)) && !wakes(t, k, at) {
				t.Errorf("%q at %s: the timer does not wake", c.schedule, at.In(zone))
			}
			at = at.Add(c.step)
		}
	}
}

func runs(t *testing.T, script string, at time.Time) bool {
	t.Helper()
	cmd := exec.Command("/bin/sh", script, "echo", "due")
	cmd.Env = []string{"PATH=/usr/bin:/bin", fmt.Sprintf("SP_NOW=%d", at.Unix())}
	out, err := cmd.CombinedOutput()
	if err != nil || len(out) > 0 && string(out) != "due\n" {
		t.Fatalf("%v: %s", err, out)
	}
	return len(out) > 0
}

func wakes(t *testing.T, k Tick, at time.Time) bool {
	t.Helper()
	unit, err := TimerUnit(k)
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(unit, "OnCalendar=*-*-* *:")
	list, _, _ := strings.Cut(rest, ":")
	if list == "*" {
		return true
	}
	for m := range strings.SplitSeq(list, ",") {
		if m == fmt.Sprint(at.UTC().Minute()) {
			return true
		}
	}
	return false
}
