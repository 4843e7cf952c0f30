package playbooks

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// folder runs server.py's function of that name as a step would.
func folder(t *testing.T, path string) (string, error) {
	t.Helper()
	text, err := FS.ReadFile("steps/server.py")
	if err != nil {
		t.Fatal(err)
	}
	program := fmt.Sprintf("%s\nfolder(%q, 0o1770, os.getuid(), os.getgid())\n", text, path)
	out, err := exec.Command("/usr/bin/python3", "-c", program).CombinedOutput()
	return string(out), err
}

// An app could put a link to another app's folder, or to /etc, where root is
// about to give a folder away.
func TestFolderIsNotGivenAwayThroughALink(t *testing.T) {
	dir := t.TempDir()
	target, link := filepath.Join(dir, "target"), filepath.Join(dir, "link")
	if err := os.Mkdir(target, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(target, link); err != nil {
		t.Fatal(err)
	}
	if out, err := folder(t, link); err == nil {
		t.Errorf("went through the link: %s", out)
	}
	if now, err := os.Stat(target); err != nil || now.Mode().Perm() != 0o700 || now.Mode()&os.ModeSticky != 0 {
		t.Errorf("what the link leads to is %v, %v", now, err)
	}
	for range 2 { // made, then found
		if out, err := folder(t, target+"2"); err != nil {
			t.Fatal(err, out)
		}
	}
	if now, err := os.Stat(target + "2"); err != nil || now.Mode().Perm() != 0o770 || now.Mode()&os.ModeSticky == 0 {
		t.Errorf("made %v, %v", now, err)
	}
}
