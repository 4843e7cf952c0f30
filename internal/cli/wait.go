package cli

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/serverplane/serverplane/client"
)

func waitFlag(cmd *cobra.Command) *bool {
	return cmd.Flags().Bool("wait", false, "follow the Run to its end; exit 1 if it fails")
}

// begun prints the Run's id and, if asked, follows it to its end.
func (sh *shell) begun(ctx context.Context, c *client.Client, r client.Run, wait bool) error {
	fmt.Fprintln(sh.Out, r.ID)
	if !wait {
		sh.say("queued; follow it with: serverplane run log %s --follow", r.ID)
		return nil
	}
	end, err := c.FollowRun(ctx, r.ID, 0, func(e client.Event) { sh.say("%s", eventLine(e)) })
	if err != nil {
		return sh.stopped(r.ID, err)
	}
	return sh.outcome(end)
}

// stopped says that leaving is not cancelling.
func (sh *shell) stopped(id string, err error) error {
	if errors.Is(err, context.Canceled) {
		return fmt.Errorf("stopped following; the Run goes on (serverplane run log %s --follow, serverplane run cancel %s): %w", id, id, err)
	}
	return err
}

func (sh *shell) outcome(r client.Run) error {
	took := r.FinishedAt.Sub(r.CreatedAt).Round(time.Second)
	switch r.State {
	case "succeeded":
		sh.say("%s succeeded after %s", r.ID, took)
		return nil
	case "cancelled":
		return fmt.Errorf("%s: %w", r.ID, errCancelled)
	case "interrupted":
		return fmt.Errorf("%s was interrupted after %s: %s", r.ID, took, or(r.Reason))
	}
	return fmt.Errorf("%s failed after %s: %s", r.ID, took, or(r.Reason))
}

// eventLine is one line of a Run's log as a person reads it.
func eventLine(e client.Event) string {
	line := e.Time.UTC().Format(time.TimeOnly)
	if e.Server != "" {
		line += " " + e.Server
	}
	switch e.Kind {
	case "step":
		return line + " == " + e.Text
	case "error":
		return line + " !! " + e.Text
	case "output", "said":
		return line + " | " + e.Text
	}
	return line + "  " + e.Text
}
