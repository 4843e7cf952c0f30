package plane_test

import (
	"strings"
	"testing"

	"github.com/serverplane/serverplane/internal/plane"
)

// Options become shell text and files of servers: nothing hostile is accepted by any of any kind.
func TestNoOptionLetsTextThrough(t *testing.T) {
	bad := []string{
		"", " ", "a b", "a;b", "$(id)", "`id`", "'", "\"", "a'b", "../x", "a/../b", "/etc", "-rf /", "a\nb", "a\x00", "{{7*7}}", "%h", "a/", ",", "a,,b", "é", strings.Repeat("9", 500),
	}
	for _, d := range (plane.Kinds{}).All() {
		for _, o := range d.Options {
			for _, value := range bad {
				if value == "" && strings.HasPrefix(o.Name, "shared") {
					continue // none
				}
				err := plane.Kinds{}.Check(plane.App{Kind: d.Kind, Spec: plane.Spec{Start: start(d), Options: map[string]string{o.Name: value}}})
				refusedAt(t, err, "option")
			}
		}
	}
}

func start(d plane.Definition) string {
	if d.Fixed {
		return ""
	}
	return "./run"
}

// What the product ships holds together: each kind's defaults pass its own rules, and each says what a person and a play need.
func TestDefinitionsAreWhole(t *testing.T) {
	for _, d := range (plane.Kinds{}).All() {
		spec := plane.Spec{}.WithDefaults(d.Kind)
		a := plane.App{Kind: d.Kind, Spec: spec}
		if err := (plane.Kinds{}).Check(a); err != nil || spec.Check() != nil {
			t.Errorf("%s: its own defaults are refused: %v, %v", d.Kind, err, spec.Check())
		}
		runtime := d.Runtime(nil)
		if d.Label == "" || d.Slot == "" || d.Trust == "" || d.Look == nil || runtime.Role == "" || len(runtime.Packages) == 0 {
			t.Errorf("%s is not whole: %+v", d.Kind, runtime)
		}
		for _, s := range d.Secrets {
			if one, two := s.Make(make([]byte, 64)), s.Make([]byte(strings.Repeat("x", 64))); one == two || len(one) < 40 {
				t.Errorf("%s: %s is %q", d.Kind, s.Name, one)
			}
		}
		if err := (plane.Kinds{}).Check(plane.App{Kind: d.Kind, Spec: plane.Spec{Start: start(d), Options: map[string]string{"nope": "1"}}}); err == nil {
			t.Errorf("%s takes an option nobody knows", d.Kind)
		}
	}
	if err := (plane.Kinds{}).Check(plane.App{Kind: plane.KindNodeJS}); err == nil {
		t.Error("a Node.js app without a start command is accepted")
	}
}
