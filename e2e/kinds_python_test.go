//go:build e2e

package e2e

import (
	"encoding/json"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
)

var csrfField = regexp.MustCompile(`name="csrfmiddlewaretoken" value="([^"]+)"`)

// submit fills in a form of Django's and gives what came of it.
func (w *kindWorld) submit(t *testing.T, browser *http.Client, path string, form url.Values) (int, string) {
	t.Helper()
	code, page := w.get(t, browser, "shop", path)
	field := csrfField.FindStringSubmatch(page)
	if field == nil {
		t.Fatalf("%s gives %d and no form: %.400s", path, code, page)
	}
	form.Set("csrfmiddlewaretoken", field[1])
	return w.post(t, browser, "shop", path, form, nil)
}

// djangoRuns comes after one deployment to s1 alone, one to all three, and a change of variables, which is none for the database.
func djangoRuns(t *testing.T, w *kindWorld) {
	browser := &http.Client{Jar: jar(t), CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	if code, body := w.submit(t, browser, "/admin/login/?next=/admin/", url.Values{"username": {"ada"}, "password": {"a long password"}}); code != 302 {
		t.Fatalf("signing in gives %d: %.400s", code, body)
	}
	met := map[string]bool{}
	for range 9 { // round robin: every backend is met
		resp, body := w.ask(t, browser, "shop", "/admin/shop/note/")
		met[resp.Header.Get("X-Served-By")] = true
		if resp.StatusCode != 200 || !strings.Contains(body, "/admin/logout/") {
			t.Errorf("the admin gives somebody signed in %s: %.300s", resp.Status, body)
		}
	}
	if len(met) != len(kindServers) {
		t.Errorf("met %v", met)
	}
	for _, text := range []string{"one", "two", "three"} { // the form comes from one backend and goes to the next
		if code, body := w.submit(t, browser, "/admin/shop/note/add/", url.Values{"text": {text}}); code != 302 {
			t.Errorf("adding a note gives %d: %.400s", code, body)
		}
	}
	for _, s := range kindServers {
		var seen struct {
			Notes    []string
			Migrated []struct{ Server, Release string }
		}
		must(t, json.Unmarshal([]byte(w.atBackend(t, "shop", s, "/notes")), &seen))
		if strings.Join(seen.Notes, " ") != "one two three" {
			t.Errorf("%s shows the notes %q", s, seen.Notes)
		}
		if m := seen.Migrated; len(m) != 2 || m[0].Server != "s1" || m[1].Server != "s1" || m[0].Release == m[1].Release {
			t.Errorf("after two deployments migrate has run for %+v", m)
		}
		if code := w.atBackend(t, "shop", s, "/static/admin/css/base.css", "-o/dev/null", "-w%{http_code}"); code != "200" {
			t.Errorf("%s: a static file gives %s", s, code)
		}
	}
}
