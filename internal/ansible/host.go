package ansible

import (
	"fmt"
	"net/netip"
	"regexp"

	"golang.org/x/crypto/ssh"
)

// Host is one server of a play and the only identity it is believed under.
type Host struct {
	Name    string         // the server's name; inventory name
	Address string         // IP address or DNS name
	Port    int            // SSH port, 1-65535
	User    string         // account to sign in as
	HostKey string         // pinned key, "ssh-ed25519 AAAA…"
	Vars    map[string]any // of this host only; same rules as Play.Vars
}

var (
	hostNamePattern = regexp.MustCompile(`^[a-z0-9]([a-z0-9.-]{0,61}[a-z0-9])?$`)
	dnsNamePattern  = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?$`)
	userPattern     = regexp.MustCompile(`^[a-z_][a-z0-9_-]{0,31}$`)
)

func (h Host) validate() error {
	if !hostNamePattern.MatchString(h.Name) || reservedHostName(h.Name) {
		return fmt.Errorf("host name %q is not allowed", h.Name)
	}
	if err := h.validateAddress(); err != nil {
		return fmt.Errorf("host %s: %w", h.Name, err)
	}
	if !userPattern.MatchString(h.User) {
		return fmt.Errorf("host %s: user %q is not allowed", h.Name, h.User)
	}
	if _, err := h.key(); err != nil {
		return fmt.Errorf("host %s: reading the pinned host key: %w", h.Name, err)
	}
	if err := validateVars(h.Vars); err != nil {
		return fmt.Errorf("host %s: %w", h.Name, err)
	}
	return nil
}

// reservedHostName keeps out the names Ansible gives a meaning of its own: groups, and the machine
// the panel runs on (which it would reach without SSH).
func reservedHostName(name string) bool {
	switch name {
	case "all", "ungrouped", "localhost", "127.0.0.1":
		return true
	}
	return false
}

func (h Host) validateAddress() error {
	if h.Port < 1 || h.Port > 65535 {
		return fmt.Errorf("port %d is not between 1 and 65535", h.Port)
	}
	if ip, err := netip.ParseAddr(h.Address); err == nil && ip.Zone() == "" {
		return nil
	}
	if !dnsNamePattern.MatchString(h.Address) {
		return fmt.Errorf("address %q is neither an IP address nor a DNS name", h.Address)
	}
	return nil
}

func (h Host) key() (ssh.PublicKey, error) {
	key, _, _, rest, err := ssh.ParseAuthorizedKey([]byte(h.HostKey))
	if err != nil {
		return nil, err
	}
	if len(rest) > 0 {
		return nil, fmt.Errorf("more than one line")
	}
	return key, nil
}

// keyAlgorithms names what the server may sign with so that the pinned key is the one it shows:
// left to itself ssh may pick another key type and report a mismatch.
func keyAlgorithms(key ssh.PublicKey) string {
	if key.Type() == ssh.KeyAlgoRSA {
		return ssh.KeyAlgoRSASHA512 + "," + ssh.KeyAlgoRSASHA256
	}
	return key.Type()
}
