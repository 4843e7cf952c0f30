package plane_test

import (
	"reflect"
	"testing"

	"github.com/serverplane/serverplane/internal/plane"
)

func TestPropose(t *testing.T) {
	for name, c := range map[string]struct {
		paths   []string
		texts   map[string]string
		kind    plane.Kind
		options map[string]string
	}{
		"WordPress":       {[]string{"index.php", "wp-settings.php", "wp-content/x"}, nil, "wordpress", nil},
		"its themes only": {[]string{"wp-content/themes/mine/style.css"}, nil, "wordpress", nil},
		"Laravel with a front end": {[]string{"artisan", "composer.json", "package.json", "public/index.php"},
			map[string]string{"composer.json": `{"require":{"laravel/framework":"^11"}}`, "package.json": `{"devDependencies":{"vite":"5"}}`}, "laravel", nil},
		"PHP":                         {[]string{"public/index.php", "src/a.php"}, nil, "php", map[string]string{"document-root": "public"}},
		"a bare page in PHP":          {[]string{"index.php", "index.html"}, nil, "php", nil},
		"Django with a package.json":  {[]string{"manage.py", "package.json"}, nil, "python", nil},
		"Python with a project file":  {[]string{"pyproject.toml", "main.py"}, nil, "python", nil},
		"Node.js":                     {[]string{"package.json"}, map[string]string{"package.json": `{"scripts":{"start":"node ."}}`}, "nodejs", nil},
		"a site that Vite builds":     {[]string{"package.json", "index.html"}, map[string]string{"package.json": `{"devDependencies":{"vite":"5"}}`}, "static", map[string]string{"output": "dist", "nodejs": "true"}},
		"a server that Vite helps":    {[]string{"package.json"}, map[string]string{"package.json": `{"scripts":{"start": "node server"},"devDependencies":{"vite":"5"}}`}, "nodejs", nil},
		"files":                       {[]string{"index.html", "a.css"}, nil, "static", nil},
		"files in a folder":           {[]string{"public/index.html"}, nil, "static", map[string]string{"output": "public"}},
		"a Dockerfile":                {[]string{"Dockerfile", "main.go"}, map[string]string{"Dockerfile": "FROM scratch\n# EXPOSE 1\nexpose 3000/tcp \r\nENTRYPOINT [\"/app\"]\n"}, "docker", map[string]string{"port": "3000"}},
		"one with several ports":      {[]string{"Dockerfile"}, map[string]string{"Dockerfile": "EXPOSE 80 443\nEXPOSE 8080"}, "docker", nil},
		"one with a port of its own":  {[]string{"Dockerfile"}, map[string]string{"Dockerfile": "EXPOSE $PORT"}, "docker", nil},
		"one beside something":        {[]string{"Dockerfile", "package.json"}, nil, "nodejs", nil},
		"what is below a root counts": {[]string{"api/manage.py", "site/index.html"}, nil, "", nil},
	} {
		got, err := plane.Kinds{}.Propose(plane.Files{Paths: c.paths, Texts: c.texts}, plane.Spec{})
		if c.kind == "" {
			if err == nil {
				t.Errorf("%s: proposed %s", name, got.Kind)
			}
			continue
		}
		if err != nil || got.Kind != c.kind || len(got.Evidence) == 0 || len(got.Spec.Options) != len(c.options) {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
		for option, want := range c.options {
			if got.Spec.Options[option] != want {
				t.Errorf("%s: option %s is %q, want %q", name, option, got.Spec.Options[option], want)
			}
		}
		if err := (plane.Kinds{}).Check(plane.App{Kind: got.Kind, Spec: got.Spec}); err != nil {
			t.Errorf("%s: what is proposed is refused: %v", name, err)
		}
	}
	inside := plane.Files{Paths: []string{"api/manage.py", "site/index.html"}, Texts: map[string]string{"api/x": "y"}}.In("api")
	if !reflect.DeepEqual(inside, plane.Files{Paths: []string{"manage.py"}, Texts: map[string]string{"x": "y"}}) {
		t.Errorf("inside: %+v", inside)
	}
	own, err := plane.Kinds{}.Propose(inside, plane.Spec{Start: "./run", Options: map[string]string{"workers": "7"}})
	if err != nil || own.Spec.Start != "./run" || own.Spec.Options["workers"] != "7" {
		t.Errorf("what a person said became %+v, %v", own, err)
	}
}
