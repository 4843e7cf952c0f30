package plane

import "slices"

// OptionSwitch says how an app gets from one slot to the other.
const OptionSwitch = "switch"

// The ways from one slot to the other.
const (
	SwitchBeside  = "side-by-side" // the new slot is started beside the old one, then visitors are moved
	SwitchRestart = "restart"      // for what cannot run twice on a server: one backend after the other, old slot stopped first
)

// AckGap is the id of the warning that nobody answers while an app's only backend is restarted.
const AckGap = "gap"

// switchingOption is one that apps of every kind have.
func switchingOption() Option {
	ways := []string{SwitchBeside, SwitchRestart}
	return Option{Name: OptionSwitch, Default: SwitchBeside, Rule: "must be " + oneOf(ways), Accepts: func(s string) bool { return slices.Contains(ways, s) }}
}

// Restarts tells whether the app must never run twice on one server.
func (s Spec) Restarts() bool { return s.Options[OptionSwitch] == SwitchRestart }

// SharedPort is the one port that the processes of both slots listen on, where
// only one of them runs at a time; 0: each has its own.
func (s Spec) SharedPort(p Ports) int {
	if s.Restarts() {
		return p.ProcessA
	}
	return 0
}

// RestartCost says for a person what the way costs whose backends these are.
func RestartCost(backends []Backend) string {
	if answering(backends) > 1 {
		return "at each deployment one backend after the other is stopped for some seconds while the others serve; until the last one is done, visitors meet both releases"
	}
	return "only one backend serves, so at each deployment visitors get an error for the seconds in which the app stops and starts"
}

// GapAhead tells whether a deployment in this way leaves visitors without an answer for a while.
func GapAhead(backends []Backend) bool { return answering(backends) < 2 }

func answering(backends []Backend) int {
	n := 0
	for _, b := range backends {
		if b.Enabled && b.Placed && !b.Removing {
			n++
		}
	}
	return n
}
