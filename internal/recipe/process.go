package recipe

import (
	"cmp"
	"fmt"

	"github.com/serverplane/serverplane/internal/ansible"
	"github.com/serverplane/serverplane/internal/files"
	"github.com/serverplane/serverplane/internal/plane"
)

// Bench is a seat with the processes that belong there and the deployment that
// its live slot was started from, in whose release they run.
type Bench struct {
	Seat
	Plan      plane.Deployment // of the seat; the zero Deployment where nothing is to run
	Processes []plane.Process
}

// Processes brings each bench to exactly its processes. Generation counts the
// wishes: a server refuses one older than what it has seen.
func Processes(run string, a plane.App, generation int64, benches []Bench, kinds plane.Kinds) (ansible.Play, error) {
	kind, err := kinds.Of(a.Kind)
	if err != nil {
		return ansible.Play{}, err
	}
	play := ansible.Play{Run: run, Playbook: "app_processes.yml", Vars: map[string]any{"app": a.Name, "generation": generation}}
	for _, b := range benches {
		tree, err := processTree(a, kind, b)
		if err != nil {
			return ansible.Play{}, fmt.Errorf("render the processes of %s for %s: %w", a.Name, b.Server.Name, err)
		}
		u := unitsOf(a.Name, b.Processes)
		play.Hosts = append(play.Hosts, host(b.Server, map[string]any{
			"release": b.Plan.ReleaseID, "units": u.all, "run_units": u.run, "timers": u.timers, "zone": zoneOf(a, b.Processes),
		}))
		play.Files = append(play.Files, ansible.File{Name: "processes-" + b.Server.Name + ".tar", Content: tree})
	}
	return play, play.Validate()
}

// processUnits are names of units by what is done with them.
type processUnits struct{ all, run, timers []string }

func unitsOf(app string, processes []plane.Process) processUnits {
	u := processUnits{all: []string{}, run: []string{}, timers: []string{}}
	for _, p := range processes {
		names := UnitsOf(app, p)
		u.all = append(u.all, names...)
		if p.Kind == plane.Cron {
			u.timers = append(u.timers, names[0])
		} else {
			u.run = append(u.run, names...)
		}
	}
	return u
}

// UnitsOf names the units of a process: its instances; or a cron entry's timer,
// tick and run, in this order.
func UnitsOf(app string, p plane.Process) []string {
	if p.Kind == plane.Cron {
		return []string{files.CronTimer(app, p.Name), files.CronTick(app, p.Name), files.CronRun(app, p.Name)}
	}
	names := make([]string, p.Count)
	for i := range names {
		names[i] = files.ProcessInstance(app, p.Name, i+1)
	}
	return names
}

func zoneOf(a plane.App, processes []plane.Process) string {
	for _, p := range processes {
		if p.Kind == plane.Cron {
			return a.Spec.Timezone().String()
		}
	}
	return ""
}

// processTree is the tar of every file the bench's processes need.
func processTree(a plane.App, kind plane.Definition, b Bench) ([]byte, error) {
	t := newTree(files.UserName(a.Name))
	for _, p := range b.Processes {
		f := files.Process{
			App: a.Name, Name: p.Name, Slot: string(b.Plan.Slot), Release: b.Plan.ReleaseID, Root: b.Plan.Spec.Root, Deployment: b.Plan.ID,
			Server: b.Server.Name, Stop: p.Stop.Std(),
		}
		name, unit, run := files.ProcessTemplate(a.Name, p.Name), files.ProcessUnit, files.CronRunUnit
		if kind.Container != nil {
			unit, run = files.ContainerProcessUnit, files.ContainerCronRunUnit
			script, err := files.ContainerProcessScript(f, p.Command, p.Kind == plane.Cron)
			t.root(files.ProcessScript(a.Name, p.Name), 0o600, script, err)
		} else {
			script, err := files.StartScript(p.Command)
			t.app(files.ProcessScript(a.Name, p.Name), 0o640, script, err)
		}
		if p.Kind == plane.Cron {
			t.cron(a, p)
			name, unit = files.CronRun(a.Name, p.Name), run
		}
		text, err := unit(f)
		t.root(files.UnitDir+"/"+name, 0o644, []byte(text), err)
	}
	return t.close()
}

// cron adds what wakes a cron entry's run.
func (t *archive) cron(a plane.App, p plane.Process) {
	s, err := plane.ParseSchedule("schedule", p.Schedule)
	n := s.Fields()
	tick := files.Tick{
		App: a.Name, Name: p.Name, Minutes: n.Minutes, Hours: n.Hours, Days: n.Days, Months: n.Months, Weekdays: n.Weekdays,
		EitherDay: n.EitherDay, Twice: n.Twice, Zone: a.Spec.Timezone().String(),
	}
	timer, wrong := files.TimerUnit(tick)
	t.root(files.UnitDir+"/"+files.CronTimer(a.Name, p.Name), 0o644, []byte(timer), cmp.Or(err, wrong))
	unit, err := files.TickUnit(tick)
	t.root(files.UnitDir+"/"+files.CronTick(a.Name, p.Name), 0o644, []byte(unit), err)
	script, err := files.TickScript(tick)
	t.root(files.CronTickScript(a.Name, p.Name), 0o600, script, err)
}

// CheckProcess holds that the process can be rendered, before anything is queued.
func CheckProcess(a plane.App, s plane.Server, p plane.Process, kinds plane.Kinds) error {
	kind, err := kinds.Of(a.Kind)
	if err != nil {
		return err
	}
	b := Bench{
		Seat: Seat{Server: s}, Processes: []plane.Process{p},
		Plan: plane.Deployment{ID: "dep_aaaaaaaaaaaaaaaa", ReleaseID: "20260101000000-0000000", Slot: plane.SlotA, Spec: a.Spec},
	}
	if _, err := processTree(a, kind, b); err != nil {
		return plane.Invalid("command", err.Error(), "")
	}
	return nil
}
