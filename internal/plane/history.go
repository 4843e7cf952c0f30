package plane

import "time"

// HealthChange is one line of a backend's history: it became another state, or
// automatic take-out took it out of the upstream or put it back.
type HealthChange struct {
	At      time.Time
	Was     BackendState
	Became  BackendState
	Vantage string
	Answer  string // raw
	Reason  string // in words
}

// The bounds of both histories.
const (
	KeptChanges = 200            // of each backend, the newest
	KeptMinutes = 24 * time.Hour // how far minutes reach back
)

// HealthMinute is what a backend's probes of one minute came to.
type HealthMinute struct {
	Minute   time.Time     // its begin
	Probes   int           // made, Failures and Blind among them
	Failures int           // the backend's
	Blind    int           // those the panel's own side could not make
	Latency  time.Duration // mean of those that passed
	Slowest  time.Duration // of those that passed
}

// Minute is the begin of the minute a probe belongs to.
func Minute(at time.Time) time.Time { return at.UTC().Truncate(time.Minute) }

// Passed is how many probes the latency is the mean of.
func (m HealthMinute) Passed() int { return m.Probes - m.Failures - m.Blind }

// Add counts one probe in.
func (m HealthMinute) Add(p Probe) HealthMinute {
	one := HealthMinute{Minute: m.Minute, Probes: 1}
	switch p.Verdict {
	case Fail:
		one.Failures = 1
	case Blind:
		one.Blind = 1
	default:
		one.Latency, one.Slowest = p.Latency, p.Latency
	}
	return m.Merge(one)
}

// Merge counts in what others saw of the same minute.
func (m HealthMinute) Merge(o HealthMinute) HealthMinute {
	if passed := m.Passed() + o.Passed(); passed > 0 {
		m.Latency = (m.Latency*time.Duration(m.Passed()) + o.Latency*time.Duration(o.Passed())) / time.Duration(passed)
	}
	m.Probes, m.Failures, m.Blind = m.Probes+o.Probes, m.Failures+o.Failures, m.Blind+o.Blind
	m.Slowest = max(m.Slowest, o.Slowest)
	return m
}
