// Package recipe turns domain values into the Play or the Change a Run needs.
// It is pure: nothing is asked, opened or decided here beyond what the values
// say, so that a verb can try a recipe dry before anything is queued.
package recipe

import (
	"github.com/serverplane/serverplane/internal/ansible"
	"github.com/serverplane/serverplane/internal/files"
	"github.com/serverplane/serverplane/internal/plane"
	"github.com/serverplane/serverplane/internal/remote"
)

// Seat is one backend with the server it is on.
type Seat struct {
	Backend plane.Backend
	Server  plane.Server
}

// Target is how the panel reaches a server.
func Target(s plane.Server) remote.Target {
	return remote.Target{ID: s.ID, Address: s.Address.String(), Port: s.SSHPort, User: files.Login, HostKey: s.HostKey}
}

// InnerTarget is how another server reaches it: by its private address.
func InnerTarget(s plane.Server) remote.Target {
	t := Target(s)
	t.Address = s.PrivateAddress.String()
	if s.Survey.SSHPort != 0 {
		t.Port = s.Survey.SSHPort
	}
	return t
}

func host(s plane.Server, vars map[string]any) ansible.Host {
	return ansible.Host{
		Name: s.Name, Address: s.Address.String(), Port: s.SSHPort, User: files.Login, HostKey: s.HostKey, Vars: vars,
	}
}
