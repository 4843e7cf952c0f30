//go:build e2e

package e2e

import (
	"archive/zip"
	"bytes"
	"encoding/json"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/serverplane/serverplane/e2e/lab"
)

// kindRow is the application of one kind: what the parts that walk the table ask of it.
type kindRow struct {
	app, kind string
	fill      func(*testing.T, *kindWorld, string) // makes the repository's files in an empty folder
	create    []string                             // flags of app create; without --kind it is found by looking
	engine    string                               // of its database; empty: it has none
	variable  string                               // what its about page shows as version
	about     string                               // a page in JSON that tells the version and, unless nothing is run, the server
	env       string                               // what a page's path begins with that digests a variable; empty: nothing is run
	runtime   string                               // what the runtime's version begins with; empty: none is told
	broken    []breakage
}

// breakage is a change that must not go live.
type breakage struct {
	files map[string]string // what is written over; nothing: the file is taken away
	set   []string          // flags of app set
	undo  []string          // flags that take them back
	want  string            // what must be said
}

// kindTable has one real application of each kind. page answers any name, the others their own.
func kindTable() []kindRow {
	return []kindRow{
		{
			app: "site", kind: "static", fill: example("static"), create: []string{"--kind", "static", "--build", "sh build.sh", "--option", "output=dist"},
			variable: "TITLE", about: "/about.json", broken: []breakage{
				{files: map[string]string{".gitmodules": "[submodule \"lib\"]\n\tpath = lib/theme\n\turl = https://example.com/theme.git\n"}, want: "has the submodule lib/theme"},
				{files: map[string]string{"logo.png": lfsPointer}, want: "logo.png is kept in Git LFS"},
				{set: []string{"--build", "echo the theme has no licence; exit 7"}, undo: []string{"--build", "sh build.sh"}, want: "the theme has no licence"},
				{set: []string{"--option", "output=public"}, undo: []string{"--option", "output=dist"}, want: "no folder public after the build"},
			},
		},
		{
			app: "page", kind: "php", fill: example("php"), engine: "mariadb", about: "/", env: "/env/", runtime: "PHP 8.", broken: []breakage{
				{files: map[string]string{"composer.json": `{"require":{"ext-imagick":"*"},"repositories":[{"packagist.org":false}]}`}, want: "lacks the extension imagick"},
				{set: []string{"--option", "document-root=pub"}, undo: []string{"--option", "document-root=public"}, want: "no folder pub after the build"},
			},
		},
		{
			app: "shop", kind: "python", fill: example("django"), engine: "postgresql", create: []string{"--option", "system-site-packages=true"},
			about: "/", env: "/env/", runtime: "Python 3.", broken: []breakage{
				{files: halfAWheel(), want: "Installing collected packages: first, second"},
				{set: []string{"--start", "gunicorn-of-nobody shop.wsgi"}, undo: []string{"--start", ""}, want: "gunicorn-of-nobody: not found"},
				{set: []string{"--start", "python -m gunicorn --bind 127.0.0.1:8123 shop.wsgi"}, undo: []string{"--start", ""}, want: "listens on 8123 instead of $PORT"},
			},
		},
		{
			app: "chat", kind: "nodejs", fill: example("nodejs"), about: "/", env: "/env/", runtime: "Node.js v", broken: []breakage{
				{files: halfAModule, want: "no licence for second"},
			},
		},
		{
			app: "forum", kind: "laravel", fill: example("laravel"), engine: "mariadb", about: "/", env: "/env/", runtime: "PHP 8.", broken: []breakage{
				{files: map[string]string{"database/migrations/2026_01_03_000000_break.php": brokenMigration}, want: "the run-once command failed with exit status 1"},
				{files: halfAPackage, want: "Install of app/second failed"},
			},
		},
		{
			app: "blog", kind: "wordpress", fill: wordpress, engine: "mariadb", about: "/?about", env: "/?env=", runtime: "PHP 8.", broken: []breakage{
				{files: halfAPackage, want: "Install of app/second failed"},
			},
		},
		{
			app: "box", kind: "docker", fill: boxFiles, engine: "postgresql", about: "/", env: "/env/", broken: []breakage{
				{files: map[string]string{"Dockerfile": ""}, want: "there is no Dockerfile in the repository"},
			},
		},
	}
}

const lfsPointer = "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2ca24d17e2393\nsize 12345\n"

const brokenMigration = "<?php\nreturn new class extends Illuminate\\Database\\Migrations\\Migration { public function up() { throw new Exception('no such table of anybody'); } };\n"

// halfAModule is what npm installs the first half of.
var halfAModule = map[string]string{
	"package.json": `{"name":"chat","version":"1.0.0","dependencies":{"first":"file:lib/first","second":"file:lib/second"}}`,
	"package-lock.json": `{"name":"chat","version":"1.0.0","lockfileVersion":3,"requires":true,"packages":{"":{"name":"chat","version":"1.0.0",` +
		`"dependencies":{"first":"file:lib/first","second":"file:lib/second"}},"lib/first":{"version":"1.0.0","hasInstallScript":true},` +
		`"lib/second":{"version":"1.0.0","hasInstallScript":true},"node_modules/first":{"resolved":"lib/first","link":true},"node_modules/second":{"resolved":"lib/second","link":true}}}`,
	"lib/first/package.json":  `{"name":"first","version":"1.0.0","scripts":{"install":"echo first is done"}}`,
	"lib/second/package.json": `{"name":"second","version":"1.0.0","scripts":{"install":"echo no licence for second; exit 9"}}`,
}

// halfAPackage is what composer installs the first half of: what should be an archive is none.
var halfAPackage = map[string]string{
	"composer.json": `{"repositories":[{"type":"path","url":"lib/first","options":{"symlink":false}},{"type":"package","package":{"name":"app/second","version":"1.0.0",` +
		`"dist":{"type":"zip","url":"lib/second.zip"}}},{"packagist.org":false}],"require":{"app/first":"*","app/second":"1.0.0"}}`,
	"lib/first/composer.json": `{"name":"app/first","version":"1.0.0"}`,
	"lib/second.zip":          "no archive\n",
}

// halfAWheel is what pip installs the first half of: the second wheel lacks the list of its files.
func halfAWheel() map[string]string {
	wheel := func(name, requires string, complete bool) string {
		var out bytes.Buffer
		z := zip.NewWriter(&out)
		info := name + "-1.0.dist-info/"
		texts := [][2]string{
			{name + ".py", ""}, {info + "METADATA", "Metadata-Version: 2.1\nName: " + name + "\nVersion: 1.0\n" + requires},
			{info + "WHEEL", "Wheel-Version: 1.0\nGenerator: story\nRoot-Is-Purelib: true\nTag: py3-none-any\n"}, {info + "RECORD", ""},
		}
		if !complete {
			texts = texts[:3]
		}
		for _, text := range texts {
			f, _ := z.Create(text[0]) // into memory: it cannot fail
			_, _ = f.Write([]byte(text[1]))
		}
		_ = z.Close()
		return out.String()
	}
	return map[string]string{
		"requirements.txt":            "django\ngunicorn\nwhitenoise\npsycopg2\n./first-1.0-py3-none-any.whl\n./second-1.0-py3-none-any.whl\n",
		"first-1.0-py3-none-any.whl":  wheel("first", "", true),
		"second-1.0-py3-none-any.whl": wheel("second", "Requires-Dist: first\n", false),
	}
}

// example copies one of the examples.
func example(name string) func(*testing.T, *kindWorld, string) {
	return func(t *testing.T, _ *kindWorld, dir string) { must(t, os.CopyFS(dir, os.DirFS("../examples/"+name))) }
}

// boxFiles has an image FROM scratch with one program.
func boxFiles(t *testing.T, w *kindWorld, dir string) {
	build := exec.CommandContext(w.ctx, "go", "build", "-o", filepath.Join(dir, "app"), "./boxed")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build the app: %v\n%s", err, out)
	}
	must(t, os.WriteFile(filepath.Join(dir, "Dockerfile"), []byte("FROM scratch\nCOPY app /app\nEXPOSE 3000\nUSER 65534:65534\nENTRYPOINT [\"/app\"]\n"), 0o644))
}

// wordpress is WordPress as Debian packages it, without its configuration, and one plugin of the story's.
func wordpress(t *testing.T, w *kindWorld, dir string) {
	packed, err := w.servers["s1"].SSH(w.ctx, `set -e
mkdir /tmp/wp && cd /tmp/wp && chmod 777 .
{ apt-get update -q; apt-get download wordpress wordpress-theme-twentytwentythree php-getid3 libjs-cropper libjs-underscore; } >/dev/null 2>&1
for deb in *.deb; do dpkg-deb -x "$deb" /; done
cp -rL /usr/share/wordpress /tmp/wp/out 2>/dev/null || true
rm -f /tmp/wp/out/wp-config.php
test -f /tmp/wp/out/wp-settings.php
tar -C /tmp/wp/out -c .`, nil)
	must(t, err)
	tar := exec.CommandContext(w.ctx, "tar", "-x", "-C", dir)
	tar.Stdin = bytes.NewReader([]byte(packed))
	if out, err := tar.CombinedOutput(); err != nil {
		t.Fatalf("unpack WordPress: %v\n%s", err, out)
	}
	must(t, os.MkdirAll(filepath.Join(dir, "wp-content/mu-plugins"), 0o755))
	must(t, os.WriteFile(filepath.Join(dir, "wp-content/mu-plugins/about.php"), []byte(aboutPlugin), 0o644))
}

// aboutPlugin lets WordPress answer what the other applications do.
const aboutPlugin = `<?php
if (isset($_GET['about'])) wp_send_json(['server' => getenv('SERVERPLANE_SERVER'), 'release' => getenv('SERVERPLANE_RELEASE'), 'version' => getenv('APP_VERSION')]);
if (isset($_GET['env'])) wp_send_json(['sha256' => hash('sha256', getenv($_GET['env'])), 'bytes' => strlen(getenv($_GET['env']))]);
`

// repository makes the row's.
func (k kindRow) repository(t *testing.T, w *kindWorld) *lab.Repository {
	t.Helper()
	base := filepath.Dir(w.panel.Dir)
	files := filepath.Join(base, "files-"+k.app)
	must(t, os.MkdirAll(files, 0o755))
	k.fill(t, w, files)
	r, err := lab.NewRepository(filepath.Join(base, "repo-"+k.app), files)
	must(t, err)
	return r
}

// variables are those of every app, besides what its database brings.
func (k kindRow) variables(version string) map[string]string {
	set := map[string]string{k.shows(): version, "TORTURE": torture()}
	if k.kind == "python" {
		set["ALLOWED_HOSTS"], set["SECRET_KEY"], set["ADMIN_PASSWORD"] = domainOf(k.app), "of "+k.app, "a long password"
	}
	return set
}

// shows is the variable that the about page tells.
func (k kindRow) shows() string {
	if k.variable != "" {
		return k.variable
	}
	return "APP_VERSION"
}

// film is 200 MB that nothing makes smaller.
func film(t *testing.T, path string) {
	t.Helper()
	f, err := os.Create(path)
	must(t, err)
	defer f.Close()
	source, piece := rand.NewChaCha8([32]byte{}), make([]byte, 1<<20)
	for range filmSize >> 20 {
		_, _ = source.Read(piece) // it cannot fail
		_, err := f.Write(piece)
		must(t, err)
	}
}

const filmSize = 200 << 20

// aboutPage is what an application tells of itself.
type aboutPage struct{ Server, Release, Version string }

// tells reads the about page of one backend.
func (w *kindWorld) tells(t *testing.T, k kindRow, server string) aboutPage {
	t.Helper()
	var about aboutPage
	got := w.atBackend(t, k.app, server, k.about)
	if err := json.Unmarshal([]byte(got), &about); err != nil {
		t.Errorf("%s on %s answers %.300q: %v", k.app, server, got, err)
	}
	return about
}

// every holds for each app and backend that the about page is what it should be.
func (w *kindWorld) every(t *testing.T, version string) {
	t.Helper()
	for _, k := range w.rows {
		for _, s := range kindServers {
			about := w.tells(t, k, s)
			if about.Version != version || about.Server != s && k.env != "" {
				t.Errorf("%s on %s tells %+v; want version %s", k.app, s, about, version)
			}
		}
	}
}
