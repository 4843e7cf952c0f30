package plane_test

import (
	"errors"
	"testing"

	"github.com/serverplane/serverplane/internal/plane"
)

// seat is a placed, enabled backend with that state of health.
func seat(id string, state plane.BackendState) plane.Backend {
	return plane.Backend{ID: id, Enabled: true, Placed: true, DeploymentID: "dep_live", Health: plane.Health{State: state}}
}

func TestMayLeave(t *testing.T) {
	well, ill := seat("s1", plane.BackendHealthy), seat("s2", plane.BackendUnhealthy)
	blind, off, backup := seat("s3", plane.BackendUnknown), seat("s4", plane.BackendHealthy), seat("s5", plane.BackendHealthy)
	off.Enabled, backup.Backup = false, true
	leaving := seat("s6", plane.BackendHealthy)
	leaving.Removing = true
	behind := seat("s8", plane.BackendHealthy)
	behind.DeploymentID = "dep_former"
	for _, c := range []struct {
		name    string
		leaves  plane.Backend
		all     []plane.Backend
		consent bool
		field   string
		ok      bool
	}{
		{"one of two healthy", well, []plane.Backend{well, seat("s7", plane.BackendHealthy)}, false, "", true},
		{"an unhealthy one beside a healthy one", ill, []plane.Backend{well, ill}, false, "", true},
		{"the last that serves", well, []plane.Backend{well, off, backup, leaving}, true, "", false},
		{"the last but one that is behind", well, []plane.Backend{well, behind}, true, "", false},
		{"one that is behind", behind, []plane.Backend{well, behind}, false, "", true},
		{"the last, though unhealthy", ill, []plane.Backend{ill}, true, "", false},
		{"the last healthy one", well, []plane.Backend{well, ill}, false, "yes", false},
		{"the last healthy one beside one nobody sees", well, []plane.Backend{well, blind}, false, "yes", false},
		{"the last healthy one, with consent", well, []plane.Backend{well, ill}, true, "", true},
		{"one that is off already", off, []plane.Backend{well, off}, false, "", true},
		{"a backup", backup, []plane.Backend{well, backup}, false, "", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := plane.MayLeave(plane.App{Name: "web", LiveID: "dep_live"}, c.leaves, c.all, c.leaves.ID, c.consent)
			if (err == nil) != c.ok || (err != nil && (plane.CodeOf(err) != plane.CodeConflict || fieldOf(err) != c.field)) {
				t.Errorf("got %v", err)
			}
		})
	}
}

func fieldOf(err error) string {
	e, _ := errors.AsType[*plane.Error](err)
	return e.Field
}

func TestCheckAcknowledged(t *testing.T) {
	for _, ids := range [][]string{nil, {"local_writes"}, plane.Warnings()} {
		if err := plane.CheckAcknowledged("acknowledge", ids); err != nil {
			t.Errorf("%v: %v", ids, err)
		}
	}
	for _, ids := range [][]string{{""}, {"all"}, {"disk", "disk"}, {"local_writes; rm"}} {
		if err := plane.CheckAcknowledged("acknowledge", ids); err == nil || fieldOf(err) != "acknowledge" {
			t.Errorf("%v: %v", ids, err)
		}
	}
}
