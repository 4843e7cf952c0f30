package webtest

import (
	"context"
	"time"

	"github.com/serverplane/serverplane/internal/control"
	"github.com/serverplane/serverplane/internal/plane"
)

// SetProcess starts the Run; for the app unchanged there is nothing deployed.
func (p *Panel) SetProcess(_ context.Context, _ plane.Actor, kind plane.ProcessKind, app, name string, w control.ProcessWish) (*plane.Run, error) {
	p.about("SetProcess", string(kind)+" "+app+" "+name)
	run, err := p.start("SetProcess", w)
	if app == "unchanged" {
		return nil, err
	}
	return &run, err
}

// MoveProcess starts the Run.
func (p *Panel) MoveProcess(_ context.Context, _ plane.Actor, kind plane.ProcessKind, app, name string, w control.MoveWish) (*plane.Run, error) {
	p.about("MoveProcess", string(kind)+" "+app+" "+name)
	run, err := p.start("MoveProcess", w)
	return &run, err
}

// RemoveProcess starts the Run.
func (p *Panel) RemoveProcess(_ context.Context, _ plane.Actor, kind plane.ProcessKind, app, name string) (*plane.Run, error) {
	run, err := p.start("RemoveProcess", string(kind)+" "+app+" "+name)
	return &run, err
}

// CheckProcesses does nothing.
func (p *Panel) CheckProcesses(_ context.Context, _ plane.Actor, app string) error {
	return p.called("CheckProcesses", app)
}

// Processes answers the process mail, which failed, or the cron entry tick, which waits.
func (p *Panel) Processes(_ context.Context, _ plane.Actor, kind plane.ProcessKind, app string) ([]control.ProcessView, error) {
	p.about("Processes", app)
	v := control.ProcessView{
		Process: plane.Process{ID: "prc_1", Name: "mail", Kind: plane.Worker, Command: "node worker.js <mail>", On: plane.OnAll, Count: 2,
			Stop: plane.DefaultStop, CreatedAt: At(), ChangedAt: At()},
		States: []control.ProcessStateView{
			{ServerName: "s1", ProcessStatus: plane.ProcessStatus{State: plane.ProcessRunning, Since: At(), CheckedAt: At(), Answer: "active (running)", Release: "20260304050607-0123456"}},
			{ServerName: "s2", Behind: true, ProcessStatus: plane.ProcessStatus{State: plane.ProcessFailed, Since: At(), CheckedAt: At(), Reason: "1 of 2 run; exited with status 7",
				Answer: "activating (auto-restart), started again 3 times", Release: "20260303050607-0123456", Lines: "no <licence>\nbye"}},
		},
	}
	if kind == plane.Cron {
		v.Process = plane.Process{ID: "prc_2", Name: "tick", Kind: plane.Cron, Command: "node tick.js", On: plane.OnOne, Schedule: "*/5 * * * *",
			Stop: plane.DefaultStop, CreatedAt: At(), ChangedAt: At()}
		v.Owner, v.Zone, v.Next = "s1", "Europe/Berlin", At().Add(time.Minute)
		v.States = []control.ProcessStateView{{ServerName: "s1", ProcessStatus: plane.ProcessStatus{State: plane.ProcessUnknown, Since: At(), CheckedAt: At(), Reason: "the panel could not look: s1 cannot be reached"}}}
	}
	return []control.ProcessView{v}, p.called("Processes", string(kind))
}
