package nginx

import (
	"bytes"
	"fmt"
	"net/netip"
	"regexp"
	"strings"
	"text/template"
)

// Web is the Nginx that runs in a slot, as the app's own user, where an app is files: it serves
// them and, for PHP, hands scripts to the slot's own php-fpm. To the slot's local site it is a
// process like any other.
type Web struct {
	App, Slot string
	Listen    netip.AddrPort // loopback
	Root      string         // folder below which files are served
	Scratch   string         // folder of the slot's own: temporary files, and the socket of php-fpm
	Fallback  bool           // a path that is no file gets /index.html
	PHP       bool
	Shared    string // with PHP: folder of what outlives releases, none of which is carried out
}

// Socket is where the slot's php-fpm listens.
func (w Web) Socket() string { return w.Scratch + "/fpm.sock" }

// SharedPattern matches real paths in the shared folder. Only its last two names count: the folders of all homes may lie behind a
// link on a server, which a real path does not show.
func (w Web) SharedPattern() string {
	names := strings.Split(w.Shared, "/")
	return regexp.QuoteMeta("/" + strings.Join(names[len(names)-2:], "/") + "/")
}

// RenderWeb gives the configuration file of a slot's own Nginx.
func RenderWeb(w Web) (string, error) {
	if err := w.check(); err != nil {
		return "", err
	}
	parsed, err := template.ParseFS(templates, "templates/web.conf.tmpl")
	if err != nil {
		return "", fmt.Errorf("reading the nginx templates: %w", err)
	}
	var text bytes.Buffer
	if err := parsed.ExecuteTemplate(&text, "web.conf.tmpl", w); err != nil {
		return "", fmt.Errorf("rendering the Nginx of a slot of %s: %w", w.App, err)
	}
	return text.String(), nil
}

func (w Web) check() error {
	if err := checkApp("app", w.App); err != nil {
		return err
	}
	if w.Slot != "a" && w.Slot != "b" {
		return refuse("slot", "must be a or b")
	}
	if err := checkAddrPort("listen", w.Listen); err != nil {
		return err
	}
	if !w.Listen.Addr().IsLoopback() {
		return refuse("listen", "must be a loopback address: a slot is reached through its local site only")
	}
	for field, path := range map[string]string{"root": w.Root, "scratch": w.Scratch} {
		if err := checkFolder(field, path); err != nil {
			return err
		}
	}
	if w.PHP {
		return checkFolder("shared", w.Shared)
	}
	return nil
}

func checkFolder(field, path string) error {
	if len(path) > 300 || !matches(`(/[A-Za-z0-9._-]+)+`, path) || strings.Contains(path+"/", "/../") || strings.Contains(path+"/", "/./") {
		return refuse(field, "must be an absolute path of letters, digits, ., _ and -, without ..")
	}
	return nil
}
