package plane

import (
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// LogSource is whose log of an app on a server is read.
type LogSource string

// The sources: what the app's processes write, and what Nginx writes about the app.
const (
	LogApp   LogSource = "app"
	LogNginx LogSource = "nginx"
)

// How many lines may be asked for, and how many bytes of one are shown.
const (
	DefaultLogLines = 200
	MaxLogLines     = 1000
	MaxLogText      = 4000
)

// LogQuery is one log of an app on one server.
type LogQuery struct {
	Server Server
	App    string
	Source LogSource
	Lines  int      // how many of the last ones to begin with
	Ports  Ports    // the app's on that server, by which Nginx's errors are told apart
	Names  []string // on the entry's server: which server names of Nginx are the app's
}

// LogLine is one line of a log, already text and nothing else: see LogText.
type LogLine struct {
	At      time.Time // zero where the line does not tell
	From    string    // slot a or b, or access or error of Nginx
	Trouble bool      // the writer called it an error
	Text    string
}

// CheckLogSource refuses what is no source.
func CheckLogSource(field string, s LogSource) error {
	if s == LogApp || s == LogNginx {
		return nil
	}
	return Invalid(field, "must be app or nginx", "app is what the app writes, nginx what Nginx writes about it")
}

// CheckLogLines bounds how many lines are asked for.
func CheckLogLines(field string, n int) error {
	if n >= 1 && n <= MaxLogLines {
		return nil
	}
	return Invalid(field, fmt.Sprintf("must be 1 to %d", MaxLogLines), fmt.Sprintf("the default is %d", DefaultLogLines))
}

// LogText makes what anybody wrote into text that a page or a terminal shows as
// it is: control characters, and those that turn the direction of writing, are
// made visible, and a long line is cut.
func LogText(line string) string {
	var out strings.Builder
	for i, r := range line {
		if out.Len() >= MaxLogText {
			return out.String() + fmt.Sprintf(" … (cut, %d bytes more)", len(line)-i)
		}
		out.WriteString(visible(r, line[i:]))
	}
	return out.String()
}

func visible(r rune, at string) string {
	_, size := utf8.DecodeRuneInString(at)
	switch {
	case r == utf8.RuneError && size == 1:
		return fmt.Sprintf(`\x%02x`, at[0])
	case r == '\t':
		return "\t"
	case r < 0x20, r == 0x7f:
		return "^" + string(r^0x40) // as cat -v shows it, since few fonts have a picture
	case unicode.Is(unicode.Cc, r), unicode.Is(unicode.Bidi_Control, r), r == '\u2028', r == '\u2029':
		return fmt.Sprintf("<U+%04X>", r)
	}
	return string(r)
}
