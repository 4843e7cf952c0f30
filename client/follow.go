package client

import (
	"context"
	"errors"
	"fmt"
	"time"
)

const (
	pollWait  = 20 * time.Second
	pollGrace = 20 * time.Second // on top, before a silent connection is given up
	firstRest = 100 * time.Millisecond
	longRest  = 3 * time.Second
)

// FollowRun calls line for every line of the Run's log after seq, in order and
// each once, and returns the Run when it has ended. While the panel is away it
// tries again (Options.Patience), so that a restart of the panel loses no line.
// It returns early when ctx ends; the Run goes on then.
func (c *Client) FollowRun(ctx context.Context, id string, after int64, line func(Event)) (Run, error) {
	f := &follower{client: c, id: id, after: after, line: line}
	for {
		run, ended, err := f.poll(ctx)
		switch {
		case ctx.Err() != nil:
			return run, ctx.Err()
		case err == nil && ended:
			return run, nil
		case err == nil:
			f.gone, f.rest = time.Time{}, 0
		case !temporary(err):
			return run, err
		default:
			if err := f.wait(ctx, err); err != nil {
				return run, err
			}
		}
	}
}

type follower struct {
	client *Client
	id     string
	after  int64
	line   func(Event)
	gone   time.Time // since when the panel is away; zero: it is there
	rest   time.Duration
}

// poll reads what is new. An empty answer may mean the end, which only the Run
// itself tells; the lines written before the end are read after seeing it.
func (f *follower) poll(ctx context.Context) (Run, bool, error) {
	n, err := f.read(ctx, pollWait)
	if err != nil || n > 0 {
		return Run{}, false, err
	}
	run, err := f.client.Run(ctx, f.id)
	if err != nil || !run.Ended() {
		return run, false, err
	}
	for {
		if n, err := f.read(ctx, 0); err != nil || n == 0 {
			return run, err == nil, err
		}
	}
}

func (f *follower) read(ctx context.Context, wait time.Duration) (int, error) {
	ctx, stop := context.WithTimeout(ctx, wait+pollGrace)
	defer stop()
	list, err := f.client.Events(ctx, f.id, f.after, wait)
	if err != nil {
		return 0, err
	}
	n := 0
	for _, e := range list.Items {
		if e.Seq > f.after {
			f.after = e.Seq
			f.line(e)
			n++
		}
	}
	return n, nil
}

// wait rests a little longer each time, and gives up in the end.
func (f *follower) wait(ctx context.Context, cause error) error {
	if f.gone.IsZero() {
		f.gone = time.Now()
	}
	if time.Since(f.gone) > f.client.patience {
		return fmt.Errorf("the panel is away for %s: %w", time.Since(f.gone).Round(time.Second), cause)
	}
	if f.client.away != nil {
		f.client.away(cause)
	}
	f.rest = min(max(2*f.rest, firstRest), longRest)
	select {
	case <-time.After(f.rest):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// temporary tells an absent panel from one that refuses.
func temporary(err error) bool {
	e, refused := errors.AsType[*Error](err)
	return !refused || e.Status == 429 || e.Status >= 500
}
