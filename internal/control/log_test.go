package control_test

import (
	"context"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/serverplane/serverplane/internal/control"
	"github.com/serverplane/serverplane/internal/plane"
)

// scribe answers in place of a server's logs and keeps what it was asked.
type scribe struct {
	asked plane.LogQuery
	err   error
}

func (s *scribe) Last(_ context.Context, q plane.LogQuery) ([]plane.LogLine, error) {
	s.asked = q
	return []plane.LogLine{{From: "a", Text: "up"}}, s.err
}

func (s *scribe) Follow(_ context.Context, q plane.LogQuery, line func(plane.LogLine)) error {
	s.asked = q
	line(plane.LogLine{Text: "up"})
	return s.err
}

func TestLogIsThatOfTheAppsPartOnTheServer(t *testing.T) {
	p := newPanel(t)
	s1, s2 := p.ready(1), p.ready(2)
	p.app("web", "web.example.com", "www.example.com")
	p.app("any")
	b := p.balancer().Backends[0]
	got, err := p.Log(t.Context(), ann, "web", control.LogWish{})
	if err != nil || got.Server != s1.Name || got.Source != plane.LogApp || len(got.Lines) != 1 || got.At.IsZero() {
		t.Fatalf("%+v, %v", got, err)
	}
	want := plane.LogQuery{Server: s1, App: "web", Source: plane.LogApp, Lines: plane.DefaultLogLines, Ports: b.Ports, Names: []string{"web.example.com", "www.example.com"}}
	if diff := cmp.Diff(want.Ports, p.scribe.asked.Ports); diff != "" || p.scribe.asked.Server.ID != s1.ID || p.scribe.asked.Lines != want.Lines || !cmp.Equal(p.scribe.asked.Names, want.Names) {
		t.Errorf("asked %+v", p.scribe.asked)
	}
	if _, err := p.Log(t.Context(), ann, "any", control.LogWish{Source: plane.LogNginx, Server: s1.Name}); err != nil || !cmp.Equal(p.scribe.asked.Names, []string{"_"}) {
		t.Errorf("an app for any name: %+v, %v", p.scribe.asked, err)
	}
	before := p.contents()
	for what, w := range map[string]control.LogWish{
		"a server without the app": {Server: s2.Name}, "no server": {Server: "s9"}, "no source": {Source: "sshd"}, "too much": {Lines: plane.MaxLogLines + 1}, "less than nothing": {Lines: -1},
	} {
		if _, err := p.Log(t.Context(), ann, "web", w); plane.CodeOf(err) != plane.CodeInvalid {
			t.Errorf("%s: %v", what, err)
		}
		if _, err := p.FollowLog(t.Context(), ann, "web", w); plane.CodeOf(err) != plane.CodeInvalid {
			t.Errorf("%s, followed: %v", what, err)
		}
	}
	if _, err := p.Log(t.Context(), ann, "none", control.LogWish{}); plane.CodeOf(err) != plane.CodeNotFound {
		t.Errorf("no app: %v", err)
	}
	if diff := cmp.Diff(before, p.contents()); diff != "" {
		t.Errorf("reading changed:\n%s", diff)
	}
}

func TestFollowingEndsWithoutErrorWhenNobodyReads(t *testing.T) {
	p := newPanel(t)
	p.ready(1)
	p.app("web", "web.example.com")
	follow, err := p.FollowLog(t.Context(), ann, "web", control.LogWish{})
	if err != nil {
		t.Fatal(err)
	}
	p.scribe.err = errors.New("gone")
	lines := 0
	if err := follow(t.Context(), func(plane.LogLine) { lines++ }); err == nil || lines != 1 {
		t.Errorf("%d lines, %v", lines, err)
	}
	left, leave := context.WithCancel(t.Context())
	leave()
	if err := follow(left, func(plane.LogLine) {}); err != nil {
		t.Errorf("after the reader left: %v", err)
	}
}
