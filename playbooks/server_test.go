package playbooks

import (
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// serverText is what stands before every step, and then lines of the test.
func serverText(t *testing.T, more string) string {
	t.Helper()
	text, err := fs.ReadFile(FS, "steps/server.py")
	if err != nil {
		t.Fatal(err)
	}
	return string(text) + "\n" + more
}

// TestTextForAUnit: a shell that reads it carries it out with just these arguments, and reads nothing else; a part of it is nothing.
func TestTextForAUnit(t *testing.T) {
	args := []string{"", "a b", "'", `\`, `"$x" $(id) ; # %n`, "-n", "é\n\tz", "${HOME}", "$$"}
	program := serverText(t, "sys.stdout.write(as_input('for a; do printf \"%s|\" \"$a\"; done; cat; (exit 7)', *sys.argv[1:]))")
	text, err := exec.Command("/usr/bin/python3", append([]string{"-c", program}, args...)...).Output()
	if err != nil {
		t.Fatal(err)
	}
	told := func(text string) (string, int) {
		cmd := exec.Command("/bin/sh", "-s")
		cmd.Stdin = strings.NewReader(text)
		out, _ := cmd.CombinedOutput()
		return string(out), cmd.ProcessState.ExitCode()
	}
	if out, code := told(string(text) + "echo more\n"); out != strings.Join(args, "|")+"|" || code != 7 {
		t.Errorf("%q became %q, exit %d", args, out, code)
	}
	for _, part := range []string{string(text[:len(text)/2]), strings.TrimSuffix(string(text), "} </dev/null\n")} {
		if out, _ := told(part); strings.Contains(out, "|") {
			t.Errorf("a part was carried out: %q", out)
		}
	}
}

// TestOneChangeOfTheFirewallAtATime: ufw itself loses one of two.
func TestOneChangeOfTheFirewallAtATime(t *testing.T) {
	dir := t.TempDir()
	const alone = "#!/bin/sh\nmkdir DIR/busy || exit 1\nsleep 0.05\nrmdir DIR/busy\necho \"$*\" >>DIR/rules\n"
	if err := os.WriteFile(filepath.Join(dir, "ufw"), []byte(strings.ReplaceAll(alone, "DIR", dir)), 0o755); err != nil {
		t.Fatal(err)
	}
	program := serverText(t, "RUNTIME = sys.argv[1]\nufw('allow', sys.argv[2])")
	var all sync.WaitGroup
	for _, rule := range strings.Fields("1 2 3 4 5") {
		all.Go(func() {
			cmd := exec.Command("/usr/bin/python3", "-c", program, dir, rule)
			cmd.Env = append(os.Environ(), "PATH="+dir+":"+os.Getenv("PATH"))
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Errorf("%s: %v\n%s", rule, err, out)
			}
		})
	}
	all.Wait()
	if rules, err := os.ReadFile(filepath.Join(dir, "rules")); err != nil || len(strings.Fields(string(rules))) != 10 {
		t.Errorf("%v; ufw was told:\n%s", err, rules)
	}
}
