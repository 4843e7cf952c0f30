package ui

import (
	"context"

	"github.com/serverplane/serverplane/internal/auth"
	"github.com/serverplane/serverplane/internal/control"
	"github.com/serverplane/serverplane/internal/plane"
)

// OverviewVerbs are the verbs the first page asks.
type OverviewVerbs interface {
	Servers(ctx context.Context, actor plane.Actor) ([]control.ServerView, error)
	Apps(ctx context.Context, actor plane.Actor) ([]control.AppView, error)
}

// liveParts declares, by the name used in a stream's address, which pages have
// parts that stay fresh.
func (u *UI) liveParts() map[string]live {
	return map[string]live{
		"overview": {auth.AppRead, "overview.html", func(string) []string { return []string{control.TopicQueue, "health"} }, u.loadOverview, nil},
	}
}

type overviewView struct {
	page
	Servers []control.ServerView
	Apps    []control.AppView
}

func (u *UI) overview(v *visit) error {
	shown, err := u.loadOverview(v, "")
	if err != nil {
		return err
	}
	shown.base().Stream = streamOf("overview", "", 0)
	return u.show(v, "overview.html", shown)
}

func (u *UI) loadOverview(v *visit, _ string) (view, error) {
	servers, err := u.control.Servers(v.ctx(), v.actor)
	if err != nil {
		return nil, err
	}
	apps, err := u.control.Apps(v.ctx(), v.actor)
	return &overviewView{page: u.page(v, "Overview"), Servers: servers, Apps: apps}, err
}
