// Package guard_test tries the guarded-change program on a real Nginx in a private machine.
package guard_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestMain lets more tests run at once than there are processors: they mostly wait for Nginx.
func TestMain(m *testing.M) {
	flag.Parse()
	if err := flag.Set("test.parallel", "8"); err != nil {
		panic(err)
	}
	os.Exit(m.Run())
}

func TestApplyStartsReloadsAndLeavesEqualAlone(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.want("applied", site(1, "conf.d/sp-web.conf", page(8080, "one")))
	w.wantPage(8080, "one")
	w.want("unchanged", site(1, "conf.d/sp-web.conf", page(8080, "one")))
	w.want("applied", site(2, "conf.d/sp-web.conf", page(8080, "two"), "serverplane/deep/extra.conf", "# x\n"))
	w.wantPage(8080, "two")
	same := site(2, "conf.d/sp-web.conf", page(8080, "two"), "serverplane/deep/extra.conf", "# x\n")
	same.Generation = 5
	if o := w.want("unchanged", same); o.Generation != 5 {
		t.Errorf("the newer generation was not taken note of: %+v", o)
	}
	if o := w.want("superseded", site(4)); o.Generation != 5 {
		t.Errorf("superseded by %d, want 5", o.Generation)
	}
	w.wantPage(8080, "two")
	wantModes(t, w, map[string]os.FileMode{
		"varlib/serverplane": 0o755, "varlib/serverplane/live": 0o755,
		"varlib/serverplane/nginx.json": 0o600, "varlib/serverplane/guard-last.json": 0o600,
	})
}

func wantModes(t *testing.T, w *world, modes map[string]os.FileMode) {
	t.Helper()
	for path, mode := range modes {
		info, err := os.Stat(w.path(path))
		must(t, err)
		if info.Mode().Perm() != mode {
			t.Errorf("%s has mode %v, want %v", path, info.Mode().Perm(), mode)
		}
	}
}

func TestApplyRemovesOnlyWhatItWrote(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.write("conf.d/sp-web-old.conf", page(8083, "foreign"))
	w.want("applied", site(1, "conf.d/sp-web.conf", page(8080, "web"), "conf.d/sp-web-api.conf", page(8081, "api"),
		"serverplane/a/b.conf", "#\n"))
	w.want("applied", site(2, "conf.d/sp-web-api.conf", page(8081, "api")))
	if w.exists("nginx/conf.d/sp-web.conf") || w.exists("nginx/serverplane") {
		t.Error("a file no longer listed, or its folder, is still there")
	}
	w.wantPage(8080, "")
	w.wantPage(8081, "api")
	w.wantPage(8083, "foreign")
	empty := change{Generation: 3, Files: []file{}}
	w.want("applied", empty)
	if got := len(w.tree("nginx/conf.d")); got != 1 {
		t.Errorf("%d files left, want the foreign one", got)
	}
	w.wantPage(8083, "foreign")
}

func TestApplyRefusals(t *testing.T) {
	t.Parallel()
	good := []string{"conf.d/sp-web.conf", page(8080, "one")}
	cases := map[string]struct {
		foreign map[string]string // written by somebody else after the good state is in force
		next    change
		want    outcome // Message: a part of it
	}{
		"broken own file": {
			next: site(2, "conf.d/sp-web.conf", "server {\n  listen 127.0.0.1:8080;\n  nonsense on;\n}\n"),
			want: outcome{Message: "unknown directive", File: "/etc/nginx/conf.d/sp-web.conf", Line: 3, Ours: true},
		},
		"broken foreign file": {
			foreign: map[string]string{"conf.d/other.conf": "# theirs\nserver { oops; }\n"},
			next:    site(2, "conf.d/sp-web.conf", page(8080, "two")),
			want:    outcome{Message: "broken before this change", File: "/etc/nginx/conf.d/other.conf", Line: 2},
		},
		"foreign file that only fails beside ours": {
			foreign: map[string]string{"conf.d/zz.conf": "upstream pool { server 127.0.0.1:9; }\n"},
			next:    site(2, "conf.d/sp-web.conf", "upstream pool { server 127.0.0.1:9; }\n"),
			want:    outcome{Message: "duplicate upstream", File: "/etc/nginx/conf.d/zz.conf", Line: 1},
		},
		"foreign file of the same name": {
			foreign: map[string]string{"conf.d/sp-new.conf": "# theirs\n"},
			next:    site(2, "conf.d/sp-new.conf", page(8080, "two")),
			want:    outcome{Message: "not ours", File: "/etc/nginx/conf.d/sp-new.conf"},
		},
		"main file":         {next: site(2, "nginx.conf", ""), want: outcome{Message: "path not allowed"}},
		"way out":           {next: site(2, "conf.d/../../passwd", ""), want: outcome{Message: "path not allowed"}},
		"absolute":          {next: site(2, "/etc/passwd", ""), want: outcome{Message: "path not allowed"}},
		"hidden":            {next: site(2, "conf.d/.x.conf", ""), want: outcome{Message: "path not allowed"}},
		"foreign folder":    {next: site(2, "sites-enabled/x.conf", ""), want: outcome{Message: "path not allowed"}},
		"line end in path":  {next: site(2, "conf.d/x.conf\n", ""), want: outcome{Message: "path not allowed"}},
		"named twice":       {next: site(2, "conf.d/x.conf", "", "conf.d/x.conf", ""), want: outcome{Message: "named twice"}},
		"version of quotes": {next: change{Generation: 2, Version: `"`, Files: []file{}}, want: outcome{Message: "version"}},
		"setuid": {next: change{Generation: 2, Files: []file{{"conf.d/x.conf", "", "4755"}}},
			want: outcome{Message: "mode not allowed"}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.want("applied", site(1, good...))
			for path, text := range c.foreign {
				w.write(path, text)
			}
			before := w.tree("nginx")
			got := w.want("refused", c.next)
			if !strings.Contains(got.Message, c.want.Message) {
				t.Errorf("message %q does not say %q", got.Message, c.want.Message)
			}
			c.want.Result, c.want.Generation, c.want.Message, c.want.Seconds = "refused", 1, got.Message, got.Seconds
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Error(diff)
			}
			if diff := cmp.Diff(before, w.tree("nginx")); diff != "" {
				t.Errorf("the live tree was touched: %s", diff)
			}
			w.wantPage(20000, "v1")
		})
	}
}

func TestApplyRefusesSymbolicLinks(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	outside := w.path("outside.conf")
	must(t, os.WriteFile(outside, []byte("# theirs\n"), 0o644))
	must(t, os.Symlink(outside, w.path("nginx/conf.d/sp-web.conf")))
	must(t, os.Symlink(w.dir, w.path("nginx/serverplane")))
	for _, path := range []string{"conf.d/sp-web.conf", "serverplane/x.conf"} {
		if o := w.want("refused", site(1, path, "# ours\n")); !strings.Contains(o.Message, "symbolic link") {
			t.Errorf("%s: %+v", path, o)
		}
	}
	if text, _ := os.ReadFile(outside); string(text) != "# theirs\n" {
		t.Errorf("wrote through a link: %q", text)
	}
}

func TestApplyNeedsTheWholeInput(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	whole := encode(t, site(1))
	for _, cut := range []int{0, 1, len(whole) / 2, len(whole) - 1} {
		if o := w.guard(whole[:cut], "apply"); o.Result != "refused" || !strings.Contains(o.Message, "did not arrive whole") {
			t.Errorf("cut at %d of %d: %+v", cut, len(whole), o)
		}
	}
	if len(w.tree("nginx/conf.d")) != 0 {
		t.Error("something was written")
	}
}

// A reload that cannot bind is told nowhere but in Nginx's log, and the old workers go on.
func TestApplyUndoesWhatDoesNotComeIntoForce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.want("applied", site(1, "conf.d/sp-web.conf", page(8080, "one")))
	hog := w.command("/usr/bin/python3", "-c",
		"import socket; s = socket.socket(); s.bind(('127.0.0.1', 8081)); s.listen(); print('up', flush=True); s.accept()")
	out, err := hog.StdoutPipe()
	must(t, err)
	must(t, hog.Start())
	t.Cleanup(func() { _ = hog.Process.Kill(); _ = hog.Wait() })
	_, err = out.Read(make([]byte, 3))
	must(t, err)
	before := w.tree("nginx")
	next := site(2, "conf.d/sp-web.conf", page(8081, "two"), "conf.d/sp-more.conf", "# more\n")
	next.Announce = true
	o := w.want("failed", next)
	if !strings.Contains(o.Message, "127.0.0.1:8081") || !strings.Contains(o.Message, "in use") || o.Generation != 1 {
		t.Errorf("got %+v", o)
	}
	if diff := cmp.Diff(before, w.tree("nginx")); diff != "" {
		t.Errorf("not restored: %s", diff)
	}
	if w.exists("varlib/serverplane/live/web.b") || w.exists("varlib/serverplane/nginx.journal") {
		t.Error("a marker or the journal was left behind")
	}
	w.wantPage(8080, "one")
	w.want("unchanged", site(1, "conf.d/sp-web.conf", page(8080, "one")))
}

// The version server answers, but not what was announced: a change that is not seen in force is not in force.
func TestApplyDoesNotBelieveAReloadAlone(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.want("applied", site(1))
	lie := site(2)
	lie.Version = "v3"
	if o := w.want("failed", lie); !strings.Contains(o.Message, "v3") {
		t.Errorf("got %+v", o)
	}
	w.wantPage(20000, "v1")
}

func TestApplyRepairsAnEditByHand(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := site(1, "conf.d/sp-web.conf", page(8080, "one"))
	w.want("applied", c)
	w.write("conf.d/sp-web.conf", page(8080, "edited"))
	if o := w.want("applied", c); !strings.Contains(o.Message, "/etc/nginx/conf.d/sp-web.conf") {
		t.Errorf("the replaced edit is not named: %+v", o)
	}
	w.wantPage(8080, "one")
}

// crash is guard.py with a kill -9 of itself at one place.
const crash = `
import importlib.util, os, signal, sys
spec = importlib.util.spec_from_file_location("guard", sys.argv[1])
guard = importlib.util.module_from_spec(spec)
sys.dont_write_bytecode = True
spec.loader.exec_module(guard)
where, seen = sys.argv[2], {}
def die_at(place, call, after=False, when=lambda *a: True):
    def wrapped(*args):
        if not when(*args):
            return call(*args)
        seen[place] = seen.get(place, 0) + 1
        if after:
            call(*args)
        if where == "%s %d" % (place, seen[place]):
            os.kill(os.getpid(), signal.SIGKILL)
        return None if after else call(*args)
    return wrapped
real_kill, real_replace = os.kill, os.replace
guard.write_temporary = die_at("temporary", guard.write_temporary, when=lambda p, *a: p.startswith(guard.TREE))
class quiet_os:
    def __getattr__(self, name):
        return getattr(os, name)
guard.os = quiet_os()
guard.os.replace = die_at("rename", real_replace, when=lambda a, b: b.startswith(guard.TREE))
guard.os.kill = die_at("reload", real_kill, after=True)
guard.bring_into_force = die_at("in force", guard.bring_into_force, after=True)
guard.forget_journal = die_at("journal", guard.forget_journal)
sys.exit(guard.main(["apply"]))
`

func TestKilledInTheMiddle(t *testing.T) {
	t.Parallel()
	first := site(1, "conf.d/sp-gone.conf", page(8079, "gone"), "conf.d/sp-web.conf", page(8080, "one"))
	second := site(2, "conf.d/sp-web.conf", page(8080, "two"), "serverplane/new/x.conf", "# new\n")
	second.Announce = true
	for _, place := range []string{"temporary 2", "rename 1", "rename 2", "reload 1", "in force 1", "journal 1"} {
		t.Run(place, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.want("applied", first)
			before := w.tree("nginx")
			w.crash(place, second)
			if !w.exists("varlib/serverplane/nginx.journal") {
				t.Fatal("not killed in the middle: there is no journal")
			}
			if place == "journal 1" { // the manifest was written: it counts as done
				w.want("unchanged", second)
			} else {
				w.guard([]byte{}, "heal")
				if diff := cmp.Diff(before, w.tree("nginx")); diff != "" {
					t.Fatalf("healing did not bring the old tree back: %s", diff)
				}
				w.wantPage(20000, "v1")
				w.want("unchanged", first)
				w.crash(place, second)
				w.want("applied", second)
			}
			w.wantPage(8080, "two")
			w.wantPage(8079, "")
			if got := len(w.tree("nginx")); got != 4 {
				t.Errorf("%d files in the tree, want 4: %v", got, w.tree("nginx"))
			}
			if w.exists("varlib/serverplane/nginx.journal") || w.exists("varlib/serverplane/live/web.b") {
				t.Error("journal or marker left behind")
			}
			w.want("unchanged", second)
		})
	}
}

func (w *world) crash(place string, c change) {
	w.t.Helper()
	cmd := w.command("/usr/bin/python3", "-I", "-c", crash, guardPath(w.t), place)
	cmd.Stdin = strings.NewReader(string(encode(w.t, c)))
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "was killed") {
		w.t.Fatalf("crash at %q: %v %s", place, err, out)
	}
}

// held is guard.py whose announcement lasts until the test has seen it, however slow the machine is.
const held = `
import importlib.util, os, sys, time
spec = importlib.util.spec_from_file_location("guard", sys.argv[1])
guard = importlib.util.module_from_spec(spec)
sys.dont_write_bytecode = True
spec.loader.exec_module(guard)
announce = guard.announce
def announce_until_let_go():
    announce()
    limit = time.monotonic() + 60
    while not os.path.exists("/run/go") and time.monotonic() < limit:
        time.sleep(0.01)
guard.announce = announce_until_let_go
sys.exit(guard.main(["apply"]))
`

func (w *world) heldCommand(c change) *exec.Cmd {
	w.t.Helper()
	cmd := w.command("/usr/bin/python3", "-I", "-c", held, guardPath(w.t))
	cmd.Stdin = bytes.NewReader(encode(w.t, c))
	return cmd
}

func (w *world) letGo() {
	w.t.Helper()
	must(w.t, os.WriteFile(w.path("run/go"), nil, 0o644))
}

func TestGoesOnWithoutItsCaller(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.want("applied", site(1, "conf.d/sp-web.conf", page(8080, "one")))
	next := site(2, "conf.d/sp-web.conf", page(8080, "two"))
	next.Announce = true
	cmd := w.heldCommand(next)
	startGroup(t, cmd)
	w.eventually("the announcement", func() bool { return w.exists("varlib/serverplane/live/web.b") })
	for _, sig := range []syscall.Signal{syscall.SIGHUP, syscall.SIGTERM, syscall.SIGKILL} {
		_ = syscall.Kill(-cmd.Process.Pid, sig)
	}
	_ = cmd.Wait()
	w.letGo()
	w.want("unchanged", next) // waits for the lock, and so for the end of the first
	last, err := os.ReadFile(w.path("varlib/serverplane/guard-last.json"))
	must(t, err)
	if !strings.Contains(string(last), "unchanged") {
		t.Errorf("the last outcome reads %s", last)
	}
	w.wantPage(20000, "v2")
}

func TestChangesAtOnceAreOneAfterTheOther(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.want("applied", site(1))
	var running []*exec.Cmd
	for generation := int64(2); generation < 8; generation++ {
		cmd := w.guardCommand(site(generation), "apply")
		must(t, cmd.Start())
		running = append(running, cmd)
	}
	for _, cmd := range running {
		must(t, cmd.Wait())
	}
	w.want("unchanged", site(7))
	w.wantPage(20000, "v7")
}

func TestSwitch(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.guard([]byte{}, "prepare")
	steps := []struct{ slot, want string }{{"a", "unchanged"}, {"b", "applied"}, {"b", "unchanged"}, {"a", "applied"}}
	for _, s := range steps {
		if o := w.switchTo("web-api", s.slot); o.Result != s.want {
			t.Errorf("to %s: %+v, want %s", s.slot, o, s.want)
		}
		if w.exists("varlib/serverplane/live/web-api.b") != (s.slot == "b") {
			t.Errorf("the marker does not say %s", s.slot)
		}
	}
	for _, bad := range [][]string{{"../x", "b"}, {"web-", "b"}, {"Web", "a"}, {"web", "c"}, {"web\n", "b"}, {"", "b"}, {"web"}, {"web", "b", "c"}, {"$(id)", "b"}, {strings.Repeat("a", 25), "b"}} {
		if o := w.switchTo(bad...); o.Result != "refused" {
			t.Errorf("%q: %+v, want refused", bad, o)
		}
	}
	left, err := filepath.Glob(w.path("varlib/serverplane/live/*"))
	if err != nil || len(left) != 0 {
		t.Errorf("left behind: %v %v", left, err)
	}
}

// TestSwitchDuringAnAnnouncement: the slot of each app outlives the announcement, also where it is changed meanwhile.
func TestSwitchDuringAnAnnouncement(t *testing.T) {
	t.Parallel()
	for _, announced := range []string{"ended", "crashed"} {
		t.Run(announced, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			var pairs []string
			for i, app := range []string{"stays-a", "stays-b", "to-a", "to-b"} {
				pairs = append(pairs, "conf.d/sp-"+app+".conf", page(8080+i, app))
			}
			w.want("applied", site(1, pairs...))
			w.switchTo("stays-b", "b")
			w.switchTo("to-a", "b")
			next := site(2, pairs...)
			next.Announce = true
			cmd := w.heldCommand(next)
			startGroup(t, cmd)
			w.eventually("the announcement", func() bool { return w.shape("to-b") == "folder" && w.shape("stays-a") == "folder" })
			for _, s := range [][3]string{{"to-a", "a", "applied"}, {"to-b", "b", "applied"}, {"stays-b", "b", "unchanged"}, {"stays-a", "a", "unchanged"}} {
				if o := w.switchTo(s[0], s[1]); o.Result != s[2] {
					t.Errorf("%s to %s during the announcement: %+v, want %s", s[0], s[1], o, s[2])
				}
			}
			if announced == "crashed" {
				must(t, cmd.Process.Kill())
			}
			w.letGo()
			_ = cmd.Wait()
			w.want("unchanged", next) // after the end of the first, and of its announcement
			for app, want := range map[string]string{"stays-a": "nothing", "to-a": "nothing", "stays-b": "file", "to-b": "file"} {
				if got := w.shape(app); got != want {
					t.Errorf("%s: the marker is a %s, want %s", app, got, want)
				}
			}
		})
	}
}

// TestHalfMadeMarkersGo: what a crash left beside the markers is no marker and does not become one.
func TestHalfMadeMarkersGo(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.want("applied", site(1, "conf.d/sp-web.conf", page(8080, "web")))
	for _, name := range []string{".web.b.serverplane", ".web.switch"} {
		must(t, os.Symlink("/var/lib/serverplane/announced/b", w.path("varlib/serverplane/live/"+name)))
	}
	if o := w.guard([]byte{}, "heal"); o.Result != "unchanged" {
		t.Errorf("heal: %+v", o)
	}
	left, err := os.ReadDir(w.path("varlib/serverplane/live"))
	if err != nil || len(left) > 0 {
		t.Errorf("left: %v %v", left, err)
	}
	if got := w.shape("web"); got != "nothing" {
		t.Errorf("the marker is a %s", got)
	}
}

// shape is what a worker of Nginx sees at an app's marker.
func (w *world) shape(app string) string {
	out, err := w.command("sh", "-c", `cd /var/lib/serverplane/live; if [ ! -e "$1.b" ]; then echo nothing; elif [ -f "$1.b" ]; then echo file; else echo folder; fi`, "sh", app).Output()
	must(w.t, err)
	return strings.TrimSpace(string(out))
}

func TestLiveTest(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.want("applied", site(1))
	if o := w.guard([]byte{}, "test"); o.Result != "unchanged" {
		t.Errorf("sound tree: %+v", o)
	}
	w.write("conf.d/theirs.conf", "\n\nbad;\n")
	o := w.guard([]byte{}, "test")
	if o.Result != "refused" || o.File != "/etc/nginx/conf.d/theirs.conf" || o.Line != 3 || o.Ours {
		t.Errorf("broken foreign file: %+v", o)
	}
	var last map[string]any
	data, err := os.ReadFile(w.path("varlib/serverplane/guard-last.json"))
	must(t, err)
	must(t, json.Unmarshal(data, &last))
	if last["result"] != "applied" {
		t.Errorf("a test is no change, but guard-last.json reads %v", last)
	}
}
