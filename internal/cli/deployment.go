package cli

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/serverplane/serverplane/client"
)

func (sh *shell) deployment() *cobra.Command {
	return group("deployment", "Deployments", sh.deploymentList(), sh.deploymentShow(), sh.deploymentRollback(), sh.deploymentCancel())
}

func pageFlags(fs *pflag.FlagSet) *client.Page {
	var p client.Page
	fs.IntVar(&p.Limit, "limit", 50, "how many, at most 200")
	fs.StringVar(&p.Before, "before", "", "next of the page before (-o json shows it)")
	return &p
}

func (sh *shell) deploymentList() *cobra.Command {
	cmd := &cobra.Command{Use: "list APP", Short: "List an app's deployments, newest first", Args: cobra.ExactArgs(1)}
	f, page := outputFlag(cmd), pageFlags(cmd.Flags())
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		c, err := sh.panel()
		if err != nil {
			return err
		}
		list, err := c.Deployments(cmd.Context(), args[0], *page)
		if err != nil {
			return err
		}
		return sh.show(*f, list, rows("ID STATE TRIGGER COMMIT RELEASE CREATED TOOK SUBJECT REASON", list.Items, func(d client.Deployment) []string {
			return []string{d.ID, d.State, d.Trigger, or(fmt.Sprintf("%.7s", d.Commit)), or(d.Release), stamp(d.CreatedAt), or(took(d)), or(d.Subject), or(d.Reason)}
		}))
	}
	return cmd
}

func (sh *shell) deploymentShow() *cobra.Command {
	cmd := &cobra.Command{Use: "show ID", Short: "Show a deployment", Args: cobra.ExactArgs(1)}
	f := outputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		c, err := sh.panel()
		if err != nil {
			return err
		}
		d, err := c.Deployment(cmd.Context(), args[0])
		if err != nil {
			return err
		}
		table := [][]string{
			{"id", d.ID}, {"state", d.State}, {"reason", or(d.Reason)}, {"trigger", d.Trigger}, {"ref", or(d.Ref)}, {"commit", or(d.Commit)},
			{"author", or(d.Author)}, {"subject", or(d.Subject)}, {"release", or(d.Release)}, {"slot", or(d.Slot)}, {"run", d.Run},
			{"actor", or(d.Actor)}, {"created", stamp(d.CreatedAt)}, {"started", stamp(d.StartedAt)}, {"live", stamp(d.LiveAt)},
			{"finished", stamp(d.FinishedAt)}, {"took", timed(d.Elapsed, d.Expected)}, {"starts again", or(d.Source)},
		}
		return sh.show(*f, d, append(table, deploymentRows(d)...))
	}
	return cmd
}

// deploymentRows tell what became of it on each server, and its steps.
func deploymentRows(d client.Deployment) [][]string {
	var out [][]string
	for _, b := range d.Backends {
		line := b.Server + " is " + b.State
		if b.Reason != "" {
			line += ": " + b.Reason
		}
		out = append(out, []string{"backend", line})
	}
	for _, s := range d.Steps {
		out = append(out, []string{"step", fmt.Sprintf("%s: %s, %s", s.Name, s.State, timed(s.Took, s.Expected))})
	}
	return out
}

// took is how long a deployment that is over took.
func took(d client.Deployment) string {
	if d.StartedAt.IsZero() || d.FinishedAt.IsZero() {
		return ""
	}
	return d.FinishedAt.Sub(d.StartedAt).Round(time.Second).String()
}

// timed is a time beside the one that was to be expected, if any is known.
func timed(took, expected client.Duration) string {
	text := time.Duration(took).Round(100 * time.Millisecond).String()
	if expected == 0 {
		return text
	}
	return text + " (expected " + time.Duration(expected).Round(100*time.Millisecond).String() + ")"
}

func (sh *shell) deploymentRollback() *cobra.Command {
	var w client.RollbackWish
	cmd := &cobra.Command{
		Use: "rollback APP [ID]", Short: "Go back to what was live before, or to a deployment", Args: cobra.RangeArgs(1, 2),
		Long: "Go back to the deployment that was live before, or to the one named: its commit, its build and its start command, with today's\n" +
			"variables. Run-once commands do not run: what they changed in a database stays changed.",
	}
	wait := waitFlag(cmd)
	cmd.Flags().StringArrayVar(&w.Without, "without", nil, "server that takes no part and is behind afterwards; may be repeated")
	acknowledgeFlag(cmd, &w.Acknowledge)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		c, err := sh.panel()
		if err != nil {
			return err
		}
		if len(args) == 2 {
			w.Deployment = args[1]
		}
		deployed, err := c.Rollback(cmd.Context(), args[0], w)
		if err != nil {
			return err
		}
		sh.say("goes back to %.7s %s", deployed.Deployment.Commit, clean(deployed.Deployment.Subject))
		return sh.begun(cmd.Context(), c, deployed.Run, *wait)
	}
	return cmd
}

func (sh *shell) deploymentCancel() *cobra.Command {
	cmd := &cobra.Command{Use: "cancel ID", Short: "Ask a deployment to stop", Args: cobra.ExactArgs(1)}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		c, err := sh.panel()
		if err != nil {
			return err
		}
		work, err := c.CancelDeployment(cmd.Context(), args[0])
		if err != nil {
			return err
		}
		return sh.cancelling(work.Run)
	}
	return cmd
}
