package plane

import (
	"net/netip"
	"net/url"
	"path"
	"regexp"
	"strings"
	"unicode/utf8"
)

var (
	namePattern     = regexp.MustCompile(`^[a-z][a-z0-9-]{0,23}$`)
	labelPattern    = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)
	branchPattern   = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._/-]{0,199}$`)
	variablePattern = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]{0,127}$`)
	scpPattern      = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.-]*@[A-Za-z0-9][A-Za-z0-9.-]*:[^-\s][^\s]*$`)
	loginPattern    = regexp.MustCompile(`^[a-z_][a-z0-9_-]{0,31}$`)
	pathPattern     = regexp.MustCompile(`^/[A-Za-z0-9._~!$&()*+,;=:@%/?-]{0,999}$`)
	zonePattern     = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_+-]*(/[A-Za-z0-9_+-]+){0,2}$`)
	rootPattern     = regexp.MustCompile(`^[A-Za-z0-9._-]+(/[A-Za-z0-9._-]+)*$`)
	tokenPattern    = regexp.MustCompile(`^(gh[a-z]_|github_pat_|glpat-|glcbt-|gldt-)|^.{32,}$`) // a user's name to some Git hosts, and a secret
	gitPattern      = regexp.MustCompile(`^[A-Za-z0-9_./~:@%+=,?&\[\]-]{1,1000}$`)
)

// CheckName holds for names of servers, apps and databases: they become user,
// unit, file and role names.
func CheckName(field, name string) error {
	if !namePattern.MatchString(name) || strings.HasSuffix(name, "-") {
		return Invalid(field, "must be 1 to 24 characters a-z, 0-9 or '-', start with a letter and not end in '-'", "for example web or shop-2")
	}
	return nil
}

// CheckAppName holds for names of apps: those of CheckName but the words that
// ServerPlane's own firewall rules bear. An app's rules are found by the comment
// "serverplane <app>": removing an app named ssh or http would close the server.
func CheckAppName(field, name string) error {
	switch name {
	case "ssh", "http", "keep-open", "db":
		return Invalid(field, "is a word ServerPlane's own firewall rules use", "choose another name, for example my-"+name)
	}
	return CheckName(field, name)
}

// CheckAddress accepts one literal IP address that another machine can reach.
func CheckAddress(field, text string) (netip.Addr, error) {
	addr, err := netip.ParseAddr(text)
	if err != nil {
		return netip.Addr{}, Invalid(field, "must be an IP address, not a name", "for example 203.0.113.10 or 2001:db8::10")
	}
	if addr.Zone() != "" || addr.IsUnspecified() || addr.IsMulticast() || addr.IsLoopback() {
		return netip.Addr{}, Invalid(field, "must be an address other servers can reach", "give the server's own address")
	}
	return addr.Unmap(), nil
}

// CheckDomain accepts one host name an app answers to (RFC 1123 labels).
func CheckDomain(field, name string) error {
	labels := strings.Split(name, ".")
	ok := len(name) <= 253 && len(labels) >= 2
	for _, l := range labels {
		ok = ok && labelPattern.MatchString(l)
	}
	if !ok {
		return Invalid(field, "must be a host name of lower-case letters, digits, '-' and dots", "for example www.example.com")
	}
	return nil
}

// CheckVariable holds for an environment variable: names a shell can use,
// values that systemd passes on byte for byte (facts: over 128 KiB of name and
// value a unit does not start).
func CheckVariable(name, value string) error {
	switch {
	case !variablePattern.MatchString(name):
		return Invalid(name, "a variable's name must be letters, digits and '_', not starting with a digit, at most 128 characters", "for example APP_KEY")
	case reservedVariable(name):
		return Invalid(name, "is set by ServerPlane itself", "choose another name; the process already sees it")
	case !utf8.ValidString(value) || strings.ContainsRune(value, 0):
		return Invalid(name, "the value must be UTF-8 text without NUL", "encode binary values, for example with base64")
	case strings.ContainsFunc(value, noncharacter):
		return Invalid(name, "the value holds a code point that Unicode reserves as a noncharacter; systemd would drop the whole file", "encode the value, for example with base64")
	case len(value) > MaxVariable:
		return Invalid(name, "the value must be at most 100 KiB", "keep large things in a file or an object store")
	}
	return nil
}

// noncharacter tells the code points Unicode never assigns (U+FDD0 to U+FDEF
// and the last two of every plane).
func noncharacter(r rune) bool {
	return (r >= 0xFDD0 && r <= 0xFDEF) || r&0xFFFE == 0xFFFE
}

// MaxVariable is the length limit of one variable's value, in bytes.
const MaxVariable = 100 << 10

func reservedVariable(name string) bool {
	switch name {
	case "PORT", "HOST", "SERVERPLANE_RELEASE", "SERVERPLANE_SERVER":
		return true
	}
	return false
}

// CheckRepository accepts the addresses git can fetch from without a shell:
// https, ssh and scp-like ones; with insecure also http, git and file (labs, tests).
func CheckRepository(field, address string, insecure bool) error {
	hint := "for example https://example.com/me/app.git or git@example.com:me/app.git"
	if strings.HasPrefix(address, "-") || !gitPattern.MatchString(address) {
		return Invalid(field, "must be a Git address of at most 1000 characters, without blanks and quotes", hint)
	}
	if scpPattern.MatchString(address) {
		return nil
	}
	u, err := url.Parse(address)
	if err != nil || (u.Hostname() == "" && u.Scheme != "file") || strings.HasPrefix(u.Host, "-") || u.Path == "" {
		return Invalid(field, "must be a Git address", hint)
	}
	if u.User != nil {
		if strings.HasPrefix(u.User.Username(), "-") {
			return Invalid(field, "must not hold a user that ssh would take for an option", hint)
		}
		if _, has := u.User.Password(); has || tokenPattern.MatchString(u.User.Username()) {
			return Invalid(field, "must not hold a password or token", "everybody who sees the app sees its address: add the app's deploy key to the repository instead")
		}
	}
	switch u.Scheme {
	case "https", "ssh":
		return nil
	case "http", "git", "file":
		if insecure {
			return nil
		}
		return Invalid(field, u.Scheme+" does not protect the code on its way", "use https or ssh; for labs start the panel with --allow-insecure-repositories")
	}
	return Invalid(field, "must be a Git address", hint)
}

// CheckBranch accepts the branch names git itself accepts and that no program
// takes for an option.
func CheckBranch(field, name string) error {
	bad := strings.Contains(name, "..") || strings.Contains(name, "//") || strings.HasSuffix(name, "/") || strings.Contains(name, "/.") ||
		strings.Contains(name+"/", ".lock/") || strings.HasSuffix(name, ".")
	if bad || !branchPattern.MatchString(name) {
		return Invalid(field, "must be a branch, tag or commit name", "for example main or v1.2.0")
	}
	return nil
}

// CheckHealthPath accepts an absolute path with an optional query, such that it
// can be asked for: a stray "%" would make every probe fail on our own side.
func CheckHealthPath(field, p string) error {
	_, err := url.ParseRequestURI(p)
	if err != nil || !pathPattern.MatchString(p) {
		return Invalid(field, "must start with /, hold no blanks or control characters, and %XX for any other character", "for example /up")
	}
	return nil
}

// CheckRoot accepts a folder inside the repository; empty is its top. It
// becomes a line of a unit file, hence the narrow alphabet.
func CheckRoot(field, dir string) error {
	if dir == "" {
		return nil
	}
	if path.Clean(dir) != dir || dir == "." || dir == ".." || strings.HasPrefix(dir, "../") || len(dir) > 200 || !rootPattern.MatchString(dir) {
		return Invalid(field, "must be a folder inside the repository, of letters, digits, '.', '_' and '-'", "for example packages/web")
	}
	return nil
}

// CheckCommand accepts the user's own shell line: anything but blanks alone and
// NUL, bounded.
func CheckCommand(field, line string) error {
	if strings.TrimSpace(line) == "" || len(line) > 8<<10 || strings.ContainsRune(line, 0) || !utf8.ValidString(line) {
		return Invalid(field, "must be a shell line of at most 8 KiB without NUL", "for example npm run build")
	}
	return nil
}

// CheckLogin accepts a Linux user name to sign in as.
func CheckLogin(field, name string) error {
	if !loginPattern.MatchString(name) {
		return Invalid(field, "must be a Linux user name", "for example root or debian")
	}
	return nil
}
