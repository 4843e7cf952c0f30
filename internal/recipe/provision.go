package recipe

import (
	"net/netip"

	"github.com/serverplane/serverplane/internal/ansible"
	"github.com/serverplane/serverplane/internal/files"
	"github.com/serverplane/serverplane/internal/plane"
)

// Provision makes a server ready to carry apps.
func Provision(run, panelID string, s plane.Server) (ansible.Play, error) {
	p := ansible.Play{
		Run: run, Playbook: "provision.yml",
		Vars: map[string]any{"panel": panelID, "adopt": s.Adopt},
		Hosts: []ansible.Host{host(s, map[string]any{
			"firewall": string(s.Firewall), "ssh_port": sshPort(s), "keep_open": keepOpen(s.Survey),
		})},
		Files: []ansible.File{
			{Name: "sudoers", Content: []byte(files.Sudoers)},
			{Name: "sshd", Content: []byte(files.SSHD)},
			{Name: "sysctl", Content: []byte(files.Sysctl)},
		},
	}
	return p, p.Validate()
}

// sshPort is the port the server itself sees, which a port forwarding in front
// of it may hide.
func sshPort(s plane.Server) int {
	if s.Survey.SSHPort != 0 {
		return s.Survey.SSHPort
	}
	return s.SSHPort
}

// keepOpen lists what was found listening for others, once per address and port.
func keepOpen(s plane.Survey) []map[string]any {
	open := []map[string]any{}
	for _, l := range s.Listening {
		addr, err := netip.ParseAddr(l.Address)
		if err != nil || !l.Outside() || l.Port == 0 {
			continue
		}
		open = append(open, map[string]any{"proto": l.Proto, "port": l.Port, "address": addr.String()})
	}
	return open
}
