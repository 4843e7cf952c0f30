package plane_test

import (
	"os"
	"slices"
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

// A version is asked for by what may lie beside another on one server; every package and every program is of that version.
func TestVersionsOfARuntime(t *testing.T) {
	for _, c := range []struct {
		kind     plane.Kind
		version  string
		asked    string
		packages []string
		tool     string
	}{
		{plane.KindPHP, "8.3", "php8.3", []string{"php8.3-fpm", "php8.3-cli", "php8.3-mbstring", "composer"}, `exec /usr/bin/php8.3 /usr/bin/composer "$@"`},
		{plane.KindLaravel, "8.2", "php8.2", []string{"php8.2-fpm", "php8.2-cli"}, `exec /usr/bin/php8.2 /usr/bin/composer "$@"`},
		{plane.KindWordPress, "7.4", "php7.4", []string{"php7.4-fpm", "php7.4-mysql"}, `exec /usr/bin/php7.4 /usr/bin/composer "$@"`},
		{plane.KindPHP, "", "php", []string{"php-fpm", "php-cli", "php-mbstring", "composer"}, ""},
		{plane.KindPython, "3.12", "python3.12", []string{"python3.12", "python3.12-venv"}, ""},
		{plane.KindPython, "", "python3", []string{"python3", "python3-venv"}, ""},
	} {
		d, err := plane.Kinds{}.Of(c.kind)
		if err != nil {
			t.Fatal(err)
		}
		options := map[string]string{}
		if c.version != "" {
			options["version"] = c.version
		}
		if err := (plane.Kinds{}).Check(plane.App{Kind: c.kind, Spec: plane.Spec{Options: options}}); err != nil {
			t.Errorf("%s %s: %v", c.kind, c.version, err)
		}
		r, place := d.Runtime(options), plane.Place{Folder: "/r", Options: options}
		if r.Asked[0] != c.asked || r.Version != c.version {
			t.Errorf("%s %s: asked by %q, version %q", c.kind, c.version, r.Asked, r.Version)
		}
		for _, p := range c.packages {
			if !slices.Contains(r.Packages, p) {
				t.Errorf("%s %s: needs %q, not %s", c.kind, c.version, r.Packages, p)
			}
		}
		for _, p := range r.Packages {
			if c.version != "" && (strings.HasPrefix(p, "php-") || strings.HasPrefix(p, "python3-")) {
				t.Errorf("%s %s: %s is of any version", c.kind, c.version, p)
			}
		}
		if d.Tools != nil && d.Tools(place)["composer"] != c.tool {
			t.Errorf("%s %s: composer is %q", c.kind, c.version, d.Tools(place))
		}
		if c.kind == plane.KindPython && !strings.HasPrefix(d.Setup(place)[0], c.asked+" -m venv ") {
			t.Errorf("python %s: %q", c.version, d.Setup(place))
		}
		if c.kind == plane.KindPHP && c.version != "" && !strings.Contains(d.Launch(place), "version=8.3\n") {
			t.Errorf("php starts\n%s", d.Launch(place))
		}
	}
	for _, wrong := range []string{"8", "8.2.28", "v8.2", "8.2 ", "latest", "08.2", "8.22"} {
		refusedAt(t, plane.Kinds{}.Check(plane.App{Kind: plane.KindPHP, Spec: plane.Spec{Options: map[string]string{"version": wrong}}}), "option")
	}
	for _, wrong := range []string{"3", "2.7", "3.11.2", "3.111"} {
		refusedAt(t, plane.Kinds{}.Check(plane.App{Kind: plane.KindPython, Spec: plane.Spec{Options: map[string]string{"version": wrong}}}), "option")
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

// The guide has a line for every kind, and in it every option that is its own.
func TestTheGuideKnowsEveryKind(t *testing.T) {
	raw, err := os.ReadFile("../../docs/guide/kinds.md")
	if err != nil {
		t.Fatal(err)
	}
	rows := map[string]string{}
	for line := range strings.Lines(string(raw)) {
		if cells := strings.Split(line, "|"); len(cells) == 6 && strings.HasPrefix(cells[1], " `") {
			rows[strings.Trim(cells[1], " `")] = strings.NewReplacer("as `php`, without `document-root`", "`version` `extensions` `workers` `memory`").Replace(cells[4])
		}
	}
	for _, d := range (plane.Kinds{}).All() {
		named := strings.FieldsFunc(rows[string(d.Kind)], func(r rune) bool { return strings.ContainsRune("`; ", r) })
		for _, o := range d.Options {
			if o.Name != plane.OptionShared && !slices.Contains(named, o.Name) { // that one is told for all of them
				t.Errorf("the guide's line of %s does not name the option %s: %q", d.Kind, o.Name, named)
			}
		}
		for _, name := range named {
			if !slices.ContainsFunc(d.AllOptions(), func(o plane.Option) bool { return o.Name == name }) {
				t.Errorf("the guide's line of %s names %s, which is no option of it", d.Kind, name)
			}
		}
	}
}
