package playbooks

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// Logs that an older guard made for everybody to read are closed; nobody else's are touched.
func TestLogsOfTheEntryAreClosed(t *testing.T) {
	logs := t.TempDir()
	modes := map[string]os.FileMode{
		"sp-web.access.log": 0o644, "sp-web.access.log.1": 0o640, "sp-web.access.log.2.gz": 0o666, "sp-web-api.access.log": 0o644, "error.log": 0o644,
	}
	for name, mode := range modes {
		path := filepath.Join(logs, name)
		put(t, path, "x")
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
	}
	program := "SPEC = {'app': 'web', 'slot': 'a', 'keep': []}\n" + stepText(t, "app_retire", "\n\nmain()") + "\nLOGS = " + quoted(logs) + "\nclose_logs()\n"
	out, err := exec.Command("/usr/bin/python3", "-c", program).CombinedOutput()
	if err != nil || strings.Count(string(out), "changed: ") != 2 {
		t.Fatalf("%v: %s", err, out)
	}
	for name, want := range map[string]os.FileMode{
		"sp-web.access.log": 0o640, "sp-web.access.log.1": 0o640, "sp-web.access.log.2.gz": 0o640, "sp-web-api.access.log": 0o644, "error.log": 0o644,
	} {
		if info, err := os.Stat(filepath.Join(logs, name)); err != nil || info.Mode().Perm() != want {
			t.Errorf("%s is %v, want %o (%v)", name, info.Mode(), want, err)
		}
	}
}

func quoted(s string) string { return "'" + s + "'" }
