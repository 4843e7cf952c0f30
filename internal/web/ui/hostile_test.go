package ui

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"net/url"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/serverplane/serverplane/internal/plane"
)

// viewsOf are the views of all pages; a page that is not here fails
// TestHostileTextIsTextInEveryTemplate.
func viewsOf() map[string]view {
	return map[string]view{
		"account.html": &accountView{}, "app-settings.html": &appSettingsView{}, "logs.html": &logView{}, "panel-key.html": &panelKeyView{}, "app-new.html": &newAppView{}, "app.html": &appView{}, "apps.html": &appsView{}, "audit.html": &auditView{},
		"backend-new.html": &newBackendView{}, "backend-off.html": &backendView{}, "backend-remove.html": &backendView{}, "backend-share.html": &backendView{},
		"backend.html": &backendView{}, "database.html": &databasesView{}, "deployment.html": &deploymentView{}, "deployments.html": &deploymentsView{}, "environment.html": &variablesView{},
		"fail.html": &failView{}, "load-balancer-disable.html": &disableView{}, "load-balancer-settings.html": &balancerSettingsView{},
		"load-balancer.html": &balancerView{}, "overview.html": &overviewView{}, "process.html": &processView{}, "processes.html": &processesView{}, "run.html": &runView{}, "runs.html": &runsView{},
		"server-new.html": &newServerView{}, "server.html": &serverView{}, "servers.html": &serversView{}, "setup.html": &setupView{},
		"sign-in.html": &signInView{}, "user.html": &userView{}, "users.html": &usersView{},
	}
}

const (
	hostileMarkup = `"'><script>alert(1)</script><img src=x onerror=alert(1)>{{.}}</textarea></title>` + "`${alert(1)}`"
	hostileScheme = `javascript:alert(1)`
)

// Whatever text stands anywhere in a view, names, commits, reasons, answers,
// states, what was typed: the page shows it and is not changed by it.
func TestHostileTextIsTextInEveryTemplate(t *testing.T) {
	u := &UI{assets: readAssets(), now: time.Now}
	u.pages = u.readPages()
	views := viewsOf()
	for file := range u.pages {
		if views[file] == nil {
			t.Errorf("%s: say in viewsOf what it shows", file)
			continue
		}
		fields := fieldsOf(t, file)
		shown := 0
		for seed := range uint64(24) {
			s := &stuffing{rand: rand.New(rand.NewPCG(seed, 1)), fields: fields}
			v := reflect.New(reflect.TypeOf(views[file]).Elem())
			s.fill(v.Elem(), "")
			base := v.Interface().(view).base()
			base.Actor.Role, base.Stream = plane.RoleOwner, "/live?page=overview" // neither is anybody's text
			var out bytes.Buffer
			if err := u.pages.render(&out, file, "layout", v.Interface().(view)); err != nil {
				t.Fatalf("%s, seed %d: %v", file, seed, err)
			}
			if strings.Contains(out.String(), "&lt;script&gt;alert(1)") {
				shown++
			}
			for _, live := range []string{"<script>alert", "<img src=x", `"'>`, `href="javascript:`, `action="javascript:`, `src="javascript:`, "{{.}}</t"} {
				if at := strings.Index(out.String(), live); at >= 0 {
					t.Fatalf("%s, seed %d: %q is more than text in %s", file, seed, live, out.String()[max(0, at-200):min(out.Len(), at+200)])
				}
			}
		}
		if shown == 0 {
			t.Errorf("%s never shows the text", file)
		}
	}
}

// fieldsOf are the names of the fields a template's forms have.
func fieldsOf(t *testing.T, file string) []string {
	t.Helper()
	text, err := templates.ReadFile("templates/" + file)
	if err != nil {
		t.Fatal(err)
	}
	names := []string{"confirm"}
	for _, m := range regexp.MustCompile(`(?:field|confirm|Value|At) \.?(?:Form)? ?"?([a-z_]+)"`).FindAllStringSubmatch(string(text), -1) {
		names = append(names, m[1])
	}
	return names
}

// stuffing fills a view with hostile text.
type stuffing struct {
	rand   *rand.Rand
	fields []string
	depth  int
}

func (s *stuffing) fill(v reflect.Value, name string) {
	if s.depth++; s.depth > 14 {
		s.depth--
		return
	}
	defer func() { s.depth-- }()
	switch v.Type() {
	case reflect.TypeFor[time.Time]():
		v.Set(reflect.ValueOf(time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)))
		return
	case reflect.TypeFor[netip.Addr]():
		v.Set(reflect.ValueOf(netip.MustParseAddr("203.0.113.1")))
		return
	case reflect.TypeFor[Form]():
		v.Set(reflect.ValueOf(s.form()))
		return
	}
	switch v.Kind() {
	case reflect.String:
		v.SetString(s.text(v.Type(), name))
	case reflect.Bool:
		v.SetBool(s.rand.IntN(2) == 0)
	case reflect.Int, reflect.Int64:
		v.SetInt(int64(s.rand.IntN(3)))
	case reflect.Struct:
		for i := range v.NumField() {
			if f := v.Field(i); f.CanSet() || v.Type().Field(i).Anonymous && f.Kind() == reflect.Struct {
				s.fill(f, v.Type().Field(i).Name)
			}
		}
	case reflect.Pointer:
		if s.rand.IntN(4) > 0 {
			v.Set(reflect.New(v.Type().Elem()))
			s.fill(v.Elem(), name)
		}
	case reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
		for _, name := range s.fields {
			key, value := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
			key.SetString(name)
			s.fill(value, name)
			v.SetMapIndex(key, value)
		}
	case reflect.Slice:
		n := s.rand.IntN(3)
		v.Set(reflect.MakeSlice(v.Type(), n, n))
		for i := range n {
			s.fill(v.Index(i), name)
		}
	}
}

// text is hostile, but for states, which also decide what a page shows.
func (s *stuffing) text(of reflect.Type, name string) string {
	if of.PkgPath() != "" && s.rand.IntN(5) > 0 {
		words := []string{
			"live", "failed", "on", "off", "applying", "healthy", "unhealthy", "unknown", "queued", "running", "succeeded", "interrupted", "completed", "ip-hash",
			"backend-add", "backend-remove", "error", "step", "unreachable", "ready", "pass", "fail",
		}
		return words[s.rand.IntN(len(words))]
	}
	switch {
	case name == "Commit" || s.rand.IntN(6) > 1:
		return hostileMarkup
	case s.rand.IntN(2) == 0:
		return hostileScheme
	}
	return ""
}

func (s *stuffing) form() Form {
	f := Form{Values: url.Values{}}
	for _, name := range s.fields {
		f.Values.Set(name, hostileMarkup)
	}
	if s.rand.IntN(2) == 0 {
		field := append(s.fields, "", "yes")[s.rand.IntN(len(s.fields)+2)]
		f.Err = &plane.Error{Code: plane.CodeInvalid, Field: field, Message: hostileMarkup, Hint: fmt.Sprint("see ", hostileMarkup)}
	}
	return f
}
