package traffic

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/serverplane/serverplane/internal/plane"
	"github.com/serverplane/serverplane/internal/store"
)

// record counts what was read of one log, and how far, in one transaction: a
// panel that is killed counts nothing twice and leaves nothing out.
func (r *Reader) record(ctx context.Context, l reading, a answer) error {
	now := r.Now().UTC()
	c := newCounter(l.backends, now)
	for _, line := range a.lines {
		c.count(line)
	}
	return r.Store.Write(ctx, func(tx *store.Tx) error {
		is, err := known(ctx, tx, l.app.ID)
		if err != nil || !slices.Equal(is.Places, l.log.Places) {
			return err
		}
		if _, err := tx.App(ctx, l.app.ID); err != nil {
			return ignoreGone(err)
		}
		for of, s := range c.minutes {
			piece := plane.ServedPiece{BackendID: of.backend, Begin: of.begun, Served: s}
			if err := r.add(ctx, tx, l.app.ID, piece, now); err != nil {
				return err
			}
		}
		return tx.SetEntryLog(ctx, after(is, a, c, now), now)
	})
}

// add leaves out a backend that was removed meanwhile.
func (r *Reader) add(ctx context.Context, tx *store.Tx, appID string, p plane.ServedPiece, now time.Time) error {
	if p.BackendID != "" {
		if _, err := tx.Backend(ctx, p.BackendID); err != nil {
			return ignoreGone(err)
		}
	}
	return tx.AddServed(ctx, appID, p, now)
}

// after is how far a log was read once an answer was counted.
func after(l plane.EntryLog, a answer, c *counter, now time.Time) plane.EntryLog {
	if !a.Found {
		l.Reason = "the entry keeps no log yet; it begins with the next deployment or change of traffic"
		return l
	}
	l.Places, l.Reason = a.Places, ""
	if l.Since.IsZero() {
		l.Since = now
		if !c.first.IsZero() {
			l.Since = c.first
		}
	}
	if a.Rest == 0 {
		l.ReadAt = now
	}
	if gap := gapOf(a, c.unread); gap != "" {
		l.GapAt, l.Gap = now, gap
	}
	return l
}

// gapOf says in words what of a log is not in the figures.
func gapOf(a answer, unread int) string {
	var all []string
	if a.Lost {
		all = append(all, "a part of the log was gone before it was read")
	}
	if a.Skipped > 0 {
		all = append(all, fmt.Sprintf("%d MB of the log were left out to catch up", (a.Skipped+1<<20-1)>>20))
	}
	if unread > 0 {
		all = append(all, fmt.Sprintf("%d lines of the log could not be read", unread))
	}
	return strings.Join(all, "; ")
}
