package playbooks

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// refusePointers runs app_build.py's function of that name on a folder.
func refusePointers(t *testing.T, dir string) string {
	t.Helper()
	server, err := FS.ReadFile("steps/server.py")
	if err != nil {
		t.Fatal(err)
	}
	step, err := FS.ReadFile("steps/app_build.py")
	if err != nil {
		t.Fatal(err)
	}
	own := strings.TrimSuffix(strings.TrimSpace(string(step)), "main()")
	out, _ := exec.Command("/usr/bin/python3", "-c", fmt.Sprintf("%s\n%s\nrefuse_pointers(%q)\n", server, own, dir)).CombinedOutput()
	return string(out)
}

// What Git keeps elsewhere is named before a build stumbles over it.
func TestPointersOfGitAreNamed(t *testing.T) {
	pointer := "version https://git-lfs.github.com/spec/v1\noid sha256:" + strings.Repeat("0", 64) + "\nsize 12345\n"
	for name, c := range map[string]struct {
		files map[string]string
		want  string
	}{
		"nothing":                  {map[string]string{"a": "b", "large": strings.Repeat("x", 1000)}, ""},
		"a submodule":              {map[string]string{".gitmodules": "[submodule \"lib\"]\n\tpath = lib/x\n\turl = u\n"}, "submodule lib/x"},
		"a submodule that's there": {map[string]string{".gitmodules": "[submodule \"lib\"]\n\tpath = lib/x\n", "lib/x/file": "y"}, ""},
		"a pointer":                {map[string]string{"img/logo.png": pointer}, "img/logo.png is kept in Git LFS"},
		"text about pointers":      {map[string]string{"README": "see " + pointer}, ""},
	} {
		dir := t.TempDir()
		for path, text := range c.files {
			if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, path)), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(dir, path), []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if got := refusePointers(t, dir); (c.want == "") != (got == "") || !strings.Contains(got, c.want) {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}
