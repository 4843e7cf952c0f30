package remote

import (
	"io"
	"strings"
	"time"
)

// Command is a program to run on a server.
type Command struct {
	Args  []string  // the program and its arguments; each reaches the program as it is, no shell reads it
	Stdin io.Reader // nil is an empty input
	Sudo  bool      // run as root by way of sudo that asks for no password; does nothing where we sign in as root
	Out   io.Writer // gets standard output as it comes, instead of Result; it may still be written to when a cancelled command has returned
	Pass  bool      // keep nothing of standard output: it is followed line by line, for as long as it may take
}

// Result is what came of a command that ran.
type Result struct {
	Stdout, Stderr []byte        // the first 4 MiB of each; what follows is read and dropped
	Truncated      bool          // something was dropped
	Exit           int           // exit status; 128 + signal number for a command ended by a signal
	Duration       time.Duration // from asking for the channel to the end of the command
}

// line is the command as the server's login shell reads it.
func (c Command) line(user string) string {
	args := c.Args
	if c.Sudo && user != "root" {
		args = append([]string{"sudo", "-n", "--"}, args...)
	}
	quoted := make([]string, len(args))
	for i, arg := range args {
		quoted[i] = quote(arg)
	}
	return strings.Join(quoted, " ")
}

// quote makes arg one word of the shell that stands for itself.
func quote(arg string) string { return "'" + strings.ReplaceAll(arg, "'", `'\''`) + "'" }
