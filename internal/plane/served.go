package plane

import (
	"math"
	"time"
)

// Served is what a backend did for visitors in some time, or what the entry
// answered by itself. No request is counted in more than one of them.
type Served struct {
	Requests int       // whose answer the visitor got, or that it failed as the last one asked
	Errors   int       // of these: the visitor got a 5xx
	PassedOn int       // that it refused or failed and another backend was asked for, or nobody was left
	Latency  Latencies // of its answers, until their first byte
}

// Merge adds what was done in another while.
func (s Served) Merge(o Served) Served {
	return Served{
		Requests: s.Requests + o.Requests, Errors: s.Errors + o.Errors, PassedOn: s.PassedOn + o.PassedOn, Latency: s.Latency.merge(o.Latency),
	}
}

// ErrorShare is how many of its requests ended in a 5xx, 0 to 1.
func (s Served) ErrorShare() float64 {
	if s.Requests == 0 {
		return 0
	}
	return float64(s.Errors) / float64(s.Requests)
}

// How answers are kept: 60 pieces for the last hour, 96 for the last day.
const (
	ServedMinute      = time.Minute
	ServedQuarter     = 15 * time.Minute
	KeptServedMinutes = 2 * time.Hour
	KeptServed        = 24*time.Hour + ServedQuarter
)

// ServedPiece is what one backend, or the entry itself, did in one piece of time.
type ServedPiece struct {
	BackendID string // empty: the entry itself
	Begin     time.Time
	Served
}

// Latencies counts answers by how long they took, in steps that each are a fifth
// longer than the one before: the first is below 1 ms, the last from 65 s on.
// Steps after the last that counted any are left out.
type Latencies []int

// The steps: four to each doubling of a millisecond.
const (
	latencySteps      = 66
	stepsEachDoubling = 4
)

// Add counts one answer.
func (l Latencies) Add(took time.Duration) Latencies {
	step := stepOf(took)
	for len(l) <= step {
		l = append(l, 0)
	}
	l[step]++
	return l
}

func stepOf(took time.Duration) int {
	if took < time.Millisecond {
		return 0
	}
	ms := float64(took) / float64(time.Millisecond)
	return min(latencySteps-1, 1+int(stepsEachDoubling*math.Log2(ms)))
}

// stands is the time that stands for all of a step: its middle, in whole
// milliseconds as Nginx measures them.
func stands(step int) time.Duration {
	switch step {
	case 0:
		return time.Millisecond / 2
	case latencySteps - 1:
		return time.Minute + 5*time.Second
	}
	ms := math.Exp2((float64(step) - 0.5) / stepsEachDoubling)
	return time.Duration(math.Round(ms)) * time.Millisecond
}

func (l Latencies) merge(o Latencies) Latencies {
	if len(l) < len(o) {
		l, o = o, l
	}
	sum := append(Latencies(nil), l...)
	for i, n := range o {
		sum[i] += n
	}
	return sum
}

// Count is how many answers were counted.
func (l Latencies) Count() (n int) {
	for _, in := range l {
		n += in
	}
	return n
}

// Within is the time that a share of the answers took at most, 0.95 for the p95:
// right to a tenth, or half a millisecond. False where none was counted.
func (l Latencies) Within(share float64) (time.Duration, bool) {
	rank := int(math.Ceil(share * float64(l.Count())))
	seen := 0
	for step, n := range l {
		if seen += n; n > 0 && seen >= rank {
			return stands(step), true
		}
	}
	return 0, false
}

// EntryLog is how far the log of an app's entry was read.
type EntryLog struct {
	AppID  string
	Since  time.Time // what is known begins here
	ReadAt time.Time // it was read to its end; zero: never yet
	Reason string    // why it could not be read since, or empty
	GapAt  time.Time // when some of it was last left out; zero: never
	Gap    string    // what was left out, in words
	Places []LogPlace
}

// LogPlace is how far one file of a log was read. Head tells it from another
// one that has got the same number, or was written anew.
type LogPlace struct {
	Inode  uint64 `json:"inode"`
	Offset int64  `json:"offset"`
	Head   string `json:"head"`
}
