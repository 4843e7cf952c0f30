package plane

import (
	"fmt"
	"net/netip"
	"slices"
	"time"
)

// Backend is one server's part in serving one app.
type Backend struct {
	ID        string
	AppID     string
	ServerID  string
	Primary   bool      // role primary: the app's own server
	Enabled   bool      // a person's wish: off keeps it out of the upstream
	WishedAt  time.Time // when a person last wished it on or off
	Placed    bool      // deployed and let into the upstream
	TakenOut  bool      // automatic take-out keeps it out of the upstream
	Removing  bool
	Weight    int // 1-100
	Backup    bool
	Ports     Ports
	SeenAs    netip.Addr // the entry's address as this server sees it; measured
	ReleaseID string     // what its live slot holds, or empty
	// DeploymentID is the deployment its live slot was started from, that is
	// release, commands and variables together; or empty.
	DeploymentID string
	Runtime      string // with which version of the kind's runtime the slot was started, for example "Node.js v22.1.0", or empty
	Health       Health
	CreatedAt    time.Time
}

// Ports are the four fixed ports of an app on a server: the processes' are on
// loopback, the slots' local sites on the private address.
type Ports struct {
	ProcessA, ProcessB int
	SiteA, SiteB       int
	// Shared is the one of the processes' ports that both local sites lead to: whichever slot runs, it is reached
	// through either. 0: each leads to its own slot's.
	Shared int
}

// Process returns the loopback port of the slot's process.
func (p Ports) Process(s Slot) int {
	if p.Shared != 0 {
		return p.Shared
	}
	return p.Own(s)
}

// Own returns the port that is the slot's where each has one.
func (p Ports) Own(s Slot) int {
	if s == SlotB {
		return p.ProcessB
	}
	return p.ProcessA
}

// Site returns the backend port of the slot.
func (p Ports) Site(s Slot) int {
	if s == SlotB {
		return p.SiteB
	}
	return p.SiteA
}

// The range ports are taken from; the first is ServerPlane's own, where a
// server's Nginx says which configuration it runs.
const (
	FirstPort = 20001
	LastPort  = 29999
)

// Role is how a backend is named in its app.
func (b Backend) Role() string {
	if b.Primary {
		return "primary"
	}
	return "backend"
}

// BackendState is what a person sees of a backend.
type BackendState string

// The states of a backend, product.md section 6.
const (
	BackendDeploying BackendState = "deploying"
	BackendHealthy   BackendState = "healthy"
	BackendUnhealthy BackendState = "unhealthy"
	BackendUnknown   BackendState = "unknown" // the panel cannot see
	BackendOff       BackendState = "off"
	BackendRemoving  BackendState = "removing"
)

// State combines a person's wish, the Run under way and the health check.
func (b Backend) State() BackendState {
	switch {
	case b.Removing:
		return BackendRemoving
	case !b.Enabled:
		return BackendOff
	case b.Health.State == "":
		return BackendDeploying
	}
	return b.Health.State
}

// Since is when the backend's state began.
func (b Backend) Since() time.Time {
	if !b.Enabled && !b.Removing {
		return b.WishedAt
	}
	return b.Health.Since
}

// Current tells whether the backend's live slot holds exactly what the app's
// has live: release, commands and variables.
func (b Backend) Current(a App) bool { return b.DeploymentID != "" && b.DeploymentID == a.LiveID }

// Serving means: enabled, not a backup, not on its way out, and in the upstream.
func (b Backend) Serving() bool { return b.Enabled && b.Placed && !b.Backup && !b.Removing }

// Health is what the last probes of a backend said.
type Health struct {
	State     BackendState // deploying, healthy, unhealthy or unknown
	Since     time.Time    // when State began
	CheckedAt time.Time    // last probe; zero: none yet
	Vantage   string       // where it was seen from, for example "s1, forwarded over SSH"
	Answer    string       // raw, for example "HTTP 404" or "connect: Connection refused"
	Reason    string       // in words
	Latency   Duration     // of the last probe
	Passes    int          // in a row
	Failures  int          // in a row
}

// Verdict is what one probe says.
type Verdict string

// The verdicts of a probe.
const (
	Pass  Verdict = "pass"
	Fail  Verdict = "fail"
	Blind Verdict = "unknown" // our own side could not look
)

// Probe is one look at a backend.
type Probe struct {
	At      time.Time
	Verdict Verdict
	Vantage string
	Answer  string
	Reason  string
	Latency time.Duration
}

// StatusUnreached is what a local site answers when it could not reach its
// process and nothing was sent to it.
const StatusUnreached = 598

// Judge turns an HTTP status into a verdict and the reason in words, by the
// founding document's rules.
func Judge(status int, path string) (Verdict, string) {
	switch {
	case slices.Contains([]int{200, 201, 204, 301, 302}, status):
		return Pass, fmt.Sprintf("answered %d", status)
	case status == StatusUnreached:
		return Fail, "the app's process does not listen"
	case status >= 500:
		return Fail, fmt.Sprintf("answered %d, a server error", status)
	}
	reason := fmt.Sprintf("answered %d; expected 200, 201, 204, 301 or 302", status)
	switch {
	case status == 404:
		reason += "; does the app have the path " + path + "? Set another with app set --health-path"
	case status == 400:
		reason += "; does the app accept the host name it is asked for?"
	case status == 401 || status == 403:
		reason += "; choose a health path that needs no sign-in"
	case status > 302 && status < 400:
		reason += "; choose a health path that does not redirect"
	}
	return Fail, reason
}

// After applies one probe and the thresholds. It leaves deploying only after a
// pass, and never turns what the panel could not see into unhealthy.
func (h Health) After(p Probe, c HealthCheck) Health {
	next := h
	next.CheckedAt, next.Vantage, next.Answer, next.Latency = p.At, p.Vantage, p.Answer, Duration(p.Latency)
	next.Reason = p.Reason
	switch p.Verdict {
	case Pass:
		next.Passes, next.Failures = h.Passes+1, 0
		if h.State == BackendDeploying || h.State == "" || next.Passes >= c.Rise {
			next.State = BackendHealthy
		}
	case Fail:
		next.Passes, next.Failures = 0, h.Failures+1
		if h.State != BackendDeploying && h.State != "" && next.Failures >= c.Fall {
			next.State = BackendUnhealthy
		}
	case Blind:
		next.Passes, next.Failures = 0, 0
		if h.State != BackendDeploying && h.State != "" {
			next.State = BackendUnknown
		}
	}
	if next.State != h.State {
		next.Since = p.At
	}
	return next
}
