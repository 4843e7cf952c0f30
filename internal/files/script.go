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
// code. No commands give a script that succeeds. What the lines say is not ours to judge; only
// NUL, a blank line and more than 100 KiB are refused.
func Script(commands []string) ([]byte, error) {
	var out strings.Builder
	out.WriteString("#!/bin/sh\n# Written by ServerPlane; changes made by hand are replaced.\nset -e\n")
	for i, c := range commands {
		if err := checkCommand(fmt.Sprintf("commands[%d]", i), c); err != nil {
			return nil, err
		}
		fmt.Fprintf(&out, "printf '+ %%s\\n' %s\n/bin/sh -ec %s\n", quote(c), quote(c))
	}
	return []byte(out.String()), nil
}

// StartScript gives the script of a slot's process. The shell gives way to the last command of
// the line (`sh -c` replaces itself with it where the line allows), so that the process systemd
// watches and signals is normally the app itself. Where a shell must stay, the unit's
// KillMode=control-group still signals every process.
func StartScript(command string) ([]byte, error) {
	if err := checkCommand("start", command); err != nil {
		return nil, err
	}
	return []byte("#!/bin/sh\n# Written by ServerPlane; changes made by hand are replaced.\nexec /bin/sh -ec " + quote(command) + "\n"), nil
}

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
