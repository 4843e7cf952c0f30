package nginx_test

import (
	"bytes"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/serverplane/serverplane/internal/nginx"
)

const (
	live      = "/var/lib/serverplane/live/"
	announced = "/var/lib/serverplane/announced/"
)

func addr(s string) netip.AddrPort { return netip.MustParseAddrPort(s) }

// workersOfMachine is how many workers each Nginx has. Those of before a reload are known by
// name, so all of them must be there when it is asked for.
const workersOfMachine = 2

// machine is one Nginx that plays the primary and every backend: each backend has its own
// loopback address.
type machine struct {
	t   *testing.T
	cmd *exec.Cmd
}

// fleet is a tree with one app on n backends; backend i has processes at 127.0.0.1i. The local
// sites of all are in this one Nginx, as sites of apps without an entry.
func fleet(n int, m nginx.Method, names ...string) nginx.Tree {
	entry := &nginx.Entry{Names: names, Method: m}
	var t nginx.Tree
	for i := range n {
		at := fmt.Sprintf("127.0.0.%d", 11+i)
		s := nginx.Site{
			App: fmt.Sprintf("web%d", i), ID: fmt.Sprintf("app_%016d", i),
			A:     nginx.Local{Listen: addr(at + ":20003"), Process: addr(at + ":20001")},
			B:     nginx.Local{Listen: addr(at + ":20004"), Process: addr(at + ":20002")},
			Trust: netip.MustParseAddr("127.0.0.1"),
		}
		entry.Backends = append(entry.Backends, nginx.Backend{ID: fmt.Sprintf("srv_%016d", i), A: s.A.Listen, B: s.B.Listen, Weight: 1})
		t.Sites = append(t.Sites, s)
	}
	t.Sites[0].Entry = entry
	return t
}

// install writes the rendering of t into the private /etc/nginx.
func install(t testing.TB, tree nginx.Tree) nginx.Rendered {
	t.Helper()
	r, err := nginx.Render(tree)
	if err != nil {
		t.Fatal(err)
	}
	old, _ := filepath.Glob("/etc/nginx/conf.d/*")
	for _, f := range old {
		os.Remove(f)
	}
	for _, f := range r.Files {
		if err := os.WriteFile("/etc/nginx/"+f.Path, []byte(f.Text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return r
}

// verify asks the real Nginx whether it accepts what is installed.
func verify(t testing.TB) {
	t.Helper()
	out, err := exec.Command("nginx", "-t").CombinedOutput()
	if err != nil || bytes.Contains(out, []byte("[warn]")) {
		t.Fatalf("nginx -t (Nginx comes with `make setup`): %v\n%s", err, out)
	}
}

// start runs Nginx with tree until the test ends; edits change what is installed before.
func start(t *testing.T, tree nginx.Tree, edits ...func(*testing.T)) *machine {
	t.Helper()
	r := install(t, tree)
	for _, edit := range edits {
		edit(t)
	}
	verify(t)
	os.RemoveAll(live)
	os.MkdirAll(live, 0o755)
	os.MkdirAll(announced+"a", 0o755)
	os.MkdirAll(announced+"b", 0o755)
	touch(t, announced+"b/b")
	m := &machine{t: t, cmd: exec.Command("nginx", "-g", "daemon off;")}
	m.cmd.Stderr = os.Stderr
	if err := m.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.stop)
	m.await(r.Version)
	for limit := time.Now().Add(5 * time.Second); len(workers()) < workersOfMachine; time.Sleep(time.Millisecond) {
		if time.Now().After(limit) {
			t.Fatalf("only %d workers run", len(workers()))
		}
	}
	return m
}

// hurried has a second in place of the 60 s that a backend may take to answer, and half of
// one in place of the 5 s in which another one is tried.
func hurried(t *testing.T) {
	t.Helper()
	paths, _ := filepath.Glob("/etc/nginx/conf.d/*")
	changed := 0
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for from, to := range map[string]string{"proxy_read_timeout 60s;": "proxy_read_timeout 1s;", "proxy_next_upstream_timeout 5s;": "proxy_next_upstream_timeout 500ms;"} {
			changed += bytes.Count(text, []byte(from))
			text = bytes.ReplaceAll(text, []byte(from), []byte(to))
		}
		if err := os.WriteFile(path, text, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if changed < 2 {
		t.Fatalf("only %d of the limits are there to change", changed)
	}
}

func (m *machine) stop() {
	m.cmd.Process.Signal(syscall.SIGTERM)
	m.cmd.Wait()
	if m.t.Failed() {
		text, _ := os.ReadFile("/var/log/nginx/error.log")
		m.t.Logf("error log of nginx:\n%s", tail(string(text), 20))
	}
	os.Truncate("/var/log/nginx/error.log", 0)
}

// reload brings tree into force the way the panel does, without the announcement. It returns
// when no worker of the old configuration takes requests any more: a version that is answered
// says only that one new worker does.
func (m *machine) reload(tree nginx.Tree) {
	m.t.Helper()
	old := workers()
	r := install(m.t, tree)
	m.cmd.Process.Signal(syscall.SIGHUP)
	m.await(r.Version)
	for limit := time.Now().Add(patient); time.Now().Before(limit); time.Sleep(time.Millisecond) {
		if now := workers(); !slices.ContainsFunc(old, func(pid string) bool { return slices.Contains(now, pid) }) {
			return
		}
	}
	m.t.Fatal("old workers go on taking requests")
}

// patient is how long a test waits for what must happen, on a machine that has other things to do.
const patient = 30 * time.Second

// workers gives the processes that accept connections; the namespace has no other Nginx.
func workers() []string {
	var list []string
	paths, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, path := range paths {
		title, _ := os.ReadFile(path)
		if strings.TrimRight(string(title), "\x00 ") == "nginx: worker process" {
			list = append(list, path)
		}
	}
	return list
}

// await returns once Nginx says that it runs version.
func (m *machine) await(version string) {
	m.t.Helper()
	for limit := time.Now().Add(patient); time.Now().Before(limit); time.Sleep(5 * time.Millisecond) {
		a, err := send(request("GET", "http://"+nginx.VersionAddress+"/", ""))
		if err == nil && a.body == version && strings.HasPrefix(a.header.Get("Content-Type"), "text/plain") {
			return
		}
	}
	m.t.Fatalf("nginx does not answer with version %s", version)
}

func tail(s string, n int) string {
	lines := strings.Split(strings.TrimSpace(s), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}

// announce is what the guard does to the marker of the fleet's app before a reload.
func announce(t *testing.T) {
	t.Helper()
	slot := "a"
	if _, err := os.Stat(live + "web0.b"); err == nil {
		slot = "b"
	}
	if err := os.Symlink(announced+slot, live+"new"); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(live+"new", live+"web0.b"); err != nil {
		t.Fatal(err)
	}
}

func touch(t *testing.T, path string) {
	t.Helper()
	if err := os.WriteFile(path, nil, 0o644); err != nil {
		t.Fatal(err)
	}
}
