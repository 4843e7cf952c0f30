//go:build e2e

package e2e

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/serverplane/serverplane/e2e/fleet"
	"github.com/serverplane/serverplane/e2e/lab"
)

// TestDocker is an app whose slots are containers, on two servers; Docker is installed by the panel. A third server is a neighbour of
// both, which the panel does not know.
func TestDocker(t *testing.T) {
	t.Parallel() // nothing here is held against the clock
	w := &boxedWorld{world: newEquippedWorld(t, fleet.Spec{Name: "s1", Docker: true}, fleet.Spec{Name: "s2", Docker: true}, fleet.Spec{Name: "neighbour"})}
	for _, story := range []struct {
		name string
		tell func(*testing.T, *boxedWorld)
	}{
		{"a Dockerfile is found, its image built and run on both servers", deployBoxed},
		{"what it writes goes to one place, which has a bound", boxedChatter},
		{"variables arrive byte for byte, and are in no process list", boxedVariables},
		{"workers and cron entries run in containers, where they are wished", boxedBeside},
		{"no neighbour reaches the container, by port or by route", boxedNeighbours},
		{"a new commit goes live without a lost request, and back", boxedAgain},
		{"containers reach the app's database, and only it", boxedDatabase},
		{"nor do neighbours after Docker and the firewall were restarted", boxedRestarts},
		{"what is wrong is named and leaves everything as it was", boxedBroken},
		{"containers that must not run twice take turns, and images go with their releases", boxedTurns},
		{"a backend comes back after a power cut", boxedPowerCut},
		{"an only container is restarted in an announced gap", boxedGap},
		{"what is removed leaves no trace", boxedRemoved},
	} {
		if !t.Run(story.name, func(t *testing.T) { story.tell(t, w) }) {
			t.Fatal("the rest builds on this")
		}
	}
}

type boxedWorld struct {
	*world
	box      *lab.Repository
	database string // the Run that creates it
}

// scratchFile is the Dockerfile that the guide shows.
func scratchFile(t *testing.T) string {
	t.Helper()
	return snippetWith(t, "box", "FROM scratch")
}

// boxedData is what the app's containers see at /data.
const boxedData = "/home/sp_box/shared/data/"

var boxedServers = []string{"s1", "s2"}

// eachBoxed runs a command on both servers.
func (w *boxedWorld) eachBoxed(t *testing.T, command string) {
	t.Helper()
	for _, s := range boxedServers {
		w.ssh(t, s, command)
	}
}

// deployBoxed: s1 gets its Docker from the panel; s2 has one already, which its administrator installs meanwhile.
func deployBoxed(t *testing.T, w *boxedWorld) {
	w.add(t, boxedServers...)
	var installed errgroup.Group
	installed.Go(func() error {
		_, err := w.servers["s2"].SSH(w.ctx, "apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -yq --no-install-recommends docker.io", nil)
		return err
	})
	dir := filepath.Join(filepath.Dir(w.panel.Dir), "box")
	must(t, os.MkdirAll(dir, 0o755))
	build := exec.CommandContext(w.ctx, "go", "build", "-o", filepath.Join(dir, "app"), "./boxed")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build the app: %v\n%s", err, out)
	}
	must(t, os.WriteFile(filepath.Join(dir, "Dockerfile"), []byte(scratchFile(t)), 0o644))
	var err error
	w.box, err = lab.NewRepository(filepath.Join(filepath.Dir(w.panel.Dir), "repo-box"), dir)
	must(t, err)
	w.cli(t, "app", "create", "box", "--server", "s1", "--repo", w.box.URL(), "--option", "drain=1s", "--option", "memory=256m", "--option", "build=once", "--no-deploy")
	var app struct {
		Kind    string
		Options map[string]string
	}
	must(t, w.panel.Read(w.ctx, &app, "app", "show", "box"))
	if app.Kind != "docker" || app.Options["port"] != "3000" {
		t.Errorf("found to be %+v", app)
	}
	w.guide(t, "box") // processes begin with the first deployment
	must(t, w.api.SetVariables(w.ctx, "box", map[string]string{"TORTURE": torture(), "APP_VERSION": "1", "LD_PRELOAD": "/app", "DOCKER_HOST": "tcp://127.0.0.1:1"}))
	w.cli(t, "deploy", "box", "--wait")
	w.database = w.cli(t, "db", "create", "boxdb", "--app", "box", "--engine", "postgresql")
	w.cli(t, "lb", "enable", "box", "--yes", "--wait")
	must(t, installed.Wait())
	w.cli(t, "backend", "add", "box", "s2", "--wait")
	w.oneImage(t)
	for _, s := range boxedServers {
		w.untilState(t, "box", s, "healthy", 30*time.Second)
	}
	c, err := lab.Spread(w.entry("s1"), 40)
	must(t, err)
	if c.Lost > 0 || c.Served["s1"] < 10 || c.Served["s2"] < 10 {
		t.Errorf("served by %v, %d lost", c.Served, c.Lost)
	}
	for _, s := range boxedServers {
		about := w.about(t, s)
		if about.Server != s || about.User != 65534 || len(about.Addresses) != 1 {
			t.Errorf("%s: %+v", s, about)
		}
		if got := w.ssh(t, s, "docker inspect -f '{{.HostConfig.Memory}}' sp-box-"+w.live(t)); got != fmt.Sprint(256<<20) {
			t.Errorf("%s: the container's limit is %s", s, got)
		}
	}
}

// oneImage holds that both servers run the image that the primary built. Two builds never make the same one: an image knows when it was.
func (w *boxedWorld) oneImage(t *testing.T) {
	t.Helper()
	if one, other := w.imageOf(t, "s1"), w.imageOf(t, "s2"); one != other {
		t.Errorf("s1 runs image %s and s2 %s", one, other)
	}
}

func (w *boxedWorld) imageOf(t *testing.T, server string) string {
	t.Helper()
	return w.ssh(t, server, "docker inspect -f '{{.Image}}' sp-box-"+w.live(t))
}

type boxedAbout struct {
	Server, Version string
	User            int
	Addresses       []string
}

func (w *boxedWorld) about(t *testing.T, server string) boxedAbout {
	t.Helper()
	var about boxedAbout
	got := w.ssh(t, "s1", "curl -s -m 20 http://"+w.backend(t, "box", server).Address+"/")
	if err := json.Unmarshal([]byte(got), &about); err != nil {
		t.Fatalf("%s answers %q: %v", server, got, err)
	}
	return about
}

// live is the slot that visitors get.
func (w *boxedWorld) live(t *testing.T) string {
	t.Helper()
	return w.ssh(t, "s1", "test -f /var/lib/serverplane/live/box.b && echo b || echo a")
}

// boxedChatter: Docker keeps nothing of what a container writes; the journal has it, as of any other unit, and ends at the bound its
// server sets. A small one is set here, so that it is reached.
func boxedChatter(t *testing.T, w *boxedWorld) {
	const lines, bound = 3000, 8 << 10 // 18 MB; KiB
	w.ssh(t, "s2", fmt.Sprintf("mkdir -p /run/systemd/journald.conf.d; printf '[Journal]\nSystemMaxUse=%[1]dK\nRuntimeMaxUse=%[1]dK\n' >/run/systemd/journald.conf.d/small.conf; systemctl restart systemd-journald", bound))
	unit := "sp-box-" + w.live(t)
	if kept := w.ssh(t, "s2", "docker inspect -f '{{.HostConfig.LogConfig.Type}}' "+unit); kept != "none" {
		t.Errorf("Docker keeps a log of its own: %s", kept)
	}
	if got := w.ssh(t, "s1", fmt.Sprintf("curl -s -m 60 http://%s/chatter/%d", w.backend(t, "box", "s2").Address, lines)); !strings.Contains(got, fmt.Sprint(lines)) {
		t.Fatalf("it says %s", got)
	}
	until(t, 30*time.Second, "the last line is in the journal", func() (bool, string) {
		last := w.ssh(t, "s2", "journalctl -u "+unit+" -n 1 -o cat | cut -c-40")
		return strings.HasPrefix(last, fmt.Sprintf("chatter %d ", lines)), last
	})
	var journal, docker int
	took := w.ssh(t, "s2", "du -skc /var/log/journal /run/log/journal 2>/dev/null | tail -1 | cut -f1; du -sk /var/lib/docker/containers | cut -f1")
	if _, err := fmt.Sscan(took, &journal, &docker); err != nil || journal < bound/2 || journal > bound*5/4 || docker > 1024 {
		t.Errorf("the journal takes %d KiB of %d, Docker %d, %v", journal, bound, docker, err)
	}
	t.Logf("of 18 MB the journal keeps %d KiB, where %d are allowed", journal, bound)
	w.ssh(t, "s2", "rm /run/systemd/journald.conf.d/small.conf; systemctl restart systemd-journald")
}

func boxedVariables(t *testing.T, w *boxedWorld) {
	value := torture()
	sum := sha256.Sum256([]byte(value))
	for _, s := range boxedServers {
		var seen struct {
			SHA256 string
			Bytes  int
		}
		got := w.ssh(t, "s1", "curl -s -m 20 http://"+w.backend(t, "box", s).Address+"/env/TORTURE")
		if json.Unmarshal([]byte(got), &seen) != nil || seen.SHA256 != hex.EncodeToString(sum[:]) || seen.Bytes != len(value) {
			t.Errorf("%s sees %.200s, want %d bytes", s, got, len(value))
		}
		if listed := w.ssh(t, s, "ps -eo args; systemctl show sp-box-a sp-box-b -p Environment; docker ps --no-trunc"); strings.Contains(listed, needle) {
			t.Errorf("%s: the variable is in a list that everybody may read", s)
		}
		if mode := w.ssh(t, s, "stat -c '%a %U' /etc/serverplane/apps/box/"+w.live(t)+"/container.json"); mode != "600 root" {
			t.Errorf("%s: the variables are %s", s, mode)
		}
	}
}

// boxedNeighbours tries from a server of the same segment: the slot's port at the server's address; the container by a route through
// the server; and the server's own loopback, on the wire. That what is tried can succeed at all is proven by taking the rule away.
func boxedNeighbours(t *testing.T, w *boxedWorld) {
	w.refusesNeighbours(t, boxedServers...)
	rule := w.ssh(t, "s2", "iptables -S DOCKER-USER | grep serverplane-box | sed 's/^-A //'")
	w.ssh(t, "s2", "iptables -D "+rule)
	container := w.about(t, "s2").Addresses[0]
	w.route(t, "s2", container)
	got := w.ssh(t, "neighbour", "curl -s -m 5 -o /dev/null -w '%{http_code}' http://"+container+":3000/ || true")
	t.Logf("without the rule, what is sent to the server's loopback is %s", w.ssh(t, "neighbour", w.knocks(t, "s2", w.slotPort(t, "s2")))) // Docker 28 has a rule of its own
	w.ssh(t, "s2", "iptables -I "+rule)
	if got != "200" {
		t.Errorf("without the rule the neighbour gets %s: what is tried here proves nothing", got)
	}
	w.refusesNeighbours(t, "s2")
}

// route leads a neighbour's packets for an address to a server.
func (w *boxedWorld) route(t *testing.T, server, address string) {
	t.Helper()
	w.ssh(t, "neighbour", fmt.Sprintf("ip route replace %s/32 via %s", address, w.servers[server].Addr))
}

func (w *boxedWorld) slotPort(t *testing.T, server string) string {
	t.Helper()
	return w.ssh(t, server, "docker port sp-box-"+w.live(t)+" 3000/tcp | sed 's/.*://'")
}

// refusesNeighbours tries every way into the containers of these servers, all at once.
func (w *boxedWorld) refusesNeighbours(t *testing.T, servers ...string) {
	t.Helper()
	var tries strings.Builder
	for _, s := range servers {
		port := w.slotPort(t, s)
		if listens := w.ssh(t, s, "ss -Hltn sport = :"+port+" | awk '{ print $4 }'"); listens != "127.0.0.1:"+port {
			t.Errorf("%s: the slot's port listens on %s", s, listens)
		}
		ways := map[string]string{"the slot's port": w.servers[s].Addr.String() + ":" + port, "the slot by route": w.about(t, s).Addresses[0] + ":3000"}
		if worker := w.worker(t, s); worker != "" {
			ways["the worker by route"] = worker + ":3000"
		}
		for what, place := range ways {
			address, _, _ := strings.Cut(place, ":")
			if strings.Contains(what, "route") {
				fmt.Fprintf(&tries, "ip route replace %s/32 via %s\n", address, w.servers[s].Addr)
			}
			fmt.Fprintf(&tries, "{ curl -s -m 3 http://%s/ >/dev/null 2>&1 && echo %q; } &\n", place, s+": "+what)
		}
		fmt.Fprintf(&tries, "{ [ $(%s) = refused ] || echo %q; } &\n", w.knocks(t, s, port), s+": its port on loopback")
	}
	if reached := w.ssh(t, "neighbour", tries.String()+"wait"); reached != "" {
		t.Errorf("a neighbour reaches the container: %s", reached)
	}
}

// worker is the address of the worker's container on a server, which listens as the slot's does; empty where there is none.
func (w *boxedWorld) worker(t *testing.T, server string) string {
	t.Helper()
	return w.ssh(t, server, "docker inspect -f '{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}' sp-box_p_mail.1 2>/dev/null || true")
}

// knocks is a command of the neighbour's that sends a server, on the wire, what no route leads there: a connection to its
// 127.0.0.1. It tells whether that is answered.
func (w *boxedWorld) knocks(t *testing.T, server, port string) string {
	t.Helper()
	mac := w.ssh(t, server, "cat /sys/class/net/host0/address")
	_, err := w.servers["neighbour"].SSH(w.ctx, "cat >/tmp/knock.py", strings.NewReader(knock))
	must(t, err)
	return fmt.Sprintf("python3 /tmp/knock.py %s %s %s", mac, w.servers["neighbour"].Addr, port)
}

const knock = `import socket, struct, sys, time
mac, me, port = bytes.fromhex(sys.argv[1].replace(":", "")), socket.inet_aton(sys.argv[2]), int(sys.argv[3])
def checksum(data):
    total = sum(struct.unpack("!%dH" % (len(data) // 2), data))
    total = (total >> 16) + (total & 0xFFFF)
    return ~(total + (total >> 16)) & 0xFFFF
there = socket.inet_aton("127.0.0.1")
def tcp(check): return struct.pack("!HHIIBBHHH", 40123, port, 7, 0, 5 << 4, 2, 1024, check, 0)
def ip(check): return struct.pack("!BBHHHBBH4s4s", 0x45, 0, 40, 1, 0, 64, 6, check, me, there)
wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x0800))
wire.bind(("host0", 0x0800))
wire.settimeout(0.2)
own = bytes.fromhex(open("/sys/class/net/host0/address").read().strip().replace(":", ""))
wire.send(mac + own + b"\x08\x00" + ip(checksum(ip(0))) + tcp(checksum(me + there + struct.pack("!BBH", 0, 6, 20) + tcp(0))))
answer, until = "refused", time.monotonic() + 3
while time.monotonic() < until:
    try:
        got = wire.recv(2000)
    except socket.timeout:
        continue
    if got[23] == 6 and got[26:30] == there and struct.unpack("!HH", got[34:38]) == (port, 40123) and got[47] & 0x12 == 0x12:
        answer = "reached"
        break
print(answer)
`

func boxedRestarts(t *testing.T, w *boxedWorld) {
	w.eachBoxed(t, "systemctl restart docker && ufw disable >/dev/null && ufw --force enable >/dev/null")
	for _, s := range boxedServers {
		w.untilServes(t, s)
	}
	w.refusesNeighbours(t, boxedServers...)
	w.seesDatabase(t)
	w.eachBoxed(t, "iptables -F DOCKER-USER && systemctl restart sp-box-"+w.live(t))
	for _, s := range boxedServers {
		w.untilServes(t, s)
	}
	w.refusesNeighbours(t, boxedServers...)
}

func (w *boxedWorld) untilServes(t *testing.T, server string) {
	t.Helper()
	until(t, time.Minute, "the container on "+server+" serves again", func() (bool, string) {
		out := w.ssh(t, "s1", "curl -s -m 5 -o /dev/null -w '%{http_code}' http://"+w.backend(t, "box", server).Address+"/ || true")
		return out == "200", out
	})
	w.untilState(t, "box", server, "healthy", time.Minute)
}

// boxedBeside: the guide's worker and cron entry began with the first deployment; the worker moves to the other server, and is never
// there twice.
func boxedBeside(t *testing.T, w *boxedWorld) {
	p := w.processOfApp(t, "box", "mail")
	if p.Owner != "s1" || len(p.States) != 1 || p.States[0].State != "running" || p.States[0].Release == "" || p.States[0].Behind {
		t.Errorf("mail: %+v", p)
	}
	if got := w.ssh(t, "s2", "docker ps -a --format '{{.Names}}'"); got != "sp-box-"+w.live(t) {
		t.Errorf("s2 has the containers %s", got)
	}
	const like = `{{json .HostConfig.PortBindings}} {{.HostConfig.Memory}} {{.HostConfig.NetworkMode}} {{.Config.User}}`
	if got := w.ssh(t, "s1", "docker inspect -f '"+like+"' sp-box_p_mail.1"); got != fmt.Sprintf("{} %d sp-box 65534:65534", 256<<20) {
		t.Errorf("the worker is a container of %s", got)
	}
	const given = `docker inspect -f '{{range .Config.Env}}{{println .}}{{end}}' `
	slot, worker := w.ssh(t, "s1", given+"sp-box-"+w.live(t)+" | grep -a -v '^PORT=' | sort"), w.ssh(t, "s1", given+"sp-box_p_mail.1 | grep -a -v '^SERVERPLANE_\\(PROCESS\\|INSTANCE\\)=' | sort")
	if slot != worker || !strings.Contains(worker, needle) {
		t.Errorf("the slot is given\n%s\nand the worker\n%s", slot, worker)
	}
	if got := w.ssh(t, "s1", "systemctl is-active sp-box_c_tick.timer; runuser -u nobody -- ls "+boxedData+" 2>&1 || true"); !strings.HasPrefix(got, "active") || !strings.Contains(got, "Permission denied") {
		t.Errorf("the clock and what a stranger reads: %s", got)
	}
	// A container of somebody else's, on another network of the same server.
	knock := "docker run --rm --entrypoint /app $(docker image ls -q sp-box | head -1) knock "
	if got := w.ssh(t, "s1", knock+w.worker(t, "s1")+":3000"); got != "refused" {
		t.Errorf("another app's container reaches the worker: %s", got)
	}
	w.cli(t, "process", "move", "box", "mail", "s2", "--wait")
	if p := w.processOfApp(t, "box", "mail"); p.Owner != "s2" || p.States[0].State != "running" || p.States[0].Server != "s2" {
		t.Errorf("after the move: %+v", p)
	}
	w.finished(t, "s1", "")
	said := w.refuse(t, 1, "process", "set", "box", "broken", "--command", "/no-such-program", "--on", "one", "--wait")
	if !strings.Contains(said, "no-such-program") {
		t.Errorf("it is not told:\n%s", lastLines(said, 20))
	}
	w.cli(t, "process", "remove", "box", "broken", "--wait")
}

// finished holds that a worker of a release finished what it was at.
func (w *boxedWorld) finished(t *testing.T, server, release string) {
	t.Helper()
	beats := w.beatsIn(t, server, boxedData+"beats")
	if !slices.ContainsFunc(beats, func(b beat) bool { return b.word == "end" && (release == "" || b.release == release) }) {
		t.Errorf("%s: what the worker was at was not finished", server)
	}
}

// boxedAgain needs an image with a shell for a run-once command. There is no registry here: one is made of the primary's own programs,
// and its name is taken away again, so that it goes with the last image made of it. The other server never has it: it builds nothing.
func boxedAgain(t *testing.T, w *boxedWorld) {
	w.ssh(t, "s1", `set -- /bin/sh /bin/cat; mkdir /tmp/shell; cp -L --parents "$@" $(ldd "$@" | grep -o '/[^ :]*\.so[^ ]*' | sort -u) /tmp/shell; chmod -R u=rwX,go=rX /tmp/shell; tar -C /tmp/shell -c . | docker import - shell >/dev/null; rm -r /tmp/shell`)
	w.cli(t, "run", "log", w.database, "--follow")
	visitors := lab.Visit(w.entry("s1"), 20*time.Millisecond)
	first := w.processOfApp(t, "box", "mail").States[0].Release
	w.commit(t, "Dockerfile", strings.Replace(scratchFile(t), "scratch", "shell", 1))
	w.cli(t, "app", "set", "box", "--run-once", `echo "once on $SERVERPLANE_SERVER, $(cat /proc/self/status | while read -r key value rest; do [ "$key" != Uid: ] || echo "user $value"; done)"`)
	w.cli(t, "deploy", "box", "--wait")
	if said := w.ssh(t, "s1", "cat /home/sp_box/logs/run-*.log"); !strings.Contains(said, "once on s1, user 65534") {
		t.Errorf("the run-once command said:\n%s", said)
	}
	if logs := w.ssh(t, "s2", "ls /home/sp_box/logs | grep run- || true"); logs != "" {
		t.Errorf("it ran on s2 as well: %s", logs)
	}
	if got := w.processOfApp(t, "box", "mail").States[0]; got.Release == first || got.State != "running" || got.Behind {
		t.Errorf("after the deployment mail is %+v", got)
	}
	w.finished(t, "s2", first)
	w.oneImage(t)
	w.cli(t, "env", "set", "box", "APP_VERSION=2")
	w.cli(t, "env", "apply", "box", "--wait")
	for _, s := range boxedServers {
		if about := w.about(t, s); about.Version != "2" || about.Server != s {
			t.Errorf("%s: %+v", s, about)
		}
	}
	w.cli(t, "deployment", "rollback", "box", "--wait")
	noneLost(t, visitors.Stop())
	w.onlyLive(t)
	w.ssh(t, "s1", "docker image rm shell >/dev/null")
	w.cli(t, "app", "set", "box", "--option", "build=each") // counts from the next deployment
}

// commit changes one file of the app.
func (w *boxedWorld) commit(t *testing.T, file, text string) {
	t.Helper()
	must(t, w.box.Write(file, text))
	_, err := w.box.Commit("changed " + file)
	must(t, err)
}

// onlyLive holds that no other container is left than those of the live slots and of what runs beside them.
func (w *boxedWorld) onlyLive(t *testing.T) {
	t.Helper()
	live := "sp-box-" + w.live(t)
	for server, want := range map[string]string{"s1": live, "s2": live + "\nsp-box_p_mail.1"} {
		if got := w.ssh(t, server, "docker ps -a --format '{{.Names}}' | grep -vx 'sp-box_c_tick.1' | sort"); got != want {
			t.Errorf("%s has the containers %s", server, got)
		}
	}
}

// standing is what Docker has of anybody's on a server.
func (w *boxedWorld) standing(t *testing.T, server string) string {
	t.Helper()
	return w.ssh(t, server, "docker ps -a --format '{{.ID}} {{.Names}}' | grep -v sp-box_c_tick; docker image ls -aq | sort -u; docker network ls -q | sort; docker volume ls -q; iptables -S DOCKER-USER")
}

func boxedBroken(t *testing.T, w *boxedWorld) {
	for _, c := range []struct{ file, want string }{
		{"", "there is no Dockerfile in the repository"},
		{"FROM scratch\nCOPY app /app\nCOPY no-such-file /x\n", "no-such-file"},
		{"FROM scratch\nCOPY app /app\nENTRYPOINT [\"/no-such-program\"]\n", "no-such-program"},
		{"FROM scratch\nCOPY app /app\nENV LISTEN=0.0.0.0:4000\nENTRYPOINT [\"/app\"]\n", "listens on 4000 instead of $PORT (3000); --option port=4000 tells so"},
		{"FROM scratch\nCOPY app /app\nENV LISTEN=127.0.0.1:3000\nENTRYPOINT [\"/app\"]\n", "127.0.0.1 only"},
		{scratchFile(t), "the run-once command failed"}, // in an image without a shell
	} {
		before := map[string]string{}
		for _, s := range boxedServers {
			before[s] = w.standing(t, s)
		}
		if c.file == "" {
			must(t, os.Remove(filepath.Join(w.box.Dir, "Dockerfile")))
			w.commit(t, "NEWS", "without a Dockerfile")
		} else {
			w.commit(t, "Dockerfile", c.file)
		}
		if said := w.refuse(t, 1, "deploy", "box", "--wait"); !strings.Contains(said, c.want) {
			t.Errorf("%q is not told:\n%s", c.want, lastLines(said, 40))
		}
		for _, s := range boxedServers {
			if about := w.about(t, s); about.Server != s {
				t.Errorf("%s: %+v", s, about)
			}
			// One that was built and did not start goes with its release.
			built := strings.Contains(c.file, "ENTRYPOINT")
			if after := w.standing(t, s); !built && after != before[s] {
				t.Errorf("%s has\n%s\nbefore it had\n%s", s, after, before[s])
			}
		}
	}
	w.onlyLive(t)
	w.cli(t, "app", "set", "box", "--run-once", "")
	for want, args := range map[string][]string{
		"has no start command":                {"app", "set", "box", "--start", "/app"},
		"memory must be 16m":                  {"app", "set", "box", "--option", "memory=1k"},
		"absolute paths inside the container": {"app", "set", "box", "--option", "shared=uploads"},
	} {
		if said := w.refuse(t, 1, args...); !strings.Contains(said, want) {
			t.Errorf("%q is not told: %s", want, said)
		}
	}
}

// boxedTurns: one backend after the other stops its container before it starts the other one, while the other backend serves.
// Releases that were built and never served go with the next one that does.
func boxedTurns(t *testing.T, w *boxedWorld) {
	const list = "docker image ls --format '{{.Tag}}' sp-box | sort"
	before := w.ssh(t, "s1", list)
	w.cli(t, "app", "set", "box", "--option", "switch=restart")
	visitors := lab.Visit(w.entry("s1"), 20*time.Millisecond)
	w.neverTwo(t, func() { w.cli(t, "deploy", "box", "--rebuild", "--wait") }, boxedServers...)
	noneLost(t, visitors.Stop())
	w.onlyLive(t)
	if one, other := w.imageOf(t, "s1"), w.imageOf(t, "s2"); one == other {
		t.Errorf("both servers run image %s, though each was to build one", one)
	}
	for _, s := range boxedServers {
		releases := w.ssh(t, s, "ls /home/sp_box/releases | sort")
		images := w.ssh(t, s, list)
		if images != releases || strings.Count(images, "\n") > 4 || strings.Count(images, "\n") >= strings.Count(before, "\n") {
			t.Errorf("%s has the images\n%s\nand the releases\n%s", s, images, releases)
		}
	}
}

// neverTwo holds that on each server one container of a slot ended before the other began, by what Docker noted meanwhile.
func (w *boxedWorld) neverTwo(t *testing.T, do func(), servers ...string) {
	t.Helper()
	since, old := w.ssh(t, servers[0], "date +%s"), "sp-box-"+w.live(t)
	do()
	for _, s := range servers {
		noted := w.ssh(t, s, "docker events --since "+since+" --until $(date +%s) --filter event=start --filter event=die --format '{{.Action}} {{index .Actor.Attributes \"name\"}}' | grep -x '[a-z]* sp-box-[ab]'")
		if want := "die " + old + "\nstart sp-box-" + w.live(t); noted != want {
			t.Errorf("%s, where slot %s is live:\n%s", s, w.live(t), noted)
		}
	}
}

// boxedGap: s2 is off, so that a deployment leaves visitors without an answer for a moment. That is asked for, announced and counted.
func boxedGap(t *testing.T, w *boxedWorld) {
	w.neverTwoIn(t, boxedData+"beats", boxedServers...)
	w.ticked(t)
	w.cli(t, "db", "remove", "boxdb", "--yes", "--wait")
	w.cli(t, "process", "move", "box", "mail", "s1", "--wait")
	w.cli(t, "backend", "remove", "box", "s2", "--wait")
	w.boxGone(t, "s2")
	if said := w.refuse(t, 1, "deploy", "box", "--rebuild"); !strings.Contains(said, "only one backend") || !strings.Contains(said, "--acknowledge gap") {
		t.Errorf("the gap is not asked for: %s", said)
	}
	visitors := lab.Visit(w.entry("s1"), 10*time.Millisecond)
	w.neverTwo(t, func() { w.cli(t, "deploy", "box", "--rebuild", "--acknowledge", "gap", "--wait") }, "s1")
	c := visitors.Stop()
	t.Logf("an only container cost %d of %d requests; %d visitors were told to come back", c.Lost, c.Sent, c.Told)
	// Docker takes what is sent to a container that is not up; a POST of which nobody knows whether it was carried out is not to be sent again.
	if c.Told == 0 || c.Untold > 0 {
		t.Errorf("of %d lost requests %d were told to come back, and %d of those who only read were not, the first: %s", c.Lost, c.Told, c.Untold, c.First)
	}
}

func boxedPowerCut(t *testing.T, w *boxedWorld) {
	must(t, w.servers["s2"].PowerCut(w.ctx))
	must(t, w.servers["s2"].Boot(w.ctx))
	w.untilServer(t, "s2", "ready")
	w.untilServes(t, "s2")
	until(t, time.Minute, "the worker runs again", func() (bool, string) { address := w.worker(t, "s2"); return address != "", address })
	w.refusesNeighbours(t, "s2")
}

func boxedRemoved(t *testing.T, w *boxedWorld) {
	w.neverTwoIn(t, boxedData+"beats", "s1")
	w.untilServes(t, "s1")
	if door := w.ssh(t, "s1", "iptables-save | grep 'dport 5432.*serverplane-box\\|serverplane-box.*dport 5432' || true"); door != "" {
		t.Errorf("the door to the database that is gone is still there: %s", door)
	}
	w.cli(t, "app", "remove", "box", "--yes", "--wait")
	w.boxGone(t, "s1")
}

// ticked holds that the cron entry ran by the clock, on its owner alone, never twice in a minute.
func (w *boxedWorld) ticked(t *testing.T) {
	t.Helper()
	if elsewhere := w.ssh(t, "s2", "cat "+boxedData+"ticks 2>/dev/null || true"); elsewhere != "" {
		t.Errorf("the cron entry ran on s2: %s", elsewhere)
	}
	ran := map[int64]int{}
	for _, b := range w.beatsIn(t, "s1", boxedData+"ticks") {
		if ran[b.at/60_000]++; ran[b.at/60_000] > 1 || b.word != "s1" {
			t.Errorf("the cron entry ran once more in its minute: %+v", b)
		}
	}
	t.Logf("the cron entry ran in %d minutes", len(ran))
	if len(ran) < 2 {
		t.Errorf("the cron entry ran in %d minutes", len(ran))
	}
}

// boxedDatabase is an app with a database on its primary: from the container there it leads through a door to the primary's loopback,
// from a backend's the usual way. Nothing else of the primary's loopback is reached by that.
func boxedDatabase(t *testing.T, w *boxedWorld) {
	w.seesDatabase(t)
	inside := `nsenter --net=/proc/$(docker inspect -f '{{.State.Pid}}' sp-box-` + w.live(t) + `)/ns/net `
	private := w.servers["s1"].Addr.String()
	if got := w.ssh(t, "s1", inside+"nc -z -w 3 "+private+" 5432 && echo reached || echo refused"); got != "reached" {
		t.Errorf("the door is %s", got)
	}
	// 20000 is what Nginx says on the primary's loopback which configuration it runs.
	if got := w.ssh(t, "s1", inside+"nc -z -w 3 "+private+" 20000 && echo reached || echo refused"); got != "refused" {
		t.Error("a container reaches another service of the primary's loopback")
	}
}

func (w *boxedWorld) seesDatabase(t *testing.T) {
	t.Helper()
	for server, from := range map[string]string{"s1": "127.0.0.1", "s2": w.servers["s2"].Addr.String()} {
		var seen struct {
			Role, From string
			Encrypted  bool
		}
		got := w.ssh(t, "s1", "curl -s -m 20 http://"+w.backend(t, "box", server).Address+"/db")
		if json.Unmarshal([]byte(got), &seen) != nil || seen.From != from || !seen.Encrypted {
			t.Errorf("from %s: %s", server, got)
		}
	}
}

// boxGone holds that a server has nothing of the app any more, and Docker nothing of anybody's but its own networks.
func (w *boxedWorld) boxGone(t *testing.T, server string) {
	t.Helper()
	left := w.ssh(t, server, `ls -d /home/sp_box /etc/serverplane/apps/box /run/serverplane/box.* /etc/systemd/system/sp-box* /etc/systemd/system/*.wants/sp-box* /etc/nginx/conf.d/sp-box.conf /var/lib/serverplane/apps/box.json /var/lib/serverplane/image-box 2>/dev/null
docker ps -aq; docker image ls -aq; docker volume ls -q; docker network ls --format '{{.Name}}' | grep -vx 'bridge\|host\|none'
iptables-save | grep -i 'serverplane-box\|sp-'; ip -o link | grep ': sp-'; id sp_box 2>/dev/null; systemctl list-units --all --plain --no-legend 'sp-box*'; true`)
	if left != "" {
		t.Errorf("left on %s: %s", server, left)
	}
}
