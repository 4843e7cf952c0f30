package ansible

import (
	"bytes"
	"fmt"
	"path/filepath"
	"strconv"

	"golang.org/x/crypto/ssh/knownhosts"
)

// ansibleConfig holds what is the same for every play; what holds a path is given by environment,
// because this format expands %. no_target_syslog matters: without it every module writes its arguments,
// and so an app's variables, into the server's own journal.
const ansibleConfig = `[defaults]
gathering = explicit
forks = 25
timeout = 15
internal_poll_interval = 0.01
retry_files_enabled = False
interpreter_python = /usr/bin/python3
stdout_callback = minimal
callbacks_enabled = serverplane_events
bin_ansible_callbacks = False
deprecation_warnings = False
localhost_warning = False
nocows = True
nocolor = True
inject_facts_as_vars = False
no_target_syslog = True

[inventory]
enable_plugins = ansible.builtin.yaml
host_pattern_mismatch = error
unparsed_is_failed = True

[connection]
pipelining = True

[ssh_connection]
transfer_method = piped
`

// sshArguments go on ssh's command line: Ansible only knows that a connection is kept, and where, if it
// sees these words there. Each host has a socket of its own, by number: two names for one address must
// not share a connection (%C would let them), or one would ride on the other's pinned key.
func (w *workspace) sshArguments(number int) string {
	return "-F " + quote(w.path("ssh_config")) +
		" -o ControlMaster=auto -o ControlPersist=60s -o ControlPath=" + filepath.Join(w.sockets, "c-"+strconv.Itoa(number))
}

// sshFiles renders ssh's whole configuration: every host believed by its pinned key alone, our key
// from our agent alone, nothing of the machine's own files.
func sshFiles(dir, sockets string, hosts []Host) (config, known []byte, err error) {
	var c, k bytes.Buffer
	for _, h := range hosts {
		key, err := h.key()
		if err != nil {
			return nil, nil, fmt.Errorf("host %s: reading the pinned host key: %w", h.Name, err)
		}
		fmt.Fprintf(&c, "Host %s\n  HostName %s\n  Port %d\n  User %s\n  HostKeyAlias %s\n  HostKeyAlgorithms %s\n",
			h.Name, h.Address, h.Port, h.User, h.Name, keyAlgorithms(key))
		fmt.Fprintln(&k, knownhosts.Line([]string{h.Name}, key))
	}
	writeShared(&c, dir, sockets)
	return c.Bytes(), k.Bytes(), nil
}

func writeShared(c *bytes.Buffer, dir, sockets string) {
	fmt.Fprintf(c, "Host *\n")
	for _, line := range [][2]string{
		{"StrictHostKeyChecking", "yes"},
		{"UserKnownHostsFile", quote(filepath.Join(dir, "known_hosts"))},
		{"GlobalKnownHostsFile", "/dev/null"},
		{"UpdateHostKeys", "no"},
		{"CheckHostIP", "no"},
		{"IdentityAgent", quote(filepath.Join(sockets, "agent"))},
		{"IdentityFile", quote(filepath.Join(dir, "key.pub"))},
		{"IdentitiesOnly", "yes"},
		{"PreferredAuthentications", "publickey"},
		{"BatchMode", "yes"},
		{"ConnectTimeout", "15"},
		{"ServerAliveInterval", "5"},
		{"ServerAliveCountMax", "6"},
		{"ForwardAgent", "no"},
		{"ForwardX11", "no"},
		{"LogLevel", "ERROR"},
	} {
		fmt.Fprintf(c, "  %s %s\n", line[0], line[1])
	}
}

func quote(path string) string { return `"` + path + `"` }

// environment is the child's whole environment.
func (w *workspace) environment() []string {
	return []string{
		markerVariable + "=" + w.dir,
		"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
		"LANG=C.UTF-8", "LC_ALL=C.UTF-8",
		"HOME=" + w.path("home"),
		"TMPDIR=" + w.path("home/tmp"),
		"PYTHONDONTWRITEBYTECODE=1",
		"SSH_AUTH_SOCK=" + w.agentSocket(),
		"ANSIBLE_HOME=" + w.path("home"),
		"ANSIBLE_LOCAL_TEMP=" + w.path("home/tmp"),
		"ANSIBLE_CONFIG=" + w.path("ansible.cfg"),
		"ANSIBLE_INVENTORY=" + w.path("inventory.json"),
		"ANSIBLE_ROLES_PATH=" + w.path("playbooks/roles"),
		"ANSIBLE_CALLBACK_PLUGINS=" + w.path("playbooks/callback"),
	}
}
