package cli

import (
	"github.com/spf13/cobra"

	"github.com/serverplane/serverplane/client"
)

func (sh *shell) audit() *cobra.Command {
	return group("audit", "Who did what", sh.auditList())
}

func (sh *shell) auditList() *cobra.Command {
	cmd := &cobra.Command{Use: "list", Short: "List who did what, newest first", Args: cobra.NoArgs}
	f, page := outputFlag(cmd), pageFlags(cmd.Flags())
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		c, err := sh.panel()
		if err != nil {
			return err
		}
		list, err := c.Audits(cmd.Context(), *page)
		if err != nil {
			return err
		}
		return sh.show(*f, list, rows("TIME ACTOR FROM ACTION SUBJECT DETAIL", list.Items, func(a client.Audit) []string {
			return []string{stamp(a.Time), or(a.Actor), or(a.From), a.Action, or(a.Subject), or(a.Detail)}
		}))
	}
	return cmd
}
