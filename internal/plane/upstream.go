package plane

import "fmt"

// MayLeave says whether the backend may stop serving: go off, become a backup or
// be removed. At least one serving backend must remain, and the last healthy one
// goes only with a person's consent. all are the app's backends; name tells what
// the server of one is called.
func MayLeave(leaving Backend, all []Backend, name, app string, consent bool) error {
	if !leaving.Serving() {
		return nil
	}
	serving, healthy := 0, 0
	for _, b := range all {
		if b.ID == leaving.ID || !b.Serving() {
			continue
		}
		serving++
		if b.State() == BackendHealthy {
			healthy++
		}
	}
	switch {
	case serving == 0:
		return Conflict(fmt.Sprintf("%q is the last one that serves %q", name, app), "turn another backend on first: backend on "+app+" SERVER")
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
