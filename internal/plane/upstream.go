package plane

import (
	"fmt"
	"slices"
	"strings"
)

// MayLeave says whether the backend may stop serving: go off, become a backup or
// be removed. At least one serving backend must remain, and the last healthy one
// goes only with a person's consent. One that does not hold what is live gets no
// visitors, however much it is wished on: left alone it would leave an entry that
// nobody is behind. all are the app's backends; name tells what the server of
// the one that leaves is called.
func MayLeave(a App, leaving Backend, all []Backend, name string, consent bool) error {
	if !leaving.Serving() {
		return nil
	}
	app := a.Name
	serving, healthy := 0, 0
	for _, b := range all {
		if b.ID == leaving.ID || !b.Serving() || !b.Current(a) {
			continue
		}
		serving++
		if b.State() == BackendHealthy {
			healthy++
		}
	}
	switch {
	case serving == 0:
		return Conflict(fmt.Sprintf("%q is the last one that serves %q", name, app), "put another one in first: backend on "+app+" SERVER, or backend add")
	case healthy == 0 && leaving.State() == BackendHealthy && !consent:
		return &Error{Code: CodeConflict, Field: "yes", Message: fmt.Sprintf("%q is the last healthy one that serves %q", name, app),
			Hint: "see backend list " + app + "; to go on all the same, add --yes"}
	}
	return nil
}

// CheckWeight holds the limits of product.md section 6.
func CheckWeight(weight int) error {
	if weight < 1 || weight > 100 {
		return Invalid("weight", "must be 1 to 100", "the default is 1")
	}
	return nil
}

// CheckBackup refuses what Nginx cannot do: IP hash knows no backup.
func CheckBackup(m Method, backup bool) error {
	if m == IPHash && backup {
		return Invalid("backup", "IP hash knows no backup backend", "leave it out or change the method")
	}
	return nil
}

// Warnings are the ids of what a person can be warned about: the readiness report's
// lines, and what databases and deployments may cost.
func Warnings() []string {
	return []string{
		"uploads", "sessions", "cache", "jobs", "local_writes", "dns", "database", "shared_services", "secrets", "proxy", "runtime", "disk", "clock",
		AckBudget, AckRestart, AckGap, AckMemory,
	}
}

// CheckAcknowledged accepts ids of warnings, each once.
func CheckAcknowledged(field string, ids []string) error {
	for i, id := range ids {
		if !slices.Contains(Warnings(), id) {
			return Invalid(field, fmt.Sprintf("there is no warning %q", id), "known: "+strings.Join(Warnings(), " "))
		}
		if slices.Contains(ids[:i], id) {
			return Invalid(field, fmt.Sprintf("%q is given twice", id), "name each once")
		}
	}
	return nil
}
