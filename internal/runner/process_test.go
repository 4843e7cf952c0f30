package runner

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/serverplane/serverplane/internal/ansible"
	"github.com/serverplane/serverplane/internal/plane"
	"github.com/serverplane/serverplane/internal/recipe"
	"github.com/serverplane/serverplane/internal/store"
)

// benched is a balanced app with a process; the stand-in says that all units
// asked for run.
type benched struct {
	*balanced
	mail plane.Process

	mu    sync.Mutex
	plays []string // "s1:mail s2:" host by host, in the order of plays
	fail  map[string]string
	ends  bool // what was started ends at once
}

func newBenched(t *testing.T, backends int) *benched {
	t.Helper()
	b := &benched{fail: map[string]string{}}
	b.balanced = newBalanced(t, backends, func(command string) (string, bool) {
		if !strings.Contains(command, "StateChangeTimestamp") {
			return `{"result":"applied"}`, false
		}
		var looks []map[string]any
		for _, word := range strings.Fields(command) {
			if strings.HasPrefix(word, "sp-web_") {
				looks = append(looks, map[string]any{"unit": word, "load": "loaded", "active": "active", "sub": "running", "since": time.Now().Unix()})
				if b.ends {
					looks[len(looks)-1]["active"], looks[len(looks)-1]["lines"] = "failed", "no licence\nfor a visitor"
				}
			}
		}
		raw, _ := json.Marshal(looks)
		return string(raw), false
	})
	b.mail = plane.Process{
		ID: plane.NewID(plane.PrefixProcess), AppID: b.app.ID, Name: "mail", Kind: plane.Worker, Command: "node worker.js", On: plane.OnOne,
		OwnerID: b.backends[0].ServerID, HolderID: b.backends[0].ServerID, CreatedAt: time.Now().UTC(), ChangedAt: time.Now().UTC(),
	}.WithDefaults()
	b.write(func(tx *store.Tx) error { return tx.CreateProcess(b.ctx, b.mail) })
	return b
}

// stage carries plays out by noting them; a host named in fail fails once.
func (b *benched) stage() *stage {
	return &stage{play: func(_ context.Context, p ansible.Play, _ func(ansible.Event)) (ansible.Outcome, error) {
		b.mu.Lock()
		defer b.mu.Unlock()
		out := allWell(p)
		var told []string
		for _, h := range p.Hosts {
			told = append(told, fmt.Sprintf("%s:%d", h.Name, len(h.Vars["run_units"].([]string))))
			if why := b.fail[h.Name]; why != "" {
				out.Hosts[h.Name] = ansible.HostResult{Task: "Processes", Message: why}
				delete(b.fail, h.Name)
			}
		}
		b.plays = append(b.plays, strings.Join(told, " "))
		return out, nil
	}}
}

func (b *benched) process() (got plane.Process) {
	b.t.Helper()
	b.write(func(tx *store.Tx) (err error) {
		got, err = tx.Process(b.ctx, b.app.ID, "mail")
		return err
	})
	return got
}

func (b *benched) states() (got []plane.ProcessStatus) {
	b.t.Helper()
	b.write(func(tx *store.Tx) (err error) {
		got, err = tx.ProcessStatuses(b.ctx, b.app.ID)
		return err
	})
	return got
}

func (b *benched) moveTo(n int, args string) plane.Run {
	b.t.Helper()
	p := b.process()
	p.OwnerID = b.backends[n].ServerID
	b.write(func(tx *store.Tx) error { return tx.UpdateProcess(b.ctx, p) })
	r := plane.Run{
		ID: plane.NewID(plane.PrefixRun), Kind: plane.RunProcesses, AppID: b.app.ID, Locks: []string{plane.AppLock(b.app.ID)}, CreatedAt: time.Now().UTC(), Args: json.RawMessage(args),
	}
	b.write(func(tx *store.Tx) error { return tx.Enqueue(b.ctx, r) })
	return r
}

func TestMoveStopsProvesAndOnlyThenStarts(t *testing.T) {
	b := newBenched(t, 2)
	run := b.moveTo(1, "")
	b.started(b.stage())
	r, _ := b.ended(run.ID)
	if want := []string{"s1:0", "s1:0 s2:1"}; r.State != plane.RunSucceeded || !slices.Equal(b.plays, want) {
		t.Errorf("%s (%s): plays %q, want %q", r.State, r.Reason, b.plays, want)
	}
	p, states := b.process(), b.states()
	if p.OwnerID != b.backends[1].ServerID || p.HolderID != p.OwnerID {
		t.Errorf("%+v", p)
	}
	if len(states) != 1 || states[0].ServerID != p.OwnerID || states[0].State != plane.ProcessRunning {
		t.Errorf("%+v", states)
	}
}

func TestMoveThatCannotStopTheOldStartsNothing(t *testing.T) {
	b := newBenched(t, 2)
	b.fail["s1"] = "could not be stopped"
	run := b.moveTo(1, "")
	b.started(b.stage())
	r, _ := b.ended(run.ID)
	if r.State != plane.RunFailed || !strings.Contains(r.Reason, "nothing was moved") || !slices.Equal(b.plays, []string{"s1:0"}) {
		t.Errorf("%s: %s; plays %q", r.State, r.Reason, b.plays)
	}
	if p := b.process(); p.OwnerID != b.backends[0].ServerID || p.HolderID != p.OwnerID {
		t.Errorf("the owner is another: %+v", p)
	}
}

// away closes the SSH port of a backend's server.
func (b *benched) away(n int) {
	b.t.Helper()
	b.write(func(tx *store.Tx) error {
		s, err := tx.Server(b.ctx, b.backends[n].ServerID)
		if err != nil {
			return err
		}
		s.SSHPort = 1
		return tx.UpdateServer(b.ctx, s)
	})
}

func TestMoveFromAnOwnerThatIsAway(t *testing.T) {
	b := newBenched(t, 3)
	p := b.mail
	p.OwnerID, p.HolderID = b.backends[1].ServerID, b.backends[1].ServerID
	b.write(func(tx *store.Tx) error { return tx.UpdateProcess(b.ctx, p) })
	b.away(1)
	run := b.moveTo(2, "")
	b.started(b.stage())
	r, _ := b.ended(run.ID)
	if r.State != plane.RunFailed || !strings.Contains(r.Reason, "--anyway") || len(b.plays) != 0 {
		t.Errorf("%s: %s; plays %q", r.State, r.Reason, b.plays)
	}
	if now := b.process(); now.OwnerID != p.OwnerID || now.HolderID != p.OwnerID {
		t.Errorf("it moved by itself: %+v", now)
	}

	run = b.moveTo(2, `{"anyway":true}`)
	b.hub.Publish(topicQueue)
	b.fail["s2"] = "cannot be reached" // as Ansible has it
	b.ended(run.ID)
	now := b.process()
	if now.OwnerID != b.backends[2].ServerID || now.HolderID != now.OwnerID || !slices.Equal(b.plays, []string{"s1:0 s2:0 s3:1"}) {
		t.Errorf("%+v; plays %q", now, b.plays)
	}
	strays := 0
	for _, s := range b.states() {
		if s.Stray && s.ServerID == p.OwnerID && s.State == plane.ProcessUnknown {
			strays++
		}
	}
	if strays != 1 {
		t.Errorf("the old owner is not asked to stop it when it returns: %+v", b.states())
	}
}

func TestMoveToAServerThatIsAwayStopsNothing(t *testing.T) {
	b := newBenched(t, 2)
	b.away(1)
	run := b.moveTo(1, "")
	b.started(b.stage())
	if r, _ := b.ended(run.ID); r.State != plane.RunFailed || len(b.plays) != 0 {
		t.Errorf("%s: plays %q", r.State, b.plays)
	}
	if p := b.process(); p.OwnerID != b.backends[0].ServerID {
		t.Errorf("%+v", p)
	}
}

// The panel died after the old one was proven to have stopped: its next life
// carries the move on, though it may run nowhere meanwhile.
func TestMoveOfALostPanelIsCarriedOn(t *testing.T) {
	b := newBenched(t, 2)
	b.moveTo(1, "")
	p := b.process()
	p.HolderID = ""
	b.write(func(tx *store.Tx) error {
		if err := tx.UpdateProcess(b.ctx, p); err != nil {
			return err
		}
		_, _, err := tx.Claim(b.ctx, "ins_one", time.Now().UTC(), time.Hour)
		return err
	})
	b.started(b.stage())
	deadline := time.Now().Add(time.Minute)
	for b.process().HolderID == "" || len(b.states()) == 0 {
		if time.Now().After(deadline) {
			t.Fatalf("the move was not carried on: %+v", b.process())
		}
		time.Sleep(20 * time.Millisecond)
	}
	if got := b.process(); got.HolderID != b.backends[1].ServerID || !slices.Equal(b.plays, []string{"s1:0 s2:1"}) {
		t.Errorf("%+v, plays %q", got, b.plays)
	}
}

func TestRemovedProcessIsForgottenWhenItIsGoneEverywhere(t *testing.T) {
	b := newBenched(t, 2)
	p := b.mail
	p.Removing = true
	b.write(func(tx *store.Tx) error { return tx.UpdateProcess(b.ctx, p) })
	b.fail["s2"] = "no room"
	queue := func() plane.Run {
		r := plane.Run{ID: plane.NewID(plane.PrefixRun), Kind: plane.RunProcesses, AppID: b.app.ID, Locks: []string{plane.AppLock(b.app.ID)}, CreatedAt: time.Now().UTC()}
		b.write(func(tx *store.Tx) error { return tx.Enqueue(b.ctx, r) })
		b.hub.Publish(topicQueue)
		return r
	}
	first := queue()
	b.started(b.stage())
	if r, _ := b.ended(first.ID); r.State != plane.RunFailed || !b.process().Removing {
		t.Errorf("%s: %s", r.State, r.Reason)
	}
	if r, _ := b.ended(queue().ID); r.State != plane.RunSucceeded {
		t.Errorf("%s: %s", r.State, r.Reason)
	}
	b.write(func(tx *store.Tx) error {
		if all, err := tx.Processes(b.ctx, b.app.ID); err != nil || len(all) > 0 {
			t.Errorf("%+v, %v", all, err)
		}
		return nil
	})
}

// From all to one: it is stopped everywhere before its owner starts it.
func TestFromAllToOneIsProvenFirst(t *testing.T) {
	b := newBenched(t, 3)
	everywhere := b.mail.PutOn(plane.OnAll, b.backends[0].ServerID, true)
	put := func(p plane.Process) plane.Run {
		b.write(func(tx *store.Tx) error { return tx.UpdateProcess(b.ctx, p) })
		r := plane.Run{ID: plane.NewID(plane.PrefixRun), Kind: plane.RunProcesses, AppID: b.app.ID, Locks: []string{plane.AppLock(b.app.ID)}, CreatedAt: time.Now().UTC()}
		b.write(func(tx *store.Tx) error { return tx.Enqueue(b.ctx, r) })
		b.hub.Publish(topicQueue)
		return r
	}
	first := put(everywhere.PutOn(plane.OnOne, b.backends[0].ServerID, true))
	b.started(b.stage())
	r, _ := b.ended(first.ID)
	if want := []string{"s1:0 s2:0 s3:0", "s1:1 s2:0 s3:0"}; r.State != plane.RunSucceeded || !slices.Equal(b.plays, want) {
		t.Errorf("%s (%s): plays %q, want %q", r.State, r.Reason, b.plays, want)
	}
	if p := b.process(); p.HolderID != b.backends[0].ServerID || p.OwnerID != p.HolderID {
		t.Errorf("%+v", p)
	}

	b.plays = nil
	b.away(2)
	r, _ = b.ended(put(everywhere.PutOn(plane.OnOne, b.backends[0].ServerID, true)).ID)
	if r.State != plane.RunFailed || !strings.Contains(r.Reason, "may still run on s3") || len(b.plays) != 0 {
		t.Errorf("%s: %s; plays %q", r.State, r.Reason, b.plays)
	}
	if p := b.process(); p.On != plane.OnAll || p.OwnerID != "" || p.HolderID != "" {
		t.Errorf("it does not go on on all: %+v", p)
	}
}

// Half of them stopped, and one could not be: those that did are started again.
func TestFromAllToOneThatFailsHalfWay(t *testing.T) {
	b := newBenched(t, 2)
	b.fail["s2"] = "could not be stopped"
	p := b.mail.PutOn(plane.OnAll, b.backends[0].ServerID, true).PutOn(plane.OnOne, b.backends[0].ServerID, true)
	b.write(func(tx *store.Tx) error { return tx.UpdateProcess(b.ctx, p) })
	r := plane.Run{ID: plane.NewID(plane.PrefixRun), Kind: plane.RunProcesses, AppID: b.app.ID, Locks: []string{plane.AppLock(b.app.ID)}, CreatedAt: time.Now().UTC()}
	b.write(func(tx *store.Tx) error { return tx.Enqueue(b.ctx, r) })
	b.started(b.stage())
	if r, _ := b.ended(r.ID); r.State != plane.RunFailed {
		t.Errorf("%s: %s", r.State, r.Reason)
	}
	deadline := time.Now().Add(time.Minute)
	for len(b.states()) < 2 {
		if time.Now().After(deadline) {
			t.Fatalf("what was stopped was not started again: %q", b.plays)
		}
		time.Sleep(20 * time.Millisecond)
	}
	if want := []string{"s1:0 s2:0", "s1:1 s2:1"}; !slices.Equal(b.plays, want) {
		t.Errorf("plays %q, want %q", b.plays, want)
	}
}

// A person who follows the Run sees why a process does not stay up; its reason holds nothing that the process wrote.
func TestRunTellsWhatAFailedProcessSaid(t *testing.T) {
	b := newBenched(t, 1)
	b.ends = true
	r := plane.Run{ID: plane.NewID(plane.PrefixRun), Kind: plane.RunProcesses, AppID: b.app.ID, Locks: []string{plane.AppLock(b.app.ID)}, CreatedAt: time.Now().UTC()}
	b.write(func(tx *store.Tx) error { return tx.Enqueue(b.ctx, r) })
	b.started(b.stage())
	r, events := b.ended(r.ID)
	if r.State != plane.RunFailed || !strings.Contains(r.Reason, "mail on s1 is failed") {
		t.Errorf("%s: %s", r.State, r.Reason)
	}
	var said []string
	for _, e := range events {
		if e.Kind == plane.EventSaid {
			said = append(said, e.Server+" "+e.Text)
		} else if strings.Contains(e.Text, "visitor") {
			t.Errorf("in a line for everybody: %+v", e)
		}
	}
	if want := []string{"s1 mail: no licence", "s1 mail: for a visitor"}; !slices.Equal(said, want) {
		t.Errorf("said %q, want %q", said, want)
	}
}

// A deployment is no reason to empty the holder of what waits for a Run of its own.
func TestWhatWaitsToMoveGoesOnWhereItIs(t *testing.T) {
	b := newBenched(t, 2)
	b.moveTo(1, "")
	b.write(func(tx *store.Tx) error {
		all, err := tx.Runs(b.ctx, store.RunFilter{})
		if err != nil {
			return err
		}
		return tx.RequestCancel(b.ctx, all[0].ID, time.Now())
	})
	r := b.runner()
	r.Player = b.stage()
	ctx, cancel := context.WithCancel(b.ctx)
	pool := make(chan error, 1)
	go func() { pool <- r.Pool.Run(ctx) }()
	defer func() { cancel(); <-pool }()
	run := plane.Run{ID: plane.NewID(plane.PrefixRun), Kind: plane.RunDeploy, AppID: b.app.ID, Locks: []string{plane.AppLock(b.app.ID)}, CreatedAt: time.Now().UTC()}
	b.write(func(tx *store.Tx) (err error) {
		if err := tx.Enqueue(b.ctx, run); err != nil {
			return err
		}
		run, _, err = tx.Claim(b.ctx, r.Owner, time.Now().UTC(), time.Hour)
		return err
	})
	j := newJob(r, run)
	var seats []recipe.Seat
	var live plane.Deployment
	b.write(func(tx *store.Tx) error {
		c, err := loadCrew(b.ctx, tx, b.app.ID)
		if err != nil {
			return err
		}
		seats = c.seats
		live, err = tx.Deployment(b.ctx, c.app.LiveID)
		return err
	})
	if err := j.bringProcesses(b.ctx, b.app.ID, seats, live); err != nil {
		t.Fatal(err)
	}
	if want := []string{"s1:1 s2:0"}; !slices.Equal(b.plays, want) {
		t.Errorf("plays %q, want %q", b.plays, want)
	}
	if p := b.process(); p.OwnerID != b.backends[1].ServerID || p.HolderID != b.backends[0].ServerID {
		t.Errorf("the wish is another: %+v", p)
	}
}

// A move that fails takes back its own wish, not the one of a Run that waits behind it.
func TestAFailedMoveLeavesTheNextWish(t *testing.T) {
	b := newBenched(t, 2)
	idle := b.mail
	idle.ID, idle.Name = plane.NewID(plane.PrefixProcess), "idle"
	b.write(func(tx *store.Tx) error { return tx.CreateProcess(b.ctx, idle) })
	next := plane.Run{ID: plane.NewID(plane.PrefixRun), Kind: plane.RunProcesses, AppID: b.app.ID, Locks: []string{plane.AppLock(b.app.ID)}}
	b.fail["s1"] = "could not be stopped"
	first := b.moveTo(1, "")
	stage := b.stage()
	play := stage.play
	var wished sync.Once
	stage.play = func(ctx context.Context, p ansible.Play, event func(ansible.Event)) (ansible.Outcome, error) {
		wished.Do(func() {
			idle.OwnerID, next.CreatedAt = b.backends[1].ServerID, time.Now().UTC()
			err := b.store.Write(b.ctx, func(tx *store.Tx) error { return errors.Join(tx.UpdateProcess(b.ctx, idle), tx.Enqueue(b.ctx, next)) })
			if err != nil {
				b.t.Error(err)
			}
		})
		return play(ctx, p, event)
	}
	b.started(stage)
	if r, _ := b.ended(first.ID); r.State != plane.RunFailed {
		t.Errorf("%s: %s", r.State, r.Reason)
	}
	if r, _ := b.ended(next.ID); r.State != plane.RunSucceeded {
		t.Errorf("%s: %s", r.State, r.Reason)
	}
	b.write(func(tx *store.Tx) error {
		now, err := tx.Process(b.ctx, b.app.ID, "idle")
		if now.OwnerID != b.backends[1].ServerID || now.HolderID != now.OwnerID {
			t.Errorf("idle did not move: %+v", now)
		}
		return err
	})
	if p := b.process(); p.OwnerID != b.backends[0].ServerID || p.HolderID != p.OwnerID {
		t.Errorf("mail moved by itself: %+v", p)
	}
}
