package webtest

import (
	"context"

	"github.com/serverplane/serverplane/internal/control"
	"github.com/serverplane/serverplane/internal/plane"
)

func logLines(name string) []plane.LogLine {
	return []plane.LogLine{{At: At(), From: "a", Text: "listening as " + name}, {From: "error", Trouble: true, Text: "upstream timed out"}}
}

// Log answers two lines; one has the name that Rename gave.
func (p *Panel) Log(_ context.Context, _ plane.Actor, app string, w control.LogWish) (control.LogView, error) {
	p.about("Log", app)
	server := w.Server
	if server == "" {
		server = "s1"
	}
	return control.LogView{Server: server, Source: plane.LogApp, At: At(), Lines: logLines(p.renamed().Name)}, p.called("Log", w)
}

// FollowLog hands on the same lines and ends, as after an hour; or it fails
// where "Follow" was made to.
func (p *Panel) FollowLog(_ context.Context, _ plane.Actor, app string, w control.LogWish) (control.LogFollower, error) {
	p.about("FollowLog", app)
	p.mu.Lock()
	follow := p.follow
	p.mu.Unlock()
	if follow != nil {
		return follow, p.called("FollowLog", w)
	}
	return func(_ context.Context, line func(plane.LogLine)) error {
		for _, l := range logLines(p.renamed().Name) {
			line(l)
		}
		return p.called("Follow", app)
	}, p.called("FollowLog", w)
}

// Follow lets a log be followed by fn.
func (p *Panel) Follow(fn control.LogFollower) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.follow = fn
}
