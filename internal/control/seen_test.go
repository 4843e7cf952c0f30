package control_test

import (
	"context"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/serverplane/serverplane/internal/control"
	"github.com/serverplane/serverplane/internal/plane"
)

// Two people looked at the same thing; the one who is later by however little is
// refused in the transaction that would have written, and nothing is changed.
func TestTheSecondOfTwoPeopleIsTold(t *testing.T) {
	p := serving(t, plane.RoundRobin)
	p.steered("")
	number := func(n int) *int { return &n }
	text := func(s string) *string { return &s }
	app, err := p.App(t.Context(), ann, "web")
	if err != nil {
		t.Fatal(err)
	}
	p.set(map[string]string{"KEY": "old"})
	variables := p.seenVariables()
	for what, change := range map[string]func(ctx context.Context, n int) error{
		"an app's settings": func(ctx context.Context, n int) error {
			_, err := p.ChangeAppSeen(ctx, ann, "web", control.SeenApp(app.App), control.AppChange{Start: text("node " + string(rune('a'+n)))})
			return err
		},
		"a weight": func(ctx context.Context, n int) error {
			_, err := p.SetBackend(ctx, ann, "web", "s2", control.BackendChange{Weight: number(5 + n), Seen: "1|false"})
			return err
		},
		"the load balancer": func(ctx context.Context, n int) error {
			_, err := p.SetBalancer(ctx, ann, "web", control.BalancerChange{Fall: number(3 + n), Seen: control.SeenBalancer(app.Balancer, app.Spec.HealthPath)})
			return err
		},
		"variables": func(ctx context.Context, n int) error {
			return p.SetVariablesSeen(ctx, ann, "web", variables, map[string]string{"KEY": string(rune('a' + n))})
		},
	} {
		if err := change(t.Context(), 0); err != nil {
			t.Fatalf("%s, the first: %v", what, err)
		}
		p.refuses(what, plane.CodeConflict, "", func(ctx context.Context) error { return change(ctx, 1) })
	}
	p.refuses("a variable removed", plane.CodeConflict, "", func(ctx context.Context) error {
		return p.UnsetVariablesSeen(ctx, ann, "web", variables, []string{"KEY"})
	})
	if err := p.UnsetVariablesSeen(t.Context(), ann, "web", p.seenVariables(), []string{"KEY"}); err != nil {
		t.Errorf("who looked again: %v", err)
	}
}

func (p *panel) seenVariables() control.Seen {
	p.Helper()
	all, err := p.Variables(p.Context(), ann, "web", false)
	if err != nil {
		p.Fatal(err)
	}
	return control.SeenVariables(all)
}

// Setting the same value again is a change too: somebody else decided so.
func TestWhatIsSeenOfVariablesHoldsNoValue(t *testing.T) {
	p := newPanel(t)
	p.ready(1)
	p.app("web")
	p.set(map[string]string{"KEY": "same"})
	before := p.seenVariables()
	p.set(map[string]string{"KEY": "same"})
	if p.seenVariables() == before {
		t.Error("a second setting of the same value cannot be told from the first")
	}
}

// What values would change is told without showing one, and so leaves no line of
// a reveal.
func TestComparingRevealsNothing(t *testing.T) {
	p := newPanel(t)
	p.ready(1)
	p.app("web")
	p.set(map[string]string{"SAME": "hunter2", "OTHER": "hunter3"})
	before := p.contents()
	wish := map[string]string{"SAME": "hunter2", "OTHER": "new", "ADDED": ""}
	got, err := p.CompareVariables(t.Context(), ann, "web", wish)
	want := map[string]control.VariableChange{"SAME": control.VariableStays, "OTHER": control.VariableReplaced, "ADDED": control.VariableAdded}
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("%v\n%s", err, diff)
	}
	viewer := ann
	viewer.Role = plane.RoleViewer
	if got, err := p.CompareVariables(t.Context(), viewer, "web", wish); err != nil || got["SAME"] != control.VariableReplaced {
		t.Errorf("who may not read values learned one: %v, %v", got, err)
	}
	if diff := cmp.Diff(before, p.contents()); diff != "" {
		t.Errorf("comparing changed:\n%s", diff)
	}
}
