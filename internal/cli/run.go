package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/serverplane/serverplane/client"
)

func (sh *shell) run() *cobra.Command {
	return group("run", "Runs: work on servers", sh.runList(), sh.runShow(), sh.runLog(), sh.runCancel())
}

func (sh *shell) runList() *cobra.Command {
	cmd := &cobra.Command{Use: "list", Short: "List Runs, newest first", Args: cobra.NoArgs}
	f, page := outputFlag(cmd), pageFlags(cmd.Flags())
	app := cmd.Flags().String("app", "", "only those of this app")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		c, err := sh.panel()
		if err != nil {
			return err
		}
		list, err := c.Runs(cmd.Context(), client.RunFilter{App: *app, Page: *page})
		if err != nil {
			return err
		}
		return sh.show(*f, list, rows("ID KIND STATE STEPS APP SERVERS CREATED STEP", list.Items, func(r client.Run) []string {
			return []string{
				r.ID, r.Kind, r.State, fmt.Sprintf("%d/%d", r.Done, r.Total), or(r.App), or(strings.Join(r.Servers, ",")),
				stamp(r.CreatedAt), or(progress(r)),
			}
		}))
	}
	return cmd
}

// progress is what there is to know about a Run in one phrase.
func progress(r client.Run) string {
	switch {
	case r.WaitsFor != "":
		return "waits for " + r.WaitsFor
	case r.Ended():
		return r.Reason
	}
	return r.Step
}

func (sh *shell) runShow() *cobra.Command {
	cmd := &cobra.Command{Use: "show ID", Short: "Show a Run", Args: cobra.ExactArgs(1)}
	f := outputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		c, err := sh.panel()
		if err != nil {
			return err
		}
		r, err := c.Run(cmd.Context(), args[0])
		if err != nil {
			return err
		}
		table := [][]string{
			{"id", r.ID}, {"kind", r.Kind}, {"state", r.State}, {"step", fmt.Sprintf("%d of %d: %s", r.Done, r.Total, or(r.Step))},
			{"reason", or(r.Reason)}, {"waits for", or(r.WaitsFor)}, {"app", or(r.App)}, {"servers", or(strings.Join(r.Servers, ", "))},
			{"deployment", or(r.Deployment)}, {"actor", or(r.Actor)}, {"attempt", fmt.Sprint(r.Attempt)}, {"created", stamp(r.CreatedAt)},
			{"started", stamp(r.StartedAt)}, {"finished", stamp(r.FinishedAt)},
		}
		for _, line := range r.Receipt {
			table = append(table, []string{"receipt", receiptLine(line)})
		}
		return sh.show(*f, r, table)
	}
	return cmd
}

func (sh *shell) runLog() *cobra.Command {
	cmd := &cobra.Command{Use: "log ID", Short: "Print a Run's log", Args: cobra.ExactArgs(1)}
	f := outputFlag(cmd)
	follow := cmd.Flags().Bool("follow", false, "go on until the Run ends; with -o json one object a line")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		c, err := sh.panel()
		if err != nil {
			return err
		}
		if *follow {
			_, err := c.FollowRun(cmd.Context(), args[0], 0, sh.logLine(*f))
			return sh.stopped(args[0], err)
		}
		events, err := allEvents(cmd.Context(), c, args[0])
		if err != nil {
			return err
		}
		if *f == "json" {
			return writeJSON(sh.Out, client.List[client.Event]{Items: events})
		}
		for _, e := range events {
			sh.logLine(*f)(e)
		}
		return nil
	}
	return cmd
}

// logLine prints one line of a log as a result.
func (sh *shell) logLine(f format) func(client.Event) {
	return func(e client.Event) {
		line := clean(eventLine(e))
		if raw, err := json.Marshal(e); f == "json" && err == nil {
			line = string(raw)
		}
		fmt.Fprintln(sh.Out, line)
	}
}

func allEvents(ctx context.Context, c *client.Client, run string) ([]client.Event, error) {
	out, after := []client.Event{}, int64(0)
	for {
		page, err := c.Events(ctx, run, after, 0)
		if err != nil || len(page.Items) == 0 {
			return out, err
		}
		out = append(out, page.Items...)
		after = out[len(out)-1].Seq
	}
}

func (sh *shell) runCancel() *cobra.Command {
	cmd := &cobra.Command{Use: "cancel ID", Short: "Ask a Run to stop", Args: cobra.ExactArgs(1)}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		c, err := sh.panel()
		if err != nil {
			return err
		}
		r, err := c.CancelRun(cmd.Context(), args[0])
		if err != nil {
			return err
		}
		return sh.cancelling(r)
	}
	return cmd
}

func (sh *shell) cancelling(r client.Run) error {
	_, err := fmt.Fprintln(sh.Out, r.ID)
	if r.Ended() {
		sh.say("it is %s", r.State)
	} else {
		sh.say("it was asked to stop; watch it with: serverplane run log %s --follow", r.ID)
	}
	return err
}
