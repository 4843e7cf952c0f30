package cli

import (
	"github.com/spf13/cobra"

	"github.com/serverplane/serverplane/client"
)

func (sh *shell) deploy() *cobra.Command {
	var w client.DeployWish
	cmd := &cobra.Command{Use: "deploy APP", Short: "Make a commit live on every backend", Args: cobra.ExactArgs(1)}
	wait := waitFlag(cmd)
	cmd.Flags().StringVar(&w.Ref, "ref", "", "commit, tag or branch (default: the app's branch)")
	cmd.Flags().StringArrayVar(&w.Without, "without", nil, "server that takes no part and is behind afterwards; may be repeated")
	cmd.Flags().BoolVar(&w.Rebuild, "rebuild", false, "build although the commit is built already")
	acknowledgeFlag(cmd, &w.Acknowledge)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		c, err := sh.panel()
		if err != nil {
			return err
		}
		deployed, err := c.Deploy(cmd.Context(), args[0], w)
		if err != nil {
			return err
		}
		return sh.begun(cmd.Context(), c, deployed.Run, *wait)
	}
	return cmd
}

// acknowledgeFlag is one of every command that takes an app from slot to slot.
func acknowledgeFlag(cmd *cobra.Command, ids *[]string) {
	cmd.Flags().StringSliceVar(ids, "acknowledge", nil, "ids of the warnings you have read, for example memory")
}

func consentFlag(cmd *cobra.Command) *client.Consent {
	var w client.Consent
	acknowledgeFlag(cmd, &w.Acknowledge)
	return &w
}
