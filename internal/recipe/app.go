package recipe

import (
	"github.com/serverplane/serverplane/internal/ansible"
	"github.com/serverplane/serverplane/internal/plane"
)

// Remove takes away exactly what the app's list on each server names.
func Remove(run string, a plane.App, seats []Seat) (ansible.Play, error) {
	p := ansible.Play{Run: run, Playbook: "app_remove.yml", Vars: map[string]any{"app": a.Name, "app_id": a.ID}}
	for _, s := range seats {
		p.Hosts = append(p.Hosts, host(s.Server, nil))
	}
	return p, p.Validate()
}
