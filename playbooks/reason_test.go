package playbooks

import (
	"os/exec"
	"strings"
	"testing"
)

// What npm, pip and composer really said when they failed half way: the reason names the line that failed and why.
func TestReasonOfAFailedBuild(t *testing.T) {
	for name, c := range map[string]struct{ said, want string }{
		"npm, a package nobody has": {"+ npm install\nnpm error code E404\nnpm error 404 Not Found - GET https://registry.npmjs.org/no-such-package\nnpm error 404\n" +
			"npm error A complete log of this run can be found in: /home/x/.npm/_logs/1.log\n\n! failed: npm install\n", ": npm install: Not Found - GET https://registry.npmjs.org/no-such-package"},
		"npm of Debian 12, no lock file": {"+ npm ci\nnpm ERR! code EUSAGE\nnpm ERR! \nnpm ERR! The `npm ci` command can only install with an existing package-lock.json or\n" +
			"npm ERR! npm-shrinkwrap.json with lockfileVersion >= 1.\n" + strings.Repeat("npm ERR! Options:\n", 60) + "\n! failed: npm ci\n",
			": npm ci: The `npm ci` command can only install with an existing package-lock.json or"},
		"pip": {"WARNING: Retrying (Retry(total=0)) after connection broken\nERROR: Could not find a version that satisfies the requirement no-such==9.9 (from versions: none)\n" +
			"ERROR: No matching distribution found for no-such==9.9\n\n! failed: pip install -r requirements.txt\n",
			": pip install -r requirements.txt: Could not find a version that satisfies the requirement no-such==9.9 (from versions: none)"},
		"composer, a package nobody has": {"Updating dependencies\nYour requirements could not be resolved to an installable set of packages.\n\n  Problem 1\n" +
			"    - Root composer.json requires acme/none, it could not be found in any version, there may be a typo in the package name.\n\n! failed: composer install\n",
			": composer install: Root composer.json requires acme/none, it could not be found in any version, there may be a typo in the package name."},
		"composer, no way out": {"In CurlDownloader.php line 371:\n\n  curl error 6 while downloading https://repo.packagist.org/packages.json: Could not resolve host: repo.packagist.org  \n\n! failed: composer install\n",
			": composer install: curl error 6 while downloading https://repo.packagist.org/packages.json: Could not resolve host: repo.packagist.org"},
		"what another line said":     {"+ pip install x\nERROR: pip has a remark\n+ make\nmake: *** No rule\n\n! failed: make\n", ": make"},
		"something else":             {"+ make\nmake: *** No rule to make target\n\n! failed: make\n", ": make"},
		"a step of the kind's own":   {"there is no folder dist after the build\n", ""},
		"one that says so by itself": {"! failed: no\nit goes on\n", ""},
	} {
		program := "SPEC = {'app': 'web'}\n" + stepText(t, "app_run_once", "\n\nmain()") + "\nsys.stdout.write(reason_in(sys.stdin.read()))\n"
		cmd := exec.Command("/usr/bin/python3", "-c", program)
		cmd.Stdin = strings.NewReader(c.said)
		if out, err := cmd.CombinedOutput(); err != nil || string(out) != c.want {
			t.Errorf("%s: %q, %v; want %q", name, out, err, c.want)
		}
	}
}
