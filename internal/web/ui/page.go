package ui

import (
	"bytes"
	"embed"
	"fmt"
	"html/template"
	"io/fs"
	"net/http"
	"path"
	"slices"
	"strings"

	"github.com/serverplane/serverplane/internal/auth"
	"github.com/serverplane/serverplane/internal/control"
	"github.com/serverplane/serverplane/internal/plane"
)

//go:embed templates
var templates embed.FS

// page is what every page has. A page's view struct embeds it, so that the
// layout and the page's own template look at one value.
type page struct {
	Title   string
	Area    string // which entry of the navigation is lit: the first part of the address
	Actor   plane.Actor
	Flash   string
	Form    Form
	Version string
	Stream  string // address of the page's live stream, or empty
}

func (p *page) base() *page { return p }

// view is a page's view struct.
type view interface{ base() *page }

// SignedIn tells whether the page is for somebody the panel knows.
func (p *page) SignedIn() bool { return p.Actor.Role != "" }

// May tells whether the person may, to leave out what they cannot do anyway;
// what they may is decided by the guard.
func (p *page) May(permission string) bool {
	return auth.Allow(p.Actor.Role, auth.Permission(permission))
}

// page begins a view.
func (u *UI) page(v *visit, title string) page {
	area, _, _ := strings.Cut(strings.TrimPrefix(v.r.URL.Path, "/"), "/")
	return page{Title: title, Area: area, Actor: v.actor, Form: v.form, Version: u.version}
}

// pages are the templates by the name of their file, each with layout and partials.
type pages map[string]*template.Template

// readPages parses everything at once: a mistake shows when the panel starts
// and in every test, not when somebody opens the page.
func (u *UI) readPages() pages {
	shared := template.New("").Funcs(template.FuncMap{
		"asset": u.assets.url, "ago": u.ago, "stamp": stamp, "lasting": lasting, "badge": badge, "field": field, "confirm": confirm,
		"sentence": sentence, "plural": plural, "label": label, "join": strings.Join, "nav": navigate, "empty": empty, "millis": millis,
		"deed": deed, "isID": isID, "agent": agentName, "size": size, "weight": weight,
		"processCard": processCard, "passage": func(a control.AppView, id string) passage { return passage{a, id} },
	})
	shared = template.Must(shared.ParseFS(templates, "templates/layout.html", "templates/part/*.html"))
	names, err := fs.Glob(templates, "templates/*.html")
	if err != nil {
		panic(err)
	}
	all := pages{}
	for _, name := range names {
		if base := path.Base(name); base != "layout.html" {
			all[base] = template.Must(template.Must(shared.Clone()).ParseFS(templates, name))
		}
	}
	return all
}

// Entry is one entry of the navigation.
type Entry struct {
	Address, Text string
	Here          bool
}

func navigate(address, text, area string) Entry {
	return Entry{Address: address, Text: text, Here: strings.TrimPrefix(address, "/") == area}
}

// Empty is what stands where a list has nothing yet: what would be here, and the
// way to the first one.
type Empty struct{ Title, Text, Address, Button string }

func empty(title, text, address, button string) Empty {
	return Empty{Title: title, Text: text, Address: address, Button: button}
}

// Step is one line of the template "steps".
type Step struct {
	Text string
	Look string // as a Badge's
	Note string
}

// show writes a page. It is rendered whole before anything is sent: a template
// that fails leaves room for the page of an error.
func (u *UI) show(v *visit, name string, to view) error {
	to.base().Flash = u.takeFlash(v)
	var text bytes.Buffer
	if err := u.pages.render(&text, name, "layout", to); err != nil {
		return err
	}
	h := v.w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	if v.status != 0 {
		v.w.WriteHeader(v.status)
	} else {
		v.w.WriteHeader(http.StatusOK)
	}
	_, _ = v.w.Write(text.Bytes()) // a browser that has gone is not our error
	return nil
}

// render executes one template of a page's set.
func (p pages) render(to *bytes.Buffer, page, part string, data any) error {
	set, known := p[page]
	if !known {
		return fmt.Errorf("there is no page %s", page)
	}
	if err := set.ExecuteTemplate(to, part, data); err != nil {
		return fmt.Errorf("render %s of %s: %w", part, page, err)
	}
	return nil
}

// parts lists the templates of a page that its stream keeps fresh: those whose
// name begins with live-.
func (p pages) parts(page string) []string {
	var names []string
	for _, t := range p[page].Templates() {
		if strings.HasPrefix(t.Name(), "live-") {
			names = append(names, t.Name())
		}
	}
	slices.Sort(names)
	return names
}
