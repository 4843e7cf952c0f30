package ui

import "net/http"

const flashCookie = "serverplane-done"

// flashes are the messages a form may leave for the page that comes next. They
// are fixed, so that nobody can put words of theirs on a page.
var flashes = map[string]string{
	"signed-out":       "You are signed out.",
	"variables":        "Kept. In force with the next deployment, or at once with Apply now.",
	"removed":          "Removed.",
	"looked":           "Looked just now.",
	"first-deployment": "Kept. The app's first deployment starts it.",
	"saved":            "Saved.",
	"surveyed":         "Looked again. What was found is below; nothing was changed.",
	"in-force":         "Done, and in force at the entry.",
	"unchanged":        "Nothing was changed: it is so already.",
	"goes-on":          "Wished, but not in force yet: this Run goes on with it.",
	"cancelling":       "Asked to stop. What is under way is brought to a safe end first.",
}

// setFlash leaves a message for the next page this browser gets.
func (u *UI) setFlash(v *visit, code string) {
	if flashes[code] == "" {
		return
	}
	http.SetCookie(v.w, &http.Cookie{
		Name: flashCookie, Value: code, Path: "/", MaxAge: 60, HttpOnly: true, Secure: u.secure(v.r), SameSite: http.SameSiteStrictMode,
	})
}

// takeFlash returns the message left for this page, once.
func (u *UI) takeFlash(v *visit) string {
	c, err := v.r.Cookie(flashCookie)
	if err != nil {
		return ""
	}
	http.SetCookie(v.w, &http.Cookie{Name: flashCookie, Path: "/", MaxAge: -1, HttpOnly: true, Secure: u.secure(v.r), SameSite: http.SameSiteStrictMode})
	return flashes[c.Value]
}
