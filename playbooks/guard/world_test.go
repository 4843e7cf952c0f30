package guard_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// world is a machine of its own as far as the guard can see: its mounts, its loopback, its processes. All of it ends with the
// test, running Nginx included.
type world struct {
	t   *testing.T
	dir string // holds nginx (the tree), varlib, run and log as the guard sees them
	pid string // a process inside
}

const worldScript = `set -e
ip link set lo up
mount --bind "$1/nginx" /etc/nginx
mount --bind "$1/varlib" /var/lib
mount --bind "$1/run" /run
mount --bind "$1/log" /var/log
echo ready
exec cat`

const worldConf = `pid /run/nginx.pid;
worker_processes 2;
error_log /var/log/nginx/error.log;
events { worker_connections 64; }
http { access_log off; include /etc/nginx/conf.d/*.conf; }
`

func newWorld(t *testing.T) *world {
	t.Helper()
	for tool, target := range map[string]string{"nginx": "/usr/sbin/nginx", "python3": "/usr/bin/python3"} {
		if _, err := os.Stat(target); err != nil {
			t.Fatalf("%s is missing: run `make setup`", tool)
		}
	}
	w := &world{t: t, dir: t.TempDir()}
	for _, d := range []string{"nginx/conf.d", "varlib/nginx", "run", "log/nginx"} {
		must(t, os.MkdirAll(filepath.Join(w.dir, d), 0o755))
	}
	w.write("nginx.conf", worldConf)
	w.start()
	return w
}

// start makes the namespaces; the process that holds them is killed, and with it everything inside, at the end.
func (w *world) start() {
	w.t.Helper()
	holder := exec.Command("unshare", "-n", "-m", "-p", "--fork", "--mount-proc", "--kill-child",
		"sh", "-c", worldScript, "sh", w.dir)
	holder.Stderr = os.Stderr
	in, err := holder.StdinPipe()
	must(w.t, err)
	out, err := holder.StdoutPipe()
	must(w.t, err)
	must(w.t, holder.Start())
	w.t.Cleanup(func() {
		_ = in.Close()
		_ = holder.Process.Kill()
		_ = holder.Wait()
	})
	if line, err := bufio.NewReader(out).ReadString('\n'); err != nil || line != "ready\n" {
		w.t.Fatalf("making a private machine (root needed): %q %v", line, err)
	}
	children := fmt.Sprintf("/proc/%d/task/%d/children", holder.Process.Pid, holder.Process.Pid)
	pid, err := os.ReadFile(children)
	must(w.t, err)
	w.pid = strings.TrimSpace(string(pid))
}

// command runs inside.
func (w *world) command(args ...string) *exec.Cmd {
	return exec.Command("nsenter", append([]string{"-t", w.pid, "-n", "-m", "-p", "--"}, args...)...)
}

type file struct {
	Path string `json:"path"`
	Text string `json:"text"`
	Mode string `json:"mode"`
}

type change struct {
	Generation int64  `json:"generation"`
	Version    string `json:"version"`
	Announce   bool   `json:"announce"`
	Files      []file `json:"files"`
}

type outcome struct {
	Result     string
	Generation int64
	Message    string
	File       string
	Line       int
	Ours       bool
	Seconds    float64
}

// site is a change with the version server and the given further files, "path", "text", ….
func site(generation int64, pairs ...string) change {
	version := "v" + strconv.FormatInt(generation, 10)
	c := change{Generation: generation, Version: version, Files: []file{{"conf.d/00-serverplane.conf",
		"server { listen 127.0.0.1:20000; location / { return 200 \"" + version + "\\n\"; } }\n", "0644"}}}
	for i := 0; i < len(pairs); i += 2 {
		c.Files = append(c.Files, file{pairs[i], pairs[i+1], "0644"})
	}
	return c
}

// page is a site that answers text on port.
func page(port int, text string) string {
	return fmt.Sprintf("server { listen 127.0.0.1:%d; location / { return 200 %q; } }\n", port, text)
}

func guardPath(t *testing.T) string {
	t.Helper()
	path, err := filepath.Abs("guard.py")
	must(t, err)
	return path
}

func (w *world) guardCommand(input any, args ...string) *exec.Cmd {
	w.t.Helper()
	cmd := w.command(append([]string{"/usr/bin/python3", "-IS", guardPath(w.t)}, args...)...)
	cmd.Stdin = bytes.NewReader(encode(w.t, input))
	return cmd
}

func encode(t *testing.T, input any) []byte {
	t.Helper()
	if raw, ok := input.([]byte); ok {
		return raw
	}
	data, err := json.Marshal(input)
	must(t, err)
	return data
}

func (w *world) guard(input any, args ...string) outcome {
	w.t.Helper()
	return w.outcome(w.guardCommand(input, args...))
}

// switchTo runs the program that makes a slot live.
func (w *world) switchTo(args ...string) outcome {
	w.t.Helper()
	script := filepath.Join(filepath.Dir(guardPath(w.t)), "switch.sh")
	return w.outcome(w.command(append([]string{"/bin/sh", script}, args...)...))
}

func (w *world) outcome(cmd *exec.Cmd) outcome {
	w.t.Helper()
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		w.t.Fatalf("%v: %v %s", cmd.Args, err, out)
	}
	var o outcome
	if err := json.Unmarshal(out, &o); err != nil {
		w.t.Fatalf("%v said %q: %v", cmd.Args, out, err)
	}
	return o
}

func (w *world) apply(c change) outcome { w.t.Helper(); return w.guard(c, "apply") }

// want applies c and fails the test on another result.
func (w *world) want(result string, c change) outcome {
	w.t.Helper()
	o := w.apply(c)
	if o.Result != result {
		w.t.Fatalf("want %s, got %+v", result, o)
	}
	return o
}

// get is the answer of a site inside, "" when there is none.
func (w *world) get(port int) string {
	out, _ := w.command("curl", "-s", "-m", "30", fmt.Sprintf("http://127.0.0.1:%d/", port)).Output()
	return strings.TrimSpace(string(out))
}

func (w *world) wantPage(port int, text string) {
	w.t.Helper()
	if got := w.get(port); got != text {
		w.t.Fatalf("port %d answers %q, want %q", port, got, text)
	}
}

func (w *world) path(parts ...string) string {
	return filepath.Join(append([]string{w.dir}, parts...)...)
}

// write puts a file into the tree as a stranger would.
func (w *world) write(path, text string) {
	w.t.Helper()
	must(w.t, os.WriteFile(w.path("nginx", path), []byte(text), 0o644))
}

func (w *world) exists(parts ...string) bool {
	_, err := os.Lstat(w.path(parts...))
	return err == nil
}

// tree is everything below a folder: name, mode, content.
func (w *world) tree(folder string) map[string]string {
	w.t.Helper()
	all := map[string]string{}
	root := w.path(folder)
	must(w.t, filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		data, err := os.ReadFile(path)
		all[strings.TrimPrefix(path, root)] = info.Mode().String() + " " + string(data)
		return err
	}))
	return all
}

// eventually waits for something another process does, failing after a minute.
func (w *world) eventually(what string, done func() bool) {
	w.t.Helper()
	deadline := time.Now().Add(time.Minute)
	for !done() {
		if time.Now().After(deadline) {
			w.t.Fatalf("waited a minute for: %s", what)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// startGroup starts cmd as the leader of a process group, to be killed as a whole.
func startGroup(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	must(t, cmd.Start())
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
