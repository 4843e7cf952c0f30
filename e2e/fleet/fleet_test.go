//go:build e2e

package fleet_test

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/serverplane/serverplane/e2e/fleet"
)

// holdVariable makes this test program hold a fleet instead of running tests: the crash test kills it.
const holdVariable = "FLEET_TEST_HOLD"

func TestMain(m *testing.M) {
	if os.Getenv(holdVariable) != "" {
		hold()
	}
	os.Exit(m.Run())
}

// hold starts one server, says where, and waits to be killed.
func hold() {
	f, err := fleet.New(fleet.Config{Log: os.Stderr})
	if err == nil {
		_, err = f.Start(context.Background(), fleet.Spec{Name: "left"})
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println(f.ID)
	select {}
}

func newFleet(t *testing.T) *fleet.Fleet {
	t.Helper()
	f, err := fleet.New(fleet.Config{Log: t.Output()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	})
	return f
}

func start(t *testing.T, f *fleet.Fleet, names ...string) []*fleet.Server {
	t.Helper()
	var specs []fleet.Spec
	for _, name := range names {
		specs = append(specs, fleet.Spec{Name: name})
	}
	began := time.Now()
	servers, err := f.StartAll(t.Context(), specs...)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d servers up in %.1f s", len(names), time.Since(began).Seconds())
	return servers
}

func ssh(t *testing.T, s *fleet.Server, command string) string {
	t.Helper()
	out, err := s.SSH(t.Context(), command, nil)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(out)
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// reaches says whether one server gets an answer from another's SSH port.
func reaches(t *testing.T, from, to *fleet.Server) bool {
	t.Helper()
	return ssh(t, from, fmt.Sprintf("nc -z -w 1 %s 22 && echo yes || echo no", to.Addr)) == "yes"
}

// A server is a Debian as a person would rent it, with what stories lean on really working inside.
func TestServerIsRealDebian(t *testing.T) {
	f := newFleet(t)
	s := start(t, f, "web1")[0]
	for _, check := range []struct{ name, command, want string }{
		{"host name", "hostname", "web1"},
		{"clean boot", "systemctl is-system-running --wait; systemctl --failed --no-legend", "running"},
		{"fresh", "command -v nginx psql mariadb redis-server docker node || echo none", "none"},
		{"journal", "logger -t fleet hello && journalctl --sync && journalctl -t fleet -o cat", "hello"},
		{"transient units", "systemd-run --quiet --wait --collect --pipe -p CPUWeight=20 -p IOWeight=20 -p OOMScoreAdjust=900 -p RuntimeMaxSec=9 cat /proc/self/oom_score_adj", "900"},
		{"private mounts", "mkdir -p /tmp/a && echo staged >/tmp/a/f && unshare -m sh -c 'mount --bind /tmp/a /mnt && cat /mnt/f' && ls /mnt", "staged"},
		{"network settings", "sysctl -q -w net.ipv4.ip_nonlocal_bind=1 && sysctl -n net.ipv4.ip_nonlocal_bind", "1"},
		{"own users", "useradd --create-home someone && id -un someone", "someone"},
		{"outside over TLS", `. /etc/os-release; curl -fsS -o /dev/null "$(sed -n 's/^registry=//p' /etc/npmrc)is-number" && echo reached $ID`, "reached debian"},
		{"packages", "apt-get -qq update && apt-get -qq install -y tree >/dev/null 2>&1 && command -v tree", "/usr/bin/tree"},
	} {
		t.Run(check.name, func(t *testing.T) {
			if got := ssh(t, s, check.command); got != check.want {
				t.Errorf("%s\ngot  %q\nwant %q", check.command, got, check.want)
			}
		})
	}
	t.Run("error holds output", func(t *testing.T) {
		_, err := s.SSH(t.Context(), "cat && echo to-stderr >&2 && exit 3", strings.NewReader("from-stdin"))
		for _, part := range []string{"web1", "from-stdin", "to-stderr", "exit status 3"} {
			if err == nil || !strings.Contains(err.Error(), part) {
				t.Errorf("error lacks %q: %v", part, err)
			}
		}
	})
}

// ufw inside a server drops what it should, and no rule of the fleet gets in its way.
func TestFirewallInside(t *testing.T) {
	f := newFleet(t)
	servers := start(t, f, "a", "b")
	a, b := servers[0], servers[1]
	ssh(t, a, "systemd-run --quiet --unit=door nc -lk 8080; for i in $(seq 50); do ss -Hltn sport = :8080 | grep -q . && break; sleep 0.1; done")
	open := func() string {
		return ssh(t, b, fmt.Sprintf("for i in 1 2; do nc -z -w 1 %s 8080 && echo open && exit; done; echo shut", a.Addr))
	}
	if got := open(); got != "open" {
		t.Fatalf("before ufw: %s", got)
	}
	ssh(t, a, "ufw allow 22/tcp && ufw --force enable")
	if got := open(); got != "shut" {
		t.Fatalf("with ufw: %s", got)
	}
	ssh(t, a, fmt.Sprintf("ufw allow from %s to any port 8080 proto tcp", b.Addr))
	if got := open(); got != "open" {
		t.Fatalf("with an exception in ufw: %s", got)
	}
	must(t, f.Cut(t.Context(), a, b))
	if got := open(); got != "shut" {
		t.Fatalf("cut: %s", got)
	}
	ssh(t, a, "ufw --force reset && ufw --force disable && iptables -F && iptables -P INPUT ACCEPT")
	if got := open(); got != "shut" {
		t.Fatalf("cut, and all rules inside removed: %s", got)
	}
}

func TestCutBetweenServers(t *testing.T) {
	f := newFleet(t)
	servers := start(t, f, "a", "b", "c")
	a, b, c := servers[0], servers[1], servers[2]
	state := func() map[string]bool {
		return map[string]bool{"ab": reaches(t, a, b), "ba": reaches(t, b, a), "ac": reaches(t, a, c), "bc": reaches(t, b, c), "cb": reaches(t, c, b)}
	}
	whole := map[string]bool{"ab": true, "ba": true, "ac": true, "bc": true, "cb": true}
	cut := map[string]bool{"ab": false, "ba": false, "ac": true, "bc": true, "cb": true}
	if diff := cmp.Diff(whole, state()); diff != "" {
		t.Fatal("before:", diff)
	}
	must(t, f.Cut(t.Context(), a, b))
	if diff := cmp.Diff(cut, state()); diff != "" {
		t.Fatal("cut:", diff)
	}
	must(t, b.PowerCut(t.Context()))
	must(t, b.Boot(t.Context()))
	if diff := cmp.Diff(cut, state()); diff != "" {
		t.Fatal("cut, after a power cut:", diff)
	}
	must(t, f.Heal(t.Context(), b, a))
	if diff := cmp.Diff(whole, state()); diff != "" {
		t.Fatal("healed:", diff)
	}
}

// Cut from this machine, a server goes on serving the others and reaching the outside.
func TestCutFromMachine(t *testing.T) {
	f := newFleet(t)
	servers := start(t, f, "a", "b")
	a, b := servers[0], servers[1]
	// The server itself looks outside and at this machine while nobody can log in, and says so to its neighbour.
	ssh(t, b, "systemd-run --quiet --unit=ear sh -c 'nc -l -p 9000 >/tmp/heard'")
	ssh(t, a, fmt.Sprintf(`systemd-run --quiet --unit=look sh -c '
		while ping -c 1 -W 1 %[1]s >/dev/null; do :; done
		curl -s -o /dev/null -m 20 "$(sed -n s/^registry=//p /etc/npmrc)is-number" && outside=reached
		echo outside $outside | nc -q 1 %[2]s 9000'`, f.Gateway(), b.Addr))
	must(t, f.CutFromMachine(t.Context(), a))
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if _, err := a.SSH(ctx, "true", nil); err == nil {
		t.Fatal("SSH went through a cut")
	}
	if got := ssh(t, b, "for i in $(seq 300); do [ -s /tmp/heard ] && break; sleep 0.1; done; cat /tmp/heard"); got != "outside reached" {
		t.Fatalf("the cut server said %q", got)
	}
	must(t, f.HealFromMachine(t.Context(), a))
	if got := ssh(t, a, "hostname"); got != "a" {
		t.Fatalf("after healing: %q", got)
	}
}

func TestPower(t *testing.T) {
	f := newFleet(t)
	s := start(t, f, "a")[0]
	boot := ssh(t, s, "echo kept >/root/kept; echo gone >/run/gone; cat /proc/sys/kernel/random/boot_id /etc/machine-id")
	const machine = `ip neigh show | awk '$1 ~ /\.1$/ { print $5 }'` // as the server knows it
	before := ssh(t, s, machine)
	for _, way := range []struct {
		name string
		off  func(context.Context) error
		left string
	}{
		{"cut", s.PowerCut, "no stop seen"},
		{"off", s.PowerOff, "stopped in order"},
	} {
		ssh(t, s, `rm -f /root/stopped; systemd-run --quiet --unit=witness -p ExecStop="touch /root/stopped" sleep infinity`)
		began := time.Now()
		must(t, way.off(t.Context()))
		t.Logf("%s: took %.1f s", way.name, time.Since(began).Seconds())
		if s.Running() {
			t.Fatalf("%s: still running", way.name)
		}
		if now, err := os.ReadFile("/sys/class/net/spf-" + f.ID + "/address"); err != nil || strings.TrimSpace(string(now)) != before {
			t.Errorf("%s: servers know this machine as %q, and it is %q (%v) without one of them", way.name, before, now, err)
		}
		if _, err := s.SSH(t.Context(), "true", nil); err == nil {
			t.Fatalf("%s: SSH still answers", way.name)
		}
		began = time.Now()
		must(t, s.Boot(t.Context()))
		t.Logf("%s: booted again in %.1f s", way.name, time.Since(began).Seconds())
		if got := ssh(t, s, "test -e /root/stopped && echo stopped in order || echo no stop seen"); got != way.left {
			t.Errorf("%s: %s, want %s", way.name, got, way.left)
		}
		if got := ssh(t, s, "cat /root/kept; ls /run/gone 2>/dev/null || true"); got != "kept" {
			t.Errorf("%s: after boot %q", way.name, got)
		}
	}
	must(t, s.Reboot(t.Context()))
	if again := ssh(t, s, "cat /proc/sys/kernel/random/boot_id /etc/machine-id"); !strings.HasSuffix(again, boot[strings.Index(boot, "\n"):]) {
		t.Errorf("the machine id changed over boots: %q, then %q", boot, again)
	}
	if err := s.PowerOn(); err == nil {
		t.Error("a running server was powered on again")
	}
}

func TestSnapshotAndClone(t *testing.T) {
	f := newFleet(t)
	s := start(t, f, "origin")[0]
	ssh(t, s, "echo provisioned >/srv/state; ufw allow 22/tcp && ufw --force enable")
	identity := "cut -d' ' -f2 /etc/ssh/ssh_host_ed25519_key.pub; cat /etc/machine-id"
	own := ssh(t, s, identity)
	snap, err := f.Snapshot(t.Context(), s)
	must(t, err)
	began := time.Now()
	clones, err := f.StartAll(t.Context(), fleet.Spec{Name: "fresh", From: snap}, fleet.Spec{Name: "same", From: snap, KeepIdentity: true})
	must(t, err)
	t.Logf("two clones up in %.1f s", time.Since(began).Seconds())
	fresh, same := clones[0], clones[1]
	if got := ssh(t, fresh, identity); got == own || strings.Split(got, "\n")[1] == strings.Split(own, "\n")[1] {
		t.Errorf("the clone has its original's identity: %s", got)
	}
	if got := ssh(t, same, identity); got != own {
		t.Errorf("KeepIdentity gave another identity: %s, not %s", got, own)
	}
	ssh(t, fresh, "echo changed >/srv/state")
	must(t, s.Boot(t.Context()))
	got := []string{}
	for _, server := range []*fleet.Server{s, fresh, same} {
		got = append(got, ssh(t, server, "hostname; cat /srv/state; ufw status | head -1"))
	}
	want := []string{"origin\nprovisioned\nStatus: active", "fresh\nchanged\nStatus: active", "same\nprovisioned\nStatus: active"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	must(t, f.Remove(t.Context(), s))
	if got := ssh(t, same, "cat /srv/state"); got != "provisioned" {
		t.Errorf("after its original was removed: %q", got)
	}
}

func TestRefusals(t *testing.T) {
	f := newFleet(t)
	start(t, f, "a")
	for _, spec := range []fleet.Spec{{Name: ""}, {Name: "A"}, {Name: "-a"}, {Name: "a-"}, {Name: "../a"}, {Name: strings.Repeat("a", 33)}, {Name: "a"}, {Name: "b", Suite: "nosuchsuite"}} {
		if _, err := f.Start(t.Context(), spec); err == nil {
			t.Errorf("%+v was accepted", spec)
		}
	}
}

// traces lists what a fleet with this id, or any fleet if it is empty, would leave on the machine.
func traces(t *testing.T, id string) []string {
	t.Helper()
	var found []string
	for kind, command := range map[string]string{
		"mount":   "cat /proc/self/mountinfo",
		"link":    "ip -o link",
		"rule":    "iptables-save | grep ^-A; nft list ruleset",
		"process": "ps -eo args",
		"group":   "find /sys/fs/cgroup -name 'sp-fleet-*'",
		"run":     "ls /run/systemd/nspawn/*",
		"folder":  "ls " + filepath.Join(cacheFolder(t), "instances"),
	} {
		out, err := exec.CommandContext(t.Context(), "sh", "-c", command).Output()
		if err != nil && len(out) == 0 && kind != "run" && kind != "rule" {
			t.Fatalf("%s: %v", command, err)
		}
		for _, line := range strings.Split(string(out), "\n") {
			if strings.Contains(line, id) {
				found = append(found, kind+": "+line)
			}
		}
	}
	slices.Sort(found)
	return found
}

func cacheFolder(t *testing.T) string {
	t.Helper()
	if dir := os.Getenv(fleet.CacheVariable); dir != "" {
		return dir
	}
	dir, err := os.UserCacheDir()
	must(t, err)
	return filepath.Join(dir, "serverplane-fleet")
}

func TestCloseLeavesNothing(t *testing.T) {
	f, err := fleet.New(fleet.Config{Log: t.Output()})
	must(t, err)
	defer f.Close()
	servers := start(t, f, "a", "b")
	must(t, f.Cut(t.Context(), servers[0], servers[1]))
	must(t, f.CutFromMachine(t.Context(), servers[1]))
	must(t, servers[0].PowerCut(t.Context()))
	_, err = f.Snapshot(t.Context(), servers[0])
	must(t, err)
	if len(traces(t, f.ID)) < 6 {
		t.Fatalf("a running fleet shows too little for this test to find anything: %q", traces(t, f.ID))
	}
	must(t, f.Close())
	if left := traces(t, f.ID); len(left) > 0 {
		t.Errorf("left behind:\n%s", strings.Join(left, "\n"))
	}
	must(t, f.Close())
}

func TestCrashedFleetIsReaped(t *testing.T) {
	holder := exec.CommandContext(t.Context(), os.Args[0])
	holder.Env = append(os.Environ(), holdVariable+"=1")
	holder.Stderr = t.Output()
	out, err := holder.StdoutPipe()
	must(t, err)
	must(t, holder.Start())
	line, err := bufio.NewReader(out).ReadString('\n')
	must(t, err)
	id := strings.TrimSpace(line)

	// While it lives nobody touches it.
	other := newFleet(t)
	if other.ID == id || len(traces(t, id)) < 6 {
		t.Fatalf("a living fleet was cleared away: %q", traces(t, id))
	}
	must(t, holder.Process.Kill())
	_ = holder.Wait() // "signal: killed"
	if left := traces(t, id); len(left) < 6 {
		t.Fatalf("the crash left too little for this test to prove anything: %q", left)
	}
	newFleet(t)
	if left := traces(t, id); len(left) > 0 {
		t.Errorf("not cleared away:\n%s", strings.Join(left, "\n"))
	}
	if len(traces(t, other.ID)) == 0 {
		t.Error("clearing away took a living fleet too")
	}
}
