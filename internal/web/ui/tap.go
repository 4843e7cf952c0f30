package ui

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/serverplane/serverplane/internal/control"
	"github.com/serverplane/serverplane/internal/plane"
)

const (
	tapAgain = 5 * time.Second // until a log that broke off is followed again
	tapQuiet = 2 * time.Second // without a line and without an error: it is followed
	tapHolds = 2000            // lines that wait for the browser
)

// tapState is how following a log stands.
type tapState struct {
	On   bool
	Over bool         // it has lasted as long as it may
	At   time.Time    // when it was read, or when it broke off
	Why  *plane.Error // why there is no more, or nil
}

// tap follows a log for one stream, and again after it broke off, until it is
// closed. What the browser has not taken yet is bounded.
type tap struct {
	hint  chan struct{} // holds one
	stop  context.CancelFunc
	ended chan struct{}
	now   func() time.Time
	log   *slog.Logger

	mu      sync.Mutex
	lines   []plane.LogLine
	left    int  // lines that were dropped because the browser is slow
	begins  bool // the next line is the first one of a new reading
	replace bool // what the browser shows makes way for the lines
	is      tapState
}

func (u *UI) openTap(ctx context.Context, open func(context.Context) (control.LogFollower, error)) *tap {
	ctx, stop := context.WithCancel(ctx)
	t := &tap{hint: make(chan struct{}, 1), stop: stop, ended: make(chan struct{}), now: u.now, log: u.log}
	go t.run(ctx, open)
	return t
}

// close ends the following, on the server too, and returns when it has.
func (t *tap) close() {
	t.stop()
	<-t.ended
}

func (t *tap) run(ctx context.Context, open func(context.Context) (control.LogFollower, error)) {
	defer close(t.ended)
	for {
		err := t.once(ctx, open)
		if ctx.Err() != nil || t.broke(err) {
			return
		}
		select {
		case <-time.After(tapAgain):
		case <-ctx.Done():
			return
		}
	}
}

func (t *tap) once(ctx context.Context, open func(context.Context) (control.LogFollower, error)) error {
	follow, err := open(ctx)
	if err != nil {
		return err
	}
	t.mu.Lock()
	t.begins = true
	t.mu.Unlock()
	quiet := time.AfterFunc(tapQuiet, func() { t.tell(func() { t.is = tapState{On: true} }) })
	defer quiet.Stop()
	return follow(ctx, func(l plane.LogLine) { t.tell(func() { t.add(l) }) })
}

// add keeps a line; t.mu is held.
func (t *tap) add(l plane.LogLine) {
	if t.begins {
		t.lines, t.begins, t.replace = nil, false, true
	}
	t.is = tapState{On: true}
	t.lines = append(t.lines, l)
	if over := len(t.lines) - tapHolds; over > 0 {
		t.lines = append([]plane.LogLine(nil), t.lines[over:]...)
		t.left += over
	}
}

// take returns the lines that came since, and whether they replace what came before.
func (t *tap) take() (lines []plane.LogLine, replace bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	lines, replace = t.lines, t.replace
	if t.left > 0 {
		left := plane.LogLine{Trouble: true, Text: fmt.Sprintf("%d lines left out: this browser takes them too slowly", t.left)}
		lines = append([]plane.LogLine{left}, lines...)
	}
	t.lines, t.left, t.replace = nil, 0, false
	return lines, replace
}

// broke keeps why there is no more; true when it is not tried again.
func (t *tap) broke(err error) bool {
	state := tapState{At: t.now().UTC(), Over: err == nil}
	if err != nil {
		why, ok := errors.AsType[*plane.Error](err)
		if !ok || why.Code == plane.CodeInternal {
			t.log.Error("follow a log", "error", err)
			why = &plane.Error{Code: plane.CodeInternal, Message: "something went wrong in the panel", Hint: "its log says what"}
		}
		state.Why = why
	}
	t.tell(func() { t.is = state })
	return err == nil
}

func (t *tap) tell(change func()) {
	t.mu.Lock()
	change()
	t.mu.Unlock()
	select {
	case t.hint <- struct{}{}:
	default:
	}
}

func (t *tap) state() tapState {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.is
}
