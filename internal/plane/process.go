package plane

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"
)

// PrefixProcess begins the id of every process and cron entry.
const PrefixProcess = "prc_"

// Process is a command of an app that runs beside its slots: always, or at the
// minutes of a schedule; then it is a cron entry. Both share names, owner and moves.
type Process struct {
	ID        string
	AppID     string
	Name      string // one process or cron entry of the app bears it
	Kind      ProcessKind
	Command   string // shell line
	On        Placement
	Count     int      // of a worker: how many at once on each server it runs on
	Stop      Duration // how long it may go on with what it is at when it is stopped
	Schedule  string   // of a cron entry
	OwnerID   string   // on one: the server it is wished on
	HolderID  string   // on one: the server it may be running on, or Anywhere; empty: proven to run nowhere
	Removing  bool
	CreatedAt time.Time
	ChangedAt time.Time
}

// ProcessKind tells what runs always from what runs by a schedule.
type ProcessKind string

// The kinds of process.
const (
	Worker ProcessKind = "process"
	Cron   ProcessKind = "cron"
)

// Placement says on which of an app's backends a process runs.
type Placement string

// The placements.
const (
	OnOne Placement = "one" // on its owner alone
	OnAll Placement = "all"
)

// Anywhere is the holder of a process that ran on all backends and is to run on
// one: it must be proven to have stopped on each.
const Anywhere = "*"

// Limits of processes.
const (
	MaxProcesses = 50 // of one app, cron entries included
	MaxCount     = 20
	DefaultStop  = Duration(time.Minute)
)

// WithDefaults fills what was left empty.
func (p Process) WithDefaults() Process {
	if p.Kind == Worker {
		p.Count = cmp.Or(p.Count, 1)
	}
	p.Stop = cmp.Or(p.Stop, DefaultStop)
	return p
}

// Line is the command line that adds the process to an app.
func (p Process) Line(app string) string {
	line := "serverplane " + string(p.Kind) + " set " + app + " " + p.Name
	if p.Kind == Cron {
		line += " --schedule '" + p.Schedule + "'"
	}
	return line + " --command '" + p.Command + "' --on " + string(p.On)
}

// Check holds for a process with its defaults.
func (p Process) Check() error {
	if err := CheckName("name", p.Name); err != nil {
		return err
	}
	if err := CheckCommand("command", p.Command); err != nil {
		return err
	}
	if p.On != OnOne && p.On != OnAll {
		return Invalid("on", "must be one or all", "one: on a single backend, which you may choose with move; all: on every backend")
	}
	if s := p.Stop.Std(); s < time.Second || s > time.Hour {
		return Invalid("stop", "must be 1s to 1h", "how long it may finish what it is at when it is stopped; the default is 1m")
	}
	if p.Kind == Cron {
		_, err := ParseSchedule("schedule", p.Schedule)
		return err
	}
	if p.Count < 1 || p.Count > MaxCount {
		return Invalid("count", fmt.Sprintf("must be 1 to %d", MaxCount), "so many run on each backend it runs on")
	}
	return nil
}

// RunsOn tells whether the process belongs on the server now. One that is to
// move belongs nowhere until it is proven that it runs nowhere.
func (p Process) RunsOn(serverID string) bool {
	if p.Removing {
		return false
	}
	return p.On == OnAll || p.OwnerID == serverID && p.HolderID == serverID
}

// Leaves tells whether the process must be proven to have stopped where it may
// be running before it may start elsewhere.
func (p Process) Leaves() bool { return p.On == OnOne && p.HolderID != "" && p.HolderID != p.OwnerID }

// Moves makes another server the owner.
func (p Process) Moves(name, server, serverID string) (Process, error) {
	switch {
	case p.Removing:
		return p, Conflict(fmt.Sprintf("%q is being removed", name), "")
	case p.On != OnOne:
		return p, Invalid("name", fmt.Sprintf("%q runs on all backends", name), "set it --on one first")
	case p.OwnerID == serverID && !p.Leaves():
		return p, Conflict(fmt.Sprintf("%s is the owner of %q already", server, name), "")
	}
	p.OwnerID = serverID
	return p, nil
}

// OnlyMoved tells whether the process became the other one by moves alone.
func (p Process) OnlyMoved(into Process) bool {
	into.OwnerID, into.HolderID, into.CreatedAt, into.ChangedAt = p.OwnerID, p.HolderID, p.CreatedAt, p.ChangedAt
	return p == into
}

// PutOn changes on which backends the process runs; where something is live, what
// ran on all may be anywhere until the opposite is proven. A new owner is the primary.
func (p Process) PutOn(on Placement, primaryID string, live bool) Process {
	if p.On == on {
		return p
	}
	p.On, p.OwnerID, p.HolderID = on, "", ""
	if on == OnOne {
		p.OwnerID = primaryID
		if live {
			p.HolderID = Anywhere
		}
	}
	return p
}

// Stays takes back a move of which nothing was done: the process goes on where it may be running.
func (p Process) Stays() Process {
	switch {
	case !p.Leaves():
	case p.HolderID == Anywhere:
		p.On, p.OwnerID, p.HolderID = OnAll, "", ""
	default:
		p.OwnerID = p.HolderID
	}
	return p
}

// TakenBack gives the process as it was before a wish whose Run never began. Where
// it may be running is a fact and stays one; acted tells that another Run may have
// carried the wish out by the way.
func (p Process) TakenBack(former Process, acted bool) Process {
	back := former
	switch {
	case former.On == OnAll:
	case p.On == OnAll && acted:
		back.HolderID = Anywhere
	case p.On == OnAll:
	case p.Leaves() || p.HolderID == "":
		back.HolderID = p.HolderID
	default: // it has arrived
		back.OwnerID, back.HolderID = p.OwnerID, p.HolderID
	}
	return back
}

// ProcessState is what a person sees of a process on one server.
type ProcessState string

// The states of a process.
const (
	ProcessRunning ProcessState = "running"
	ProcessWaiting ProcessState = "waiting" // a cron entry between two runs
	ProcessFailed  ProcessState = "failed"  // it ends again and again, or its last run failed
	ProcessStopped ProcessState = "stopped" // it should run and does not
	ProcessUnknown ProcessState = "unknown" // the panel cannot see
)

// ProcessStatus is how a process was last seen on one server.
type ProcessStatus struct {
	ProcessID string
	ServerID  string
	State     ProcessState
	Since     time.Time // when State began
	CheckedAt time.Time
	Reason    string // in words
	Answer    string // raw: what systemd says
	Release   string // what runs was started from, or empty
	Lines     string // the last it said, where it failed
	// Stray: it was moved away while the server could not be reached, and is
	// stopped there first thing when it can.
	Stray bool
}

// UnitLook is what systemd says of one unit.
type UnitLook struct {
	Unit     string    `json:"unit"`
	Load     string    `json:"load"`
	Active   string    `json:"active"`
	Sub      string    `json:"sub"`
	Result   string    `json:"result"`
	Restarts int       `json:"restarts"`
	Exit     string    `json:"exit"`  // how the main process ended, in words, or empty
	Since    time.Time `json:"since"` // when Active began
	Release  string    `json:"release"`
	Lines    string    `json:"lines"`
}

// settled is how long a process that was started again must live to count as running.
const settled = 10 * time.Second

func (u UnitLook) answer() string {
	text := fmt.Sprintf("%s: %s (%s)", u.Unit, cmp.Or(u.Active, "unknown"), cmp.Or(u.Sub, "unknown"))
	if u.Restarts > 0 {
		text += fmt.Sprintf(", started again %d times", u.Restarts)
	}
	return text
}

// judgeWorker tells the state of one instance.
func (u UnitLook) judgeWorker(now time.Time) (ProcessState, string) {
	again := u.Restarts > 0 && (u.Active != "active" || now.Sub(u.Since) < settled)
	switch {
	case u.Load == "not-found":
		return ProcessStopped, "its unit is not there"
	case again || u.Active == "failed" || u.Active == "activating" && u.Sub == "auto-restart":
		return ProcessFailed, cmp.Or(u.Exit, "it ends")
	case u.Active == "active" || u.Active == "activating" || u.Active == "reloading":
		return ProcessRunning, ""
	case u.Active == "deactivating":
		return ProcessRunning, "finishes what it is at"
	}
	return ProcessStopped, "does not run"
}

// Judge makes a status of what systemd says of the process's units: of its
// instances, or of a cron entry's timer, tick and run.
func (p Process) Judge(units []UnitLook, now time.Time) ProcessStatus {
	var s ProcessStatus
	if p.Kind == Cron && len(units) == 3 {
		s = judgeCron(units[0], units[2], now)
	} else {
		s = judgeWorker(units, now)
	}
	s.ProcessID = p.ID
	return s
}

// judgeWorker makes one status of all instances of a process on a server: the
// worst of them speaks.
func judgeWorker(units []UnitLook, now time.Time) ProcessStatus {
	s := ProcessStatus{State: ProcessStopped, Reason: "does not run", CheckedAt: now}
	run := 0
	var said []string
	for i, u := range units {
		state, reason := u.judgeWorker(now)
		if state == ProcessRunning {
			run++
		}
		if i == 0 || worse(state, s.State) {
			s.State, s.Since, s.Answer, s.Release, s.Lines, s.Reason = state, u.Since, u.answer(), u.Release, u.Lines, reason
		}
		if reason != "" && !slices.Contains(said, reason) {
			said = append(said, reason)
		}
	}
	s.Reason = strings.Join(said, "; ")
	if len(units) > 1 && run < len(units) {
		s.Reason = fmt.Sprintf("%d of %d run; %s", run, len(units), s.Reason)
	}
	return s
}

func worse(a, b ProcessState) bool {
	rank := []ProcessState{ProcessRunning, ProcessWaiting, ProcessUnknown, ProcessStopped, ProcessFailed}
	return slices.Index(rank, a) > slices.Index(rank, b)
}

// judgeCron makes a status of a cron entry's timer and of its last run.
func judgeCron(timer, run UnitLook, now time.Time) ProcessStatus {
	s := ProcessStatus{State: ProcessWaiting, Since: timer.Since, Answer: timer.answer() + ", " + run.answer(), CheckedAt: now}
	switch {
	case timer.Load == "not-found" || timer.Active != "active":
		s.State, s.Reason = ProcessStopped, "its timer does not run"
	case run.Active == "activating" || run.Active == "active" || run.Active == "deactivating":
		s.State, s.Since, s.Release, s.Reason = ProcessRunning, run.Since, run.Release, "a run is under way"
	case run.Active == "failed":
		s.State, s.Since, s.Lines, s.Reason = ProcessFailed, run.Since, run.Lines, "the last run "+cmp.Or(run.Exit, "failed")
	}
	return s
}

// UnseenProcess is the status of a process the panel could not look at.
func UnseenProcess(was ProcessStatus, why string, now time.Time) ProcessStatus {
	s := was
	s.State, s.Reason, s.CheckedAt, s.Answer, s.Lines = ProcessUnknown, why, now, "", ""
	if was.State != ProcessUnknown {
		s.Since = now
	}
	return s
}

// ProcessesOn lists what belongs on a server, by name.
func ProcessesOn(all []Process, serverID string) []Process {
	return slices.DeleteFunc(slices.Clone(all), func(p Process) bool { return !p.RunsOn(serverID) })
}

// OwnedBy lists the names of what only this server runs, by name.
func OwnedBy(all []Process, serverID string) []string {
	var names []string
	for _, p := range all {
		if p.On == OnOne && !p.Removing && (p.OwnerID == serverID || p.HolderID == serverID) {
			names = append(names, p.Name)
		}
	}
	return names
}

// Noun is what a person calls one of this kind.
func (k ProcessKind) Noun() string {
	if k == Cron {
		return "cron entry"
	}
	return "process"
}
