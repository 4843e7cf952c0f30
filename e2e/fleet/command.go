package fleet

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

// tool runs a program of this machine and returns its standard output; the error carries all that it printed.
func tool(ctx context.Context, stdin string, name string, args ...string) (string, error) {
	var out, errs strings.Builder
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Stdin = strings.NewReader(stdin)
	cmd.Stdout, cmd.Stderr = &out, &errs
	// Asked to end, mmdebstrap takes its mounts and children with it; killed, it could not.
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 10 * time.Second
	err := cmd.Run()
	if errors.Is(err, exec.ErrNotFound) {
		return "", fmt.Errorf("%w: run `make setup`", err)
	}
	if err != nil {
		return out.String(), fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), err, tail(out.String()+errs.String(), 4000))
	}
	return out.String(), nil
}

// tail returns at most the last n bytes of a program's output, trimmed.
func tail(text string, n int) string {
	text = strings.TrimSpace(text)
	if len(text) > n {
		return "…" + text[len(text)-n:]
	}
	return text
}
