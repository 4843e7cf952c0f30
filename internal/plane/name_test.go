package plane_test

import (
	"os/exec"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/serverplane/serverplane/internal/plane"
)

// hostile is text that would mean something to a shell, Ansible, systemd,
// Nginx, SQL, a terminal or a path walker if it ever became part of theirs.
var hostile = []string{
	"", " ", "-", "-rf", "--help", "a b", "a\n", "\na", "a\nb", "a\r", "a\tb", "a\x00b", "\x00", "a\x1b[2J", "a\x7f",
	"$(id)", "`id`", "a;id", "a|id", "a&id", "a>b", "a<b", "'", "\"", "a'b", "a\"b", "a\\b", "${HOME}", "~root", "*", "?", "[a]", "!a", "#a",
	"{{ lookup('pipe','id') }}", "{% raw %}", "{# #}", "a{{7*7}}", "%n", "%h", "a%20b", "a=b", "a: b", "- a", "a; }", "a}", "{a",
	"../etc", "/etc/passwd", "a/../b", ".", "..", ".a", "a.", "a//b", "x' OR 1=1 --", "x\"; DROP TABLE apps; --",
	"\u00e4", "\uff41", "\u0430", "a\u200b", "a\u202eb", "a\u2028b", "\ufeffa", "a\xff", "\u0130", "\u212a", "\U0001f600", strings.Repeat("a", 5000),
}

// accepts holds that check takes every good text, and that none of the hostile
// ones is taken, but those the rule allows on purpose.
func accepts(t *testing.T, check func(string) error, good []string, bad []string, onPurpose ...string) {
	t.Helper()
	for _, text := range good {
		if err := check(text); err != nil {
			t.Errorf("%q is refused: %v", text, err)
		}
	}
	allowed := map[string]bool{}
	for _, text := range onPurpose {
		allowed[text] = true
	}
	for _, text := range append(bad, hostile...) {
		err := check(text)
		if allowed[text] {
			if err != nil {
				t.Errorf("%q is refused: %v", text, err)
			}
			continue
		}
		if err == nil {
			t.Errorf("%q is accepted", text)
			continue
		}
		if plane.CodeOf(err) != plane.CodeInvalid {
			t.Errorf("%q: the code is %s, not invalid", text, plane.CodeOf(err))
		}
	}
}

func name(s string) error                 { return plane.CheckName("name", s) }
func domain(s string) error               { return plane.CheckDomain("domain", s) }
func branch(s string) error               { return plane.CheckBranch("ref", s) }
func healthPath(s string) error           { return plane.CheckHealthPath("health_path", s) }
func root(s string) error                 { return plane.CheckRoot("root", s) }
func repository(s string) error           { return plane.CheckRepository("repository", s, false) }
func anyRepository(s string) error        { return plane.CheckRepository("repository", s, true) }
func variable(s string) error             { return plane.CheckVariable(s, "") }
func value(s string) error                { return plane.CheckVariable("A", s) }
func command(s string) error              { return plane.CheckCommand("start", s) }
func address(s string) (err error)        { _, err = plane.CheckAddress("address", s); return err }
func only(alphabet string, s string) bool { return strings.Trim(s, alphabet) == "" }

const (
	lower  = "abcdefghijklmnopqrstuvwxyz"
	upper  = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
	digits = "0123456789"
)

func TestCheckName(t *testing.T) {
	accepts(t, name, []string{"a", "web", "web-api", "a1", "a--b", "web-2", strings.Repeat("a", 24)},
		[]string{"A", "Web", "1a", "web-", "we_b", "web.api", strings.Repeat("a", 25)})
}

func TestCheckServerNameLeavesOutAnsiblesOwnWords(t *testing.T) {
	for _, text := range []string{"all", "ungrouped", "localhost", "-x", ""} {
		if plane.CheckServerName("name", text) == nil {
			t.Errorf("%q is accepted", text)
		}
	}
	for _, text := range []string{"s1", "alls", "local"} {
		if err := plane.CheckServerName("name", text); err != nil {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func TestCheckDomain(t *testing.T) {
	long := strings.Repeat(strings.Repeat("a", 49)+".", 5) // 250 with its dots
	accepts(t, domain, []string{"a.b", "www.example.com", "xn--bcher-kva.example", "a-b.example", "1.example", long + "com"},
		[]string{
			"localhost", "WWW.example.com", "www.example.com.", ".example.com", "a..b", "-a.b", "a-.b", "a_b.c", "*.example.com",
			"a.b:80", "a.b/c", "a.b;", "a.b}", "a.b\n", "bücher.example", strings.Repeat("a", 64) + ".b", long + "comm",
		})
}

func TestCheckBranch(t *testing.T) {
	good := []string{"main", "v1.2.0", "feature/x-1", "a", "0123456789abcdef0123456789abcdef01234567", "release/2026.07", "a_b"}
	accepts(t, branch, good, []string{
		"a..b", "a.lock", "a.lock/b", "a/", "/a", "a//b", "a.", "a/.b", "a~1", "a^", "a:b", "a@{1}", "-a", "refs heads", strings.Repeat("a", 201),
	})
	for _, text := range good {
		if out, err := exec.Command("git", "check-ref-format", "--branch", text).CombinedOutput(); err != nil {
			t.Errorf("git refuses %q: %v %s", text, err, out)
		}
	}
}

func TestCheckHealthPath(t *testing.T) {
	accepts(t, healthPath, []string{"/", "/up", "/health?full=1&x=%20", "/a/b.c", "/~me", "/up;v=1", "/" + strings.Repeat("a", 999)},
		[]string{"up", "http://x/", "/a b", "/a\n", "/a\r\nHost: x", "/a#b", "/a\"", "/{{x}}", "/%zz", "/a%", "/" + strings.Repeat("a", 1000), "/ä"},
		"/etc/passwd")
}

func TestCheckRoot(t *testing.T) {
	accepts(t, root, []string{"", "web", "packages/web", "a.b/c_d", ".hidden", "a-b"},
		[]string{"/web", "web/", "../web", "web/..", "a/../b", "./web", ".", "..", "a//b", "a%h", "a b", "a@b", "a:b", "a+b", strings.Repeat("a", 201)},
		"", "-", "-rf", "--help", ".a", "a.")
}

func TestCheckRepository(t *testing.T) {
	secure := []string{
		"https://example.com/me/app.git", "https://example.com:8443/me/app", "https://git@example.com/app", "https://my-company@dev.example.com/my-company/app", "ssh://git@example.com/app.git",
		"ssh://git@[2001:db8::1]:2222/app.git", "git@example.com:me/app.git", "git@example.com:app", "https://dev.example.com/a/My%20Project/_git/x",
	}
	insecure := []string{"http://example.com/app.git", "git://example.com/app.git", "file:///srv/app.git"}
	bad := []string{
		"example.com/app.git", "https://", "https://example.com", "https:///app", "https://:443/app", "ftp://example.com/app", "ext::sh -c id", "ext::sh",
		"https://me:secret@example.com/app.git", "https://ghp_x1@github.com/me/app.git", "https://glpat-x@gitlab.com/me/app.git",
		"https://" + strings.Repeat("a1", 16) + "@example.com/app.git", "ssh://-oProxyCommand=id/app", "ssh://-oProxyCommand=id@example.com/app",
		"-oProxyCommand=id@example.com:app", "git@-oProxyCommand=id:app", "git@example.com:-x", "git@example.com:a b", "git@example.com:a\x1b[2J",
		"git@example.com:$(id)", "git@example.com:a;id", "git@example.com:'a", "https://example.com/a\u2028b", "https://$(id)/a", "https://a;b/c",
		"https://example.com/app.git\n", "--upload-pack=id", "javascript://x/y", "data:x", "https://example.com/{{x}}",
		"git@example.com:" + strings.Repeat("a", 1000),
	}
	accepts(t, repository, secure, append(bad, insecure...))
	accepts(t, anyRepository, append(secure, insecure...), bad)
	for _, bad := range []string{"https://me:secret@example.com/app.git"} {
		if err := repository(bad); strings.Contains(err.Error(), "secret") {
			t.Errorf("the error tells the password: %v", err)
		}
	}
}

func TestCheckVariable(t *testing.T) {
	accepts(t, variable, []string{"A", "_", "APP_KEY", "a1", "_X", strings.Repeat("A", 128)},
		[]string{"1A", "A-B", "A B", "A=B", "A\n", "PORT", "HOST", "SERVERPLANE_RELEASE", "SERVERPLANE_SERVER", strings.Repeat("A", 129)})
	for _, reserved := range []string{"port", "PORTS", "SERVERPLANE"} {
		if err := variable(reserved); err != nil {
			t.Errorf("%s is the person's own: %v", reserved, err)
		}
	}
}

func TestCheckVariableValue(t *testing.T) {
	good := append([]string{"", strings.Repeat("x", plane.MaxVariable), "a\r\nb\x1b\x01", "\ufffd"}, hostile...)
	for _, text := range good {
		if strings.Contains(text, "\x00") || !utf8.ValidString(text) {
			continue
		}
		if err := value(text); err != nil {
			t.Errorf("%.60q is refused: %v", text, err)
		}
	}
	for _, text := range []string{"a\x00b", "a\xffb", "\ufdd0", "\ufdef", "\uffff", "\U0001fffe", "\U0010ffff", strings.Repeat("x", plane.MaxVariable+1)} {
		err := value(text)
		if err == nil {
			t.Errorf("%.60q is accepted", text)
			continue
		}
		if len(text) > 3 && strings.Contains(err.Error(), text) {
			t.Errorf("the error repeats the value %.60q", text)
		}
	}
}

func TestCheckCommand(t *testing.T) {
	for _, text := range []string{"npm start", "a && b; c | d > e", "echo '{{ x }}' \"$PORT\"", "a\nb", "-x", "ä", strings.Repeat("a", 8<<10)} {
		if err := command(text); err != nil {
			t.Errorf("%.40q is refused: %v", text, err)
		}
	}
	for _, text := range []string{"", " ", "\n\t", "a\x00", "a\xff", strings.Repeat("a", 8<<10+1)} {
		if command(text) == nil {
			t.Errorf("%.40q is accepted", text)
		}
	}
}

func TestCheckAddress(t *testing.T) {
	accepts(t, address, []string{"203.0.113.10", "10.0.0.1", "2001:db8::10", "::ffff:10.0.0.1"},
		[]string{"example.com", "127.0.0.1", "::1", "0.0.0.0", "::", "224.0.0.1", "ff02::1", "fe80::1%eth0", "10.0.0.1:22", "10.0.0", "010.0.0.1", "::ffff:127.0.0.1"})
	got, err := plane.CheckAddress("address", "::ffff:10.0.0.1")
	if err != nil || got.String() != "10.0.0.1" {
		t.Errorf("an IPv4 address in IPv6 clothes is %v, %v", got, err)
	}
}

func TestCheckLogin(t *testing.T) {
	accepts(t, func(s string) error { return plane.CheckLogin("user", s) }, []string{"root", "debian", "_x", "a-b", strings.Repeat("a", 32)},
		[]string{"Root", "0a", "a.b", "a@b", "a:b", strings.Repeat("a", 33)})
}

func TestCheckEmail(t *testing.T) {
	accepts(t, func(s string) error { return plane.CheckEmail("email", s) }, []string{"you@example.com", "a+b@example.com"},
		[]string{"you", "@example.com", "you@", "You <you@example.com>", "a@b, c@d", "a@b\n", "a@b c", strings.Repeat("a", 251) + "@b.c"})
}

func TestCheckPassword(t *testing.T) {
	for text, ok := range map[string]bool{strings.Repeat("x", 11): false, strings.Repeat("x", 12): true, strings.Repeat("x", 1024): true, strings.Repeat("x", 1025): false} {
		if got := plane.CheckPassword("password", text) == nil; got != ok {
			t.Errorf("a password of %d: %v", len(text), got)
		}
	}
}

func kindOf(s string) error {
	_, err := plane.Kinds{}.Of(plane.Kind(s))
	return err
}

func TestCheckWords(t *testing.T) {
	words := map[string][]string{
		"role": {"owner", "admin", "viewer"}, "method": {"round-robin", "least-connections", "ip-hash"},
		"kind": {"nodejs"}, "firewall": {"manage", "keep-open", "leave"},
	}
	check := map[string]func(string) error{
		"role":     func(s string) error { return plane.CheckRole("role", plane.Role(s)) },
		"method":   func(s string) error { return plane.CheckMethod("method", plane.Method(s)) },
		"kind":     kindOf,
		"firewall": func(s string) error { return plane.CheckFirewall("firewall", plane.Firewall(s)) },
	}
	for field, good := range words {
		onPurpose := []string{}
		if field == "firewall" {
			onPurpose = append(onPurpose, "") // the default is chosen later
		}
		accepts(t, check[field], good, []string{"Owner", "round robin", "NODEJS", "manage "}, onPurpose...)
	}
}

func seed(f *testing.F, more ...string) {
	for _, text := range append(more, hostile...) {
		f.Add(text)
	}
}

func FuzzCheckName(f *testing.F) {
	seed(f, "web-api", "a--b")
	f.Fuzz(func(t *testing.T, s string) {
		if name(s) != nil {
			return
		}
		if !only(lower+digits+"-", s) || len(s) > 24 || s[0] < 'a' || s[0] > 'z' || strings.HasSuffix(s, "-") {
			t.Errorf("accepted %q", s)
		}
	})
}

func FuzzCheckDomain(f *testing.F) {
	seed(f, "www.example.com", "a.b")
	f.Fuzz(func(t *testing.T, s string) {
		if domain(s) != nil {
			return
		}
		if !only(lower+digits+"-.", s) || len(s) > 253 || strings.HasPrefix(s, "-") || strings.Contains(s, "..") || strings.Trim(s, ".") != s {
			t.Errorf("accepted %q", s)
		}
	})
}

func FuzzCheckHealthPath(f *testing.F) {
	seed(f, "/", "/up?x=%20", "/%zz")
	f.Fuzz(func(t *testing.T, s string) {
		if healthPath(s) != nil {
			return
		}
		if !strings.HasPrefix(s, "/") || len(s) > 1000 || strings.ContainsAny(s, " \"'`\\{}<>|^#") || !printable(s) {
			t.Errorf("accepted %q", s)
		}
	})
}

func FuzzCheckRepository(f *testing.F) {
	seed(f, "https://example.com/a.git", "git@example.com:a.git", "file:///a", "ssh://-o@x/y")
	f.Fuzz(func(t *testing.T, s string) {
		if anyRepository(s) != nil {
			if repository(s) == nil {
				t.Errorf("%q is accepted only where less is allowed", s)
			}
			return
		}
		if !only(lower+upper+digits+"_./~:@%+=,?&[]-", s) || strings.HasPrefix(s, "-") || strings.Contains(s, "://-") || len(s) > 1000 {
			t.Errorf("accepted %q", s)
		}
	})
}

func FuzzCheckRoot(f *testing.F) {
	seed(f, "packages/web")
	f.Fuzz(func(t *testing.T, s string) {
		if root(s) != nil || s == "" {
			return
		}
		if !only(lower+upper+digits+"._-/", s) || strings.HasPrefix(s, "/") || strings.Contains("/"+s+"/", "/../") {
			t.Errorf("accepted %q", s)
		}
	})
}

func printable(s string) bool {
	return strings.IndexFunc(s, func(r rune) bool { return r <= ' ' || r >= 0x7f }) < 0
}

// The comments of our own firewall rules are "serverplane ssh" and the like:
// an app of that name would take them along when it is removed.
func TestAppNamesLeaveOurFirewallRulesAlone(t *testing.T) {
	accepts(t, func(s string) error { return plane.CheckAppName("name", s) },
		[]string{"web", "ssh-2", "https", "my-http"}, []string{"ssh", "http", "keep-open", "db", "web-"})
}
