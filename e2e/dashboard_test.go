//go:build e2e

package e2e

import (
	"os"
	"testing"
	"time"

	"github.com/serverplane/serverplane/e2e/fleet"
	"github.com/serverplane/serverplane/e2e/lab"
)

// TestDashboard goes the newcomer's way in a browser, by clicking: from no
// server to an app on two servers, with a change of everything on the way.
func TestDashboard(t *testing.T) {
	w := newEquippedWorld(t, fleet.Spec{Name: "s1"}, fleet.Spec{Name: "s2"})
	b := browse(t, w.panel.URL, 1440)
	for _, story := range []struct {
		name string
		tell func(*testing.T, *world, *browser)
	}{
		{"in", signIn},
		{"two servers", clickServers},
		{"an app is created and deployed", clickApp},
		{"variables", clickVariables},
		{"load balancing is enabled and a backend added", clickBalancer},
		{"a backend dies, is seen, and comes back", clickDeath},
		{"off, on, another method", clickTraffic},
		{"going back", clickBack},
		{"a backend is removed", clickRemoval},
		{"every page on a telephone", telephone},
	} {
		if !t.Run(story.name, func(t *testing.T) {
			b.t = t
			story.tell(t, w, b)
			b.calm()
		}) {
			t.Fatal("the rest of the way builds on this")
		}
	}
}

func signIn(t *testing.T, w *world, b *browser) {
	b.open("/apps")
	b.fill("email", lab.Owner)
	b.fill("password", "not the password")
	b.click("Sign in")
	b.sees("Mail address or password is wrong", 10*time.Second)
	b.shot("sign-in")
	b.fill("password", lab.Password)
	b.click("Sign in")
	b.sees("No app yet", 10*time.Second)
	b.open("/")
	b.sees("Add a server", 10*time.Second)
	b.shot("overview-empty")
}

func clickServers(t *testing.T, w *world, b *browser) {
	for _, name := range []string{"s1", "s2"} {
		s := w.servers[name]
		key, err := os.ReadFile(s.KeyFile)
		must(t, err)
		b.click("Servers")
		b.click("Add server")
		b.fill("name", name)
		b.fill("address", s.Addr.String())
		b.click("Ask who it is")
		b.sees("Is it the right machine?", 30*time.Second)
		b.shot("server-new")
		b.click("I have compared it: it is the same")
		b.fill("key", string(key))
		b.click("Add server")
		b.sees("Prepare server", time.Minute)
		b.sees("succeeded", 5*time.Minute)
		b.shot("run")
	}
	b.click("Servers")
	b.sees("s2", 10*time.Second)
	b.shot("servers")
	b.click("s1")
	b.sees("Found on it", 10*time.Second)
	b.shot("server")
}

func clickApp(t *testing.T, w *world, b *browser) {
	b.click("Apps")
	b.click("Create app")
	b.fill("name", "web")
	b.fill("server", "s1")
	b.fill("repository", w.repo.URL())
	b.shot("app-new")
	b.click("Create app")
	b.sees("On each server", 30*time.Second)
	b.sees("completed", 4*time.Minute)
	b.shot("deployment")
	b.open("/apps/web")
	b.sees("healthy", time.Minute)
	b.shot("app")
}

func clickVariables(t *testing.T, w *world, b *browser) {
	b.click("Environment Variables")
	b.fill("text", "GREETING='hello there'\n")
	b.click("Show what changes")
	b.sees("GREETING added", 10*time.Second)
	b.shot("environment")
	b.click("Keep them")
	b.sees("Not in force yet", 10*time.Second)
	b.click("Show values")
	b.sees("hello there", 10*time.Second)
	b.click("Apply now")
	b.sees("succeeded", 3*time.Minute)
}

func clickBalancer(t *testing.T, w *world, b *browser) {
	b.open("/apps/web/load-balancer")
	b.sees("Files stay where they are written", 10*time.Second)
	b.shot("load-balancer-off")
	b.click("I have read that files written on one backend do not exist on the others")
	b.fill("confirm", "web")
	b.click("Enable Load Balancer")
	b.sees("succeeded", 2*time.Minute)
	b.open("/apps/web/load-balancer")
	b.click("Add backend")
	b.choose("server", "s2")
	b.shot("backend-new")
	b.click("Add backend")
	b.open("/apps/web/load-balancer")
	b.sees("2 of 2 healthy", 3*time.Minute) // without reloading
	b.shot("load-balancer")
	wantShare(t, w, "s2", 5)
}

func clickDeath(t *testing.T, w *world, b *browser) {
	w.ssh(t, "s2", "systemctl stop 'sp-web-*'")
	b.sees("1 of 2 healthy", time.Minute) // without reloading
	b.shot("load-balancer-unhealthy")
	b.open("/")
	b.sees("s2", 10*time.Second)
	b.shot("overview-trouble")
	w.ssh(t, "s2", "systemctl start --all 'sp-web-*'")
}

func clickTraffic(t *testing.T, w *world, b *browser) {
	const tab = "/apps/web/load-balancer"
	b.open(tab)
	b.sees("2 of 2 healthy", time.Minute)
	b.click("Switch off s2")
	b.sees("Share then", 10*time.Second)
	b.shot("backend-off")
	b.click("Switch off")
	b.sees("in force at the entry", 30*time.Second)
	wantShare(t, w, "s1", 10)
	b.click("Switch on s2")
	b.sees("in force at the entry", 30*time.Second)
	b.sees("2 of 2 healthy", time.Minute)
	b.click("Settings")
	b.choose("method", "ip-hash")
	b.click("Show what this does")
	b.sees("Change to the Nginx file", 10*time.Second)
	b.shot("load-balancer-settings")
	b.click("Save")
	b.sees("in force at the entry", 30*time.Second)
	b.sees("IP hash", 10*time.Second)
	b.click("Settings")
	b.choose("method", "round-robin")
	b.click("Show what this does")
	b.click("Save")
	b.sees("in force at the entry", 30*time.Second)
	wantShare(t, w, "s2", 5)
}

// wantShare holds that n of ten visitors are served by the server.
func wantShare(t *testing.T, w *world, server string, n int) {
	t.Helper()
	c, err := lab.Spread(w.entry("s1"), 10)
	must(t, err)
	if c.Served[server] != n {
		t.Errorf("%s served %d of 10, want %d: %+v", server, c.Served[server], n, c.Served)
	}
}

func clickBack(t *testing.T, w *world, b *browser) {
	must(t, w.repo.Write("NEWS", "<img src=x onerror=alert(1)>"))
	commit, err := w.repo.Commit("<b>bold</b> and <script>alert(1)</script>") // is text wherever it stands
	must(t, err)
	b.open("/apps/web/deployments")
	b.click("Deploy")
	b.sees("On each server", 30*time.Second)
	b.sees("<script>alert(1)</script>", time.Minute)
	b.sees("and have it now", 3*time.Minute)
	b.open("/apps/web/deployments")
	b.sees(commit[:7]+" live now", 30*time.Second)
	b.shot("deployments")
	b.click("Roll back")
	b.sees("On each server", 30*time.Second)
	b.sees("completed", 3*time.Minute)
	b.open("/apps/web/deployments")
	b.sees("<b>bold</b>", 10*time.Second)
	b.until("the new commit to be live no more", `!document.body.innerText.includes(`+quote(commit[:7]+" live now")+`)`, 10*time.Second)
}

func clickRemoval(t *testing.T, w *world, b *browser) {
	b.open("/apps/web/load-balancer/backends/s2")
	b.sees("s2", 10*time.Second)
	b.shot("backend")
	b.open("/apps/web/load-balancer/backends/s2/remove")
	b.fill("confirm", "s2")
	b.shot("backend-remove")
	b.click("Remove backend")
	b.sees("Receipt", 2*time.Minute)
	b.sees("succeeded", time.Minute)
	b.shot("receipt")
	wantShare(t, w, "s1", 10)
}

// telephone looks at every page in a narrow window.
func telephone(t *testing.T, w *world, b *browser) {
	narrow := browse(t, w.panel.URL, 390)
	narrow.open("/sign-in")
	narrow.fill("email", lab.Owner)
	narrow.fill("password", lab.Password)
	narrow.click("Sign in")
	narrow.sees("Overview", 10*time.Second)
	for name, path := range map[string]string{
		"overview": "/", "servers": "/servers", "server": "/servers/s1", "server-new": "/servers/new", "apps": "/apps", "app": "/apps/web",
		"app-new": "/apps/new", "deployments": "/apps/web/deployments", "environment": "/apps/web/environment", "load-balancer": "/apps/web/load-balancer",
		"load-balancer-settings": "/apps/web/load-balancer/settings", "backend-new": "/apps/web/load-balancer/add", "runs": "/runs",
		"users": "/users", "audit": "/audit", "account": "/account",
	} {
		narrow.open(path)
		narrow.shot(name)
		b.open(path)
		b.shot(name)
	}
	narrow.calm()
}
