//go:build e2e

package still_test

import (
	"context"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/serverplane/serverplane/e2e/still"
	"github.com/serverplane/serverplane/internal/plane"
)

// team is a filled panel with an owner, an admin and a viewer.
func team(t *testing.T) *still.Panel {
	t.Helper()
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	p, err := still.Open(ctx, t.TempDir())
	must(t, err)
	t.Cleanup(func() {
		stop()
		must(t, p.Close())
	})
	must(t, p.Own(t.Context()))
	must(t, p.Join(t.Context(), "carl@example.com", plane.RoleAdmin))
	must(t, p.Join(t.Context(), "vera@example.com", plane.RoleViewer))
	must(t, p.Fill(t.Context(), still.Size{Servers: 7, Apps: 4, Backends: 3, Deployments: 2, Runs: 9, Audits: 3}, ""))
	return p
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// person is somebody's browser on the panel.
type person struct {
	*testing.T
	*http.Client
	panel *still.Panel
}

func stranger(t *testing.T, p *still.Panel) *person {
	t.Helper()
	c, err := p.Stranger()
	must(t, err)
	return &person{t, c, p}
}

func signedIn(t *testing.T, p *still.Panel, email string) *person {
	t.Helper()
	who := stranger(t, p)
	must(t, p.SignIn(who.Client, email))
	return who
}

func (p *person) get(path string) (int, string) {
	p.Helper()
	answer, err := p.Get(p.panel.URL + path)
	must(p.T, err)
	return read(p.T, answer)
}

func (p *person) post(path string, form url.Values) (int, string) {
	p.Helper()
	answer, err := p.PostForm(p.panel.URL+path, form)
	must(p.T, err)
	return read(p.T, answer)
}

func read(t *testing.T, answer *http.Response) (int, string) {
	t.Helper()
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	must(t, err)
	return answer.StatusCode, string(body)
}

func (p *person) cookie() string {
	p.Helper()
	at, err := url.Parse(p.panel.URL)
	must(p.T, err)
	for _, c := range p.Jar.Cookies(at) {
		return c.Value
	}
	return ""
}

// plant puts a session into somebody's browser, as who shares a name or a
// machine with the panel could.
func (p *person) plant(secret string) {
	p.Helper()
	at, err := url.Parse(p.panel.URL)
	must(p.T, err)
	p.Jar.SetCookies(at, []*http.Cookie{{Name: "serverplane", Value: secret, Path: "/"}})
}

// Session fixation: a session somebody put into a browser is never the one its
// person is signed in with.
func TestAPlantedSessionIsNotTakenOver(t *testing.T) {
	p := team(t)
	victim := stranger(t, p)
	victim.plant("spt_planted_by_somebody_else_000000")
	if status, _ := victim.get("/"); status != http.StatusSeeOther {
		t.Fatalf("a session that was made up is answered with %d", status)
	}
	must(t, p.SignIn(victim.Client, still.Owner))
	if victim.cookie() == "spt_planted_by_somebody_else_000000" {
		t.Fatal("the planted session became the owner's")
	}
	eve := stranger(t, p)
	eve.plant("spt_planted_by_somebody_else_000000")
	if status, _ := eve.get("/"); status != http.StatusSeeOther {
		t.Errorf("who planted a session is let in with it: %d", status)
	}

	vera, victim := signedIn(t, p, "vera@example.com"), stranger(t, p)
	victim.plant(vera.cookie()) // one that is good, of somebody with less
	must(t, p.SignIn(victim.Client, still.Owner))
	if victim.cookie() == vera.cookie() {
		t.Fatal("the owner goes on in the session of another")
	}
	if status, _ := vera.get("/users"); status != http.StatusForbidden {
		t.Errorf("the planted session may what the owner may: %d", status)
	}
	former := victim.cookie()
	victim.post("/sign-out", nil)
	victim.plant(former)
	if status, _ := victim.get("/"); status != http.StatusSeeOther {
		t.Errorf("a session that was ended still lets in: %d", status)
	}
}

// A viewer and an admin send every form that is not theirs: refused, and
// nothing was done.
func TestFormsOfOthersAreRefused(t *testing.T) {
	p := team(t)
	newest, err := p.Newest(t.Context())
	must(t, err)
	address := strings.NewReplacer("/users/{id}", newest.User, "/runs/{id}", newest.Run, "/apps/{name}/deployments/{id}", newest.Deployment,
		"/servers/{name}", "/servers/"+still.First, "{name}", still.Shop, "{server}", "s2")
	for email, role := range map[string]plane.Role{"vera@example.com": plane.RoleViewer, "carl@example.com": plane.RoleAdmin} {
		who := signedIn(t, p, email)
		before, err := p.Deeds(t.Context())
		must(t, err)
		forms := still.Forms(role)
		if len(forms) < 3 {
			t.Fatalf("a %s may send almost everything: %v", role, forms)
		}
		for _, form := range forms {
			if status, page := who.post(address.Replace(form), url.Values{"confirm": {still.Shop, "s2"}, "role": {"owner"}, "yes": {"yes"}}); status != http.StatusForbidden {
				t.Errorf("%s as %s: %d %s", form, role, status, page)
			}
		}
		if after, err := p.Deeds(t.Context()); err != nil || after != before {
			t.Errorf("a %s left %d lines in the audit log (%v)", role, after-before, err)
		}
	}
}

// Two people on the same settings: the second is told, and nothing is lost.
func TestTwoPeopleOnTheSameSettings(t *testing.T) {
	const tab = "/apps/" + still.Shop + "/load-balancer/settings"
	p := team(t)
	ann, carl := signedIn(t, p, still.Owner), signedIn(t, p, "carl@example.com")
	annForm, carlForm := settings(t, ann, tab), settings(t, carl, tab)
	annForm.Set("fall", "7")
	carlForm.Set("fall", "3")
	carlForm.Set("health_path", "/carl")

	_, look := ann.post(tab, annForm)
	annForm.Set("agreed", hidden(t, look, "agreed"))
	if status, page := ann.post(tab, annForm); status != http.StatusSeeOther {
		t.Fatalf("the first: %d %s", status, page)
	}
	status, page := carl.post(tab, carlForm)
	if status != http.StatusConflict || !strings.Contains(page, "Somebody else saved these settings meanwhile.") || !strings.Contains(page, "fall 7") {
		t.Errorf("the second is not told: %d %s", status, page)
	}
	for _, typed := range []string{`value="/carl"`, `name="fall" type="number" value="3"`} {
		if !strings.Contains(page, typed) {
			t.Errorf("what the second typed is lost: %s", typed)
		}
	}
	if now := settings(t, ann, tab); now.Get("fall") != "7" || now.Get("health_path") != "/" {
		t.Errorf("what the first saved is lost: %v", now)
	}
	carlForm.Set("was", hidden(t, page, "was")) // having read what it is now
	_, look = carl.post(tab, carlForm)
	carlForm.Set("agreed", hidden(t, look, "agreed"))
	if status, page := carl.post(tab, carlForm); status != http.StatusSeeOther {
		t.Errorf("the second cannot save after reading: %d %s", status, page)
	}
	if now := settings(t, ann, tab); now.Get("fall") != "3" || now.Get("health_path") != "/carl" {
		t.Errorf("the second's settings: %v", now)
	}
}

// settings are the fields of the form as it is filled.
func settings(t *testing.T, who *person, path string) url.Values {
	t.Helper()
	status, page := who.get(path)
	if status != http.StatusOK {
		t.Fatalf("%s: %d", path, status)
	}
	form := url.Values{"method": {"round-robin"}}
	for _, name := range []string{"was", "health_path", "interval", "timeout", "fall", "rise", "floor"} {
		form.Set(name, hidden(t, page, name))
	}
	return form
}

// hidden is the value of a field.
func hidden(t *testing.T, page, name string) string {
	t.Helper()
	m := regexp.MustCompile(`<input[^>]* name="` + name + `"[^>]* value="([^"]*)"`).FindStringSubmatch(page)
	if m == nil {
		t.Fatalf("the form has no field %s: %s", name, page)
	}
	return m[1]
}
