package ui_test

import (
	"strings"
	"testing"

	"github.com/serverplane/serverplane/internal/control"
	"github.com/serverplane/serverplane/internal/plane"
)

func TestAppPages(t *testing.T) {
	l := newLab(t)
	b := l.as(plane.RoleAdmin)
	b.Get("/apps").Is(200, `href="/apps/web"`, "Create app")
	b.Get("/apps/web").Is(200, `aria-current="page">Overview`, "Remove this app", "Last deployments")
	l.as(plane.RoleViewer).Get("/apps/web").Is(200).Lacks("Remove this app")
	b.Post("/apps/web/remove", "confirm", "wob").Is(422, `id="confirm-error"`)
	if l.panel.Wish("RemoveApp") != nil {
		t.Error("removed without the name")
	}
	b.Post("/apps/web/remove", "confirm", "web").Leads("/runs/run_1")
}

// A list by name is cut into pages, however long it is.
func TestLongListsHavePages(t *testing.T) {
	l := newLab(t)
	b := l.as(plane.RoleViewer)
	b.Get("/apps").Is(200).Lacks(">More<", "From the beginning")
	l.panel.Repeat(120)
	b.Get("/apps").Is(200, `<a href="/apps?after=web">More</a>`).Lacks("From the beginning")
	b.Get("/apps?after=shop").Is(200, `<a href="/apps">From the beginning</a>`)
	if got := l.panel.Wish("AppsAfter"); got != "shop 51" {
		t.Errorf("asked for %v", got)
	}
	b.Get("/servers?after=s1").Is(200, `<a href="/servers">From the beginning</a>`).Lacks(`href="/servers/s1"`)
}

func TestCreateAppPage(t *testing.T) {
	l := newLab(t)
	b := l.as(plane.RoleAdmin)
	b.Get("/apps/new").Is(200, "Build and start", `<option value="s1"`)
	l.panel.Fail("CreateApp", plane.Invalid("repository", "must be an https or ssh address", ""))
	b.Post("/apps/new", "name", "shop", "server", "s1", "kind", "nodejs", "repository", "ftp://x", "domains", "a.example.com\r\nb.example.com").
		Is(422, `id="repository-error"`, `value="shop"`, `value="ftp://x"`, "b.example.com")
	l.panel.Fail("CreateApp", nil)
	b.Post("/apps/new", "name", "shop", "server", "s1", "kind", "php", "option", "document-root = public\r\n\r\nworkers=3", "repository", "https://x/y.git", "domains", "a.example.com\r\nb.example.com", "build", "npm ci\r\nnpm run build", "no_deploy", "yes")
	w := l.panel.Wish("CreateApp").(control.AppWish)
	if w.Name != "shop" || w.Server != "s1" || len(w.Domains) != 2 || len(w.Spec.Build) != 2 || !w.NoDeploy ||
		w.Kind != "php" || w.Spec.Options["document-root"] != "public" || w.Spec.Options["workers"] != "3" {
		t.Errorf("wish %+v", w)
	}
	b.Post("/apps/new", "name", "shop", "server", "s1", "kind", "php", "option", "public").Is(422, `id="option-error"`)
}

// Without a kind the panel looks, proposes, and leaves it to the person.
func TestCreateAppProposesAKind(t *testing.T) {
	l := newLab(t)
	b := l.as(plane.RoleAdmin)
	b.Post("/apps/new", "name", "shop", "server", "s1", "repository", "https://x/y.git", "root", "web").
		Is(200, "looks like an app of kind <strong>Python</strong>", "manage.py: Django", "It might be of another kind, too, which you can choose below: docker (Dockerfile: what an image is made by).", `<option value="python" selected`, `value="https://x/y.git"`)
	if l.panel.Wish("CreateApp") != nil {
		t.Error("created before anybody decided")
	}
	if w := l.panel.Wish("ProposeKind").(control.AppWish); w.Repository != "https://x/y.git" || w.Spec.Root != "web" {
		t.Errorf("asked about %+v", w)
	}
	l.panel.Fail("ProposeKind", plane.Invalid("repository", "could not be looked at", "say the app's kind"))
	b.Post("/apps/new", "name", "shop", "server", "s1", "repository", "https://x/y.git").Is(422, `id="repository-error"`, "Say the app")
}

// Wherever shared paths are shown or typed, it is said that they are each server's own.
func TestSharedPathsAreNotShared(t *testing.T) {
	l := newLab(t)
	b := l.as(plane.RoleAdmin)
	b.Post("/apps/new", "name", "blog", "server", "s1", "kind", "wordpress", "repository", "https://x/y.git", "no_deploy", "yes")
	b.Get("/apps/web").Is(200, "<code>wp-content/uploads</code>", "not shared between servers")
	for _, form := range []string{"/apps/new", "/apps/web/settings"} {
		b.Get(form).Is(200, "Paths that shared names are kept on each server and are not shared between servers.")
	}
}

// A kind that a test brings along is in the list to choose from, and told of with its options like any other.
func TestCreateAppKnowsAnEighthKind(t *testing.T) {
	l := newLab(t)
	l.panel.Known = plane.Kinds{}.With(plane.Definition{
		Kind: "cobol", Label: "COBOL", Slot: "what cobc makes", Build: []string{"cobc -x main.cob"}, Trust: "nothing to tell",
		Options: []plane.Option{{Name: "dialect", Default: "ibm"}},
		Look:    func(plane.Files) plane.Finding { return plane.Finding{Sure: 99, Evidence: []string{"main.cob: COBOL"}} },
	})
	b := l.as(plane.RoleAdmin)
	b.Get("/apps/new").Is(200, `<option value="cobol">COBOL</option>`, "<dt>COBOL</dt>", "What cobc makes", "cobc -x main.cob", "<code>dialect=ibm</code>", "<code>drain=30s</code>", "<code>shared</code>")
	b.Post("/apps/new", "name", "old", "server", "s1", "repository", "https://x/y.git").
		Is(200, "looks like an app of kind <strong>COBOL</strong>", "main.cob: COBOL", `<option value="cobol" selected`)
}

func TestDeploymentPages(t *testing.T) {
	l := newLab(t)
	b := l.as(plane.RoleAdmin)
	b.Get("/apps/web/deployments").Is(200, "Deploy", "Roll back")
	l.as(plane.RoleViewer).Get("/apps/web/deployments").Is(200).Lacks(`action="/apps/web/rollback"`, `action="/apps/web/deployments"`)
	b.Post("/apps/web/deployments", "ref", " v1.2 ", "rebuild", "yes")
	if w := l.panel.Wish("Deploy").(control.DeployWish); w.Ref != "v1.2" || !w.Rebuild {
		t.Errorf("wish %+v", w)
	}
	b.Post("/apps/web/deployments", "acknowledge", "memory")
	if w := l.panel.Wish("Deploy").(control.DeployWish); len(w.Acknowledge) != 1 || w.Acknowledge[0] != plane.AckMemory {
		t.Errorf("wish %+v", w)
	}
	l.panel.Fail("Deploy", plane.Invalid("ref", "does not exist in the repository", "push it first"))
	b.Post("/apps/web/deployments", "ref", "v9").Is(422, `id="ref-error"`, `value="v9"`)
	l.panel.Fail("Rollback", plane.Conflict("no other release was live before", "deploy another commit"))
	b.Post("/apps/web/rollback").Is(409, "No other release was live before.")
}

func TestServerPages(t *testing.T) {
	l := newLab(t)
	b := l.as(plane.RoleAdmin)
	b.Get("/servers").Is(200, `href="/servers/s1"`, "Add server")
	b.Get("/servers/s1").Is(200, "Found on it", "Prepare again", "Remove this server")
	l.as(plane.RoleViewer).Get("/servers/s1").Is(200).Lacks("Prepare again", "Remove this server")
	b.Get("/servers/new").Is(200, "Ask who it is")
	b.Post("/servers/new", "name", "s9", "address", "198.51.100.9", "port", "0").Is(422, `id="port-error"`, `value="198.51.100.9"`)
	b.Post("/servers/new", "name", "s9", "address", "198.51.100.9", "port", "22").Is(200, "SHA256:", "I have compared it", `name="address" value="198.51.100.9"`)
	if l.panel.Wish("AddServer") != nil {
		t.Fatal("added before anybody compared the host key")
	}
	b.Post("/servers/new", "name", "s9", "address", "198.51.100.9", "port", "22", "host_key", "SHA256:abc").Is(422, `id="same-error"`)
	if l.panel.Wish("AddServer") != nil {
		t.Fatal("added without the tick")
	}
	b.Post("/servers/new", "name", "s9", "address", "198.51.100.9", "port", "22", "host_key", "SHA256:abc", "same", "yes", "user", "root").Leads("/runs/run_1")
	if w := l.panel.Wish("AddServer").(control.ServerWish); w.HostKey != "SHA256:abc" || w.SSHPort != 22 || w.Key != nil {
		t.Errorf("wish %+v", w)
	}
	b.Post("/servers/s1/remove", "confirm", "wrong").Is(422, `id="confirm-error"`)
	b.Post("/servers/s1/remove", "confirm", "s1").Leads("/servers")
	b.Get("/servers").Is(200, "Removed.")
}

func TestServerIsLookedAtAgain(t *testing.T) {
	l := newLab(t)
	b := l.as(plane.RoleAdmin)
	b.Get("/servers/s1").Is(200, "Look again", "Pinned host key", "ssh-ed25519 <code>SHA256:", "tcp 22", "other machines", "step 1 of 4: build")
	b.Post("/servers/s1/survey").Leads("/servers/s1")
	b.Get("/servers/s1").Is(200, "Looked again.")
	l.panel.Fail("SurveyServer", plane.Unavailable("the server cannot be reached", "check its address"))
	b.Post("/servers/s1/survey").Is(503, "The server cannot be reached.", "Found on it")
	v := l.as(plane.RoleViewer)
	v.Get("/servers/s1").Is(200).Lacks("Look again")
	v.Post("/servers/s1/survey").Is(403)
	v.Get("/panel-key").Is(200, "ssh-ed25519 AAAA serverplane", "authorized_keys")
	v.Get("/servers").Is(200, `href="/panel-key"`)
}

func TestADeploymentShowsItsLogServerByServer(t *testing.T) {
	l := newLab(t)
	l.panel.Say(plane.EventStep, "", "build everywhere")
	l.panel.Say(plane.EventOutput, "s1", "added 3 packages <b>")
	l.panel.Say(plane.EventOutput, "s2", "added 4 packages")
	l.panel.Say(plane.EventLog, "", "a word of the panel")
	b := l.as(plane.RoleViewer)
	const page = "/apps/web/deployments/dep_1"
	b.Get(page).Is(200, "added 3 packages &lt;b&gt;", "added 4 packages", "a word of the panel", `aria-current="true">all servers`, `href="/apps/web/deployments/dep_1?server=s1"`, "Whole log as text")
	b.Get(page+"?server=s2").Is(200, "build everywhere", "added 4 packages").Lacks("added 3 packages", "a word of the panel")

	next := l.stream(t.Context(), plane.RoleViewer, "/live?page=deployment&of=web+dep_1+run_1+s2&seen=3", "")
	l.panel.Say(plane.EventOutput, "s1", "not for s2")
	l.panel.Say(plane.EventOutput, "s2", "for s2")
	l.hub.Publish(control.TopicRun("run_1"))
	if text := until(t, next, "for s2"); strings.Contains(text, "not for") || !strings.Contains(text, "id: 6") {
		t.Errorf("came: %s", text)
	}
	l.as(plane.RoleViewer).Get("/live?page=deployment&of=web+dep_1+run_9").Is(409, "Another Run carries the deployment on.")
}
