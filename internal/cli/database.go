package cli

import (
	"fmt"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/serverplane/serverplane/client"
)

func (sh *shell) database() *cobra.Command {
	return group("db", "Databases of apps", sh.databaseCreate(), sh.databaseList(), sh.databaseShow(), sh.databaseSet(), sh.databaseBackup(), sh.databaseBackups(),
		sh.databaseRestore(), sh.databaseRotate(), sh.databaseRemove())
}

func (sh *shell) databaseCreate() *cobra.Command {
	var w client.DatabaseWish
	cmd := &cobra.Command{Use: "create NAME --app APP --engine ENGINE", Short: "Make a database for an app on its primary and open it to its backends", Args: cobra.ExactArgs(1)}
	wait := waitFlag(cmd)
	cmd.Flags().StringVar(&w.App, "app", "", "the app it is for")
	cmd.Flags().StringVar(&w.Engine, "engine", "", "postgresql or mariadb")
	cmd.Flags().StringVar(&w.Prefix, "prefix", "", "what the names of its variables begin with; an app's second database needs one")
	cmd.Flags().StringSliceVar(&w.Acknowledge, "acknowledge", nil, "ids of the warnings that are understood, for example restart")
	given := cmd.Flags().Bool("password-stdin", false, "read the password from standard input instead of making one")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if w.App == "" || w.Engine == "" {
			return &usageError{text: "db create needs --app and --engine", hint: "usage: " + cmd.UseLine()}
		}
		c, err := sh.panel()
		if err != nil {
			return err
		}
		w.Name = args[0]
		if *given {
			if w.Password, err = sh.line("the password"); err != nil {
				return err
			}
		}
		work, err := c.CreateDatabase(cmd.Context(), w)
		if err != nil {
			return err
		}
		sh.say("its variables reach the app's processes with its next deployment, or: serverplane env apply %s", w.App)
		return sh.begun(cmd.Context(), c, work.Run, *wait)
	}
	return cmd
}

func (sh *shell) databaseList() *cobra.Command {
	cmd := &cobra.Command{Use: "list", Short: "List all databases", Args: cobra.NoArgs}
	f := outputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		c, err := sh.panel()
		if err != nil {
			return err
		}
		all, err := c.Databases(cmd.Context(), "")
		if err != nil {
			return err
		}
		return sh.show(*f, all, rows("NAME APP SERVER ENGINE STATE SINCE", all.Items, func(d client.Database) []string {
			return []string{d.Name, d.App, d.Server, d.Engine, d.State, stamp(d.Since)}
		}))
	}
	return cmd
}

func (sh *shell) databaseShow() *cobra.Command {
	cmd := &cobra.Command{Use: "show NAME", Short: "Show a database, who may connect and how that was proven", Args: cobra.ExactArgs(1)}
	f := outputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		c, err := sh.panel()
		if err != nil {
			return err
		}
		d, err := c.Database(cmd.Context(), args[0])
		if err != nil {
			return err
		}
		if err := sh.show(*f, d, append(databaseLines(d), nowLines(d.Now)...)); err != nil || *f == "json" {
			return err
		}
		fmt.Fprintln(sh.Out)
		return sh.show(*f, nil, rows("SERVER ROLE ADDRESS CONNECTIONS PROVEN ENCRYPTED ANSWER", d.Access, func(g client.Grant) []string {
			return []string{g.Server, g.Role, g.Address, usedFrom(d.Now, g.Address), proven(g.Proof), or(g.Proof.TLS), or(g.Proof.Answer)}
		}))
	}
	return cmd
}

func databaseLines(d client.Database) [][]string {
	return append([][]string{
		{"app", d.App}, {"state", d.State}, {"reason", or(d.Reason)}, {"engine", or(d.Engine + " " + d.Version)},
		{"reached at", fmt.Sprintf("%s:%d, 127.0.0.1 on %s", d.Host, d.Port, d.Server)}, {"database and role", d.Database},
		{"prefix", or(d.Prefix)}, {"encryption", encryptionLine(d)},
		{"connections", fmt.Sprintf("%d may be wanted of %d, %d of them kept for administrators", d.Wanted, d.MaxConnections, d.Reserved)},
		{"pool", strconv.Itoa(d.Pool)}, {"strangers", strangerLine(d)},
		{"signs in as", loginLine(d)},
	}, backupLines(d)...)
}

func encryptionLine(d client.Database) string {
	switch {
	case !d.TLS:
		return "not offered"
	case d.RequireTLS:
		return "required"
	}
	return "offered"
}

func proven(p client.Proof) string {
	switch p.Verdict {
	case "pass":
		return "signed in " + stamp(p.At)
	case "fail":
		return "refused " + stamp(p.At)
	}
	return "not proven"
}

func strangerLine(d client.Database) string {
	p := d.Stranger
	switch p.Verdict {
	case "fail":
		return fmt.Sprintf("refused at %s, tried from %s: %s", stamp(p.At), p.Vantage, or(p.Answer))
	case "pass":
		return fmt.Sprintf("LET IN at %s, tried from %s: the Run says where to look; take away what lets them in, then db set %s --prove", stamp(p.At), p.Vantage, d.Name)
	}
	return fmt.Sprintf("not proven: %s; db set %s --prove tries again", or(p.Answer), d.Name)
}
