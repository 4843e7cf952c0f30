//go:build e2e

package e2e

import (
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/serverplane/serverplane/e2e/fleet"
	"github.com/serverplane/serverplane/e2e/lab"
)

// part is one part of a way through the dashboard, which builds on those before it.
type part struct {
	name string
	tell func(*testing.T, *world, *browser)
}

// TestDashboard goes the newcomer's way in a browser, by pointing and typing:
// from the token of a panel that nobody owns to an app on three servers, with a
// change of everything on the way. Once with a mouse on a wide screen and once
// with a finger on a telephone, each with servers of its own.
func TestDashboard(t *testing.T) {
	way := []part{
		{"the first owner", becomeOwner},
		{"three servers", addThreeServers},
		{"an app is created and deployed", createApp},
		{"load balancing is enabled", enableBalancer},
		{"two backends are added", addTwoBackends},
		{"a backend dies, is seen, and comes back", seeDeath},
		{"off and on", toggle},
		{"another method", changeMethod},
		{"a variable", changeVariable},
		{"going back", goBack},
		{"a backend is removed", removeBackend},
	}
	for _, s := range []struct {
		screen
		more []part
	}{
		{desktop, []part{{"the panel dies and the page goes on", outliveRestart}, {"by keyboard alone", byKeyboard}}},
		{telephone, []part{{"without scripts", withoutScripts}}},
	} {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			w := newUnownedWorld(t, fleet.Spec{Name: "s1"}, fleet.Spec{Name: "s2"}, fleet.Spec{Name: "s3"})
			b := browse(t, w.panel.URL, s.screen)
			for _, p := range append(way, s.more...) {
				if !t.Run(p.name, func(t *testing.T) {
					b.t = t
					p.tell(t, w, b)
					b.calm()
				}) {
					t.Fatal("the rest of the way builds on this")
				}
			}
		})
	}
}

// becomeOwner: nobody can sign in yet, and whoever starts the panel reads a token.
func becomeOwner(t *testing.T, w *world, b *browser) {
	token, err := w.panel.SetupToken()
	must(t, err)
	b.open("/")
	b.sees("Welcome to ServerPlane", 30*time.Second)
	b.fill("Setup token", "not the token")
	b.fill("Your mail address", lab.Owner)
	b.fill("Password", lab.Password)
	b.click("Become the owner")
	b.sees("token", 30*time.Second)
	b.shot("way-setup-refused")
	b.fill("Setup token", token)
	b.fill("Password", lab.Password)
	b.click("Become the owner")
	b.sees("From an empty panel to an app on several servers", 30*time.Second)
	b.shot("way-welcome")
	must(t, w.panel.Befriend(w.ctx))
	w.befriended(t)
	b.click("Sign out")
	b.fill("Mail address", lab.Owner)
	b.fill("Password", "not the password")
	b.click("Sign in")
	b.sees("Mail address or password is wrong", 30*time.Second)
	b.signIn(lab.Owner, lab.Password)
}

// addThreeServers goes on to the next one while the first are being prepared.
func addThreeServers(t *testing.T, w *world, b *browser) {
	for _, name := range []string{"s1", "s2", "s3"} {
		s := w.servers[name]
		key, err := os.ReadFile(s.KeyFile)
		must(t, err)
		b.click("Servers")
		b.click("Add server")
		b.fill("Name", name)
		b.fill("IP address", s.Addr.String())
		b.click("Ask who it is")
		b.sees("Is it the right machine?", 30*time.Second)
		b.click("I have compared it: it is the same")
		b.fill("Or a private key", string(key))
		b.click("Add server")
		b.sees("Prepare server", time.Minute)
	}
	b.shot("way-prepare")
	b.sees("succeeded", 5*time.Minute)
	b.click("Servers")
	b.until("three servers to be ready", `document.querySelectorAll("td .badge.good").length === 3`, 3*time.Minute)
	b.click("s1")
	b.sees("Found on it", 30*time.Second)
	b.shot("way-server")
}

// hostileLine is what a build says that wants to be more than text.
const hostileLine = `<img id=got src=x onerror=alert(1)>`

// shortDrain is given as a person would who knows that no request takes longer: the usual 30 s of each deployment wait for nobody here.
const shortDrain = "drain=2s"

func createApp(t *testing.T, w *world, b *browser) {
	b.click("Apps")
	b.click("Create app")
	b.fill("Name", "web")
	b.pick("Server", "s1")
	b.pick("Kind", "Node.js")
	b.fill("Repository", w.repo.URL())
	b.click("Build and start")
	b.fill("Options", shortDrain)
	b.fill("Build steps", "npm ci\nnpm run build --if-present\necho '"+hostileLine+"'")
	b.click("Create app")
	b.sees("On each server", 30*time.Second)
	b.shot("way-deploying")
	b.sees("completed", 4*time.Minute)
	b.shot("way-deployed")
	b.sees(hostileLine, 30*time.Second)
	b.harmless("the log of a build")
	b.click("Apps")
	b.click("web")
	b.sees("healthy", time.Minute)
	wantShare(t, w, "s1", 12)
}

func enableBalancer(t *testing.T, w *world, b *browser) {
	b.click("Load Balancer")
	b.sees("Files stay where they are written", 30*time.Second)
	b.click("I have read that files written on one backend do not exist on the others")
	b.fill("To confirm, type web", "web")
	b.click("Enable Load Balancer")
	b.sees("succeeded", 2*time.Minute)
	b.toBalancer()
	b.sees("No second backend yet", 30*time.Second)
	b.shot("way-one-backend")
}

// toBalancer goes to the app's tab as a person would from anywhere.
func (b *browser) toBalancer() {
	b.t.Helper()
	b.click("Apps")
	b.click("web")
	b.click("Load Balancer")
}

func addTwoBackends(t *testing.T, w *world, b *browser) {
	for _, name := range []string{"s2", "s3"} {
		b.click("Add backend")
		b.click(name)
		b.click("Add backend")
		b.sees("Add backend", 30*time.Second)
		b.shot("way-adding")
		b.toBalancer()
	}
	stays := b.stays()
	b.sees("3 of 3 healthy", 3*time.Minute)
	b.until("the last change to be in force", `!document.body.innerText.includes("not in force at the entry yet")`, time.Minute)
	stays()
	b.shot("way-balanced")
	until(t, time.Minute, "the third backend gets its share", func() (bool, string) { // its Run ends after its first pass
		c := w.spread(t)
		return c.Served["s2"] == 4 && c.Served["s3"] == 4, fmt.Sprint(c.Served)
	})
}

// seeDeath has backends asked twice as often as usual; TestThinLine waits for what is usual.
func seeDeath(t *testing.T, w *world, b *browser) {
	w.cli(t, "lb", "set", "web", "--interval", "5s")
	stays := b.stays()
	w.ssh(t, "s2", "systemctl stop 'sp-web-*'")
	b.sees("2 of 3 healthy", time.Minute)
	b.sees("does not listen", 30*time.Second)
	stays()
	b.shot("way-one-died")
	b.click("Overview")
	b.sees("web on s2 is unhealthy", 30*time.Second)
	b.shot("way-overview-trouble")
	stays = b.stays()
	w.ssh(t, "s2", "systemctl start --all 'sp-web-*'")
	b.sees("Nothing is wrong", time.Minute)
	stays()
	b.toBalancer()
	b.sees("3 of 3 healthy", 30*time.Second)
}

func toggle(t *testing.T, w *world, b *browser) {
	b.click("Switch off s3")
	b.sees("Share then", 30*time.Second)
	b.click("Switch off")
	b.sees("in force at the entry", 30*time.Second)
	b.sees("2 of 2 healthy", 30*time.Second)
	b.shot("way-one-off")
	wantShare(t, w, "s1", 6)
	b.click("Switch on s3")
	b.sees("in force at the entry", 30*time.Second)
	b.sees("3 of 3 healthy", time.Minute)
	wantShare(t, w, "s3", 4)
}

func changeMethod(t *testing.T, w *world, b *browser) {
	b.click("Settings")
	b.click("IP hash")
	b.click("Show what this does")
	b.sees("Change to the Nginx file", 30*time.Second)
	b.seesDiff()
	b.shot("way-method")
	b.click("Save")
	b.sees("in force at the entry", 30*time.Second)
	b.sees("IP hash", 30*time.Second)
	if c := w.spread(t); len(c.Served) != 1 {
		t.Errorf("with IP hash one visitor was served by %v", c.Served)
	}
	b.click("Settings")
	b.click("Round robin")
	b.click("Show what this does")
	b.click("Save")
	b.sees("in force at the entry", 30*time.Second)
	wantShare(t, w, "s2", 4)
}

// seesDiff holds that the changed lines of a file stand in sight, one below the other: the text alone is on the page
// even where it is out of the box.
func (b *browser) seesDiff() {
	b.t.Helper()
	b.until("the changed lines to be in sight", `(() => {
		const box = document.querySelector(".diff")?.getBoundingClientRect();
		const lines = [...document.querySelectorAll(".diff .plus, .diff .minus")].map((p) => p.getBoundingClientRect());
		return lines.length > 0 && lines.every((r, i) => r.left >= box.left && r.left < box.right && r.top >= box.top && r.bottom <= box.bottom && (i === 0 || r.top >= lines[i - 1].bottom - 1));
	})()`, 10*time.Second)
}

// spread is who serves twelve visitors.
func (w *world) spread(t *testing.T) lab.Count {
	t.Helper()
	c, err := lab.Spread(w.entry("s1"), 12)
	must(t, err)
	return c
}

// wantShare holds that n of twelve visitors are served by the server.
func wantShare(t *testing.T, w *world, server string, n int) {
	t.Helper()
	if c := w.spread(t); c.Served[server] != n {
		t.Errorf("%s served %d of 12, want %d: %+v", server, c.Served[server], n, c.Served)
	}
}

func changeVariable(t *testing.T, w *world, b *browser) {
	b.click("Environment Variables")
	b.fill("Lines of a .env file", "GREETING='hello "+hostileLine+"'\n")
	b.click("Show what changes")
	b.sees("GREETING added", 30*time.Second)
	b.shot("way-variable")
	b.click("Keep them")
	b.sees("Not in force yet", 30*time.Second)
	b.click("Show values")
	b.sees("hello "+hostileLine, 30*time.Second)
	b.harmless("the value of a variable")
	b.click("Apply now")
	b.sees("succeeded", 3*time.Minute)
}

func goBack(t *testing.T, w *world, b *browser) {
	must(t, w.repo.Write("NEWS", hostileLine))
	commit, err := w.repo.Commit("<b id=got>bold</b> and <script id=got>alert(1)</script>") // is text wherever it stands
	must(t, err)
	b.click("Apps")
	b.click("web")
	b.click("Deployments")
	b.click("Deploy")
	b.sees("<script id=got>alert(1)</script>", time.Minute)
	b.sees("and have it now", 3*time.Minute)
	b.harmless("a commit's message")
	b.click("Deployments")
	b.sees(commit[:7]+" live now", 30*time.Second)
	b.click("Roll back")
	b.sees("completed", 3*time.Minute)
	b.click("Deployments")
	b.sees("bold</b>", 30*time.Second)
	b.until("the new commit to be live no more", `!document.body.innerText.includes(`+quote(commit[:7]+" live now")+`)`, 30*time.Second)
	b.harmless("the list of deployments")
	b.shot("way-rolled-back")
}

func removeBackend(t *testing.T, w *world, b *browser) {
	b.toBalancer()
	b.click("Remove s3")
	b.fill("To confirm, type s3", "s3")
	b.click("Remove backend")
	b.sees("Receipt", 2*time.Minute)
	b.sees("succeeded", time.Minute)
	b.shot("way-receipt")
	wantShare(t, w, "s1", 6)
	wantShare(t, w, "s2", 6)
}

// outliveRestart: a page that is open while the panel is away says so, and goes
// on by itself when it is back.
func outliveRestart(t *testing.T, w *world, b *browser) {
	b.toBalancer()
	b.sees("2 of 2 healthy", 30*time.Second)
	stays := b.stays()
	b.forgive("net::ERR", "htmx:sse:error") // the stream says that it lost the panel
	must(t, w.panel.Kill())
	b.sees("Connection to the panel lost", 30*time.Second)
	b.shot("way-panel-away")
	must(t, w.panel.Start(w.ctx))
	b.until("the page to be connected again", `!document.body.innerText.includes("Connection to the panel lost")`, time.Minute)
	b.forgive()
	w.cli(t, "backend", "off", "web", "s2")
	b.sees("1 of 1 healthy", 30*time.Second)
	w.cli(t, "backend", "on", "web", "s2")
	b.sees("2 of 2 healthy", 30*time.Second)
	stays()
}

// withoutScripts goes the main way in a browser that runs none: forms and links
// do everything, and a page is loaded again to see what has become of it.
func withoutScripts(t *testing.T, w *world, _ *browser) {
	b := browse(t, w.panel.URL, telephone)
	b.withoutScripts()
	b.open("/")
	b.signIn(lab.Owner, lab.Password)
	b.click("Apps")
	b.click("Create app")
	b.fill("Name", "plain")
	b.pick("Server", "s3")
	b.pick("Kind", "Node.js")
	b.fill("Repository", w.repo.URL())
	b.click("Build and start")
	b.fill("Options", shortDrain)
	b.click("Create app")
	b.seesAfterReload("completed", 4*time.Minute)
	b.click("Apps")
	b.click("plain")
	b.click("Load Balancer")
	b.click("I have read that files written on one backend do not exist on the others")
	b.fill("To confirm, type plain", "plain")
	b.click("Enable Load Balancer")
	b.seesAfterReload("succeeded", time.Minute)
	tab := func() { b.click("Apps"); b.click("plain"); b.click("Load Balancer") }
	tab()
	b.click("Add backend")
	b.click("s2")
	b.click("Add backend")
	tab()
	b.seesAfterReload("2 of 2 healthy", 3*time.Minute)
	b.click("Switch off s2")
	b.click("Switch off")
	b.sees("in force at the entry", 30*time.Second)
	b.click("Switch on s2")
	b.sees("in force at the entry", 30*time.Second)
	b.click("Settings")
	b.click("Least connections")
	b.click("Show what this does")
	b.click("Save")
	b.sees("in force at the entry", 30*time.Second)
	b.sees("Least connections", 30*time.Second)
	b.click("Environment Variables")
	b.fill("Lines of a .env file", "COLOUR=green")
	b.click("Show what changes")
	b.click("Keep them")
	b.sees("COLOUR", 30*time.Second)
	b.click("Apply now")
	b.seesAfterReload("succeeded", 3*time.Minute)
	b.shot("way-without-scripts")
	b.calm()
}

// byKeyboard touches no mouse: Tab, Shift and Tab, Enter, space and arrows.
func byKeyboard(t *testing.T, w *world, _ *browser) {
	b := browse(t, w.panel.URL, desktop)
	b.open("/sign-in")
	b.skipToContents()
	b.types("Mail address", lab.Owner)
	b.types("Password", lab.Password)
	b.enter("Sign in", enterKey)
	b.sees("Sign out", 30*time.Second)
	b.walk("the overview")
	b.enter("Apps", enterKey)
	b.enter("Create app", enterKey)
	b.types("Name", "keys")
	b.types("Server", "s3")
	b.types("Repository", w.repo.URL())
	b.enter("Create app", spaceKey)
	b.sees("The repository looks like an app of kind Node.js", time.Minute)
	b.enter("Create app", enterKey)
	b.sees("completed", 4*time.Minute)
	tab := "/apps/keys/load-balancer"
	b.enter("Load Balancer", enterKey)
	b.enter("I have read that files written on one backend do not exist on the others", spaceKey)
	b.types("To confirm, type keys", "keys")
	b.enter("Enable Load Balancer", enterKey)
	b.sees("succeeded", time.Minute)
	b.open(tab)
	b.enter("Add backend", enterKey)
	b.enter("s1", spaceKey)
	b.enter("Add backend", enterKey)
	b.open(tab)
	b.sees("2 of 2 healthy", 3*time.Minute)
	b.walk("the load balancer")
	b.enter("Switch off s1", enterKey)
	b.enter("Switch off", enterKey)
	b.sees("1 of 1 healthy", 30*time.Second)
	b.enter("Switch on s1", enterKey)
	b.sees("2 of 2 healthy", time.Minute)
	b.enter("Settings", enterKey)
	b.tabTo("Round robin")
	b.key(downKey)
	b.key(downKey)
	if f := b.focus(); f.Name != "IP hash" {
		t.Errorf("two arrows down from round robin lead to %s", f.Name)
	}
	b.enter("Show what this does", enterKey)
	b.enter("Save", enterKey)
	b.sees("in force at the entry", 30*time.Second)
	b.until("the method to be IP hash", `document.querySelector(".node.entry").innerText.includes("IP hash")`, 30*time.Second)
	b.shot("way-by-keyboard")
	b.calm()
}
