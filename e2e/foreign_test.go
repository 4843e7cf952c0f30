//go:build e2e

package e2e

import (
	"fmt"
	"net"
	"net/http"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/serverplane/serverplane/client"
	"github.com/serverplane/serverplane/e2e/lab"
	"github.com/serverplane/serverplane/playbooks"
)

// TestServerWithALifeOfItsOwn adds a server that already runs a site, a
// firewall with rules of its own and a Redis for its neighbours: all of it
// stays untouched and answers throughout.
func TestServerWithALifeOfItsOwn(t *testing.T) {
	t.Parallel() // nothing here is held against the clock
	w := newWorld(t, "s1")
	address := w.servers["s1"].Addr.String()
	w.ssh(t, "s1", `export DEBIAN_FRONTEND=noninteractive; apt-get update -q && apt-get install -y -q --no-install-recommends nginx redis-server
rm /etc/nginx/sites-enabled/default
cat > /etc/nginx/sites-available/shop <<'X'
server { listen 80; server_name shop.example.com; root /srv/shop; }
X
ln -s ../sites-available/shop /etc/nginx/sites-enabled/shop
mkdir -p /srv/shop && echo the old shop > /srv/shop/index.html
sed -i 's/^bind .*/bind 127.0.0.1 `+address+`/; s/^protected-mode .*/protected-mode no/' /etc/redis/redis.conf
systemctl enable -q --now redis-server nginx; systemctl restart redis-server; nginx -s reload
ufw allow 22/tcp comment 'my ssh'; ufw allow from 198.18.0.0/15 to any port 6379 proto tcp comment 'my redis'
ufw allow 80/tcp comment 'my shop'; ufw --force enable`)
	before := w.ssh(t, "s1", foreignState)
	shop, redis := newWatch(func() error { return askShop(address) }), newWatch(func() error { return askRedis(address) })
	addByPassword(t, w)
	var s client.Server
	must(t, w.panel.Read(w.ctx, &s, "server", "show", "s1"))
	if s.State != "ready" || s.Firewall != "keep-open" {
		t.Errorf("s1 is %s, firewall %s: %s", s.State, s.Firewall, s.Reason)
	}
	create := []string{"app", "create", "web", "--server", "s1", "--kind", "nodejs", "--repo", w.repo.URL(), "--option", "drain=1s"}
	if said := w.refuse(t, 1, append(create, "--domain", "web.example.com")...); !strings.Contains(said, "default_server") {
		t.Errorf("an app that would take over from the shop is not refused with the way out: %s", said)
	}
	if after := w.ssh(t, "s1", foreignState); after != before {
		t.Errorf("adding the server changed what was there from\n%s\nto\n%s", before, after)
	}
	w.ssh(t, "s1", "sed -i 's/listen 80;/listen 80 default_server;/' /etc/nginx/sites-available/shop && nginx -s reload")
	before = w.ssh(t, "s1", foreignState)
	w.cli(t, "server", "survey", "s1")
	if said := w.refuse(t, 1, create...); !strings.Contains(said, "--domain") {
		t.Errorf("an app without a name is not refused: %s", said)
	}
	// Somebody reloads systemd all the time, as package managers do: units of ours that begin meanwhile are told the same.
	w.ssh(t, "s1", "systemd-run --quiet --unit=reloads sh -c 'while systemctl daemon-reload; do sleep 0.02; done'")
	w.cli(t, append(create, "--domain", "web.example.com", "--wait")...)
	toldAsMeant(t, w)
	w.ssh(t, "s1", "systemctl stop reloads")
	shop.none(t, "the shop")
	redis.none(t, "Redis")
	if after := w.ssh(t, "s1", foreignState); after != before {
		t.Errorf("what was there changed from\n%s\nto\n%s", before, after)
	}
	rules := w.ssh(t, "s1", "ufw status")
	for _, mine := range []string{"my ssh", "my redis", "my shop"} {
		if !strings.Contains(rules, mine) {
			t.Errorf("the rule %q is gone:\n%s", mine, rules)
		}
	}
	if got := w.ssh(t, "s1", "curl -s -H 'Host: web.example.com' http://127.0.0.1/ | grep -c '\"server\":\"s1\"'"); got != "1" {
		t.Error("the app does not answer beside the shop")
	}
	if got := w.ssh(t, "s1", "curl -s -H 'Host: nobody.example.com' http://127.0.0.1/"); got != "the old shop" {
		t.Errorf("a name nobody has is no longer answered by the shop but by %s", got)
	}
}

// toldAsMeant starts units of a step's while systemd is reloaded: each sixth of those that were told on their command line was told
// something else.
func toldAsMeant(t *testing.T, w *world) {
	t.Helper()
	text, err := playbooks.FS.ReadFile("steps/server.py")
	must(t, err)
	const loop = `
for n in range(60):
    done = run_in_unit(["--unit=sp-told-%d" % n], 'exec 3>&1; echo "$2;$1" >&3; exit "$3"', "a; $b", "c\\", "4")
    if done.returncode != 4 or done.stdout != "c\\;a; $b\n":
        fail("unit %d: %s" % (n, done))
`
	w.ssh(t, "s1", "python3 - <<'END_OF_STEP'\n"+string(text)+loop+"END_OF_STEP")
}

// addByPassword lets the panel in by way of an ordinary user who needs a
// password for sudo; the password is used once and kept nowhere.
func addByPassword(t *testing.T, w *world) {
	t.Helper()
	const password = "pass phrase-77e1 'quoted'"
	w.ssh(t, "s1", `useradd -m -s /bin/bash -G sudo dev && chpasswd <<'X'
dev:`+password+`
X`)
	seen := watchCommandLines(password)
	_, err := w.panel.CLIWith(w.ctx, password+"\n", "server", "add", "s1", "--address", w.servers["s1"].Addr.String(),
		"--user", "dev", "--password-stdin", "--accept-host-key", "--wait")
	must(t, err)
	seen.none(t)
	nowhereInData(t, w, password)
	if got := w.ssh(t, "s1", "grep -r '"+password[:16]+"' /etc/serverplane /var/lib/serverplane /home/serverplane /tmp 2>/dev/null || true"); got != "" {
		t.Errorf("the password was left on the server: %s", got)
	}
}

// foreignState is everything of the server's own that must not change.
const foreignState = `cat /etc/nginx/nginx.conf /etc/nginx/sites-available/shop /etc/redis/redis.conf /srv/shop/index.html | sha256sum
readlink /etc/nginx/sites-enabled/shop; stat -c '%Y %a %U' /etc/nginx/sites-available/shop /etc/redis/redis.conf
systemctl show -p MainPID redis-server`

func askShop(address string) error {
	c := http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	req, err := http.NewRequest(http.MethodGet, "http://"+address+"/", nil)
	if err != nil {
		return err
	}
	req.Host = "shop.example.com"
	resp, err := c.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return &net.AddrError{Err: resp.Status, Addr: address}
	}
	return nil
}

func askRedis(address string) error {
	conn, err := net.DialTimeout("tcp", address+":6379", 20*time.Second)
	if err != nil {
		return err
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
	if _, err := conn.Write([]byte("PING\r\n")); err != nil {
		return err
	}
	answer := make([]byte, 7)
	if _, err := conn.Read(answer); err != nil || !strings.HasPrefix(string(answer), "+PONG") {
		return &net.AddrError{Err: "answered " + string(answer), Addr: address}
	}
	return nil
}

// watch asks something ten times a second and keeps what failed.
type watch struct {
	stop chan struct{}
	done chan struct{}
	n    int
	errs []error
}

func newWatch(ask func() error) *watch {
	w := &watch{stop: make(chan struct{}), done: make(chan struct{})}
	go func() {
		defer close(w.done)
		tick := time.NewTicker(100 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-w.stop:
				return
			case <-tick.C:
				w.n++
				if err := ask(); err != nil {
					w.errs = append(w.errs, err)
				}
			}
		}
	}()
	return w
}

func (w *watch) none(t *testing.T, what string) {
	t.Helper()
	close(w.stop)
	<-w.done
	t.Logf("%s was asked %d times, %d failed", what, w.n, len(w.errs))
	if w.n == 0 || len(w.errs) > 0 {
		t.Errorf("%s did not answer %d of %d times: %v", what, len(w.errs), w.n, w.errs)
	}
}

// TestBadInput: a clear error with field, rule and way out; nothing changed,
// nothing queued.
func TestBadInput(t *testing.T) {
	t.Parallel() // nothing here is held against the clock
	w := newEquippedWorld(t, named([]string{"s1", "s2"})...)
	w.add(t, "s1")
	s, unknown := w.servers["s1"], w.servers["s2"].Addr.String()
	repo := w.repo.URL()
	queued := len(runs(t, w))
	for _, c := range []struct {
		exit int
		args []string
		says []string
	}{
		{1, []string{"server", "add", "Bad Name", "--address", s.Addr.String(), "--key", s.KeyFile, "--accept-host-key"}, []string{"name", "a-z"}},
		{1, []string{"server", "add", "s9", "--address", "example.com", "--key", s.KeyFile, "--accept-host-key"}, []string{"address", "IP address"}},
		{1, []string{"server", "add", "s1", "--address", s.Addr.String(), "--key", s.KeyFile, "--accept-host-key"}, []string{"already"}},
		{1, []string{"server", "add", "s9", "--address", s.Addr.String(), "--key", s.KeyFile, "--host-key", "SHA256:wrong"}, []string{"already"}},
		{2, []string{"server", "add", "s9", "--address", s.Addr.String(), "--key", s.KeyFile}, []string{"SHA256:", "--host-key"}},
		{1, []string{"server", "add", "s2", "--address", unknown, "--key", wrongKey(t), "--accept-host-key"}, []string{"key: signing in as root", unknown}},
		{1, []string{"server", "add", "s2", "--address", unknown, "--key", s.KeyFile, "--host-key", "SHA256:wrong"}, []string{"host_key", "SHA256:"}},
		{1, []string{"server", "add", "s2", "--address", "198.18.0.300", "--key", s.KeyFile, "--accept-host-key"}, []string{"address", "IP address"}},
		{1, []string{"server", "add", "s2", "--address", "fe80::zz", "--key", s.KeyFile, "--accept-host-key"}, []string{"address", "IP address"}},
		{1, []string{"app", "create", "a;b", "--server", "s1", "--kind", "nodejs", "--repo", repo}, []string{"name"}},
		{1, []string{"app", "create", "web", "--server", "nowhere", "--kind", "nodejs", "--repo", repo}, []string{"nowhere"}},
		{1, []string{"app", "create", "web", "--server", "s1", "--kind", "cobol", "--repo", repo}, []string{"kind", "nodejs"}},
		{1, []string{"app", "create", "web", "--server", "s1", "--kind", "nodejs", "--repo", "--upload-pack=touch /tmp/x"}, []string{"repository"}},
		{1, []string{"app", "create", "web", "--server", "s1", "--kind", "nodejs", "--repo", repo, "--domain", "a b; return 200;"}, []string{"domain"}},
		{1, []string{"app", "create", "web", "--server", "s1", "--kind", "nodejs", "--repo", repo, "--health-path", "/\n}"}, []string{"health_path"}},
		{1, []string{"app", "show", "web"}, []string{"web"}},
		{1, []string{"deploy", "web"}, []string{"web"}},
		{1, []string{"env", "set", "web", "A=1"}, []string{"web"}},
		{1, []string{"lb", "enable", "web", "--yes"}, []string{"web"}},
		{1, []string{"backend", "add", "web", "s1"}, []string{"web"}},
		{1, []string{"run", "show", "run_none"}, []string{"run_none"}},
		{2, []string{"deploy"}, nil},
		{2, []string{"server", "remove", "s1"}, []string{"--yes"}},
	} {
		t.Run(strings.Join(c.args[:min(2, len(c.args))], " "), func(t *testing.T) {
			said := w.refuse(t, c.exit, c.args...)
			for _, want := range c.says {
				if !strings.Contains(said, want) {
					t.Errorf("%v: it does not say %q:\n%s", c.args, want, said)
				}
			}
		})
	}
	if now := len(runs(t, w)); now != queued {
		t.Errorf("%d Runs were queued by what was refused", now-queued)
	}
	brokenRepository(t, w)
	serverNotReady(t, w)
	changedHostKey(t, w)
}

// wrongKey is a key nobody has let in.
func wrongKey(t *testing.T) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "key")
	must(t, exec.CommandContext(t.Context(), "ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", file).Run())
	return file
}

// serverNotReady: an app cannot be created on a server that is still being
// provisioned.
func serverNotReady(t *testing.T, w *world) {
	s := w.servers["s2"]
	w.cli(t, "server", "add", "s2", "--address", s.Addr.String(), "--key", s.KeyFile, "--accept-host-key")
	said := w.refuse(t, 1, "app", "create", "early", "--server", "s2", "--kind", "nodejs", "--repo", w.repo.URL())
	if !strings.Contains(said, "s2") || !strings.Contains(said, "not ready") {
		t.Errorf("a server that is not ready: %s", said)
	}
}

// changedHostKey: another machine may answer at that address, so everything
// stops, and both the command and the server's state say why.
func changedHostKey(t *testing.T, w *world) {
	w.ssh(t, "s1", "rm /etc/ssh/ssh_host_* && ssh-keygen -A >/dev/null && systemctl restart ssh && pkill -u serverplane") // and the held connection ends
	until(t, 30*time.Second, "the panel refuses the new host key", func() (bool, string) {
		_, err := w.panel.CLI(w.ctx, "server", "survey", "s1")
		return err != nil && strings.Contains(err.Error(), "host key") && strings.Count(err.Error(), "SHA256:") > 1, fmt.Sprint(err)
	})
	w.untilServer(t, "s1", "unreachable")
	s, err := w.api.Server(w.ctx, "s1")
	must(t, err)
	if !strings.Contains(s.Reason, "host key") {
		t.Errorf("the server's state does not say why: %s", s.Reason)
	}
}

// brokenRepository: what only the Git host can tell fails the deployment in
// Git's own words and leaves nothing behind.
func brokenRepository(t *testing.T, w *world) {
	w.cli(t, "app", "create", "ghost", "--server", "s1", "--kind", "nodejs", "--repo", "file:///there/is/nothing", "--no-deploy")
	if said := w.refuse(t, 1, "deploy", "ghost", "--wait"); !strings.Contains(said, "does not appear to be a git repository") {
		t.Errorf("a repository that does not exist: %s", said)
	}
	w.cli(t, "app", "create", "twig", "--server", "s1", "--kind", "nodejs", "--repo", w.repo.URL(), "--branch", "no-such", "--domain", "twig.example.com", "--no-deploy")
	if said := w.refuse(t, 1, "deploy", "twig", "--wait"); !strings.Contains(said, "no such commit, tag or branch") {
		t.Errorf("a branch that does not exist: %s", said)
	}
	if out := w.ssh(t, "s1", "ls /home | grep sp_ || true"); out != "" {
		t.Errorf("a deployment that never began left %s", out)
	}
	if _, err := lab.Spread(w.entry("s1"), 1); err == nil {
		t.Error("an app that was never deployed answers")
	}
}

func runs(t *testing.T, w *world) []client.Run {
	t.Helper()
	all, err := w.api.Runs(w.ctx, client.RunFilter{})
	must(t, err)
	return all.Items
}
