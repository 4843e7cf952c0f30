package main

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/serverplane/serverplane/e2e/fleet"
	"github.com/serverplane/serverplane/e2e/lab"
)

// How adding backends is measured.
const (
	addRounds     = 2
	napSeconds    = 15
	overheadLimit = 15.0 // seconds
	togetherLimit = 1.3
)

// added is how long adding took, in seconds.
type added struct {
	ours, byHand  sample
	one, together sample
}

// adding measures what it costs to add a backend.
func (b *bench) adding(ctx context.Context, t *trio) error {
	git, err := serveGit(ctx, b.fleet.Gateway(), t.dir)
	if err != nil {
		return err
	}
	defer git.stop()
	if err := t.makeApps(ctx); err != nil {
		return err
	}
	var a added
	for n := range addRounds {
		if err := a.round(ctx, t, n, git); err != nil {
			return err
		}
		b.say("adding: by us %.1f s, by hand %.1f s, one %.1f s, two at once %.1f s", a.ours[n], a.byHand[n], a.one[n], a.together[n])
	}
	b.topics = append(b.topics, a.topic())
	return nil
}

// makeApps creates the apps that get backends: plain ones are the example, and
// napping ones only sleep in their build, except on the primary.
func (t *trio) makeApps(ctx context.Context) error {
	plain, err := lab.NewRepository(filepath.Join(t.dir, "plain"), filepath.Join("examples", "nodejs"))
	if err != nil {
		return err
	}
	nap, err := napRepository(filepath.Join(t.dir, "nap"))
	if err != nil {
		return err
	}
	var all errgroup.Group
	for n := range addRounds {
		all.Go(func() error { return t.makeApp(ctx, appName("plain", n), plain) })
		for _, kind := range []string{"one", "two"} {
			build := fmt.Sprintf(`test "$(hostname)" = s1 || sleep %d`, napSeconds)
			all.Go(func() error {
				return t.makeApp(ctx, appName(kind, n), nap, "--build", build, "--start", "node server.js")
			})
		}
	}
	return all.Wait()
}

func appName(kind string, n int) string { return fmt.Sprintf("%s%d", kind, n+1) }

func (t *trio) makeApp(ctx context.Context, name string, repository *lab.Repository, more ...string) error {
	create := append([]string{"app", "create", name, "--server", "s1", "--kind", "nodejs", "--repo", repository.URL(),
		"--domain", name + ".example.com", "--option", "drain=1s", "--wait"}, more...)
	return t.steps(ctx, create, []string{"lb", "enable", name, "--yes", "--wait"})
}

// napRepository holds an app that needs nothing.
func napRepository(dir string) (*lab.Repository, error) {
	source, err := os.MkdirTemp("", "serverplane-bench-nap-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(source)
	const server = `require('node:http').createServer((q, r) => r.end('ok')).listen(Number(process.env.PORT), process.env.HOST)` + "\n"
	if err := os.WriteFile(filepath.Join(source, "server.js"), []byte(server), 0o644); err != nil {
		return nil, err
	}
	return lab.NewRepository(dir, source)
}

// round adds in every way once; which server does what changes with the round.
func (a *added) round(ctx context.Context, t *trio, n int, git *gitServer) error {
	first, second := t.servers[1+n%2], t.servers[1+(n+1)%2]
	ours, err := t.cli(ctx, "backend", "add", appName("plain", n), first.Name, "--wait")
	if err != nil {
		return err
	}
	byHand, err := byHand(ctx, second, git.url("plain"), n)
	if err != nil {
		return err
	}
	one, err := t.cli(ctx, "backend", "add", appName("one", n), first.Name, "--wait")
	if err != nil {
		return err
	}
	together, err := t.addBoth(ctx, appName("two", n))
	if err != nil {
		return err
	}
	a.ours, a.byHand = append(a.ours, ours.Seconds()), append(a.byHand, byHand.Seconds())
	a.one, a.together = append(a.one, one.Seconds()), append(a.together, together.Seconds())
	return nil
}

func (t *trio) addBoth(ctx context.Context, app string) (time.Duration, error) {
	begin := time.Now()
	var all errgroup.Group
	for _, s := range t.servers[1:] {
		all.Go(func() error {
			_, err := t.cli(ctx, "backend", "add", app, s.Name, "--wait")
			return err
		})
	}
	err := all.Wait()
	return time.Since(begin), err
}

// byHand does on a server what a person would: clone, install, build, start,
// and look whether it answers. npm begins with an empty cache, as it does for a
// new app's own user.
func byHand(ctx context.Context, s *fleet.Server, repository string, n int) (time.Duration, error) {
	port := 3900 + n
	script := fmt.Sprintf(`set -e
export HOME=$(mktemp -d /srv/by-hand.XXXXXX) PORT=%[2]d HOST=127.0.0.1
cd "$HOME"
git clone --quiet %[1]s app
cd app
npm ci >/dev/null 2>&1
npm run build --if-present >/dev/null
setsid npm start </dev/null >"$HOME/log" 2>&1 &
for n in $(seq 600); do
	curl --silent --fail --output /dev/null http://127.0.0.1:%[2]d/ && exit 0
	sleep 0.1
done
exit 1`, repository, port)
	begin := time.Now()
	_, err := s.SSH(ctx, script, nil)
	return time.Since(begin), err
}

// gitServer hands the lab's repositories to the fleet's servers.
type gitServer struct {
	at  netip.AddrPort
	cmd *exec.Cmd
}

// serveGit listens on the fleet's own bridge and nowhere else.
func serveGit(ctx context.Context, at netip.Addr, dir string) (*gitServer, error) {
	port, err := freePort(at)
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, "git", "daemon", "--export-all", "--reuseaddr", "--base-path="+dir,
		"--listen="+at.String(), fmt.Sprintf("--port=%d", port.Port()), dir)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
	return &gitServer{at: port, cmd: cmd}, cmd.Start()
}

func freePort(at netip.Addr) (netip.AddrPort, error) {
	l, err := net.Listen("tcp", netip.AddrPortFrom(at, 0).String())
	if err != nil {
		return netip.AddrPort{}, err
	}
	defer l.Close()
	return netip.ParseAddrPort(l.Addr().String())
}

func (g *gitServer) url(name string) string { return "git://" + g.at.String() + "/" + name }

func (g *gitServer) stop() {
	_ = syscall.Kill(-g.cmd.Process.Pid, syscall.SIGTERM) // git daemon is a child of git
	_ = g.cmd.Wait()
}

func (a added) topic() topic {
	overhead := make(sample, len(a.ours))
	for i := range overhead {
		overhead[i] = a.ours[i] - a.byHand[i]
	}
	ratio := a.together.over(a.one)
	return topic{
		title: "Adding a backend",
		how: fmt.Sprintf("The example app (express). By hand: over one SSH connection `git clone`, `npm ci`, `npm run build`, `npm start` until it answers, on a server that has "+
			"Node.js already; `backend add --wait` does the same and preflight, unit, firewall, both slots' sites, probe and the place in the upstream as well. Two at once: an app "+
			"whose build sleeps %d s on every server but the primary. %d rounds, servers change places.", napSeconds, addRounds),
		rows: []row{
			{what: "`backend add`, mean", figure: mean(a.ours), spread: list(a.ours)},
			{what: "by hand, mean", figure: mean(a.byHand), spread: list(a.byHand)},
			{what: "overhead: the difference in the worst round", figure: fmt.Sprintf("%.1f s", overhead.at(1)), spread: list(overhead), target: "under 15 s", met: overhead.at(1) < overheadLimit},
			{what: "two backends at once ÷ one, in the worst round", figure: fmt.Sprintf("%.2f", ratio.at(1)), spread: list(a.together) + " ÷ " + list(a.one), target: "under 1.3", met: ratio.at(1) < togetherLimit},
		},
	}
}

// mean is for a handful of rounds, of which none is in the middle.
func mean(s sample) string {
	sum := 0.0
	for _, v := range s {
		sum += v
	}
	return fmt.Sprintf("%.1f s", sum/float64(len(s)))
}

func list(s sample) string {
	var all []string
	for _, v := range s {
		all = append(all, fmt.Sprintf("%.1f", v))
	}
	return strings.Join(all, ", ")
}
