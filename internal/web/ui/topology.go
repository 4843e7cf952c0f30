package ui

import (
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/serverplane/serverplane/internal/control"
	"github.com/serverplane/serverplane/internal/plane"
)

// backendLine is a backend with what visitors have of it.
type backendLine struct {
	control.BackendView
	In    bool   // visitors are sent to it
	Share int    // of 100 visitors, how many the settings aim at
	Why   string // why it gets none, or why it may seem odd that it does
	Stale bool   // it does not hold what is live
}

// Response is how long the last probe took, or empty where nothing of the app
// answered it: 598 is the local site's word for that.
func (l backendLine) Response() string {
	if h := l.Health; h.Latency != 0 && strings.HasPrefix(h.Answer, "HTTP ") && h.Answer != "HTTP 598" {
		return millis(h.Latency.Std())
	}
	return ""
}

// Pace is how fast it answers, or why that is not known.
func (l backendLine) Pace() string {
	switch took := l.Response(); {
	case l.Health.CheckedAt.IsZero():
		return "not asked yet"
	case took != "":
		return "answers in " + took
	case l.Health.State == plane.BackendUnknown:
		return "not seen"
	}
	return "no answer"
}

func millis(d time.Duration) string {
	if d < 10*time.Millisecond {
		return fmt.Sprintf("%.1f ms", float64(d.Microseconds())/1000)
	}
	return fmt.Sprintf("%d ms", d.Milliseconds())
}

// linesOf tells for each backend whether it gets visitors, and how many. It
// reads what control says of each; it decides nothing.
func linesOf(lb control.BalancerView, live string) []backendLine {
	lines, total, backups := make([]backendLine, len(lb.Backends)), 0, true
	for i, b := range lb.Backends {
		l := backendLine{BackendView: b, Stale: live != "" && b.Placed && b.DeploymentID != live}
		l.Why = whyNot(lb, l)
		l.In = l.Why == ""
		if lines[i] = l; l.In && !b.Backup {
			backups = false
		}
	}
	for i := range lines {
		if lines[i].In && lines[i].Backup && !backups {
			lines[i].In, lines[i].Why = false, "backup: only when no other serves"
		}
		if lines[i].In {
			total += lines[i].Weight
		}
	}
	for i, l := range lines {
		if l.In && total > 0 {
			lines[i].Share = int(math.Round(100 * float64(l.Weight) / float64(total)))
		}
	}
	return lines
}

// whyNot is empty for a backend in the upstream.
func whyNot(lb control.BalancerView, l backendLine) string {
	on := lb.Status == plane.BalancerOn || lb.Status == plane.BalancerApplying
	switch {
	case l.Removing:
		return "being removed"
	case !l.Enabled:
		return "switched off"
	case !l.Placed:
		return "not let in yet"
	case !on && !l.Primary:
		return "load balancing is off"
	case l.Stale:
		return "does not hold what is live"
	case l.TakenOut:
		return "taken out until it is healthy"
	}
	return ""
}

// wire is one line of the drawing. It is drawn in a box 100 wide and 100 high
// for each backend, which the browser stretches.
type wire struct {
	Path string
	Look string // in, bad or out
	Wide int    // 1 to 8, by share
}

func wiresOf(lines []backendLine) []wire {
	wires := make([]wire, len(lines))
	for i, l := range lines {
		at := 100*i + 50
		w := wire{Path: fmt.Sprintf("M0 %d C55 %d 45 %d 100 %d", 50*len(lines), 50*len(lines), at, at), Look: "out", Wide: 1}
		if l.In {
			w.Look, w.Wide = "in", 1+l.Share*7/100
			if l.State() == plane.BackendUnhealthy { // what the panel cannot see is not the backend's failure
				w.Look = "bad"
			}
		}
		wires[i] = w
	}
	return wires
}

// shift is what a change does to one backend's share.
type shift struct {
	Server    string
	Was, Then int
}

// Changed tells whether it does anything.
func (s shift) Changed() bool { return s.Was != s.Then }

// shiftsOf compares shares before and after, backend by backend.
func shiftsOf(was, then []backendLine) []shift {
	all := make([]shift, len(was))
	for i, l := range was {
		all[i] = shift{Server: l.ServerName, Was: l.Share, Then: then[i].Share}
	}
	return all
}

// with is the load balancer as it would be if the backend on the server were changed.
func with(lb control.BalancerView, server string, change func(b *plane.Backend)) control.BalancerView {
	lb.Backends = append([]control.BackendView(nil), lb.Backends...)
	for i := range lb.Backends {
		if lb.Backends[i].ServerName == server {
			change(&lb.Backends[i].Backend)
		}
	}
	return lb
}

// whoMoves says in a sentence which visitors a changed upstream sends elsewhere.
func whoMoves(m plane.Method, shifts []shift) string {
	var moved []string
	for _, s := range shifts {
		if s.Changed() {
			moved = append(moved, fmt.Sprintf("%s %d %% to %d %%", s.Server, s.Was, s.Then))
		}
	}
	if len(moved) == 0 {
		return "No visitor is sent elsewhere."
	}
	text := "Shares of visitors: " + strings.Join(moved, ", ") + "."
	if m == plane.IPHash {
		text += " Visitors keep their backend where it stays in; the others are sent to another one, and lose a session kept on the old one's disk."
	}
	return text
}
