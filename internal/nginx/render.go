package nginx

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"slices"
	"text/template"
)

//go:embed templates
var templates embed.FS

// VersionAddress is where Nginx answers, to its own server only, with the Version it is
// running: the proof that a reload took hold.
const VersionAddress = "127.0.0.1:20000"

// The files every server has.
const (
	SharedPath = "conf.d/00-serverplane.conf"          // http context; first in conf.d
	MainPath   = "modules-enabled/99-serverplane.conf" // main context on Debian and Ubuntu
)

// SitePath is the file of one app, relative to /etc/nginx.
func SitePath(app string) string { return "conf.d/sp-" + app + ".conf" }

// EntryLogPath is where the app's entry logs its requests. Debian's logrotate rule for Nginx
// takes in what lies there.
func EntryLogPath(app string) string { return "/var/log/nginx/sp-" + app + ".access.log" }

// GapPath is a folder. While it is there, the entry on this server tells visitors whom every backend refused that the app is being
// restarted (503, Retry-After) instead of 502, and its local sites those whom the process gave no answer.
func GapPath(app string) string { return "/run/" + GapFolder(app) }

// GapFolder is GapPath as systemd names it: whoever makes it must see that it goes again by itself.
func GapFolder(app string) string { return "serverplane-gap/" + app }

// File is one file of the Nginx tree.
type File struct {
	Path string // relative to /etc/nginx
	Text string
}

// Rendered is a whole tree of ours as text.
type Rendered struct {
	// Version is 32 hex digits that change whenever the path or content of any file does. The
	// running Nginx tells it at VersionAddress.
	Version string
	Files   []File // sorted by path
}

// Render gives the files for t. The same t, whatever the order of its lists, gives the same
// bytes. A value outside the allow-lists gives a *Refusal and no files.
func Render(t Tree) (Rendered, error) {
	if err := t.check(); err != nil {
		return Rendered{}, err
	}
	parsed, err := template.ParseFS(templates, "templates/*.tmpl")
	if err != nil {
		return Rendered{}, fmt.Errorf("reading the nginx templates: %w", err)
	}
	files, err := renderSites(parsed, t)
	if err != nil {
		return Rendered{}, err
	}
	return withShared(parsed, t, files)
}

func renderSites(parsed *template.Template, t Tree) ([]File, error) {
	hasEntry := slices.ContainsFunc(t.Sites, func(s Site) bool { return s.Entry != nil })
	main, err := execute(parsed, "main.conf.tmpl", MainPath, hasEntry)
	if err != nil {
		return nil, err
	}
	files := []File{main}
	for _, s := range t.Sites {
		f, err := execute(parsed, "site.conf.tmpl", SitePath(s.App), newSiteView(s, t.IPv4Only))
		if err != nil {
			return nil, err
		}
		files = append(files, f)
	}
	return files, nil
}

// withShared adds the shared file, which bears the version of all files, itself included: the
// version is the hash of the tree rendered with an empty one.
func withShared(parsed *template.Template, t Tree, files []File) (Rendered, error) {
	view := newSharedView(t)
	blank, err := execute(parsed, "shared.conf.tmpl", SharedPath, view)
	if err != nil {
		return Rendered{}, err
	}
	view.Version = version(append(slices.Clone(files), blank))
	shared, err := execute(parsed, "shared.conf.tmpl", SharedPath, view)
	if err != nil {
		return Rendered{}, err
	}
	all := sorted(append(files, shared))
	return Rendered{Version: view.Version, Files: all}, nil
}

func execute(parsed *template.Template, name, path string, view any) (File, error) {
	var text bytes.Buffer
	if err := parsed.ExecuteTemplate(&text, name, view); err != nil {
		return File{}, fmt.Errorf("rendering %s: %w", path, err)
	}
	return File{Path: path, Text: text.String()}, nil
}

func version(files []File) string {
	sum := sha256.New()
	for _, f := range sorted(files) {
		fmt.Fprintf(sum, "%d %s %d\n", len(f.Path), f.Path, len(f.Text))
		fmt.Fprint(sum, f.Text)
	}
	return hex.EncodeToString(sum.Sum(nil))[:32]
}

func sorted(files []File) []File {
	return slices.SortedFunc(slices.Values(files), func(a, b File) int { return cmp.Compare(a.Path, b.Path) })
}
