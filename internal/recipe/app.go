package recipe

import (
	"github.com/serverplane/serverplane/internal/ansible"
	"github.com/serverplane/serverplane/internal/plane"
)

// Remove takes away exactly what the app's list on each server names. What the
// app wrote there and nothing could bring back is packed first, unless discard.
func Remove(run string, a plane.App, discard bool, seats []Seat) (ansible.Play, error) {
	p := ansible.Play{Run: run, Playbook: "app_remove.yml", Vars: map[string]any{"app": a.Name, "app_id": a.ID, "discard": discard}}
	for _, s := range seats {
		p.Hosts = append(p.Hosts, host(s.Server, nil))
	}
	return p, p.Validate()
}
