package control_test

import (
	"context"
	"testing"

	"github.com/serverplane/serverplane/internal/control"
)

// Lists are asked for by the page: apps behind a name, Runs of one server.
func TestListsByThePage(t *testing.T) {
	p := newPanel(t)
	p.ready(1)
	for _, name := range []string{"blog", "api", "shop"} {
		p.app(name, name+".example.com")
	}
	for after, want := range map[string]string{"": "api blog ", "api": "blog shop ", "b": "blog shop ", "shop": "", "zzz": ""} {
		apps, err := p.AppsAfter(t.Context(), ann, after, 2)
		if err != nil {
			t.Fatal(err)
		}
		got := ""
		for _, a := range apps {
			got += a.Name + " "
		}
		if got != want {
			t.Errorf("after %q: %q, want %q", after, got, want)
		}
	}
	all, err := p.Runs(t.Context(), ann, control.RunFilter{Server: "s1"})
	if err != nil || len(all) == 0 {
		t.Errorf("Runs of s1: %d %v", len(all), err)
	}
	p.refuses("Runs of no server", "not_found", "", func(ctx context.Context) error {
		_, err := p.Runs(ctx, ann, control.RunFilter{Server: "nowhere"})
		return err
	})
}
