package plane

import (
	"fmt"
	"slices"
	"strconv"
)

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

// OptionFixedPort is the one port that a process listens on whatever PORT tells it.
const OptionFixedPort = "fixed-port"

// fixedPortOption is one that apps have whose process is their own. Ports that the panel gives out are none.
func fixedPortOption() Option {
	return Option{
		Name: OptionFixedPort, Default: "as $PORT tells", Rule: fmt.Sprintf("must be a port of 1024 to 65535, and none of ServerPlane's own (%d to %d)", FirstPort-1, LastPort),
		Accepts: func(s string) bool {
			n, err := strconv.Atoi(s)
			return err == nil && n >= 1024 && n <= 65535 && (n < FirstPort-1 || n > LastPort) && strconv.Itoa(n) == s
		},
	}
}

// FixedPort is the port that only one process on a server can have; 0: it listens where it is told.
func (s Spec) FixedPort() int { return number(s.Options, OptionFixedPort, 0) }

// checkFixedPort holds that nobody is to run beside what has the port.
func (s Spec) checkFixedPort() error {
	if s.FixedPort() == 0 || s.Restarts() {
		return nil
	}
	return Invalid("option", fmt.Sprintf("%s %d cannot be listened on by two slots side by side", OptionFixedPort, s.FixedPort()), "add --option "+OptionSwitch+"="+SwitchRestart+", or let it listen on $PORT")
}

// SharedPort is the one port that the processes of both slots listen on, where
// only one of them runs at a time; 0: each has its own.
func (s Spec) SharedPort(p Ports) int {
	switch {
	case !s.Restarts():
		return 0
	case s.FixedPort() != 0:
		return s.FixedPort()
	}
	return p.ProcessA
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

// AsksGap tells whether each deployment that restarts this app needs AckGap: there is a load balancer, and yet only one
// backend to answer. An app without one has no second, and its gap was acknowledged when that became its way.
func (a App) AsksGap(backends []Backend) bool {
	return a.Balancer.Status != BalancerOff && GapAhead(backends)
}

func answering(backends []Backend) int {
	n := 0
	for _, b := range backends {
		if b.Enabled && b.Placed && !b.Removing {
			n++
		}
	}
	return n
}
