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
		for _, p := range d.Beside {
			if err := p.WithDefaults().Check(); err != nil || strings.Contains(p.Command+p.Schedule, "'") {
				t.Errorf("%s: %s is refused: %v", d.Kind, p.Name, err)
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

// Through a link in a folder that is shared already, the other one would lead to itself and be deleted.
func TestSharedFoldersOfAKindLieInNoOther(t *testing.T) {
	for _, c := range []struct {
		kind   plane.Kind
		shared string
		ok     bool
	}{
		{plane.KindLaravel, "storage/app/public", false}, {plane.KindLaravel, "storage", false}, {plane.KindLaravel, "storage/app", true}, {plane.KindLaravel, "public/files", true},
		{plane.KindWordPress, "wp-content/uploads/2026", false}, {plane.KindWordPress, "wp-content", false}, {plane.KindWordPress, "wp-content/cache", true},
		{plane.KindPHP, "uploads,uploads/thumbs", false}, {plane.KindPHP, "uploads,thumbs", true}, {plane.KindPHP, "", true},
	} {
		a := plane.App{Kind: c.kind, Spec: plane.Kinds{}.Complete(c.kind, plane.Spec{Options: map[string]string{"shared": c.shared}})}
		if err := (plane.Kinds{}).Check(a); (err == nil) != c.ok || err != nil && plane.CodeOf(err) != plane.CodeInvalid {
			t.Errorf("%s with shared=%s: %v", c.kind, c.shared, err)
		}
	}
}

// A document root that outlives releases would serve the first one for ever.
func TestTheDocumentRootIsNotShared(t *testing.T) {
	for _, c := range []struct {
		kind    plane.Kind
		options map[string]string
		ok      bool
	}{
		{plane.KindPHP, map[string]string{"document-root": "public", "shared": "public"}, false},
		{plane.KindPHP, map[string]string{"document-root": "web/public", "shared": "web"}, false},
		{plane.KindPHP, map[string]string{"document-root": "public", "shared": "public/up,pub"}, true},
		{plane.KindPHP, map[string]string{"shared": "public"}, true},
		{plane.KindLaravel, map[string]string{"shared": "public"}, false}, {plane.KindLaravel, map[string]string{"shared": "public/up"}, true},
		{plane.KindStatic, map[string]string{"output": "dist", "shared": "dist"}, false}, {plane.KindStatic, map[string]string{"output": "dist/en", "shared": "dist"}, false},
		{plane.KindStatic, map[string]string{"output": "dist", "shared": "dist/up,data"}, true}, {plane.KindNodeJS, map[string]string{"shared": "public"}, true},
	} {
		err := plane.Kinds{}.Check(plane.App{Kind: c.kind, Spec: plane.Kinds{}.Complete(c.kind, plane.Spec{Options: c.options})})
		if c.ok && err != nil {
			t.Errorf("%s with %v: %v", c.kind, c.options, err)
		}
		if !c.ok {
			refusedAt(t, err, "option")
		}
	}
}

func TestSharedPathsBeginAtTheRoot(t *testing.T) {
	for shared, ok := range map[string]bool{"storage": true, "packages/website": true, "packages/web/storage": false} {
		spec := plane.Kinds{}.Complete(plane.KindNodeJS, plane.Spec{Root: "packages/web", Options: map[string]string{"shared": shared}})
		err := plane.Kinds{}.Check(plane.App{Kind: plane.KindNodeJS, Spec: spec})
		if ok && err != nil {
			t.Errorf("%s: %v", shared, err)
		}
		if !ok {
			refusedAt(t, err, "option")
		}
	}
}
