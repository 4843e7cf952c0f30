package runner

import (
	"context"
	"io"
	"sync"

	"github.com/serverplane/serverplane/internal/files"
	"github.com/serverplane/serverplane/internal/plane"
)

// archive opens the exact tree of a commit whenever a play wants it.
func (j *job) archive(ctx context.Context, appID, commit string) func() (io.ReadCloser, error) {
	return func() (io.ReadCloser, error) { return j.Mirrors.Archive(ctx, appID, commit) }
}

// stopSlot stops a slot's process on all servers at once.
func (j *job) stopSlot(ctx context.Context, app plane.App, servers []plane.Server, slot plane.Slot) {
	var all sync.WaitGroup
	for _, s := range servers {
		all.Go(func() {
			if err := j.stopUnit(ctx, s, files.UnitName(app.Name, string(slot))); err != nil {
				j.say(s.Name, "could not stop slot %s: %v", slot, err)
			}
		})
	}
	all.Wait()
}
