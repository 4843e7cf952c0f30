// Package playbooks holds what Ansible carries out on servers, as one embedded tree.
//
// A playbook is thin: it hands plain values to a program in steps/, which runs on the server in one go,
// because every Ansible task costs a second and a program can be read and tested. Each program may be
// repeated at any time. Inputs are named at the head of each playbook.
package playbooks

import "embed"

// FS is rooted at the playbooks; the guarded-change program is guard/guard.py in it, what moves traffic guard/switch.sh.
//
//go:embed *.yml tasks roles steps callback guard
var FS embed.FS
