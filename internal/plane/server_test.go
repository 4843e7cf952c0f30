package plane_test

import (
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/serverplane/serverplane/internal/plane"
)

func socket(proto, address string, port int, process string) plane.Socket {
	return plane.Socket{Proto: proto, Address: address, Port: port, Process: process}
}

func TestChooseFirewall(t *testing.T) {
	sshd := socket("tcp", "0.0.0.0", 22, "sshd")
	for name, c := range map[string]struct {
		firewall string
		sockets  []plane.Socket
		want     plane.Firewall
	}{
		"nothing but sshd":             {"none", []plane.Socket{sshd, socket("tcp", "::", 2222, "sshd")}, plane.FirewallManage},
		"sshd and loopback":            {"none", []plane.Socket{sshd, socket("tcp", "127.0.0.1", 25, "exim4"), socket("udp", "127.0.0.53", 53, "systemd-resolve"), socket("tcp", "::1", 5432, "postgres"), socket("tcp", "::ffff:127.0.0.1", 80, "java")}, plane.FirewallManage},
		"a web server":                 {"none", []plane.Socket{sshd, socket("tcp", "0.0.0.0", 80, "nginx")}, plane.FirewallKeepOpen},
		"a socket of nobody's":         {"ufw", []plane.Socket{sshd, socket("udp", "0.0.0.0", 51820, "")}, plane.FirewallKeepOpen},
		"an address we cannot read":    {"none", []plane.Socket{sshd, socket("tcp", "?", 80, "x")}, plane.FirewallKeepOpen},
		"private address":              {"none", []plane.Socket{sshd, socket("tcp", "10.0.0.1", 3306, "mariadbd")}, plane.FirewallKeepOpen},
		"firewalld rules":              {"firewalld", []plane.Socket{sshd}, plane.FirewallLeave},
		"foreign nftables rules":       {"nftables", nil, plane.FirewallLeave},
		"ufw, on or off, nothing else": {"ufw-inactive", []plane.Socket{sshd}, plane.FirewallManage},
	} {
		if got := (plane.Survey{Firewall: c.firewall, Listening: c.sockets}).ChooseFirewall(); got != c.want {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
}

func TestPort80Taken(t *testing.T) {
	for want, sockets := range map[string][]plane.Socket{
		"":                {socket("tcp", "0.0.0.0", 80, "nginx"), socket("udp", "0.0.0.0", 80, "x"), socket("tcp", "0.0.0.0", 8080, "java")},
		"apache2":         {socket("tcp", "::", 80, "apache2")},
		"python3":         {socket("tcp", "127.0.0.1", 80, "python3")}, // a wildcard listener cannot bind beside it
		"another program": {socket("tcp", "0.0.0.0", 80, "")},
	} {
		if got := (plane.Survey{Listening: sockets}).Port80Taken(); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func TestRefuse(t *testing.T) {
	good := plane.Survey{OSFamily: "debian", OS: "Debian GNU/Linux 12 (bookworm)", Firewall: "none", Panel: "pnl_me"}
	refuse := func(spoil func(*plane.Survey)) error {
		s := good
		spoil(&s)
		return s.Refuse("pnl_me", false, s.ChooseFirewall())
	}
	for name, spoil := range map[string]func(*plane.Survey){
		"as it is":             func(*plane.Survey) {},
		"of no panel":          func(s *plane.Survey) { s.Panel = "" },
		"clock just right":     func(s *plane.Survey) { s.ClockOffset = plane.Duration(-5 * time.Second) },
		"firewalld left alone": func(s *plane.Survey) { s.Firewall = "firewalld" },
	} {
		if err := refuse(spoil); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	for told, spoil := range map[string]func(*plane.Survey){
		"AlmaLinux 9": func(s *plane.Survey) { s.OSFamily, s.OS = "almalinux", "AlmaLinux 9" },
		"pnl_other":   func(s *plane.Survey) { s.Panel = "pnl_other" },
		"off by 6s":   func(s *plane.Survey) { s.ClockOffset = plane.Duration(-6 * time.Second) },
		"off by 1h":   func(s *plane.Survey) { s.ClockOffset = plane.Duration(time.Hour) },
	} {
		if err := refuse(spoil); err == nil || !strings.Contains(err.Error(), told) {
			t.Errorf("want a refusal that tells %q, got %v", told, err)
		}
	}
	other := good
	other.Panel = "pnl_other"
	if err := other.Refuse("pnl_me", true, plane.FirewallManage); err != nil {
		t.Errorf("adopting: %v", err)
	}
	for _, rules := range []string{"firewalld", "nftables"} {
		ruled := good
		ruled.Firewall = rules
		for _, wish := range []plane.Firewall{plane.FirewallManage, plane.FirewallKeepOpen} {
			if err := ruled.Refuse("pnl_me", false, wish); plane.CodeOf(err) != plane.CodeConflict {
				t.Errorf("%s with %s: %v", wish, rules, err)
			}
		}
	}
}

func TestChoosePrivateAddress(t *testing.T) {
	s := plane.Survey{Addresses: []string{"10.0.0.5", "192.168.1.2", "2001:db8::5", "nonsense"}, Default: "10.0.0.5"}
	for address, want := range map[string]string{
		"192.168.1.2":  "192.168.1.2",
		"2001:db8::5":  "2001:db8::5",
		"203.0.113.10": "10.0.0.5", // behind a translation
	} {
		if got := s.ChoosePrivateAddress(netip.MustParseAddr(address)); got.String() != want {
			t.Errorf("%s: %s, want %s", address, got, want)
		}
	}
	nothing, address := plane.Survey{}, netip.MustParseAddr("203.0.113.10")
	if got := nothing.ChoosePrivateAddress(address); got != address {
		t.Errorf("with nothing known: %s", got)
	}
}

// TestHeard: what a failed server says changes its reason and not its state.
func TestHeard(t *testing.T) {
	silent := errors.New("no route to host")
	for _, c := range []struct {
		was    plane.ServerState
		before string
		err    error
		want   plane.ServerState
		reason string
	}{
		{plane.ServerReady, "", nil, plane.ServerReady, ""},
		{plane.ServerReady, "", silent, plane.ServerUnreachable, "no route to host"},
		{plane.ServerUnreachable, "x", nil, plane.ServerReady, ""},
		{plane.ServerFailed, "apt", nil, plane.ServerFailed, "apt"},
		{plane.ServerFailed, "apt", silent, plane.ServerFailed, "apt; and the panel cannot sign in now: no route to host"},
		{plane.ServerFailed, "apt; and the panel cannot sign in now: timed out", silent, plane.ServerFailed, "apt; and the panel cannot sign in now: timed out"},
		{plane.ServerFailed, "apt; and the panel cannot sign in now: timed out", nil, plane.ServerFailed, "apt"},
	} {
		state, reason := plane.Server{State: c.was, Reason: c.before}.Heard(c.err)
		if state != c.want || reason != c.reason {
			t.Errorf("%s %q after %v: %s %q, want %s %q", c.was, c.before, c.err, state, reason, c.want, c.reason)
		}
	}
}

// As ssh-keygen -l shows the same key.
func TestFingerprint(t *testing.T) {
	line := "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ3JBFnPjyC2dnKpSUGRKcoKlFpxlyE5u60mFP9xvJ5A comment"
	if got, kind := (plane.Server{HostKey: line}).Fingerprint(); got != "SHA256:Uo0tfPg9ki+qClLUCK2R6zl2YZ8aL9KEQ94Sfk6T5Ao" || kind != "ssh-ed25519" {
		t.Errorf("%q, %q", got, kind)
	}
	for _, line := range []string{"", "ssh-ed25519", "ssh-ed25519 !!!"} {
		if got, kind := (plane.Server{HostKey: line}).Fingerprint(); got != "" || kind != "" {
			t.Errorf("%q: %q, %q", line, got, kind)
		}
	}
}
