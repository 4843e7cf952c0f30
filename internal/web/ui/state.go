package ui

import (
	"fmt"

	"github.com/serverplane/serverplane/internal/plane"
)

// Badge is a state as the template "badge" draws it: always the word, and a
// shape of its own beside it, so that colour is never the only sign.
type Badge struct {
	Text string
	Look string // good, busy, warn, bad, off or unknown: shape and colour
}

// looks says how each state of product.md looks; one that is not listed looks unknown.
var looks = map[string]string{
	"ready": "good", "healthy": "good", "live": "good", "completed": "good", "succeeded": "good", "on": "good", "in force": "good", "waiting": "good",
	"queued": "busy", "running": "busy", "pending": "busy", "provisioning": "busy", "creating": "busy", "deploying": "busy", "preparing": "busy",
	"switching": "busy", "verifying": "busy", "applying": "busy", "removing": "busy", "cancelling": "busy",
	"reverted": "warn", "interrupted": "warn", "warning": "warn",
	"failed": "bad", "unhealthy": "bad", "unreachable": "bad", "stopped": "bad",
	"off": "off", "new": "off", "cancelled": "off",
	"unknown": "unknown",
}

// badge takes any of the domain's states, or text.
func badge(state any) Badge {
	text := fmt.Sprint(state)
	if state == plane.ProcessRunning { // what a Run does for a while, a process should do for ever
		return Badge{Text: text, Look: "good"}
	}
	if look := looks[text]; look != "" {
		return Badge{Text: text, Look: look}
	}
	return Badge{Text: text, Look: "unknown"}
}

// labels are the domain's short words in a person's.
var labels = map[string]string{
	string(plane.RunProvision): "Prepare server", string(plane.RunDeploy): "Deploy", string(plane.RunEnable): "Enable Load Balancer",
	string(plane.RunAdd): "Add backend", string(plane.RunRemoveApp): "Remove app", string(plane.RunDisable): "Disable Load Balancer",
	string(plane.RunCreateDatabase): "Create database", string(plane.RunSetDatabase): "Change database", string(plane.RunBackup): "Back up database",
	string(plane.RunRestore): "Restore database", string(plane.RunDropDatabase): "Remove database",
	string(plane.RunSteer): "Change traffic", string(plane.RunRepair): "Repair backend", string(plane.RunLeave): "Remove backend",
	string(plane.FirewallManage): "managed: only SSH and what apps need", string(plane.FirewallKeepOpen): "managed, and open what was open before",
	string(plane.RunProcesses):  "Start and stop processes",
	string(plane.FirewallLeave): "left alone: open yourself what apps need",
	string(plane.RoundRobin):    "Round robin", string(plane.LeastConnections): "Least connections", string(plane.IPHash): "IP hash",
}

// label is a person's word for one of the domain's, or the domain's own.
func label(word any) string {
	text := fmt.Sprint(word)
	if l := labels[text]; l != "" {
		return l
	}
	return text
}
