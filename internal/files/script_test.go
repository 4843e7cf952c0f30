package files

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// run gives what /bin/sh prints for script, and its exit code.
func run(t *testing.T, script []byte) (string, int) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "script")
	if err := os.WriteFile(path, script, 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("/bin/sh", path)
	cmd.Dir = t.TempDir()
	out, err := cmd.CombinedOutput()
	if cmd.ProcessState == nil {
		t.Fatal(err)
	}
	return string(out), cmd.ProcessState.ExitCode()
}

func TestScriptCarriesOutLinesOneByOne(t *testing.T) {
	for _, c := range []struct {
		name     string
		commands []string
		output   string
		code     int
	}{
		{"nothing", nil, "", 0},
		{"two lines", []string{"echo one", "echo two"}, "+ echo one\none\n+ echo two\ntwo\n", 0},
		{"the first failure ends it", []string{"echo one", "exit 7", "echo never"}, "+ echo one\none\n+ exit 7\n\n! failed: exit 7\n", 7},
		{"a failure inside a line", []string{"false\necho never"}, "+ false\necho never\n\n! failed: false\n", 1},
		{"quotes of all kinds", []string{`echo 'a b' "c  d" \'`}, "+ echo 'a b' \"c  d\" \\'\na b c  d '\n", 0},
		{"percent and backslash are shown as they are", []string{`echo %s '\n' | cat`}, "+ echo %s '\\n' | cat\n%s \n\n", 0},
		{"a folder does not stay", []string{"mkdir x && cd x", "ls"}, "+ mkdir x && cd x\n+ ls\nx\n", 0},
		{"exit does not end the script", []string{"exit 0", "echo on"}, "+ exit 0\n+ echo on\non\n", 0},
		{"a hash", []string{"echo a # not this"}, "+ echo a # not this\na\n", 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			script, err := Script(c.commands)
			if err != nil {
				t.Fatal(err)
			}
			if out, code := run(t, script); out != c.output || code != c.code {
				t.Errorf("got %q and exit %d, want %q and %d", out, code, c.output, c.code)
			}
		})
	}
}

func TestAnUnclosedQuoteEndsOnlyItsLine(t *testing.T) {
	script, err := Script([]string{"echo 'oops", "echo never"})
	if err != nil {
		t.Fatal(err)
	}
	if out, code := run(t, script); code == 0 || strings.Contains(out, "\nnever\n") {
		t.Errorf("got %q and exit %d", out, code)
	}
}

func TestScriptRefusals(t *testing.T) {
	for _, command := range []string{"", " \n\t", "echo \x00", strings.Repeat("x", maxCommand+1)} {
		if out, err := Script([]string{"true", command}); err == nil || out != nil {
			t.Errorf("Script accepts %.20q", command)
		}
		if out, err := StartScript(command); err == nil || out != nil {
			t.Errorf("StartScript accepts %.20q", command)
		}
	}
}

func TestIsOneCommand(t *testing.T) {
	for line, want := range map[string]bool{
		"node server.js": true, "  ./bin/app --port $PORT": true, "npm start": true, `gunicorn "app:make()"`: false,
		"python -m http.server ${PORT} > out.log": true, "A=1 node x": false, "cd web && node x": false, "node x | tee log": false,
		"node x; node y": false, "node x &": false, "if true": false, "exec node x": false, ". env": false, "$NODE x": false,
		"node x\nnode y": false, "(node x)": false, "echo `id`": false, "{ node": false, "! node": false, "": false, "test": false,
	} {
		if got := isOneCommand(line); got != want {
			t.Errorf("%q: %v", line, got)
		}
	}
}

// TestMain is the tests, or the app that TestTheStopSignalReachesTheProcess starts: a signal that comes before it says
// that it is up is the test's own fault, and none that comes later is missed (a shell that is about to read would).
func TestMain(m *testing.M) {
	if os.Getenv("BE_THE_APP") == "" {
		os.Exit(m.Run())
	}
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM)
	fmt.Println("up", os.Getpid(), strings.Join(os.Args[1:], " "))
	<-stop
	fmt.Println("bye")
}

// TestTheStopSignalReachesTheProcess starts each line as systemd would, with the whole group
// signalled, and expects the app's own farewell before the main process ends.
func TestTheStopSignalReachesTheProcess(t *testing.T) {
	app, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for name, line := range map[string]string{"one command": app + " $GREETING", "after another": "cd / && " + app + " $GREETING", "before another": app + " $GREETING; true"} {
		t.Run(name, func(t *testing.T) {
			script, err := StartScript(line)
			if err != nil {
				t.Fatal(err)
			}
			path := filepath.Join(t.TempDir(), "start")
			if err := os.WriteFile(path, script, 0o600); err != nil {
				t.Fatal(err)
			}
			ctx, stop := context.WithTimeout(t.Context(), time.Minute)
			defer stop()
			cmd := exec.CommandContext(ctx, "/bin/sh", path)
			cmd.Env = append(os.Environ(), "GREETING=hello", "BE_THE_APP=yes")
			cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
			cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
			out, err := cmd.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			reader := bufio.NewReader(out)
			if first, _ := reader.ReadString('\n'); !strings.HasPrefix(first, "up ") || !strings.HasSuffix(first, " hello\n") {
				t.Errorf("got %q", first)
			}
			syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM)
			if farewell, _ := reader.ReadString('\n'); farewell != "bye\n" {
				t.Errorf("the app said %q", farewell)
			}
			cmd.Wait()
			if code := cmd.ProcessState.ExitCode(); code != 0 && code != 143 {
				t.Errorf("exit %d", code)
			}
		})
	}
}

// FuzzQuote holds that any text is one word of the shell, and that word is the text.
func FuzzQuote(f *testing.F) {
	for _, s := range []string{"", "'", `\'`, "a'b'c", "$(id)", "a\nb", "\xff", "!"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if strings.ContainsRune(s, 0) {
			return
		}
		out, err := exec.Command("/bin/sh", "-c", "printf %s. "+quote(s)).Output()
		if err != nil || string(out) != s+"." {
			t.Fatalf("%q became %q (%v)", s, out, err)
		}
	})
}
