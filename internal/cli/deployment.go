package cli

import (
	"fmt"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/serverplane/serverplane/client"
)

func (sh *shell) deployment() *cobra.Command {
	return group("deployment", "Deployments", sh.deploymentList(), sh.deploymentShow(), sh.deploymentCancel())
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
		return sh.show(*f, list, rows("ID STATE TRIGGER COMMIT RELEASE CREATED REASON", list.Items, func(d client.Deployment) []string {
			return []string{d.ID, d.State, d.Trigger, or(fmt.Sprintf("%.7s", d.Commit)), or(d.Release), stamp(d.CreatedAt), or(d.Reason)}
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
		return sh.show(*f, d, [][]string{
			{"id", d.ID}, {"state", d.State}, {"reason", or(d.Reason)}, {"trigger", d.Trigger}, {"ref", or(d.Ref)}, {"commit", or(d.Commit)},
			{"author", or(d.Author)}, {"subject", or(d.Subject)}, {"release", or(d.Release)}, {"slot", or(d.Slot)}, {"run", d.Run},
			{"actor", or(d.Actor)}, {"created", stamp(d.CreatedAt)}, {"started", stamp(d.StartedAt)}, {"live", stamp(d.LiveAt)},
			{"finished", stamp(d.FinishedAt)},
		})
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
