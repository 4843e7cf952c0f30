//go:build e2e

package e2e

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/serverplane/serverplane/client"
	"github.com/serverplane/serverplane/e2e/lab"
)

// TestThinLine is the product's main job from nothing: one Node.js app on
// three fresh servers, and what may go wrong on the way.
func TestThinLine(t *testing.T) {
	t.Parallel() // nothing here is held against the clock
	w := newWorld(t, "s1", "s2", "s3")
	w.sights = watchCommandLines(needle)
	for _, story := range []struct {
		name string
		tell func(*testing.T, *world)
	}{
		{"three fresh servers are added and provisioned", addServers},
		{"an app is deployed on its primary", deployFirst},
		{"load balancing needs the warning read", enable},
		{"two backends are added", addBackends},
		{"300 requests spread evenly", spread},
		{"variables arrive byte for byte on every backend", variablesArrive},
		{"a backend's ports answer the primary and nobody else", portsAreClosed},
		{"a stopped process costs no visitor anything", stoppedProcess},
		{"a failing build leaves the site as it was", failingBuild},
		{"a process that exits at once leaves the site as it was", exitingProcess},
		{"a process on the wrong port is named", wrongPort},
		{"a cancelled build leaves nothing running", cancelBuild},
		{"a new commit goes live without a lost request", deployAgain},
		{"going back costs no visitor anything", rollBack},
		{"nothing shows a variable's value", secretsStaySecret},
		{"every server comes back from a reboot with the live slot", reboot},
		{"a power cut in the middle of a change of Nginx's files heals at boot", powerCutInAChange},
		{"a removed app leaves no trace", removeApp},
	} {
		if !t.Run(story.name, func(t *testing.T) { story.tell(t, w) }) {
			t.Fatal("the rest of the line builds on this")
		}
	}
}

func addServers(t *testing.T, w *world) {
	w.add(t, "s1", "s2", "s3")
	var list struct{ Items []client.Server }
	must(t, w.panel.Read(w.ctx, &list, "server", "list"))
	for _, s := range list.Items {
		if s.State != "ready" || s.Firewall != "manage" || s.PrivateAddress != w.servers[s.Name].Addr.String() {
			t.Errorf("%s is %s, firewall %s, private address %s", s.Name, s.State, s.Firewall, s.PrivateAddress)
		}
		if out := w.ssh(t, s.Name, "ufw status"); !strings.Contains(out, "Status: active") {
			t.Errorf("%s: %s", s.Name, out)
		}
	}
	if len(list.Items) != 3 {
		t.Errorf("%d servers are listed", len(list.Items))
	}
}

func deployFirst(t *testing.T, w *world) {
	w.cli(t, "app", "create", "web", "--server", "s1", "--kind", "nodejs", "--repo", w.repo.URL(), "--option", "drain=2s", "--no-deploy")
	must(t, w.api.SetVariables(w.ctx, "web", map[string]string{"TORTURE": torture(), "APP_VERSION": "1"}))
	w.cli(t, "deploy", "web", "--wait")
	c, err := lab.Spread(w.entry("s1"), 5)
	must(t, err)
	if c.Served["s1"] != 5 {
		t.Errorf("served by %v", c.Served)
	}
}

func enable(t *testing.T, w *world) {
	said := w.refuse(t, 2, "lb", "enable", "web", "--wait")
	if !strings.Contains(said, "--yes") {
		t.Errorf("the refusal does not name --yes: %s", said)
	}
	w.cli(t, "lb", "enable", "web", "--yes", "--wait")
}

func addBackends(t *testing.T, w *world) {
	w.join(t, "s2", "s3")
	var lb client.LoadBalancer
	must(t, w.panel.Read(w.ctx, &lb, "lb", "show", "web"))
	if lb.Status != "on" || lb.Method != "round-robin" || len(lb.Backends) != 3 || lb.HealthCheck.Path != "/" {
		t.Errorf("load balancer: %+v", lb)
	}
	w.untilState(t, "web", "s1", "healthy", 30*time.Second)
}

func spread(t *testing.T, w *world) {
	c, err := lab.Spread(w.entry("s1"), 300)
	must(t, err)
	t.Logf("spread: %v", c.Served)
	for _, s := range []string{"s1", "s2", "s3"} {
		if n := c.Served[s]; n < 97 || n > 103 {
			t.Errorf("%s served %d of 300", s, n)
		}
	}
}

// needle stands in the variable whose value must not be seen anywhere.
const needle = "needle-5b0f3a9c"

// torture is a value with everything that breaks quoting somewhere, 64 KiB long.
func torture() string {
	awkward := needle + " \"double\" 'single' `tick` $HOME ${X} $(id) # no comment \\ \\n %h %% {{ 7*7 }} {% raw %}\r\n\ttab\x1b[0m éß漢🙂 \n  leading\n"
	long := strings.Repeat(awkward, 64<<10/len(awkward)+1)
	return strings.ToValidUTF8(long[:64<<10-1], "") + "\\"
}

func variablesArrive(t *testing.T, w *world) {
	value := torture()
	sum := sha256.Sum256([]byte(value))
	want := fmt.Sprintf(`{"sha256":"%s","bytes":%d}`, hex.EncodeToString(sum[:]), len(value))
	for _, s := range []string{"s1", "s2", "s3"} {
		address := w.backend(t, "web", s).Address
		if got := w.ssh(t, "s1", "curl -s http://"+address+"/env/TORTURE"); got != want {
			t.Errorf("%s sees %s, want %s", s, got, want)
		}
		mode := w.ssh(t, s, "stat -c '%a %U' /etc/serverplane/apps/web/a/env")
		if mode != "600 root" {
			t.Errorf("%s: the variables are %s", s, mode)
		}
	}
}

func portsAreClosed(t *testing.T, w *world) {
	b := w.backend(t, "web", "s2")
	if got := w.ssh(t, "s1", "curl -s -o /dev/null -w '%{http_code}' http://"+b.Address+"/"); got != "200" {
		t.Errorf("the primary gets %s from s2", got)
	}
	probe := "curl -s -m 3 -o /dev/null http://" + b.Address + "/ && echo open || echo closed"
	if got := w.ssh(t, "s3", probe); got != "closed" {
		t.Errorf("s3 finds the backend port of s2 %s", got)
	}
	client := http.Client{Timeout: 3 * time.Second}
	if resp, err := client.Get("http://" + b.Address + "/"); err == nil {
		_ = resp.Body.Close()
		t.Error("this machine finds the backend port of s2 open")
	}
}

func stoppedProcess(t *testing.T, w *world) {
	visitors := lab.Visit(w.entry("s1"), 20*time.Millisecond)
	stopped := time.Now()
	w.ssh(t, "s2", "systemctl stop sp-web-a")
	b := w.untilState(t, "web", "s2", "unhealthy", 40*time.Second)
	t.Logf("unhealthy after %s: %s (%s) from %s", time.Since(stopped).Round(time.Millisecond), b.Reason, b.Answer, b.Vantage)
	if b.Reason != "the app's process does not listen" || b.Answer != "HTTP 598" || b.Vantage == "" || !b.Enabled {
		t.Errorf("s2: %+v", b)
	}
	if upstream := w.ssh(t, "s1", "grep -c "+w.servers["s2"].Addr.String()+": /etc/nginx/conf.d/sp-web.conf"); upstream == "0" {
		t.Error("s2 was taken out of the upstream")
	}
	w.ssh(t, "s2", "systemctl start sp-web-a")
	w.untilState(t, "web", "s2", "healthy", 40*time.Second)
	noneLost(t, visitors.Stop())
}

// deployBroken deploys a change that must fail and gives what the Run said.
func deployBroken(t *testing.T, w *world, change func() error, undo func() error) string {
	t.Helper()
	before := w.running(t)
	must(t, change())
	_, err := w.repo.Commit("broken on purpose")
	must(t, err)
	visitors := lab.Visit(w.entry("s1"), 20*time.Millisecond)
	said := w.refuse(t, 1, "deploy", "web", "--wait")
	noneLost(t, visitors.Stop())
	if after := w.running(t); after != before {
		t.Errorf("the site changed from %s to %s", before, after)
	}
	var d struct{ Items []client.Deployment }
	must(t, w.panel.Read(w.ctx, &d, "deployment", "list", "web"))
	if d.Items[0].State != "failed" || d.Items[0].Reason == "" {
		t.Errorf("the deployment is %s: %s", d.Items[0].State, d.Items[0].Reason)
	}
	for _, s := range []string{"s1", "s2", "s3"} {
		if got := w.ssh(t, s, "systemctl is-active sp-web-a sp-web-b || true"); got != "active\ninactive" && got != "inactive\nactive" {
			t.Errorf("%s: slots are %q", s, got)
		}
	}
	must(t, undo())
	_, err = w.repo.Commit("mended")
	must(t, err)
	return said
}

// running tells which release every backend has, as the API and the entry say.
func (w *world) running(t *testing.T) string {
	t.Helper()
	all, err := w.api.Backends(w.ctx, "web")
	must(t, err)
	var lines []string
	for _, b := range all.Items {
		lines = append(lines, b.Server+" "+b.Release+" "+b.State)
	}
	return strings.Join(lines, ", ")
}

func failingBuild(t *testing.T, w *world) {
	said := deployBroken(t, w,
		func() error {
			return w.repo.Write("build.js", "for (let i = 1; i < 100; i++) console.log('line ' + i)\nthrow new Error('the build breaks')\n")
		},
		func() error { return w.repo.Write("build.js", buildScript(t)) })
	if !strings.Contains(said, "the build breaks") || !strings.Contains(said, "line 90") {
		t.Errorf("the last lines of the build are not told:\n%s", lastLines(said, 60))
	}
}

func buildScript(t *testing.T) string {
	t.Helper()
	raw, err := os.ReadFile("../examples/nodejs/build.js")
	must(t, err)
	return string(raw)
}

func exitingProcess(t *testing.T, w *world) {
	said := deployBroken(t, w,
		func() error {
			return w.repo.Replace("server.js", "const app = express()", "console.log('no licence'); process.exit(7)\nconst app = express()")
		},
		func() error { return w.repo.Replace("server.js", "console.log('no licence'); process.exit(7)\n", "") })
	if !strings.Contains(said, "no licence") || !strings.Contains(said, "exited with status 7") {
		t.Errorf("neither the exit status nor the last lines are told:\n%s", lastLines(said, 60))
	}
}

func wrongPort(t *testing.T, w *world) {
	said := deployBroken(t, w,
		func() error { return w.repo.Replace("server.js", "Number(process.env.PORT)", "3000") },
		func() error {
			return w.repo.Replace("server.js", "app.listen(3000", "app.listen(Number(process.env.PORT)")
		})
	if !strings.Contains(said, "listens on 3000 instead of $PORT") {
		t.Errorf("the wrong port is not named:\n%s", lastLines(said, 40))
	}
}

func cancelBuild(t *testing.T, w *world) {
	before := w.running(t)
	var sent client.Deployed
	sent, err := w.api.Deploy(w.ctx, "web", client.DeployWish{Rebuild: true})
	must(t, err)
	unit := "sp-web-run-" + sent.Run.ID
	for _, s := range []string{"s1", "s2", "s3"} {
		until(t, time.Minute, "npm ci runs on "+s, func() (bool, string) {
			out := w.ssh(t, s, "systemctl is-active "+unit+"; pgrep -u sp_web -fa 'npm ci' || true")
			return strings.Contains(out, "npm ci"), out
		})
	}
	w.cli(t, "run", "cancel", sent.Run.ID)
	cancelled := time.Now()
	for _, s := range []string{"s1", "s2", "s3"} {
		until(t, 2*time.Second-time.Since(cancelled), "nothing of the build runs on "+s, func() (bool, string) {
			out := w.ssh(t, s, "systemctl is-active "+unit+" || true; pgrep -u sp_web -fa 'npm ci' || true")
			return out == "inactive", out
		})
	}
	t.Logf("nothing of it ran anywhere %s after the cancel", time.Since(cancelled).Round(time.Millisecond))
	run, err := w.api.FollowRun(w.ctx, sent.Run.ID, 0, func(client.Event) {})
	must(t, err)
	d, err := w.api.Deployment(w.ctx, sent.Deployment.ID)
	must(t, err)
	if run.State != "cancelled" || d.State != "cancelled" {
		t.Errorf("the Run is %s, the deployment %s", run.State, d.State)
	}
	if after := w.running(t); after != before {
		t.Errorf("the site changed from %s to %s", before, after)
	}
	for _, s := range []string{"s1", "s2", "s3"} {
		if out := w.ssh(t, s, "pgrep -u sp_web -fa 'npm ci' || true"); out != "" {
			t.Errorf("something of the build came back on %s: %s", s, out)
		}
	}
}

func deployAgain(t *testing.T, w *world) {
	before := w.running(t)
	must(t, w.repo.Write("NEWS", "a change"))
	_, err := w.repo.Commit("a change")
	must(t, err)
	visitors := lab.Visit(w.entry("s1"), 10*time.Millisecond)
	w.cli(t, "deploy", "web", "--wait")
	noneLost(t, visitors.Stop())
	if w.running(t) == before {
		t.Error("the release did not change")
	}
	if out := w.cli(t, "env", "apply", "web", "--wait"); out != "" && strings.Contains(out, "run_") {
		t.Errorf("nothing had changed, but env apply queued %s", out)
	}
}

func secretsStaySecret(t *testing.T, w *world) {
	w.sights.none(t)
	all, err := w.api.Runs(w.ctx, client.RunFilter{})
	must(t, err)
	for _, r := range all.Items {
		raw, err := json.Marshal(r)
		must(t, err)
		said := w.cli(t, "run", "log", r.ID)
		if bytes.Contains(raw, []byte(needle)) || strings.Contains(said, needle) {
			t.Errorf("Run %s shows a variable's value", r.ID)
		}
	}
	for _, s := range []string{"s1", "s2", "s3"} {
		if n := w.ssh(t, s, "journalctl --no-pager | grep -cE '"+strings.Join(disguises(needle), "|")+"' || true"); n != "0" {
			t.Errorf("the journal of %s shows a variable's value %s times", s, n)
		}
		if out := w.ssh(t, s, "grep -rl "+needle+" /tmp /var/tmp /var/log /home/sp_web/logs /home/serverplane 2>/dev/null || true"); out != "" {
			t.Errorf("a variable's value was left on %s in %s", s, out)
		}
	}
	nowhereInData(t, w, needle)
}

// disguises are the secret as it is and as base64 at each of the three
// alignments: Ansible's modules once logged their arguments in that form.
func disguises(secret string) []string {
	all := []string{secret}
	for shift := range 3 {
		coded := base64.StdEncoding.EncodeToString([]byte(strings.Repeat("x", shift) + secret))
		all = append(all, coded[4:len(coded)-4])
	}
	return all
}

// nowhereInData fails when a secret stands in the clear in any file of the
// panel: its store, its log, its workspaces.
func nowhereInData(t *testing.T, w *world, secret string) {
	t.Helper()
	read := 0
	must(t, filepath.Walk(filepath.Dir(w.panel.Dir), func(path string, info os.FileInfo, err error) error {
		if err != nil || !info.Mode().IsRegular() {
			return err
		}
		read++
		raw, err := os.ReadFile(path)
		if bytes.Contains(raw, []byte(secret)) {
			t.Errorf("%s holds a secret in the clear", path)
		}
		return err
	}))
	if read == 0 {
		t.Error("no file of the panel was read")
	}
}

func reboot(t *testing.T, w *world) {
	live := liveSlot(t, w)
	for _, s := range []string{"s1", "s2", "s3"} {
		must(t, w.servers[s].Reboot(w.ctx))
	}
	for _, s := range []string{"s1", "s2", "s3"} {
		until(t, time.Minute, "exactly slot "+live+" runs on "+s, func() (bool, string) {
			out := w.ssh(t, s, "systemctl is-active sp-web-"+live+" sp-web-"+other(live)+" nginx || true")
			return out == "active\ninactive\nactive", out
		})
		w.untilState(t, "web", s, "healthy", 90*time.Second)
	}
	c, err := lab.Spread(w.entry("s1"), 30)
	must(t, err)
	t.Logf("after the reboots: %v", c.Served)
}

// powerCutInAChange leaves what the guarded change has on disk when the power
// goes between two of its files: its journal, and a file Nginx cannot start with.
func powerCutInAChange(t *testing.T, w *world) {
	w.ssh(t, "s1", `python3 - <<'X'
import base64, json
path = "/etc/nginx/conf.d/sp-web.conf"
with open(path, "rb") as f:
    old = f.read()
with open("/var/lib/serverplane/nginx.json") as f:
    version = json.load(f)["version"]
with open("/var/lib/serverplane/nginx.journal", "w") as f:
    json.dump({"version": version, "files": {"conf.d/sp-web.conf": {"data": base64.b64encode(old).decode(), "mode": 420}}, "towards": {"version": "x"}}, f)
with open(path, "w") as f:
    f.write("server { half")
X
sync`)
	must(t, w.servers["s1"].PowerCut(w.ctx))
	must(t, w.servers["s1"].Boot(w.ctx))
	until(t, time.Minute, "the entry answers again", func() (bool, string) {
		c, err := lab.Spread(w.entry("s1"), 3)
		return err == nil, fmt.Sprintf("%+v, %v", c, err)
	})
}

func liveSlot(t *testing.T, w *world) string {
	t.Helper()
	if w.ssh(t, "s1", "test -f /var/lib/serverplane/live/web.b && echo b || echo a") == "b" {
		return "b"
	}
	return "a"
}

func other(slot string) string {
	if slot == "a" {
		return "b"
	}
	return "a"
}

func removeApp(t *testing.T, w *world) {
	said := w.refuse(t, 2, "app", "remove", "web", "--wait")
	if !strings.Contains(said, "--yes") {
		t.Errorf("the refusal does not name --yes: %s", said)
	}
	refused := w.refuse(t, 1, "server", "remove", "s2", "--yes")
	if !strings.Contains(refused, "web") {
		t.Errorf("the refusal does not name the app: %s", refused)
	}
	w.cli(t, "app", "remove", "web", "--yes", "--wait")
	for _, s := range []string{"s1", "s2", "s3"} {
		left := w.ssh(t, s, `ls -d /home/sp_web /etc/serverplane/apps/web /etc/systemd/system/sp-web-* /etc/nginx/conf.d/sp-web.conf `+
			`/var/lib/serverplane/apps/web.json /var/lib/serverplane/live/web.b 2>/dev/null || true; id sp_web 2>/dev/null || true; ufw status | grep 'serverplane web' || true; ps -eo user:20,args | grep '^sp_web' || true`)
		if left != "" {
			t.Errorf("%s: %s", s, left)
		}
	}
	w.cli(t, "server", "remove", "s3", "--yes")
}
