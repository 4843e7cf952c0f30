package plane

import "fmt"

// AckMemory is the id of the warning that a server may run out of memory while two slots run there.
const AckMemory = "memory"

// Room is what a server said of its memory before a second slot is started there, in MiB.
type Room struct {
	Available int    // what it can give away now without swapping
	Used      int    // by what runs of the app's slot; 0: nothing runs
	Limit     int    // what the new slot may take at most; 0: no limit
	Unknown   string // why it could not be told, or empty
}

// margin is what a slot may grow by while it starts: a quarter of what it has, and no less than this.
const leastMargin = 64

// Needs is what the second slot is expected to take: as much as the first has
// grown to, and a margin. A container's limit holds it back.
func (r Room) Needs() int {
	needs := r.Used + max(leastMargin, r.Used/4)
	if r.Limit > 0 {
		needs = min(needs, r.Limit)
	}
	return needs
}

// Short tells whether the second slot would not fit. What is unknown is not short:
// before anything is known to be wrong nobody's site is kept from being deployed.
func (r Room) Short() bool { return r.Unknown == "" && r.Used > 0 && r.Needs() > r.Available }

// Words tells a person of a server's room for another slot of the app.
func (r Room) Words() string {
	switch {
	case r.Unknown != "":
		return "its memory is unknown (" + r.Unknown + "), so nobody knows whether two slots fit; going on"
	case r.Used == 0:
		return fmt.Sprintf("%d MiB of memory are available, and nothing of the app runs there yet", r.Available)
	}
	return fmt.Sprintf("%d MiB of memory are available; what runs of the app uses %d MiB, so a second slot needs about %d MiB", r.Available, r.Used, r.Needs())
}

// RefuseShort names the ways out for an app on a server without room; again is how it is asked for once more.
func RefuseShort(app, server, again string, r Room) *Error {
	return &Error{
		Code:    CodeConflict, // of a Run, so that no field can be named
		Message: fmt.Sprintf("%s has no room for two slots of %s side by side: %s", server, app, r.Words()),
		Hint: fmt.Sprintf("app set %s --option %s=%s stops the old slot before the new one starts; or give the server more memory; or go on all the same: %s --acknowledge %s",
			app, OptionSwitch, SwitchRestart, again, AckMemory),
	}
}
