package cli

import (
	"context"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/serverplane/serverplane/client"
)

func (sh *shell) databaseSet() *cobra.Command {
	cmd := &cobra.Command{Use: "set NAME", Short: "Change a database's settings", Args: cobra.ExactArgs(1)}
	wait := waitFlag(cmd)
	most := cmd.Flags().Int("max-connections", 0, "how many connections the whole engine takes")
	pool := cmd.Flags().Int("pool", 0, "how many connections one process of the app may open")
	tls := cmd.Flags().Bool("require-tls", false, "let nobody in without encryption; --require-tls=false takes it back")
	schedule := cmd.Flags().String("backup-schedule", "", "dump by itself: daily@03:00, a day of the week as in sun@03:00, or off; by the clock of the app's time zone")
	keep := cmd.Flags().Int("keep", 0, "how many dumps are kept")
	prove := cmd.Flags().Bool("prove", false, "try anew, by signing in, that backends get in and nobody else does")
	acknowledge := cmd.Flags().StringSlice("acknowledge", nil, "ids of the warnings that are understood, for example restart")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		ch := client.DatabaseChange{Prove: *prove, Acknowledge: *acknowledge}
		given := cmd.Flags().Changed
		if given("max-connections") {
			ch.MaxConnections = most
		}
		if given("pool") {
			ch.Pool = pool
		}
		if given("require-tls") {
			ch.RequireTLS = tls
		}
		if given("backup-schedule") {
			ch.BackupSchedule = schedule
		}
		if given("keep") {
			ch.Keep = keep
		}
		if ch.MaxConnections == nil && ch.Pool == nil && ch.RequireTLS == nil && ch.BackupSchedule == nil && ch.Keep == nil && !ch.Prove {
			return &usageError{text: "db set names nothing to change", hint: "give --max-connections, --pool, --require-tls, --backup-schedule, --keep or --prove"}
		}
		c, err := sh.panel()
		if err != nil {
			return err
		}
		work, err := c.ChangeDatabase(cmd.Context(), args[0], ch)
		if err != nil {
			return err
		}
		if work.Run == nil {
			sh.say("kept; the engine need not learn of it")
			return nil
		}
		return sh.begun(cmd.Context(), c, *work.Run, *wait)
	}
	return cmd
}

// onDatabase is a command that starts a Run about one database.
func (sh *shell) onDatabase(use, short string, args int, do func(ctx context.Context, c *client.Client, args []string) (client.Work, error)) *cobra.Command {
	cmd := &cobra.Command{Use: use, Short: short, Args: cobra.ExactArgs(args)}
	wait := waitFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		c, err := sh.panel()
		if err != nil {
			return err
		}
		work, err := do(cmd.Context(), c, args)
		if err != nil {
			return err
		}
		return sh.begun(cmd.Context(), c, work.Run, *wait)
	}
	return cmd
}

func (sh *shell) databaseBackup() *cobra.Command {
	return sh.onDatabase("backup NAME", "Dump a database on its server; db set --keep says how many are kept", 1,
		func(ctx context.Context, c *client.Client, args []string) (client.Work, error) {
			return c.BackupDatabase(ctx, args[0])
		})
}

func (sh *shell) databaseBackups() *cobra.Command {
	cmd := &cobra.Command{Use: "backups NAME", Short: "List a database's dumps", Args: cobra.ExactArgs(1)}
	f := outputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		c, err := sh.panel()
		if err != nil {
			return err
		}
		all, err := c.Backups(cmd.Context(), args[0])
		if err != nil {
			return err
		}
		return sh.show(*f, all, rows("ID CREATED BYTES ROWS PATH", all.Items, func(b client.Backup) []string {
			var n int64
			for _, r := range b.Rows {
				n += r
			}
			return []string{b.ID, stamp(b.CreatedAt), strconv.FormatInt(b.Bytes, 10), strconv.FormatInt(n, 10), b.Path}
		}))
	}
	return cmd
}

func (sh *shell) databaseRestore() *cobra.Command {
	var yes *bool
	cmd := sh.onDatabase("restore NAME ID", "Bring a dump back; what is there now is dumped first", 2,
		func(ctx context.Context, c *client.Client, args []string) (client.Work, error) {
			if err := sh.consent(*yes, "replacing what is in database "+args[0]+", with the loss of what the app writes until it is done,", args[0]); err != nil {
				return client.Work{}, err
			}
			return c.RestoreDatabase(ctx, args[0], args[1])
		})
	yes = cmd.Flags().Bool("yes", false, "do not ask")
	return cmd
}

func (sh *shell) databaseRotate() *cobra.Command {
	var yes *bool
	var w *client.Consent
	cmd := sh.onDatabase("rotate-password NAME", "Make a new password and start the app's processes with it; no request is lost, but where an only backend is restarted", 1,
		func(ctx context.Context, c *client.Client, args []string) (client.Work, error) {
			what := "starting the app anew with another password of database " + args[0] + ", which locks out whoever else was given the old one and cuts off what cron began before"
			if err := sh.consent(*yes, what, args[0]); err != nil {
				return client.Work{}, err
			}
			return c.RotatePassword(ctx, args[0], *w)
		})
	w = consentFlag(cmd)
	yes = cmd.Flags().Bool("yes", false, "do not ask")
	return cmd
}

func (sh *shell) databaseRemove() *cobra.Command {
	var yes *bool
	cmd := sh.onDatabase("remove NAME", "Remove a database after a last dump; the Run says where the dump is", 1,
		func(ctx context.Context, c *client.Client, args []string) (client.Work, error) {
			if err := sh.consent(*yes, "removing database "+args[0]+", with the loss of what the app writes after the last dump,", args[0]); err != nil {
				return client.Work{}, err
			}
			return c.RemoveDatabase(ctx, args[0])
		})
	yes = cmd.Flags().Bool("yes", false, "do not ask")
	return cmd
}
