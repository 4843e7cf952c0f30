package playbooks

import (
	"os"
	"os/exec"
	"strings"
	"testing"
)

// aptCache answers as apt's does on a Debian 12 with a source that also has PHP 8.10; php-opcache is offered by a package of
// another name, php9.9-fpm is only mentioned.
const aptCache = `#!/bin/sh
case $1 in
pkgnames) printf '%s\n' php8.2-fpm php8.10-fpm php9.9-fpm php-fpm php8.2-fpm-dbgsym;;
policy)
    shift
    for name; do case $name in
        php8.2-*|php8.10-*|php-*mysql|composer) printf '%s:\n  Installed: (none)\n  Candidate: 1-1\n  Version table:\n     1-1 500\n' "$name";;
        php9.9-fpm|php-opcache) printf '%s:\n  Installed: (none)\n  Candidate: (none)\n  Version table:\n' "$name";;
    esac; done;;
showpkg) printf 'Package: %s\nVersions: \n\nReverse Depends: \nDependencies: \nProvides: \nReverse Provides: \n' "$2"; if [ "$2" = php-opcache ]; then echo 'php8.2-opcache 8.2.36 (= )'; fi;;
esac
`

// A version or package that a server's sources do not have is refused by name, with what may be chosen instead.
func TestRefuseUnknownPackages(t *testing.T) {
	dir := t.TempDir()
	put(t, dir+"/apt-cache", aptCache)
	if err := os.Chmod(dir+"/apt-cache", 0o755); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ spec, missing, want string }{
		{`{"version": "8.2", "choice": "php%s-fpm", "name": "PHP"}`, `["php8.2-fpm", "composer"]`, ""},
		{`{"version": "", "choice": "php%s-fpm", "name": "PHP"}`, `["php-mysql", "php-opcache"]`, ""},
		{`{"version": "8.3", "choice": "php%s-fpm", "name": "PHP"}`, `["php8.3-fpm", "php8.3-cli"]`,
			"PHP 8.3 is not to be had here: this server's package sources have PHP 8.2 and PHP 8.10; choose that by --option version="},
		{`{"version": "9.9", "choice": "php%s-fpm", "name": "PHP"}`, `["php9.9-fpm"]`, "this server's package sources have PHP 8.2 and PHP 8.10"},
		{`{"version": "3.9", "choice": "python%s-venv", "name": "Python"}`, `["python3.9-venv"]`, "this server's package sources have no Python"},
		{`{"version": "8.2", "choice": "php%s-fpm", "name": "PHP"}`, `["php8.2-fpm", "php-imagic", "php-geoo"]`, "do not have php-imagic, php-geoo, which the app's options ask for"},
	} {
		program := "SPEC = {**" + c.spec + ", 'app': 'web'}\n" + stepText(t, "runtime_packages", "\n\nmain()") + "\nrefuse_unknown(" + c.missing + ")\n"
		cmd := exec.Command("/usr/bin/python3", "-c", program)
		cmd.Env = []string{"PATH=" + dir + ":/usr/bin:/bin"}
		out, err := cmd.CombinedOutput()
		if (err == nil) != (c.want == "") || !strings.Contains(string(out), c.want) {
			t.Errorf("%s %s: %v, %s", c.spec, c.missing, err, out)
		}
	}
}
