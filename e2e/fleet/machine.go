package fleet

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

// machine is how this machine reaches the outside: servers are given the same way, since a server that cannot install a
// package proves nothing. All values are plain text, so that they can be hashed into the base image's key.
type machine struct {
	archive, security string   // Debian's mirrors as this machine's apt names them; empty: mmdebstrap's default
	aptOptions        string   // apt.conf lines about proxies, certificates and validity
	authorities       string   // extra certificate authorities, PEM
	npm               string   // npmrc lines
	environment       string   // /etc/environment lines: proxies and where certificates are
	resolvers         []string // upstream name servers
}

// readMachine looks at this machine's settings.
func readMachine(ctx context.Context) (machine, error) {
	var m machine
	var err error
	m.archive, m.security = debianMirrors()
	if m.aptOptions, err = aptOptions(ctx); err != nil {
		return m, err
	}
	if m.authorities, err = authorities("/usr/local/share/ca-certificates"); err != nil {
		return m, fmt.Errorf("reading this machine's certificate authorities: %w", err)
	}
	m.environment = environment(m.authorities != "")
	m.npm = npmSettings(ctx, m.authorities != "")
	m.resolvers, err = resolvers("/etc/resolv.conf", "/run/systemd/resolve/resolv.conf", "/run/NetworkManager/no-stub-resolv.conf")
	return m, err
}

// debianMirrors finds where this machine gets Debian and its security fixes from. Sources of anybody else are left out;
// on an Ubuntu machine nothing is found.
func debianMirrors() (archive, security string) {
	files, _ := filepath.Glob("/etc/apt/sources.list.d/*.sources")
	lists, _ := filepath.Glob("/etc/apt/sources.list.d/*.list")
	for _, file := range append(append(files, lists...), "/etc/apt/sources.list") {
		text, err := os.ReadFile(file)
		if err != nil {
			continue
		}
		for _, uri := range regexp.MustCompile(`(?:https?|file)://[^\s\]]+`).FindAllString(string(text), -1) {
			// A mirror of Debian ends in /debian, one of its security archive in /debian-security, whatever its host.
			switch uri = strings.TrimSuffix(uri, "/"); {
			case archive == "" && strings.HasSuffix(uri, "/debian"):
				archive = uri
			case security == "" && strings.HasSuffix(uri, "/debian-security"):
				security = uri
			}
		}
	}
	return archive, security
}

// sources returns the mirror arguments for mmdebstrap, which also become the server's sources.list.
func (m machine) sources(suite string) []string {
	if m.archive == "" {
		return nil
	}
	lines := []string{
		fmt.Sprintf("deb %s %s main", m.archive, suite),
		fmt.Sprintf("deb %s %s-updates main", m.archive, suite),
	}
	if m.security != "" {
		lines = append(lines, fmt.Sprintf("deb %s %s-security main", m.security, suite))
	}
	return lines
}

// aptOptions copies apt's settings about reaching the mirrors, not those that run programs of this machine.
func aptOptions(ctx context.Context) (string, error) {
	dump, err := tool(ctx, "", "apt-config", "dump")
	if err != nil {
		return "", fmt.Errorf("reading this machine's apt settings: %w", err)
	}
	wanted := regexp.MustCompile(`(?i)^Acquire::(https?::(Proxy|CaInfo|Verify-Peer|Verify-Host)|https?::Proxy::\S+|Check-Valid-Until|Check-Date|Retries) "`)
	var kept []string
	for _, line := range strings.Split(dump, "\n") {
		if wanted.MatchString(line) {
			kept = append(kept, line)
		}
	}
	return joinLines(kept), nil
}

func authorities(dir string) (string, error) {
	var all strings.Builder
	err := filepath.WalkDir(dir, func(path string, entry os.DirEntry, err error) error {
		if err != nil || entry.IsDir() || !strings.HasSuffix(path, ".crt") {
			return err
		}
		text, err := os.ReadFile(path)
		all.Write(text)
		if !strings.HasSuffix(string(text), "\n") {
			all.WriteByte('\n')
		}
		return err
	})
	if errors.Is(err, os.ErrNotExist) {
		return "", nil
	}
	return all.String(), err
}

// environment carries this machine's proxies over, and tells Node.js, which has its own list, of extra authorities.
func environment(extraAuthorities bool) string {
	var lines []string
	for _, name := range []string{"http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY"} {
		value := os.Getenv(name)
		// A proxy on this machine's loopback is not there for a server.
		if value != "" && !strings.Contains(value, "//127.") && !strings.Contains(value, "//localhost") {
			lines = append(lines, name+"="+value)
		}
	}
	if extraAuthorities {
		lines = append(lines, "NODE_EXTRA_CA_CERTS=/etc/ssl/certs/ca-certificates.crt")
	}
	return joinLines(lines)
}

// npmSettings copies how npm reaches its registry, without anybody's login.
func npmSettings(ctx context.Context, extraAuthorities bool) string {
	settings := map[string]any{}
	// Asked in the root folder, where no project has settings of its own. Without npm, or with an answer that is none, npm's own defaults stay.
	if text, err := tool(ctx, "", "sh", "-c", "cd / && npm config list --long --json"); err == nil {
		_ = json.Unmarshal([]byte(text), &settings)
	}
	var lines []string
	for _, name := range []string{"registry", "proxy", "https-proxy", "noproxy", "strict-ssl", "replace-registry-host", "omit-lockfile-registry-resolved"} {
		switch value := settings[name].(type) {
		case string:
			lines = append(lines, name+"="+value)
		case bool:
			lines = append(lines, fmt.Sprintf("%s=%t", name, value))
		case []any: // noproxy
			if text := strings.Trim(fmt.Sprint(value...), " "); text != "" {
				lines = append(lines, name+"="+strings.Join(strings.Fields(text), ","))
			}
		}
	}
	if extraAuthorities {
		lines = append(lines, "cafile=/etc/ssl/certs/ca-certificates.crt")
	}
	return joinLines(lines)
}

// resolvers returns the name servers of the first file that names one which a server can reach: a stub on this machine's
// loopback is not.
func resolvers(files ...string) ([]string, error) {
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			continue
		}
		var found []string
		for _, line := range strings.Split(string(text), "\n") {
			words := strings.Fields(line)
			if len(words) < 2 || words[0] != "nameserver" {
				continue
			}
			// Servers have IPv4 only.
			if addr, err := netip.ParseAddr(words[1]); err == nil && addr.Is4() && !addr.IsLoopback() {
				found = append(found, addr.String())
			}
		}
		if len(found) > 0 {
			return found, nil
		}
	}
	return nil, fmt.Errorf("no name server beyond this machine's loopback in %s: servers could not resolve names", strings.Join(files, ", "))
}

// copyInto writes the settings into a server's root.
func (m machine) copyInto(root string) error {
	var resolv []string
	for _, addr := range m.resolvers {
		resolv = append(resolv, "nameserver "+addr)
	}
	files := map[string]string{
		"etc/resolv.conf": joinLines(resolv),
		"usr/local/share/ca-certificates/machine.crt": m.authorities,
		"etc/environment":     m.environment,
		"etc/npmrc":           m.npm, // Debian's npm
		"usr/etc/npmrc":       m.npm, // npm as Node.js ships it, installed in /usr
		"usr/local/etc/npmrc": m.npm, // and in /usr/local
	}
	if m.authorities == "" {
		delete(files, "usr/local/share/ca-certificates/machine.crt")
	}
	for name, text := range files {
		if err := writeFile(filepath.Join(root, name), text, 0o644); err != nil {
			return fmt.Errorf("copying this machine's settings: %w", err)
		}
	}
	return splitAuthorities(root)
}

// splitAuthorities gives each certificate its own file: update-ca-certificates takes one per file.
func splitAuthorities(root string) error {
	bundle := filepath.Join(root, "usr/local/share/ca-certificates/machine.crt")
	text, err := os.ReadFile(bundle)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	const end = "-----END CERTIFICATE-----"
	for i, part := range strings.SplitAfter(string(text), end) {
		if !strings.Contains(part, end) {
			continue
		}
		name := filepath.Join(filepath.Dir(bundle), fmt.Sprintf("machine-%d.crt", i))
		if err := writeFile(name, strings.TrimSpace(part)+"\n", 0o644); err != nil {
			return err
		}
	}
	return os.Remove(bundle)
}

// writeFile replaces a file, making its folder; a link in its place is replaced, never followed.
func writeFile(path, text string, mode os.FileMode) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return os.WriteFile(path, []byte(text), mode)
}

func joinLines(lines []string) string {
	if len(lines) == 0 {
		return ""
	}
	return strings.Join(lines, "\n") + "\n"
}
