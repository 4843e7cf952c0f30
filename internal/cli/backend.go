package cli

import (
	"strconv"

	"github.com/spf13/cobra"

	"github.com/serverplane/serverplane/client"
)

func (sh *shell) backend() *cobra.Command {
	return group("backend", "Backends of apps", sh.backendAdd(), sh.backendList(), sh.backendSet(), sh.backendOn(), sh.backendOff(),
		sh.backendCheck(), sh.backendRepair(), sh.backendRemove())
}

func (sh *shell) backendAdd() *cobra.Command {
	var w client.BackendWish
	cmd := &cobra.Command{Use: "add APP SERVER", Short: "Let one more server serve an app", Args: cobra.ExactArgs(2)}
	wait := waitFlag(cmd)
	cmd.Flags().IntVar(&w.Weight, "weight", 1, "1 to 100: its share of visitors")
	cmd.Flags().BoolVar(&w.Backup, "backup", false, "gets visitors only when no other backend serves")
	cmd.Flags().StringSliceVar(&w.Acknowledge, "acknowledge", nil, "ids of the warnings you have read")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if w.Weight < 1 || w.Weight > 100 {
			return usagef("--weight: must be 1 to 100")
		}
		c, err := sh.panel()
		if err != nil {
			return err
		}
		w.Server = args[1]
		work, err := c.AddBackend(cmd.Context(), args[0], w)
		if err != nil {
			return err
		}
		return sh.begun(cmd.Context(), c, work.Run, *wait)
	}
	return cmd
}

func (sh *shell) backendList() *cobra.Command {
	cmd := &cobra.Command{Use: "list APP", Short: "List an app's backends", Args: cobra.ExactArgs(1)}
	f := outputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		c, err := sh.panel()
		if err != nil {
			return err
		}
		list, err := c.Backends(cmd.Context(), args[0])
		if err != nil {
			return err
		}
		return sh.show(*f, list, backendRows(list.Items))
	}
	return cmd
}

func backendRows(items []client.Backend) [][]string {
	return rows("SERVER ROLE ENABLED STATE SINCE ADDRESS WEIGHT BACKUP RELEASE RUNTIME REASON", items, func(b client.Backend) []string {
		return []string{
			b.Server, b.Role, yesNo(b.Enabled), b.State, stamp(b.Since), or(b.Address), strconv.Itoa(b.Weight), yesNo(b.Backup),
			or(b.Release), or(b.Runtime), or(b.Reason),
		}
	})
}
