package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"

	"github.com/spf13/cobra"

	"github.com/serverplane/serverplane/client"
)

// The exit codes of product and scripts.
const (
	exitDone      = 0
	exitFailed    = 1
	exitUsage     = 2
	exitCancelled = 3
)

// usageError is what a person can put right by typing something else.
type usageError struct {
	text string
	hint string
}

func (e *usageError) Error() string { return e.text }

func usagef(format string, args ...any) error {
	return &usageError{text: fmt.Sprintf(format, args...)}
}

// errCancelled: a person said no, or a Run was cancelled.
var errCancelled = errors.New("cancelled")

// markUsage turns every error that comes up before a command begins (unknown
// words, flags, counts of arguments) into a usage error.
func markUsage(cmd *cobra.Command) {
	for _, c := range cmd.Commands() {
		markUsage(c)
	}
	cmd.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error { return usageOf(cmd, err) })
	if args := cmd.Args; args != nil {
		cmd.Args = func(cmd *cobra.Command, given []string) error { return usageOf(cmd, args(cmd, given)) }
	}
}

func usageOf(cmd *cobra.Command, err error) error {
	if err == nil {
		return nil
	}
	return &usageError{text: err.Error(), hint: "usage: " + cmd.UseLine()}
}

// exitCode says what went wrong, once, and with which code to end.
func exitCode(w io.Writer, err error) int {
	if err == nil {
		return exitDone
	}
	fmt.Fprintln(w, "error:", clean(message(err)))
	if h := hint(err); h != "" {
		fmt.Fprintln(w, "hint: ", clean(h))
	}
	if _, usage := errors.AsType[*usageError](err); usage {
		return exitUsage
	}
	if errors.Is(err, errCancelled) || errors.Is(err, context.Canceled) {
		return exitCancelled
	}
	return exitFailed
}

func message(err error) string {
	refused, ok := errors.AsType[*client.Error](err)
	if !ok {
		return err.Error()
	}
	text := refused.Message
	if refused.Field != "" {
		text = refused.Field + ": " + text
	}
	if refused.RequestID != "" {
		text += " (request " + refused.RequestID + ")"
	}
	return text
}

func hint(err error) string {
	if u, ok := errors.AsType[*usageError](err); ok {
		return u.hint
	}
	if refused, ok := errors.AsType[*client.Error](err); ok {
		return refused.Hint
	}
	if _, ok := errors.AsType[*net.OpError](err); ok {
		return "is the panel running (serverplane serve), and is its address right (serverplane login, SERVERPLANE_URL)?"
	}
	return ""
}
