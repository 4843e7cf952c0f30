package plane_test

import (
	"fmt"
	"reflect"
	"strings"
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
		"WordPress":                   {[]string{"index.php", "wp-settings.php", "wp-content/x"}, nil, "wordpress", nil},
		"its themes only":             {[]string{"wp-content/themes/mine/style.css"}, nil, "wordpress", map[string]string{"core": "debian"}},
		"its plugins beside a README": {[]string{"README.md", "wp-content/mu-plugins/mail.php"}, nil, "wordpress", map[string]string{"core": "debian"}},
		"what is in a wp-content": {[]string{"themes/mine/style.css", "themes/mine/functions.php", "plugins/shop/shop.php", "index.php"}, nil, "wordpress",
			map[string]string{"core": "debian"}},
		"plugins of something else": {[]string{"plugins/x/x.php", "index.php"}, nil, "php", nil},
		"a theme of something else": {[]string{"themes/mine/style.css", "public/index.html"}, nil, "static", map[string]string{"output": "public"}},
		"WordPress in a folder":     {[]string{"blog/wp-settings.php"}, nil, "", nil},
		"Laravel with a front end": {[]string{"artisan", "composer.json", "package.json", "public/index.php"},
			map[string]string{"composer.json": `{"require":{"laravel/framework":"^11"}}`, "package.json": `{"devDependencies":{"vite":"5"}}`}, "laravel", map[string]string{"nodejs": "true"}},
		"Laravel that brings its front end": {[]string{"artisan", "package.json", "public/index.php", "public/build/manifest.json"},
			map[string]string{"package.json": `{"devDependencies":{"vite":"5"}}`}, "laravel", nil},
		"Laravel with a Dockerfile":   {[]string{"artisan", "Dockerfile", "composer.json"}, nil, "laravel", nil},
		"workspaces of Node.js":       {[]string{"package.json", "packages/web/package.json"}, map[string]string{"package.json": `{"workspaces":["packages/*"]}`}, "nodejs", nil},
		"a package without a start":   {[]string{"package.json", "index.js"}, nil, "nodejs", nil},
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
	proposedInside(t)
}

func proposedInside(t *testing.T) {
	inside := plane.Files{Paths: []string{"api/manage.py", "site/index.html"}, Texts: map[string]string{"api/x": "y"}}.In("api")
	if !reflect.DeepEqual(inside, plane.Files{Paths: []string{"manage.py"}, Texts: map[string]string{"x": "y"}}) {
		t.Errorf("inside: %+v", inside)
	}
	own, err := plane.Kinds{}.Propose(inside, plane.Spec{Start: "./run", Options: map[string]string{"workers": "7"}})
	if err != nil || own.Spec.Start != "./run" || own.Spec.Options["workers"] != "7" {
		t.Errorf("what a person said became %+v, %v", own, err)
	}
}

// What else it might be is told, so that a wrong guess is seen before anything is created.
func TestProposeTellsWhatElse(t *testing.T) {
	for name, c := range map[string]struct {
		paths        []string
		texts        map[string]string
		kind, others string
		evidence     string
	}{
		"a Dockerfile beside a package.json": {[]string{"Dockerfile", "package.json", "package-lock.json"}, map[string]string{"package.json": `{"scripts":{"start":"node ."}}`, "Dockerfile": "EXPOSE 80"},
			"nodejs", "[docker (Dockerfile: what an image is made by)]", `[package.json: describes a Node.js app package.json: has a script "start"]`},
		"Django with a front end and a Dockerfile": {[]string{"manage.py", "package.json", "Dockerfile"}, nil,
			"python", "[nodejs (package.json: describes a Node.js app) docker (Dockerfile: what an image is made by)]", "[manage.py: Django's command line]"},
		"packages nobody has fixed": {[]string{"package.json", "yarn.lock", "server.js"}, nil, "nodejs", "[]",
			"[package.json: describes a Node.js app server.js: what npm start runs no package-lock.json, which npm ci needs to give every backend the same packages: npm install makes it, commit it]"},
		"Python that nothing serves": {[]string{"requirements.txt", "app.py"}, map[string]string{"requirements.txt": "flask\n"}, "python", "[]",
			"[requirements.txt: packages of Python requirements.txt: has neither gunicorn nor uvicorn, so add one, or say how the app starts]"},
		"Python that gunicorn serves": {[]string{"requirements.txt"}, map[string]string{"requirements.txt": "flask\ngunicorn\n"}, "python", "[]", "[requirements.txt: packages of Python]"},
		"a Dockerfile alone":          {[]string{"Dockerfile"}, nil, "docker", "[]", "[Dockerfile: what an image is made by]"},
		"a package nobody starts": {[]string{"package.json", "package-lock.json"}, nil, "nodejs", "[]",
			`[package.json: describes a Node.js app package.json: has no script "start", so say how the app starts]`},
		"workspaces": {[]string{"package.json", "npm-shrinkwrap.json"}, map[string]string{"package.json": `{"workspaces":["web"]}`}, "nodejs", "[]",
			"[package.json: describes a Node.js app package.json: has workspaces; an app in one of them is named by its folder (root)]"},
	} {
		p, err := plane.Kinds{}.Propose(plane.Files{Paths: c.paths, Texts: c.texts}, plane.Spec{})
		if err != nil || string(p.Kind) != c.kind || fmt.Sprint(p.Others) != c.others || fmt.Sprint(p.Evidence) != c.evidence {
			t.Errorf("%s: %s, others %q, evidence %q, %v", name, p.Kind, p.Others, p.Evidence, err)
		}
	}
}

// A repository with several apps in it is answered by the folders that look like one.
func TestProposeNamesFolders(t *testing.T) {
	mono := []string{
		"README.md", "api/manage.py", "api/web/package.json", "packages/site/package.json", "packages/node_modules/x/package.json", ".github/Dockerfile", "docs/index.md",
		"deep/a/b/manage.py", "vendor/x/index.php",
	}
	for root, want := range map[string]string{
		"":          "nothing at the top of the repository tells what the app is made of, but folders in it do: api: python (manage.py: Django's command line), packages/site: nodejs (package.json: describes a Node.js app)",
		"docs":      "nothing in the folder docs tells what the app is made of",
		"nowhere":   "there is no folder nowhere in the repository",
		"deep":      "nothing in the folder deep tells what the app is made of, but folders in it do: a/b: python (manage.py: Django's command line)",
		"packages":  "nothing in the folder packages tells what the app is made of, but folders in it do: site: nodejs (package.json: describes a Node.js app)",
		"api":       "",
		"api/web":   "",
		"README.md": "there is no folder README.md in the repository",
	} {
		p, err := plane.Kinds{}.Propose(plane.Files{Paths: mono}, plane.Spec{Root: root})
		switch {
		case want == "" && (err != nil || p.Spec.Root != root):
			t.Errorf("%q: %+v, %v", root, p, err)
		case want != "" && (err == nil || err.Error() != want && !strings.Contains(err.Error(), want)):
			t.Errorf("%q: %+v, %v", root, p, err)
		}
	}
}

// What a person said about building stays; what was found is added to the kind's own steps otherwise.
func TestProposedBuild(t *testing.T) {
	files := plane.Files{Paths: []string{"artisan", "package.json"}, Texts: map[string]string{"package.json": `{"devDependencies":{"vite":"5"}}`}}
	p, err := plane.Kinds{}.Propose(files, plane.Spec{})
	if err != nil || len(p.Spec.Build) != 3 || fmt.Sprint(p.Build) != "[npm ci npm run build]" {
		t.Errorf("%q, %q, %v", p.Spec.Build, p.Build, err)
	}
	p, err = plane.Kinds{}.Propose(files, plane.Spec{Build: []string{"make"}})
	if err != nil || fmt.Sprint(p.Spec.Build) != "[make]" || p.Build != nil {
		t.Errorf("%q, %q, %v", p.Spec.Build, p.Build, err)
	}
}

// TestProposedHealth: a Laravel that answers health checks is asked there, unless a person says otherwise.
func TestProposedHealth(t *testing.T) {
	const routes = "<?php return Application::configure(dirname(__DIR__))->withRouting(\n    web: 'web.php',\n    HEALTH\n)->create();"
	for said, want := range map[string]string{
		"health: '/up',": "/up", `health:"/healthz"`: "/healthz", "apiPrefix: 'v1', health: '/up'": "/up",
		"": "/", "// health: '/up',": "/", "health: $path,": "/", "health: '/a b'": "/", "health: 'up'": "/",
	} {
		files := plane.Files{Paths: []string{"artisan", "bootstrap/app.php"}, Texts: map[string]string{"bootstrap/app.php": strings.Replace(routes, "HEALTH", said, 1)}}
		p, err := plane.Kinds{}.Propose(files, plane.Spec{})
		if err != nil || p.Spec.HealthPath != want || (p.Health == "") != (want == "/") {
			t.Errorf("%s: proposed %q, %v", said, p.Spec.HealthPath, err)
		}
		p, err = plane.Kinds{}.Propose(files, plane.Spec{HealthPath: "/mine"})
		if err != nil || p.Spec.HealthPath != "/mine" {
			t.Errorf("%s: what a person said became %q, %v", said, p.Spec.HealthPath, err)
		}
	}
	for path, reads := range map[string]bool{"bootstrap/app.php": true, "api/bootstrap/app.php": true, "public/app.php": false, "a/b/bootstrap/app.php": false, "mybootstrap/app.php": false} {
		if plane.LooksInside(path) != reads {
			t.Errorf("%s is looked into: %t", path, !reads)
		}
	}
}
