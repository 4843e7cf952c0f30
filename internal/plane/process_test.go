package plane_test

import (
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/serverplane/serverplane/internal/plane"
)

func worker() plane.Process {
	return plane.Process{Name: "mail", Kind: plane.Worker, Command: "node worker.js", On: plane.OnOne, OwnerID: "srv_1", HolderID: "srv_1"}.WithDefaults()
}

func TestProcessCheck(t *testing.T) {
	if err := worker().Check(); err != nil {
		t.Fatal(err)
	}
	for field, spoil := range map[string]func(p *plane.Process){
		"name":     func(p *plane.Process) { p.Name = "Mail" },
		"command":  func(p *plane.Process) { p.Command = " " },
		"on":       func(p *plane.Process) { p.On = "some" },
		"count":    func(p *plane.Process) { p.Count = 21 },
		"stop":     func(p *plane.Process) { p.Stop = plane.Duration(2 * time.Hour) },
		"schedule": func(p *plane.Process) { p.Kind, p.Schedule = plane.Cron, "never" },
	} {
		p := worker()
		spoil(&p)
		if err := p.Check(); err == nil || !strings.HasPrefix(err.Error(), field+": ") {
			t.Errorf("%s: %v", field, err)
		}
	}
	for _, name := range []string{"a_b", "a@1", "a.service", "a/b", "-a", "a-", "", strings.Repeat("a", 25)} {
		p := worker()
		p.Name = name
		if p.Check() == nil {
			t.Errorf("the name %q was accepted", name)
		}
	}
}

// Whatever is wished of a process, also on which backends it runs, and whatever of
// it has come true or was taken back: what has an owner is started nowhere while it
// may run anywhere else.
func TestNoWishStartsASecondOne(t *testing.T) {
	servers := []string{"srv_1", "srv_2", "srv_3"}
	rapid.Check(t, func(t *rapid.T) {
		p := worker()
		running := map[string]bool{"srv_1": true} // what servers have, by proof only less
		former := p
		for range rapid.IntRange(0, 14).Draw(t, "steps") {
			switch rapid.IntRange(0, 6).Draw(t, "step") {
			case 0: // a person moves it
				former = p
				if moved, err := p.Moves("mail", "s", rapid.SampledFrom(servers).Draw(t, "to")); err == nil {
					p = moved
				}
			case 1: // a person wishes it on all, or on one
				former = p
				p = p.PutOn(rapid.SampledFrom([]plane.Placement{plane.OnOne, plane.OnAll}).Draw(t, "on"), "srv_1", true)
			case 2: // a Run proves that it has stopped where it may be
				if p.Leaves() {
					p.HolderID, running = "", map[string]bool{}
				}
			case 3: // the owner takes it
				if p.On == plane.OnOne && p.HolderID == "" {
					p.HolderID = p.OwnerID
				}
			case 4: // what belongs on a server is started there, of the book as a deployment sees it
				for _, s := range servers {
					if p.Stays().RunsOn(s) {
						running[s] = true
					}
				}
			case 5: // the wish before last was cancelled while queued
				p = p.TakenBack(former, true)
				former = p
			case 6: // a Run fails
				p = p.Stays()
			}
			for _, s := range servers {
				for other := range running {
					if p.On == plane.OnOne && p.RunsOn(s) && other != s {
						t.Fatalf("is to be started on %s, and may run on %s: %+v", s, other, p)
					}
				}
			}
		}
	})
}

func TestTakenBack(t *testing.T) {
	was := worker()
	was.OwnerID, was.HolderID = "srv_1", "srv_1"
	moved, everywhere := was, was.PutOn(plane.OnAll, "srv_1", true)
	moved.OwnerID = "srv_2"
	arrived, between := moved, moved
	arrived.HolderID, between.HolderID = "srv_2", ""
	for name, c := range map[string]struct {
		now, former plane.Process
		acted       bool
		want        plane.Process
	}{
		"a move": {moved, was, false, was},
		"a move that another Run has carried out": {arrived, was, true, arrived},
		"a move that another Run is in":           {between, was, true, func() plane.Process { p := was; p.HolderID = ""; return p }()},
		"on all":                                  {everywhere, was, false, was},
		"on all, started by the way":              {everywhere, was, true, func() plane.Process { p := was; p.HolderID = plane.Anywhere; return p }()},
		"on one again":                            {everywhere.PutOn(plane.OnOne, "srv_1", true), everywhere, true, everywhere},
	} {
		if got := c.now.TakenBack(c.former, c.acted); got != c.want {
			t.Errorf("%s:\n%+v, want\n%+v", name, got, c.want)
		}
	}
}

// Whatever is wished of a process with an owner, and whatever of it has come
// true, it never belongs on two servers, and on none that is not proven.
func TestAnOwnedProcessRunsInOnePlace(t *testing.T) {
	servers := []string{"srv_1", "srv_2", "srv_3"}
	rapid.Check(t, func(t *rapid.T) {
		p := worker()
		for range rapid.IntRange(0, 12).Draw(t, "steps") {
			before := p.HolderID
			switch rapid.IntRange(0, 3).Draw(t, "step") {
			case 0: // a person moves it
				to := rapid.SampledFrom(servers).Draw(t, "to")
				if moved, err := p.Moves("mail", "s", to); err == nil {
					p = moved
				}
			case 1: // it is proven to have stopped
				if p.Leaves() {
					p.HolderID = ""
				}
			case 2: // the owner takes it
				if p.HolderID == "" {
					p.HolderID = p.OwnerID
				}
			case 3: // a move fails
				if p.Leaves() {
					p.OwnerID = p.HolderID
				}
			}
			on := 0
			for _, s := range servers {
				if p.RunsOn(s) {
					on++
					if s != p.HolderID {
						t.Fatalf("belongs on %s, the book says %s", s, p.HolderID)
					}
				}
			}
			if on > 1 || before != "" && p.HolderID != "" && p.HolderID != before {
				t.Fatalf("on %d servers; held by %s, before by %s", on, p.HolderID, before)
			}
		}
	})
}

func TestProcessMoves(t *testing.T) {
	all, gone := worker(), worker()
	all.On, all.OwnerID, all.HolderID, gone.Removing = plane.OnAll, "", "", true
	for _, p := range []plane.Process{all, gone, worker()} {
		if _, err := p.Moves("mail", "s1", "srv_1"); err == nil {
			t.Errorf("%+v moved to its owner", p)
		}
	}
	if !all.RunsOn("srv_9") || gone.RunsOn("srv_1") {
		t.Error("one on all belongs everywhere, one that is removed nowhere")
	}
	if got := plane.OwnedBy([]plane.Process{all, gone, worker()}, "srv_1"); len(got) != 1 || got[0] != "mail" {
		t.Errorf("owns %v", got)
	}
}

func TestProcessJudge(t *testing.T) {
	now := time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	long, short := now.Add(-time.Hour), now.Add(-time.Second)
	up := plane.UnitLook{Load: "loaded", Active: "active", Sub: "running", Since: long, Release: "r1"}
	again := plane.UnitLook{Load: "loaded", Active: "activating", Sub: "auto-restart", Restarts: 4, Since: short, Exit: "exited with status 7", Lines: "bye"}
	for name, c := range map[string]struct {
		p      plane.Process
		units  []plane.UnitLook
		state  plane.ProcessState
		reason string
	}{
		"runs":                        {worker(), []plane.UnitLook{up}, plane.ProcessRunning, ""},
		"one of two ends":             {worker(), []plane.UnitLook{up, again}, plane.ProcessFailed, "1 of 2 run; exited with status 7"},
		"between two ends":            {worker(), []plane.UnitLook{{Active: "active", Restarts: 3, Since: short, Exit: "exited with status 1"}}, plane.ProcessFailed, "exited with status 1"},
		"came back and stays":         {worker(), []plane.UnitLook{{Active: "active", Restarts: 3, Since: long}}, plane.ProcessRunning, ""},
		"finishes":                    {worker(), []plane.UnitLook{{Active: "deactivating"}}, plane.ProcessRunning, "finishes what it is at"},
		"stopped by hand":             {worker(), []plane.UnitLook{{Load: "loaded", Active: "inactive"}}, plane.ProcessStopped, "does not run"},
		"its unit is gone":            {worker(), []plane.UnitLook{{Load: "not-found", Active: "inactive"}}, plane.ProcessStopped, "its unit is not there"},
		"cron waits":                  {entry(), []plane.UnitLook{{Active: "active"}, {}, {Active: "inactive"}}, plane.ProcessWaiting, ""},
		"cron is at it":               {entry(), []plane.UnitLook{{Active: "active"}, {}, {Active: "activating"}}, plane.ProcessRunning, "a run is under way"},
		"cron failed":                 {entry(), []plane.UnitLook{{Active: "active"}, {}, {Active: "failed", Exit: "exited with status 1"}}, plane.ProcessFailed, "the last run exited with status 1"},
		"its timer was stopped":       {entry(), []plane.UnitLook{{Active: "inactive"}, {}, {Active: "inactive"}}, plane.ProcessStopped, "its timer does not run"},
		"nobody told of any instance": {worker(), nil, plane.ProcessStopped, ""},
	} {
		got := c.p.Judge(c.units, now)
		if got.State != c.state || got.Reason != c.reason || !got.CheckedAt.Equal(now) {
			t.Errorf("%s: %+v", name, got)
		}
	}
	was := worker().Judge([]plane.UnitLook{up}, now)
	unseen := plane.UnseenProcess(was, "s1 cannot be reached", now.Add(time.Minute))
	if unseen.State != plane.ProcessUnknown || !unseen.Since.Equal(now.Add(time.Minute)) || unseen.Release != "r1" {
		t.Errorf("%+v", unseen)
	}
	if later := plane.UnseenProcess(unseen, "still", now.Add(time.Hour)); !later.Since.Equal(unseen.Since) {
		t.Errorf("unknown since %s", later.Since)
	}
}

func entry() plane.Process {
	return plane.Process{Name: "tick", Kind: plane.Cron, Command: "true", On: plane.OnOne, Schedule: "@daily"}.WithDefaults()
}
