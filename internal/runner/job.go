package runner

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/serverplane/serverplane/internal/plane"
	"github.com/serverplane/serverplane/internal/store"
)

// job is one claimed Run on its way to an end.
type job struct {
	*Runner
	run     plane.Run
	journal *journal
	done    int                  // steps begun
	heard   map[string]time.Time // when Ansible last told of a server
	receipt []plane.ReceiptLine
	learned map[string]string // what a step on a server found out, JSON
}

// The reasons why a job's context ends.
var (
	errCancelled = errors.New("cancelled by a person")
	errLost      = errors.New("the lease was lost")
	errStopping  = errors.New("the panel is stopping")
)

// executor does one kind of Run. undo is called when do failed or was
// cancelled, with time left to clean up; done and failed write the Run's effect
// in the transaction that ends it.
type executor interface {
	do(ctx context.Context) error
	undo(ctx context.Context, cause error)
	done(ctx context.Context, tx *store.Tx) error
	failed(ctx context.Context, tx *store.Tx, state plane.RunState, reason string) error
}

// irrevocable is work that has a moment after which it cannot be undone any more.
// Cut short after it, which undo finds out, its Run has succeeded.
type irrevocable interface{ inForce() bool }

func cutShort(err error) bool { return errors.Is(err, errCancelled) || errors.Is(err, errStopping) }

func newJob(r *Runner, run plane.Run) *job {
	return &job{Runner: r, run: run, journal: &journal{r: r, runID: run.ID}, heard: map[string]time.Time{}, learned: map[string]string{}}
}

// cleanUp is how long undoing may take.
const cleanUp = 90 * time.Second

// carryOut does the Run's work under its lease and ends it.
func (j *job) carryOut(parent context.Context) {
	j.Log.Info("run begins", "run", j.run.ID, "kind", j.run.Kind, "attempt", j.run.Attempt)
	ctx, end := context.WithCancelCause(parent)
	var side sync.WaitGroup
	beside, stop := context.WithCancel(context.WithoutCancel(parent))
	hint, unsubscribe := j.Hub.Subscribe(topicCancel(j.run.ID)) // before the work: a hint that comes at once must not be lost
	defer unsubscribe()
	side.Go(func() { j.keepLease(beside, hint, end) })
	side.Go(func() { j.journal.keep(beside) })
	work, err := j.executor()
	if err == nil {
		err = j.attempt(ctx, work)
	}
	if parent.Err() != nil && err != nil {
		err = errStopping
	}
	if err != nil && !errors.Is(err, errLost) {
		j.error(err)
		j.within(parent, func(after context.Context) { work.undo(after, err) })
		if late, can := work.(irrevocable); can && late.inForce() && cutShort(err) {
			err = nil
		}
	}
	stop()
	side.Wait()
	j.within(parent, func(after context.Context) { j.finish(after, work, err) })
	end(nil)
}

// within gives what must happen although the Run's own time is over a time of
// its own: cleaning up that takes long must not keep the end from being written.
func (j *job) within(parent context.Context, do func(after context.Context)) {
	after, cancel := context.WithTimeout(context.WithoutCancel(parent), cleanUp)
	defer cancel()
	do(after)
}

// attempt does the work and turns a panic of ours into a failed Run.
func (j *job) attempt(ctx context.Context, work executor) (err error) {
	defer func() {
		if p := recover(); p != nil {
			j.Log.Error("run panicked", "run", j.run.ID, "panic", p)
			err = fmt.Errorf("internal error in the panel: %v", p)
		}
	}()
	err = work.do(ctx)
	if cause := context.Cause(ctx); cause != nil && err != nil {
		return cause
	}
	return err
}

func (j *job) executor() (executor, error) {
	switch j.run.Kind {
	case plane.RunProvision:
		return &provision{job: j}, nil
	case plane.RunDeploy:
		return &deployment{job: j}, nil
	case plane.RunEnable:
		return &enable{job: j}, nil
	case plane.RunAdd:
		return &addition{job: j}, nil
	case plane.RunRemoveApp:
		return &removal{job: j}, nil
	case plane.RunSteer:
		return &steering{job: j}, nil
	case plane.RunRepair:
		return &repair{addition: addition{job: j}}, nil
	case plane.RunLeave:
		return &leave{job: j}, nil
	case plane.RunProcesses:
		return &processes{job: j}, nil
	case plane.RunDisable:
		return &disable{job: j}, nil
	case plane.RunCreateDatabase:
		return &creation{databaseJob{job: j}}, nil
	case plane.RunSetDatabase:
		return &adjustment{databaseJob: databaseJob{job: j}}, nil
	case plane.RunBackup:
		return &backup{databaseJob: databaseJob{job: j}}, nil
	case plane.RunRestore:
		return &restoration{backup: backup{databaseJob: databaseJob{job: j}}}, nil
	case plane.RunDropDatabase:
		return &drop{databaseJob{job: j}}, nil
	}
	return nothing{}, fmt.Errorf("this panel does not know Runs of kind %q", j.run.Kind)
}

// nothing stands for a Run of a kind this panel does not know.
type nothing struct{}

func (nothing) do(context.Context) error                                        { return nil }
func (nothing) undo(context.Context, error)                                     {}
func (nothing) done(context.Context, *store.Tx) error                           { return nil }
func (nothing) failed(context.Context, *store.Tx, plane.RunState, string) error { return nil }

// finish ends the Run and writes its effect in one transaction. A lost lease
// ends nothing: the Run is someone else's by now.
func (j *job) finish(ctx context.Context, work executor, err error) {
	if errors.Is(err, errLost) {
		j.Log.Warn("run lost its lease", "run", j.run.ID)
		return
	}
	state, reason := outcome(err)
	events := append(j.journal.take(), plane.Event{Time: j.Now().UTC(), Kind: plane.EventEnd, Text: endText(state, reason)})
	write := j.Store.Write(ctx, func(tx *store.Tx) error {
		if _, err := tx.AppendEvents(ctx, j.run.ID, events); err != nil {
			return err
		}
		if err := j.keepReceipt(ctx, tx); err != nil {
			return err
		}
		if err := j.effect(ctx, tx, work, state, reason); err != nil {
			return err
		}
		return tx.Finish(ctx, j.run.ID, j.Owner, j.run.Attempt, state, reason, j.Now().UTC())
	})
	if write != nil {
		j.Log.Error("end a run", "run", j.run.ID, "err", write)
	}
	j.Log.Info("run ended", "run", j.run.ID, "kind", j.run.Kind, "state", state)
	j.Hub.Publish(topicRun(j.run.ID))
	j.Hub.Publish(topicTree)
}

func (j *job) effect(ctx context.Context, tx *store.Tx, work executor, state plane.RunState, reason string) error {
	if state == plane.RunSucceeded {
		return work.done(ctx, tx)
	}
	return work.failed(ctx, tx, state, reason)
}

func outcome(err error) (plane.RunState, string) {
	switch {
	case err == nil:
		return plane.RunSucceeded, ""
	case errors.Is(err, errCancelled):
		return plane.RunCancelled, errCancelled.Error()
	case errors.Is(err, errStopping):
		return plane.RunInterrupted, errStopping.Error() + "; repeat it when the panel is back"
	}
	return plane.RunFailed, firstLine(err.Error())
}

func endText(state plane.RunState, reason string) string {
	if reason == "" {
		return string(state)
	}
	return string(state) + ": " + reason
}

// keepLease renews the lease at a quarter of it and looks for a wish to cancel
// whenever there is a hint.
func (j *job) keepLease(ctx context.Context, hint <-chan struct{}, end context.CancelCauseFunc) {
	tick := time.NewTicker(lease / 4)
	defer tick.Stop()
	renewed := j.Now()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		case <-hint:
		}
		cancel, err := j.heartbeat(ctx)
		switch {
		case errors.Is(err, store.ErrLost) || (err != nil && j.Now().Sub(renewed) > lease*3/4):
			end(errLost)
			return
		case err == nil:
			renewed = j.Now()
		}
		if cancel {
			end(errCancelled)
		}
	}
}

func (j *job) heartbeat(ctx context.Context) (cancel bool, err error) {
	err = j.Store.Write(ctx, func(tx *store.Tx) (err error) {
		cancel, err = tx.Heartbeat(ctx, j.run.ID, j.Owner, j.run.Attempt, j.Now().UTC(), lease)
		return err
	})
	return cancel, err
}

// steps says how many steps the Run has in all.
func (j *job) steps(total int) { j.run.Total = total }

// step announces what is being done now.
func (j *job) step(ctx context.Context, name string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	j.done++
	j.run.Step = name
	j.journal.add(plane.Event{Kind: plane.EventStep, Step: name, Text: name})
	err := j.Store.Write(ctx, func(tx *store.Tx) error {
		return tx.Progress(ctx, j.run.ID, j.Owner, j.run.Attempt, name, j.done, max(j.run.Total, j.done))
	})
	if errors.Is(err, store.ErrLost) {
		return errLost // known here before the next heartbeat: what is another's now must not be undone
	}
	return err
}

// say writes a line about a server, or about none.
func (j *job) say(server, format string, args ...any) {
	j.journal.add(plane.Event{Kind: plane.EventLog, Server: server, Step: j.run.Step, Text: fmt.Sprintf(format, args...)})
}

func (j *job) error(err error) {
	j.journal.add(plane.Event{Kind: plane.EventError, Step: j.run.Step, Text: err.Error()})
}
