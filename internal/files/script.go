package files

import (
	"fmt"
	"strings"
)

// maxCommand is what fits into one argument of a process, with room to spare (the kernel's
// limit is 128 KiB).
const maxCommand = 100 << 10

// Script gives a /bin/sh script that carries out a person's own shell lines one after the other,
// each by its own `/bin/sh -ec`: a `cd` or an unclosed quote in one does not reach the next. Each
// is announced on standard output as "+ line"; the first that fails ends the script with its exit
// code, its first line being the last thing said, as "! failed: line". No commands give a script that succeeds. What the lines say is not ours to judge; only
// NUL, a blank line and more than 100 KiB are refused.
func Script(commands []string) ([]byte, error) { return BuildScript(nil, commands, nil) }

// BuildScript is Script with lines of ours before and after the person's own, which are not announced.
func BuildScript(before, own, after []string) ([]byte, error) {
	var out strings.Builder
	out.WriteString("#!/bin/sh\n# Written by ServerPlane; changes made by hand are replaced.\nset -e\n")
	if len(own) > 0 {
		out.WriteString("failed() { status=$?; printf '\\n! failed: %s\\n' \"$1\"; exit \"$status\"; }\n")
	}
	for _, part := range []struct {
		field    string
		commands []string
		announce bool
	}{{"before", before, false}, {"commands", own, true}, {"after", after, false}} {
		for i, c := range part.commands {
			if err := checkCommand(fmt.Sprintf("%s[%d]", part.field, i), c); err != nil {
				return nil, err
			}
			if !part.announce {
				fmt.Fprintf(&out, "/bin/sh -ec %s\n", quote(c))
				continue
			}
			fmt.Fprintf(&out, "printf '+ %%s\\n' %[1]s\n/bin/sh -ec %[1]s || failed %[2]s\n", quote(c), quote(firstLine(c)))
		}
	}
	return []byte(out.String()), nil
}

func firstLine(command string) string {
	line, _, _ := strings.Cut(strings.TrimSpace(command), "\n")
	return line
}

// StartScript gives the script of a slot's process. Where the line is plainly one command, the
// shell is replaced by it, so that the process systemd watches is the app itself. Any other line
// keeps its shell, which then stays until the app has ended: a shell that died of the stop signal
// first would make systemd send the app a second one, which many take for "at once". Either way
// the unit's KillMode=control-group signals every process.
func StartScript(command string) ([]byte, error) {
	if err := checkCommand("start", command); err != nil {
		return nil, err
	}
	return []byte("#!/bin/sh\n# Written by ServerPlane; changes made by hand are replaced.\nexec /bin/sh -ec " + quote(foreground(command)) + "\n"), nil
}

// foreground is what a shell is given to carry out the line as StartScript tells.
func foreground(command string) string {
	if isOneCommand(command) {
		return "exec " + command
	}
	return "trap 'exit 143' TERM\n" + command
}

// LaunchScript gives the script of a slot's process from shell text of ours: a kind's way to start
// without a line of the person's.
func LaunchScript(text string) ([]byte, error) {
	if err := checkCommand("launch", text); err != nil {
		return nil, err
	}
	return []byte("#!/bin/sh\n# Written by ServerPlane; changes made by hand are replaced.\nset -e\n" + strings.TrimSpace(text) + "\n"), nil
}

// isOneCommand is sure when it says yes: no character that could join commands appears, not even
// quoted, and the first word is a program's name. "No" costs only the shell that stays.
func isOneCommand(line string) bool {
	line = strings.Trim(line, " \t")
	if strings.ContainsAny(line, ";|&()`\r\n\\") {
		return false
	}
	first, _, _ := strings.Cut(strings.ReplaceAll(line, "\t", " "), " ")
	return matches(`[A-Za-z0-9_./-]+`, first) && !matches(shellWords, first)
}

// shellWords are what dash and bash carry out themselves; exec would not find them.
const shellWords = `\.|alias|bg|break|builtin|case|cd|command|continue|declare|do|done|echo|elif|else|esac|eval|` +
	`exec|exit|export|false|fc|fg|fi|for|function|getopts|hash|if|in|jobs|kill|let|local|printf|pwd|read|readonly|` +
	`return|select|set|shift|shopt|source|test|then|time|times|trap|true|type|typeset|ulimit|umask|unalias|unset|until|wait|while`

func checkCommand(field, c string) error {
	if strings.TrimSpace(c) == "" {
		return refuse(field, "must not be blank")
	}
	if strings.ContainsRune(c, 0) || len(c) > maxCommand {
		return refuse(field, "must be shell text without NUL of at most 100 KiB")
	}
	return nil
}

// quote makes one word of s for a POSIX shell, whatever it holds.
func quote(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }
